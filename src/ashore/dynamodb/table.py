"""What a table says of itself, without reading an item."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from ashore.dynamodb.errors import CredentialsRefused, SourceError, Throttled, Unreachable
from ashore.dynamodb.faults import Request, denied, error_of, passing, throttling
from ashore.dynamodb.settings import Aws, dynamodb_client
from ashore.model.chunk import Estimate

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeySchemaElementTypeDef, TableDescriptionTypeDef

KeyType = Literal["S", "N", "B"]
Result = TypeVar("Result")

read_unit_bytes: Final = 4096
"""A strongly consistent read of up to 4 KB is one read request unit, an eventually consistent one half of one.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""
dollars_per_million_read_units: Final = 0.125
"""On demand, standard table class, us-east-1, since 2024-11-01; other regions cost up to about twice as much.

Source: https://aws.amazon.com/dynamodb/pricing/on-demand/
"""


@dataclass(frozen=True, slots=True)
class KeyAttribute:
    """An attribute of a key, and its type."""

    name: str
    type: KeyType


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondaryIndex:
    """A global or local secondary index: its partition key, then its sort key if it has one."""

    name: str
    key: tuple[KeyAttribute, ...]
    projection: str
    is_global: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A table's stream. `view` is NEW_AND_OLD_IMAGES, NEW_IMAGE, OLD_IMAGE or KEYS_ONLY."""

    arn: str
    view: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """A table. `items` and `bytes` are refreshed by AWS about every six hours.

    `provisioned_read_units` is None for a table on demand. `ttl_attribute` is None where there is none or asking is
    not allowed; `point_in_time_recovery` is None where asking is not allowed or not supported.
    """

    name: str
    arn: str
    table_id: str | None
    key: tuple[KeyAttribute, ...]
    items: int
    bytes: int
    provisioned_read_units: int | None
    indexes: tuple[SecondaryIndex, ...]
    stream: Stream | None
    ttl_attribute: str | None
    point_in_time_recovery: bool | None

    def estimate(self, *, consistent: bool = True) -> Estimate:
        """What a Scan of the whole table takes."""
        units = float(math.ceil(self.bytes / read_unit_bytes))
        if not consistent:
            units /= 2
        if self.provisioned_read_units is None:
            dollars = units / 1_000_000 * dollars_per_million_read_units
            price = f"on demand at ${dollars_per_million_read_units} a million read units (us-east-1)"
        else:
            dollars = 0.0
            price = f"paid by its provisioned capacity of {self.provisioned_read_units} read units a second"
        note = f"{price}; DynamoDB refreshes item count and size about every six hours"
        return Estimate(items=self.items, bytes=self.bytes, read_units=units, dollars=dollars, note=note)


def describe_table(table: str, aws: Aws) -> TableInfo:
    """Ask DynamoDB about a table (its name or ARN).

    Raises:
        AccessDenied, TableNotFound, CredentialsRefused, Unreachable, Throttled, RequestRefused
    """
    client = dynamodb_client(aws)
    return info_of(table, description_of(table, client), client)


def description_of(table: str, client: DynamoDBClient) -> TableDescriptionTypeDef:
    """What DescribeTable says, as it says it. Raises what `describe_table` does."""
    return _told("DescribeTable", table, client, lambda: client.describe_table(TableName=table)["Table"])


def info_of(table: str, found: TableDescriptionTypeDef, client: DynamoDBClient) -> TableInfo:
    """A described table, its time to live and its point-in-time recovery. Raises what `describe_table` does."""
    types: dict[str, KeyType] = {
        entry["AttributeName"]: entry["AttributeType"] for entry in found["AttributeDefinitions"]
    }
    return TableInfo(
        name=found["TableName"],
        arn=found["TableArn"],
        table_id=found.get("TableId"),
        key=_key(found["KeySchema"], types),
        items=found.get("ItemCount", 0),
        bytes=found.get("TableSizeBytes", 0),
        provisioned_read_units=_provisioned(found),
        indexes=_indexes(found, types),
        stream=_stream(found),
        ttl_attribute=_ttl_attribute(table, client),
        point_in_time_recovery=_point_in_time_recovery(table, client),
    )


