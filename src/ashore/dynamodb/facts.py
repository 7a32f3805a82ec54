"""What AWS says of a table beyond its description: who reads its stream, what it consumed, how it is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ashore.dynamodb.settings import Aws, client_of, dynamodb_client
from ashore.dynamodb.table import TableInfo, description_of, info_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

Result = TypeVar("Result")

days_looked_back: Final = 14
"""CloudWatch keeps values of a minute for 15 days and can sum them up to any of its hours.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
"""
seconds_of_an_hour: Final = 3600
asked_briefly: Final = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=3, read_timeout=20)
"""For services that an assessment can do without, and that a private network may not reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumed:
    """Capacity units a second over the last `days_looked_back` days. A peak is the mean of the busiest hour.

    `hours` is how many hours CloudWatch has values for; the others count as zero, as they do when nothing was asked.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    """

    read_average: float
    read_peak: float
    write_average: float
    write_peak: float
    hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """The size and use of a secondary index; `items` and `bytes` are as old as those of `TableInfo`.

    The units are None on demand, and for a local index, which has none of its own.
    """

    name: str
    is_global: bool
    items: int
    bytes: int
    provisioned_read_units: int | None = None
    provisioned_write_units: int | None = None
    consumed: Consumed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """A table, and what surrounds it. None where these credentials may not ask, or the server does not know.

    `not_allowed` names the IAM permission of each part that is None for that reason. `replicas` are other regions of a
    global table. `lambda_readers` are the ARNs of functions that read the stream; what else reads it (the Kinesis
    adapter, EventBridge pipes) cannot be listed. `kinesis_streams` are ARNs, fed beside the stream.
    """

    info: TableInfo
    billing: Literal["on demand", "provisioned"]
    provisioned_write_units: int | None
    table_class: Literal["STANDARD", "STANDARD_INFREQUENT_ACCESS"]
    replicas: tuple[str, ...]
    deletion_protection: bool | None
    encryption: Literal["aws owned", "kms"]
    indexes: tuple[IndexFacts, ...]
    lambda_readers: tuple[str, ...] | None
    kinesis_streams: tuple[str, ...] | None
    consumed: Consumed | None
    not_allowed: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, under the fields' names."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


def table_facts(table: str, aws: Aws) -> TableFacts:
    """Ask about a table (its name or ARN). Reads no item; costs nothing but a few metrics of CloudWatch.

    Lambda and CloudWatch are asked at `aws.endpoint_url` too, where there is one.

    Raises:
        AccessDenied, TableNotFound, CredentialsRefused, Unreachable, Throttled, RequestRefused: The table itself
            cannot be described.
    """
    client = dynamodb_client(aws)
    found = description_of(table, client)
    info = info_of(table, found, client)
    questions = _Questions()
    if info.ttl_attribute is None:
        questions.ask("dynamodb:DescribeTimeToLive", lambda: client.describe_time_to_live(TableName=table))
    if info.point_in_time_recovery is None:
        questions.not_answered.append("dynamodb:DescribeContinuousBackups")
    use = questions.ask("cloudwatch:GetMetricData", lambda: _consumption(info, aws)) or {}
    on_demand = found.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST"
    return TableFacts(
        info=info,
        billing="on demand" if on_demand else "provisioned",
        provisioned_write_units=None
        if on_demand
        else found.get("ProvisionedThroughput", {}).get("WriteCapacityUnits") or None,
        table_class="STANDARD_INFREQUENT_ACCESS"
        if found.get("TableClassSummary", {}).get("TableClass") == "STANDARD_INFREQUENT_ACCESS"
        else "STANDARD",
        replicas=_replicas(found),
        deletion_protection=found.get("DeletionProtectionEnabled"),
        encryption="kms" if found.get("SSEDescription", {}).get("Status") in ("ENABLED", "UPDATING") else "aws owned",
        indexes=_indexes(found, use),
        lambda_readers=questions.ask("lambda:ListEventSourceMappings", lambda: _lambda_readers(info, aws)),
        kinesis_streams=questions.ask(
            "dynamodb:DescribeKinesisStreamingDestination", lambda: _kinesis_streams(table, aws)
        ),
        consumed=use.get(None),
        not_allowed=tuple(questions.not_answered),
    )


def replicas_of(table: str, aws: Aws) -> tuple[str, ...]:
    """The other regions of a global table. Raises what `table_facts` does."""
    return _replicas(description_of(table, dynamodb_client(aws)))


