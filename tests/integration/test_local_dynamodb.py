"""DynamoDB and S3 on this machine: they answer as boto3 expects, and nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer

from ashore import local

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OWNER = """
import sys, time
from pathlib import Path
from ashore.local import dynamodb_local
with dynamodb_local(Path(sys.argv[1])) as server:
    print(server.process_id, flush=True)
    time.sleep(60)
"""

AWKWARD = {
    "pk": "case|101-20",
    "digits": Decimal("1234567890123456789012345678901234567.8"),
    "tiny": Decimal("1E-130"),
    "nul": "a\x00b",
    "empty": "",
    "nothing": None,
    "truth": False,
    "bytes": Binary(b"\x00\xff"),
    "texts": {"a", "b"},
    "numbers": {Decimal(1), Decimal("2.5")},
    "binaries": {Binary(b"\x01"), Binary(b"\x02")},
    "document": {"list": [Decimal(1), "two", None, {"deep": {"x"}}], "map": {}},
}


def create(client: DynamoDBClient, table: str) -> None:
    client.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )


def typed(item: dict[str, Any]) -> dict[str, Any]:
    serializer = TypeSerializer()
    return {name: serializer.serialize(value) for name, value in item.items()}


def plain(item: dict[str, Any]) -> dict[str, Any]:
    deserializer = TypeDeserializer()
    return {name: deserializer.deserialize(value) for name, value in item.items()}


def test_every_type_comes_back_as_it_was_put(dynamodb: local.LocalAws) -> None:
    client = dynamodb.client("dynamodb")
    create(client, "court")
    client.put_item(TableName="court", Item=typed(AWKWARD))
    (item,) = client.scan(TableName="court", ConsistentRead=True)["Items"]
    assert plain(item) == AWKWARD


def test_segments_together_read_every_item_once(dynamodb: local.LocalAws) -> None:
    client = dynamodb.client("dynamodb")
    create(client, "court")
    keys = [f"case|{number}" for number in range(50)]
    for key in keys:
        client.put_item(TableName="court", Item={"pk": {"S": key}})
    segments = [client.scan(TableName="court", Segment=number, TotalSegments=4)["Items"] for number in range(4)]
    assert sorted(keys) == sorted(item["pk"]["S"] for segment in segments for item in segment)
    assert all(len(segment) < len(keys) for segment in segments)


def test_tables_of_an_earlier_test_are_gone(dynamodb: local.LocalAws) -> None:
    client = dynamodb.client("dynamodb")
    assert [] == client.list_tables()["TableNames"]
    create(client, "left-behind")


def test_moto_serves_s3_too(moto: local.LocalAws) -> None:
    client = moto.client("s3")
    client.create_bucket(Bucket="exports", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_object(Bucket="exports", Key="AWSDynamoDB/01/manifest-summary.json", Body=b"{}")
    answer = client.get_object(Bucket="exports", Key="AWSDynamoDB/01/manifest-summary.json")
    assert answer["Body"].read() == b"{}"


def test_servers_are_on_loopback_and_their_secrets_in_no_repr(dynamodb: local.LocalAws) -> None:
    assert dynamodb.endpoint_url.startswith("http://127.0.0.1:")
    assert "secret" not in repr(dynamodb)


def test_another_process_reaches_the_server_through_its_environment(moto: local.LocalAws) -> None:
    create(moto.client("dynamodb"), "court")
    ask = "import boto3; print(boto3.client('dynamodb').list_tables()['TableNames'])"
    answer = subprocess.run(
        [sys.executable, "-c", ask], env={**os.environ, **moto.environment}, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "['court']\n"


@pytest.mark.needs_dynamodb_local
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_no_dynamodb_local_is_left_after_its_owner_was_ended(dynamodb_local: local.LocalAws, name: str) -> None:
    folder = local.find_dynamodb_local(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.send_signal(signal.Signals[name])
        deadline = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_dynamodb_local_is_found_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASHORE_DYNAMODB_LOCAL", raising=False)
    assert local.find_dynamodb_local(tmp_path) is None
    cached, named = tmp_path / ".cache" / "dynamodb-local", tmp_path / "elsewhere"
    for folder in (cached, named):
        folder.mkdir(parents=True)
        (folder / "DynamoDBLocal.jar").touch()
    assert cached == local.find_dynamodb_local(tmp_path)
    monkeypatch.setenv("ASHORE_DYNAMODB_LOCAL", str(named))
    assert named == local.find_dynamodb_local(tmp_path)


def test_without_java_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(local.JavaMissing, match="openjdk-17-jre-headless"):
        local.dynamodb_local(tmp_path).__enter__()


def test_no_record_of_a_stream_is_passed_by_where_many_write_at_once(moto: Any) -> None:
    client = moto.client("dynamodb")
    create(client, "busy")
    view: Any = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    arn = client.update_table(TableName="busy", StreamSpecification=view)["TableDescription"]["LatestStreamArn"]

    def put(writer: int) -> None:
        for number in range(50):
            client.put_item(TableName="busy", Item={"pk": {"S": f"{writer} {number}"}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(8)))
    answer = requests_of_stream(moto, arn)
    numbers = [record["dynamodb"]["SequenceNumber"] for record in answer]
    assert (400, 400) == (len(numbers), len(set(numbers)))


def requests_of_stream(moto: Any, arn: str) -> list[Any]:
    """Every record of the only shard."""
    streams = boto3.client(
        "dynamodbstreams",
        endpoint_url=moto.endpoint_url,
        region_name=moto.region,
        aws_access_key_id=moto.access_key_id,
        aws_secret_access_key=moto.secret_access_key,
    )
    [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    asked: Any = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    found = streams.get_records(ShardIterator=streams.get_shard_iterator(**asked)["ShardIterator"])
    return list(found["Records"])
