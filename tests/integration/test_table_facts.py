"""What is around a table, against both emulators, which know different parts of it."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from ashore import local
from ashore.dynamodb.errors import TableNotFound
from ashore.dynamodb.facts import TableFacts, days_looked_back, table_facts
from ashore.dynamodb.settings import Aws

TABLE = "court"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")


def make_table(server: local.LocalAws, **more: Any) -> str:
    """A table with a stream and one index of each sort; return the stream's ARN."""
    projected: dict[str, Any] = {"Projection": {"ProjectionType": "ALL"}}
    key = [("pk", "HASH"), ("sk", "RANGE")]
    settings: dict[str, Any] = {
        "TableName": TABLE,
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "of")],
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in key],
        "BillingMode": "PAY_PER_REQUEST",
        "GlobalSecondaryIndexes": [
            {"IndexName": "by-of", "KeySchema": [{"AttributeName": "of", "KeyType": "HASH"}], **projected}
        ],
        "LocalSecondaryIndexes": [
            {
                "IndexName": "in-pk",
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "of", "KeyType": "RANGE"},
                ],
                **projected,
            }
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        **more,
    }
    client = server.client("dynamodb")
    made = client.create_table(**settings)["TableDescription"]
    for number in range(3):
        item = {"pk": {"S": "case|1"}, "sk": {"S": str(number)}, "of": {"S": "x"}}
        client.put_item(TableName=TABLE, Item=item)
    return made["LatestStreamArn"]


def facts_of(server: local.LocalAws) -> TableFacts:
    return table_facts(TABLE, Aws(region=server.region, endpoint_url=server.endpoint_url))


def client_of(server: local.LocalAws, service: str) -> Any:
    session: Any = boto3.Session(region_name=server.region)
    return session.client(service, endpoint_url=server.endpoint_url)


def test_facts_are_what_the_table_was_made_with(dynamodb: local.LocalAws) -> None:
    make_table(dynamodb)

    facts = facts_of(dynamodb)

    assert "on demand" == facts.billing
    assert facts.provisioned_write_units is None
    assert "STANDARD" == facts.table_class
    assert () == facts.replicas
    assert "aws owned" == facts.encryption
    assert [("by-of", True), ("in-pk", False)] == [(index.name, index.is_global) for index in facts.indexes]
    if dynamodb.name == "DynamoDB Local":  # moto counts no items of an index
        assert [3, 3] == [index.items for index in facts.indexes]
        assert all(index.bytes > 0 for index in facts.indexes)
    assert facts.info.stream is not None
    assert "NEW_AND_OLD_IMAGES" == facts.info.stream.view


def test_provisioned_capacity_is_told(dynamodb: local.LocalAws) -> None:
    capacity = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 5}
    index = {
        "IndexName": "by-of",
        "KeySchema": [{"AttributeName": "of", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
        "ProvisionedThroughput": {"ReadCapacityUnits": 3, "WriteCapacityUnits": 2},
    }
    make_table(dynamodb, BillingMode="PROVISIONED", ProvisionedThroughput=capacity, GlobalSecondaryIndexes=[index])

    facts = facts_of(dynamodb)

    assert ("provisioned", 7, 5) == (facts.billing, facts.info.provisioned_read_units, facts.provisioned_write_units)
    assert (3, 2) == (facts.indexes[0].provisioned_read_units, facts.indexes[0].provisioned_write_units)


@pytest.mark.needs_dynamodb_local
def test_what_a_server_does_not_know_is_none_and_named(dynamodb_local: local.LocalAws) -> None:
    make_table(dynamodb_local)

    facts = facts_of(dynamodb_local)

    assert facts.consumed is None
    assert facts.lambda_readers is None
    assert facts.kinesis_streams is None
    assert {
        "cloudwatch:GetMetricData",
        "lambda:ListEventSourceMappings",
        "dynamodb:DescribeKinesisStreamingDestination",
    } <= set(facts.not_allowed)


def test_recovery_and_time_to_live_and_protection_are_told(moto: local.LocalAws) -> None:
    make_table(moto, DeletionProtectionEnabled=True)
    client = moto.client("dynamodb")
    client.update_time_to_live(TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"})
    client.update_continuous_backups(
        TableName=TABLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )

    facts = facts_of(moto)

    assert ("ends", True, True) == (
        facts.info.ttl_attribute,
        facts.info.point_in_time_recovery,
        facts.deletion_protection,
    )


def test_consumption_is_the_mean_of_all_hours_and_of_the_busiest(moto: local.LocalAws) -> None:
    make_table(moto)
    hour = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=5)
    values = [(hour, 7200.0), (hour - timedelta(hours=3), 3600.0), (hour - timedelta(days=days_looked_back + 2), 9e9)]
    of_table = [{"Name": "TableName", "Value": TABLE}]
    of_index = [*of_table, {"Name": "GlobalSecondaryIndexName", "Value": "by-of"}]
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Value": value * factor}
        for name, dimensions, factor in (
            ("ConsumedReadCapacityUnits", of_table, 1),
            ("ConsumedWriteCapacityUnits", of_table, 2),
            ("ConsumedWriteCapacityUnits", of_index, 3),
        )
        for at, value in values
    ]
    client_of(moto, "cloudwatch").put_metric_data(Namespace="AWS/DynamoDB", MetricData=data)

    facts = facts_of(moto)

    whole = days_looked_back * 24 * 3600
    assert facts.consumed is not None
    assert pytest.approx((2.0, 10800 / whole)) == (facts.consumed.read_peak, facts.consumed.read_average)
    assert pytest.approx((4.0, 21600 / whole)) == (facts.consumed.write_peak, facts.consumed.write_average)
    assert 2 == facts.consumed.hours
    of_gsi = facts.indexes[0].consumed
    assert of_gsi is not None
    assert pytest.approx((0.0, 6.0)) == (of_gsi.read_peak, of_gsi.write_peak)


def test_functions_that_read_the_stream_are_told(moto: local.LocalAws) -> None:
    stream = make_table(moto)
    trust = {"Version": "2012-10-17", "Statement": []}
    role = client_of(moto, "iam").create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("reader.py", "def handle(event, context): pass\n")
    functions = client_of(moto, "lambda")
    made = functions.create_function(
        FunctionName="index-cases",
        Runtime="python3.12",
        Role=role["Role"]["Arn"],
        Handler="reader.handle",
        Code={"ZipFile": archive.getvalue()},
    )
    functions.create_event_source_mapping(EventSourceArn=stream, FunctionName="index-cases", StartingPosition="LATEST")

    assert (made["FunctionArn"],) == facts_of(moto).lambda_readers


def test_facts_survive_pickling_and_json(moto: local.LocalAws) -> None:
    make_table(moto)

    facts = facts_of(moto)

    assert facts == pickle.loads(pickle.dumps(facts))
    assert TABLE == json.loads(json.dumps(facts.as_json()))["info"]["name"]


def test_table_that_is_not_there_is_an_error(moto: local.LocalAws) -> None:
    with pytest.raises(TableNotFound):
        facts_of(moto)