def _provisioned(found: TableDescriptionTypeDef) -> int | None:
    if found.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST":
        return None
    return found.get("ProvisionedThroughput", {}).get("ReadCapacityUnits") or None


def _indexes(found: TableDescriptionTypeDef, types: dict[str, KeyType]) -> tuple[SecondaryIndex, ...]:
    return tuple(
        SecondaryIndex(
            name=index["IndexName"],
            key=_key(index["KeySchema"], types),
            projection=index.get("Projection", {}).get("ProjectionType", "ALL"),
            is_global=is_global,
        )
        for is_global, indexes in (
            (True, found.get("GlobalSecondaryIndexes", [])),
            (False, found.get("LocalSecondaryIndexes", [])),
        )
        for index in indexes
    )


def _stream(found: TableDescriptionTypeDef) -> Stream | None:
    specification = found.get("StreamSpecification")
    arn = found.get("LatestStreamArn")
    if specification is None or arn is None or not specification.get("StreamEnabled"):
        return None
    return Stream(arn=arn, view=specification.get("StreamViewType", "KEYS_ONLY"))


def _key(schema: list[KeySchemaElementTypeDef], types: dict[str, KeyType]) -> tuple[KeyAttribute, ...]:
    """The attributes of a key; DynamoDB lists the partition key first."""
    return tuple(KeyAttribute(entry["AttributeName"], types[entry["AttributeName"]]) for entry in schema)


def _ttl_attribute(table: str, client: DynamoDBClient) -> str | None:
    described = _if_allowed(
        "DescribeTimeToLive",
        table,
        client,
        lambda: client.describe_time_to_live(TableName=table)["TimeToLiveDescription"],
    )
    if described is None or described.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        return None
    return described.get("AttributeName")


def _point_in_time_recovery(table: str, client: DynamoDBClient) -> bool | None:
    described = _if_allowed(
        "DescribeContinuousBackups",
        table,
        client,
        lambda: client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"],
    )
    if described is None:
        return None
    recovery = described.get("PointInTimeRecoveryDescription", {})
    return recovery.get("PointInTimeRecoveryStatus") == "ENABLED"


def _if_allowed(operation: str, table: str, client: DynamoDBClient, ask: Callable[[], Result]) -> Result | None:
    """The answer, or None where these credentials may not ask or the server does not know the operation."""
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] in denied | {"UnknownOperationException"}:
            return None
        raise _typed(operation, table, client, error) from error
    except BotoCoreError as error:
        raise _unsent(operation, client, error) from error


def _told(operation: str, table: str, client: DynamoDBClient, ask: Callable[[], Result]) -> Result:
    try:
        return ask()
    except ClientError as error:
        raise _typed(operation, table, client, error) from error
    except BotoCoreError as error:
        raise _unsent(operation, client, error) from error


def _typed(operation: str, table: str, client: DynamoDBClient, error: ClientError) -> SourceError:
    code = error.response["Error"]["Code"]
    metadata = error.response["ResponseMetadata"]
    attempts = metadata.get("RetryAttempts", 0) + 1
    if code in throttling:
        return Throttled(operation, table, attempts, 0.0)
    if code in passing or metadata.get("HTTPStatusCode", 400) >= 500:
        return Unreachable(operation, client.meta.endpoint_url, attempts, code)
    return error_of(
        code,
        error.response["Error"].get("Message", ""),
        Request(operation=operation, table=table),
        endpoint=client.meta.endpoint_url,
        request_id=metadata.get("RequestId"),
    )


def _unsent(operation: str, client: DynamoDBClient, error: BotoCoreError) -> SourceError:
    if isinstance(error, NoCredentialsError):
        return CredentialsRefused("none were found")
    return Unreachable(operation, client.meta.endpoint_url, 1, type(error).__name__)
