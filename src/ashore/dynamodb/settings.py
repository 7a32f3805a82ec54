"""Which AWS a source is in, and the boto3 clients for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, overload

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from ashore.dynamodb.errors import CredentialsRefused

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """A region, an endpoint (None: AWS's own) and a profile (None: the usual chain), all of them optional."""

    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None


retried: Final = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5, read_timeout=60)


_one_at_a_time: Final = Lock()


@overload
def client_of(aws: Aws, service: Literal["s3"], config: Config = ...) -> S3Client: ...


@overload
def client_of(aws: Aws, service: Literal["dynamodb"], config: Config = ...) -> DynamoDBClient: ...


@overload
def client_of(aws: Aws, service: Literal["dynamodbstreams", "cloudwatch", "lambda"], config: Config = ...) -> Any: ...


def client_of(aws: Aws, service: str, config: Config = retried) -> Any:
    """A new boto3 client.

    Clients of one place come from one session: each session reads the descriptions of the services anew, which takes
    many times as long as the rest. Sessions, unlike clients, are not thread-safe.
    Source: https://docs.aws.amazon.com/boto3/latest/guide/session.html#multithreading-or-multiprocessing-with-sessions

    Raises:
        CredentialsRefused: The profile or the region cannot be found.
    """
    try:
        with _one_at_a_time:
            return _session(aws).client(service, endpoint_url=aws.endpoint_url, config=config)
    except BotoCoreError as error:
        raise CredentialsRefused(str(error)) from error


@lru_cache(maxsize=32)
def _session(aws: Aws) -> Any:
    return boto3.Session(profile_name=aws.profile, region_name=aws.region)


@lru_cache(maxsize=32)
def s3_client(aws: Aws) -> S3Client:
    """One S3 client a process for each place."""
    return client_of(aws, "s3")


@lru_cache(maxsize=32)
def dynamodb_client(aws: Aws) -> DynamoDBClient:
    """One DynamoDB client a process for each place, for control: items do not pass through it."""
    return client_of(aws, "dynamodb")


@lru_cache(maxsize=32)
def streams_client(aws: Aws) -> Any:
    """One client of DynamoDB Streams a process for each place, for control: records do not pass through it."""
    return client_of(aws, "dynamodbstreams")
