"""The regional cluster behind the writer endpoint of an Aurora Global Database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ashore.postgres.endpoints import global_cluster_of
from ashore.postgres.iam_errors import GlobalEndpointUnresolved

ANY_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionalWriter:
    """The cluster that takes a global database's writes: what a token is signed for."""

    host: str
    port: int
    region: str


def regional_writer(host: str, *, profile: str | None = None, region: str | None = None) -> RegionalWriter:
    """Ask RDS which cluster of a global database is the writer now; another one is after a switchover.

    Args:
        host: The global writer endpoint.
        profile: The AWS profile that asks; None for boto3's own.
        region: Where to ask: one that has a member of the global cluster.

    Raises:
        GlobalEndpointUnresolved: It may not be asked, or there is no such cluster, or it has no writer now.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeGlobalClusters.html
    """
    name = global_cluster_of(host)
    if name is None:
        raise GlobalEndpointUnresolved(host=host, reason="it is not the name of a global writer endpoint")
    try:
        session = boto3.Session(profile_name=profile)
        client: Any = session.client("rds", region_name=region or session.region_name or ANY_REGION)
        found = client.describe_global_clusters(GlobalClusterIdentifier=name)["GlobalClusters"]
        writers = [
            one["DBClusterArn"] for cluster in found for one in cluster["GlobalClusterMembers"] if one["IsWriter"]
        ]
        if len(writers) != 1:
            raise GlobalEndpointUnresolved(host=host, reason=f"it has {len(writers)} writers at this moment")
        there = writers[0].split(":")[3]  # arn:aws:rds:REGION:ACCOUNT:cluster:NAME
        identifier = writers[0].rpartition(":")[2]
        regional: Any = session.client("rds", region_name=there)
        [cluster] = regional.describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"]
    except (BotoCoreError, ClientError) as error:
        raise GlobalEndpointUnresolved(host=host, reason=str(error)) from None
    return RegionalWriter(host=cluster["Endpoint"], port=int(cluster["Port"]), region=there)
