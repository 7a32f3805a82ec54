"""Which AWS a source is in, and the boto3 clients for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

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


retried = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5, read_timeout=60)


def session_of(aws: Aws) -> boto3.Session:
    """A boto3 session.

    Raises:
        CredentialsRefused: The profile or the region cannot be found.
    """
    try:
        return boto3.Session(profile_name=aws.profile, region_name=aws.region)
    except BotoCoreError as error:
        raise CredentialsRefused(str(error)) from error


@lru_cache(maxsize=32)
def s3_client(aws: Aws) -> S3Client:
    """One S3 client a process for each place."""
    try:
        return session_of(aws).client("s3", endpoint_url=aws.endpoint_url, config=retried)
    except BotoCoreError as error:
        raise CredentialsRefused(str(error)) from error


@lru_cache(maxsize=32)
def dynamodb_client(aws: Aws) -> DynamoDBClient:
    """One DynamoDB client a process for each place, for control; items do not pass through it."""
    try:
        return session_of(aws).client("dynamodb", endpoint_url=aws.endpoint_url, config=retried)
    except BotoCoreError as error:
        raise CredentialsRefused(str(error)) from error


@lru_cache(maxsize=32)
def streams_client(aws: Aws) -> Any:
    """One client of DynamoDB Streams a process for each place, for control; records do not pass through it."""
    try:
        return session_of(aws).client("dynamodbstreams", endpoint_url=aws.endpoint_url, config=retried)
    except BotoCoreError as error:
        raise CredentialsRefused(str(error)) from error