def reads_of_a_day(info: TableInfo, aws: Aws, until: datetime) -> float | None:
    """The read units that a table and its indexes consumed in the day before a moment; None where nobody may say.

    CloudWatch is some minutes behind, and does not tell one item's readers from another's.
    """
    names = [None, *(index.name for index in info.indexes if index.is_global)]
    queries = [_query(f"m{number}r", info.name, name, "ConsumedReadCapacityUnits") for number, name in enumerate(names)]
    try:
        client = client_of(aws, "cloudwatch", asked_briefly)
        pages = client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=until - timedelta(days=1), EndTime=until
        )
        values = [value for page in pages for result in page["MetricDataResults"] for value in result["Values"]]
    except (ClientError, BotoCoreError):
        return None
    return float(sum(values))


@dataclass(slots=True)
class _Questions:
    """Questions that may go unanswered, and the permissions of those that did."""

    not_answered: list[str] = field(default_factory=list)

    def ask(self, permission: str, question: Callable[[], Result]) -> Result | None:
        try:
            return question()
        except (ClientError, BotoCoreError):
            self.not_answered.append(permission)
            return None


def _replicas(found: TableDescriptionTypeDef) -> tuple[str, ...]:
    home = found["TableArn"].split(":")[3]
    regions = {replica.get("RegionName", home) for replica in found.get("Replicas", [])}
    return tuple(sorted(regions - {home}))


def _indexes(found: TableDescriptionTypeDef, use: dict[str | None, Consumed]) -> tuple[IndexFacts, ...]:
    of_table = [
        IndexFacts(
            name=index["IndexName"],
            is_global=True,
            items=index.get("ItemCount", 0),
            bytes=index.get("IndexSizeBytes", 0),
            provisioned_read_units=index.get("ProvisionedThroughput", {}).get("ReadCapacityUnits") or None,
            provisioned_write_units=index.get("ProvisionedThroughput", {}).get("WriteCapacityUnits") or None,
            consumed=use.get(index["IndexName"]),
        )
        for index in found.get("GlobalSecondaryIndexes", [])
    ]
    of_partition = [
        IndexFacts(
            name=index["IndexName"],
            is_global=False,
            items=index.get("ItemCount", 0),
            bytes=index.get("IndexSizeBytes", 0),
        )
        for index in found.get("LocalSecondaryIndexes", [])
    ]
    return (*of_table, *of_partition)


def _lambda_readers(info: TableInfo, aws: Aws) -> tuple[str, ...]:
    """The functions whose event source mapping names the stream, whether or not it is paused."""
    if info.stream is None:
        return ()
    client = client_of(aws, "lambda", asked_briefly)
    pages = client.get_paginator("list_event_source_mappings").paginate(EventSourceArn=info.stream.arn)
    mappings = [mapping for page in pages for mapping in page["EventSourceMappings"]]
    return tuple(sorted(mapping["FunctionArn"] for mapping in mappings))


def _kinesis_streams(table: str, aws: Aws) -> tuple[str, ...]:
    client = client_of(aws, "dynamodb", asked_briefly)
    answer = client.describe_kinesis_streaming_destination(TableName=table)
    return tuple(
        sorted(
            destination["StreamArn"]
            for destination in answer.get("KinesisDataStreamDestinations", [])
            if destination.get("DestinationStatus") not in ("DISABLED", "ENABLE_FAILED")
        )
    )


def _consumption(info: TableInfo, aws: Aws) -> dict[str | None, Consumed]:
    """The consumption of the table (under None) and of each global index."""
    names = [None, *(index.name for index in info.indexes if index.is_global)]
    queries = [
        _query(f"m{number}{metric[8].lower()}", info.name, index, metric)
        for number, index in enumerate(names)
        for metric in ("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits")
    ]
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    client = client_of(aws, "cloudwatch", asked_briefly)
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=end - timedelta(days=days_looked_back), EndTime=end
    )
    hourly: dict[str, list[float]] = {query["Id"]: [] for query in queries}
    for page in pages:
        for result in page["MetricDataResults"]:
            hourly[result["Id"]] += result["Values"]
    return {index: _consumed(hourly[f"m{number}r"], hourly[f"m{number}w"]) for number, index in enumerate(names)}


def _query(name: str, table: str, index: str | None, metric: str) -> dict[str, Any]:
    dimensions = [{"Name": "TableName", "Value": table}]
    if index is not None:
        dimensions.append({"Name": "GlobalSecondaryIndexName", "Value": index})
    described = {"Namespace": "AWS/DynamoDB", "MetricName": metric, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": described, "Period": seconds_of_an_hour, "Stat": "Sum"}}


def _consumed(reads: Sequence[float], writes: Sequence[float]) -> Consumed:
    whole = days_looked_back * 24 * seconds_of_an_hour
    return Consumed(
        read_average=sum(reads) / whole,
        read_peak=max(reads, default=0.0) / seconds_of_an_hour,
        write_average=sum(writes) / whole,
        write_peak=max(writes, default=0.0) / seconds_of_an_hour,
        hours=max(len(reads), len(writes)),
    )
