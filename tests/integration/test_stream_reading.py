"""A table's stream, against both emulators; boto3's own client of DynamoDB Streams is the witness."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

from ashore import local
from ashore.dynamodb.errors import (
    IteratorExpired,
    NoImages,
    RequestRefused,
    ShardGone,
    TableNotFound,
)
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.stream import TableStream
from ashore.model.change import TRIM_HORIZON, Change, Start

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.literals import StreamViewTypeType

TABLE: Final = "court"
AWKWARD: Final[dict[str, Any]] = {
    "text": {"S": 'ä "quoted" \n \\ \x00 😀 \u2028'},
    "empty": {"S": ""},
    "number": {"N": "-12345678901234567890123456789012345678"},
    "fraction": {"N": "0.00000000012345678901234567890123456789"},
    "binary": {"B": b"\x00\xff\x10"},
    "texts": {"SS": ["a", "b\x00"]},
    "numbers": {"NS": ["1", "2.5"]},
    "binaries": {"BS": [b"\x01", b"\x02"]},
    "flag": {"BOOL": False},
    "nothing": {"NULL": True},
    "map": {"M": {"in\x00ner": {"L": [{"N": "1"}, {"M": {}}, {"L": []}, {"B": b""}]}}},
}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


def make_table(
    aws: local.LocalAws, view: StreamViewTypeType | None = "NEW_AND_OLD_IMAGES", *, name: str = TABLE
) -> DynamoDBClient:
    client = aws.client("dynamodb")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    if view is not None:
        client.update_table(TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": view})
    return client


def switch_off(client: DynamoDBClient) -> None:
    client.update_table(TableName=TABLE, StreamSpecification={"StreamEnabled": False})


def key(number: int) -> dict[str, Any]:
    return {"pk": {"S": f"case|{number % 3}\x00"}, "sk": {"N": str(number)}}


def write(client: DynamoDBClient, count: int = 5) -> None:
    """Puts, an update, a put of what is there already, deletes, and a put after a delete."""
    for number in range(count):
        client.put_item(TableName=TABLE, Item={**key(number), **AWKWARD})
    client.update_item(
        TableName=TABLE,
        Key=key(0),
        UpdateExpression="SET #text = :text REMOVE #map",
        ExpressionAttributeNames={"#text": "text", "#map": "map"},
        ExpressionAttributeValues={":text": {"S": "new"}},
    )
    client.put_item(TableName=TABLE, Item={**key(1), **AWKWARD})
    client.delete_item(TableName=TABLE, Key=key(2))
    client.delete_item(TableName=TABLE, Key=key(1))
    client.put_item(TableName=TABLE, Item={**key(1), "text": {"S": "again"}})


def stream_of(aws: local.LocalAws) -> TableStream:
    return TableStream(table=TABLE, region=aws.region, endpoint_url=aws.endpoint_url)


def arn_of(stream: TableStream) -> str:
    found = stream.describe()
    assert found is not None
    return found.arn


def only_shard(stream: TableStream) -> tuple[str, str]:
    arn = arn_of(stream)
    ((shard,),) = stream.shards(arn)
    return arn, shard.id


def read_all(stream: TableStream) -> list[Change]:
    """What the stream's only shard holds."""
    return read_from(stream, *only_shard(stream))


def read_from(
    stream: TableStream, arn: str, shard: str, start: Start = TRIM_HORIZON, limit: int | None = None
) -> list[Change]:
    """What a shard holds from `start` on: until it ends, or gives an empty page."""
    iterator: str | None = stream.iterator(arn, shard, start)
    found: list[Change] = []
    while iterator is not None:
        page = stream.read(iterator, limit=limit)
        assert limit is None or len(page.changes) <= limit
        found += page.changes
        iterator = page.next if page.changes else None
    return found


def witnessed(aws: local.LocalAws, arn: str, shard: str) -> list[dict[str, Any]]:
    """The records of a shard as boto3 reads them."""
    session = boto3.Session(region_name=aws.region)
    client: Any = session.client("dynamodbstreams", endpoint_url=aws.endpoint_url)
    asked = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = client.get_shard_iterator(**asked)["ShardIterator"]
    found: list[dict[str, Any]] = list(client.get_records(ShardIterator=iterator)["Records"])
    return found


def attributes(raw: bytes) -> dict[str, Any]:
    """DynamoDB JSON as boto3 gives it: binary values as bytes."""

    def value(typed: dict[str, Any]) -> dict[str, Any]:
        ((kind, found),) = typed.items()
        match kind:
            case "B":
                return {kind: base64.b64decode(found, validate=True)}
            case "BS":
                return {kind: [base64.b64decode(one, validate=True) for one in found]}
            case "M":
                return {kind: {name: value(one) for name, one in found.items()}}
            case "L":
                return {kind: [value(one) for one in found]}
            case _:
                return typed

    return {name: value(typed) for name, typed in json.loads(raw).items()}


def test_every_record_is_what_boto3_reads(dynamodb: local.LocalAws) -> None:
    write(make_table(dynamodb))
    stream = stream_of(dynamodb)
    arn, shard = only_shard(stream)
    expected = witnessed(dynamodb, arn, shard)

    actual = read_from(stream, arn, shard)

    assert len(expected) == len(actual) >= 9
    assert {"INSERT", "MODIFY", "REMOVE"} == {record["eventName"] for record in expected}
    for record, change in zip(expected, actual, strict=True):
        image = record["dynamodb"]
        assert int(image["SequenceNumber"]) == change.sequence
        assert image["Keys"] == attributes(change.key)
        assert image["ApproximateCreationDateTime"].timestamp() == pytest.approx(change.at, abs=0.001)
        assert (record["eventName"] == "REMOVE") is (change.item is None)
        if change.item is not None:
            assert image["NewImage"] == attributes(change.item)
        assert not change.is_expiry
    assert sorted(change.sequence for change in actual) == [change.sequence for change in actual]


def test_the_last_change_of_a_key_is_what_a_scan_reads(dynamodb: local.LocalAws) -> None:
    client = make_table(dynamodb)
    write(client)

    last = {change.key: change.item for change in read_all(stream_of(dynamodb))}

    items = client.scan(TableName=TABLE, ConsistentRead=True)["Items"]
    left = [attributes(item) for item in last.values() if item is not None]
    assert sorted(items, key=_number) == sorted(left, key=_number)


def _number(item: Any) -> int:
    return int(item["sk"]["N"])


def test_time_is_near_now_in_seconds(dynamodb: local.LocalAws) -> None:
    before = time.time()
    write(make_table(dynamodb))

    assert all(before - 61 <= change.at <= time.time() for change in read_all(stream_of(dynamodb)))


def test_pages_of_any_size_hold_the_same_changes(dynamodb: local.LocalAws) -> None:
    write(make_table(dynamodb))
    stream = stream_of(dynamodb)
    arn, shard = only_shard(stream)
    expected = read_from(stream, arn, shard)

    for limit in (1, 2, 4, 1_000, 5_000):
        assert expected == read_from(stream, arn, shard, limit=limit)


def test_reading_goes_on_at_and_after_every_sequence_number(dynamodb: local.LocalAws) -> None:
    write(make_table(dynamodb))
    stream = pickle.loads(pickle.dumps(stream_of(dynamodb)))
    arn, shard = only_shard(stream)
    everything = read_from(stream, arn, shard)

    for number, change in enumerate(everything):
        assert everything[number:] == read_from(stream, arn, shard, Start("AT_SEQUENCE_NUMBER", change.sequence))
        assert everything[number + 1 :] == read_from(
            stream, arn, shard, Start("AFTER_SEQUENCE_NUMBER", change.sequence)
        )


def test_an_empty_page_of_an_open_shard_is_followed_by_what_comes_later(dynamodb: local.LocalAws) -> None:
    client = make_table(dynamodb)
    stream = stream_of(dynamodb)
    empty = stream.read(stream.iterator(*only_shard(stream), TRIM_HORIZON))
    client.put_item(TableName=TABLE, Item=key(7))

    assert [] == list(empty.changes)
    assert empty.next is not None
    (change,) = stream.read(empty.next).changes
    assert key(7) == json.loads(change.key)


def test_threads_may_read_at_once(dynamodb: local.LocalAws, caplog: pytest.LogCaptureFixture) -> None:
    write(make_table(dynamodb))
    stream = stream_of(dynamodb)
    iterator = stream.iterator(*only_shard(stream), TRIM_HORIZON)
    expected = stream.read(iterator).changes

    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(16) as threads:
        pages = list(threads.map(lambda _: stream.read(iterator), range(64)))

    assert all(expected == page.changes and page.bytes_read > 1_000 for page in pages)
    assert [] == [record.message for record in caplog.records if record.name.startswith("urllib3")]


def test_a_stream_and_its_table_have_one_origin(dynamodb: local.LocalAws) -> None:
    make_table(dynamodb)

    source = TableSource(table=TABLE, region=dynamodb.region, endpoint_url=dynamodb.endpoint_url)

    assert source.origin == stream_of(dynamodb).origin


@pytest.mark.parametrize("view", ["NEW_IMAGE", "NEW_AND_OLD_IMAGES", "OLD_IMAGE", "KEYS_ONLY"])
def test_a_stream_tells_its_view(dynamodb: local.LocalAws, view: StreamViewTypeType) -> None:
    make_table(dynamodb, view)

    found = stream_of(dynamodb).describe()

    assert found is not None
    assert (view, True, view.startswith("NEW")) == (found.view, found.is_enabled, found.has_images)
    assert found.arn.startswith(f"{found.table_arn}/stream/")


def test_a_table_that_never_had_a_stream_has_none(dynamodb: local.LocalAws) -> None:
    """Under a name of its own: DynamoDB Local tells of the stream of a deleted table of the same name."""
    make_table(dynamodb, None, name="streamless")

    stream = TableStream(table="streamless", region=dynamodb.region, endpoint_url=dynamodb.endpoint_url)

    assert stream.describe() is None


def test_a_table_that_is_not_there_is_not_found(dynamodb: local.LocalAws) -> None:
    with pytest.raises(TableNotFound):
        stream_of(dynamodb).describe()


def test_a_stream_that_was_switched_off_says_so(dynamodb: local.LocalAws) -> None:
    client = make_table(dynamodb)
    arn = arn_of(stream_of(dynamodb))
    switch_off(client)

    found = stream_of(dynamodb).describe()

    assert found is not None
    assert (arn, False) == (found.arn, found.is_enabled)


@pytest.mark.parametrize("view", ["OLD_IMAGE", "KEYS_ONLY"])
def test_records_without_the_item_are_never_taken_for_removals(
    dynamodb: local.LocalAws, view: StreamViewTypeType
) -> None:
    write(make_table(dynamodb, view))

    with pytest.raises(NoImages):
        read_all(stream_of(dynamodb))


@pytest.mark.needs_dynamodb_local
def test_a_stream_that_was_switched_off_is_read_to_its_end_and_replaced_by_another(
    dynamodb_local: local.LocalAws,
) -> None:
    client = make_table(dynamodb_local)
    write(client)
    stream = stream_of(dynamodb_local)
    arn, shard = only_shard(stream)
    everything = read_from(stream, arn, shard)
    switch_off(client)
    client.update_table(TableName=TABLE, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})

    ((closed,),) = stream.shards(arn)
    page = stream.read(stream.iterator(arn, shard, TRIM_HORIZON))

    assert arn != arn_of(stream)
    assert (shard, True, everything[-1].sequence) == (closed.id, closed.is_closed, closed.last)
    assert (everything, None) == (page.changes, page.next)


@pytest.mark.needs_dynamodb_local
def test_a_shard_that_is_not_there_is_gone(dynamodb_local: local.LocalAws) -> None:
    make_table(dynamodb_local)
    stream = stream_of(dynamodb_local)
    absent = "shardId-00000001541626099285-00000000"

    with pytest.raises(ShardGone) as gone:
        stream.iterator(arn_of(stream), absent, TRIM_HORIZON)

    assert absent == gone.value.shard


@pytest.mark.needs_dynamodb_local
def test_an_iterator_expires_after_fifteen_minutes(dynamodb_local: local.LocalAws) -> None:
    """DynamoDB Local writes into an iterator when it was made."""
    write(make_table(dynamodb_local))
    stream = stream_of(dynamodb_local)
    fresh = stream.iterator(*only_shard(stream), TRIM_HORIZON)
    head, _, opaque = fresh.rpartition("|")
    about, _, made = base64.b64decode(opaque).decode().rpartition("|")

    def aged(minutes: float) -> str:
        then = str(int(made) - int(minutes * 60_000)).zfill(len(made))
        return f"{head}|{base64.b64encode(f'{about}|{then}'.encode()).decode()}"

    assert stream.read(fresh).changes == stream.read(aged(14.5)).changes
    with pytest.raises(IteratorExpired):
        stream.read(aged(15.1))


@pytest.mark.needs_dynamodb_local
def test_an_iterator_that_is_none_is_refused_and_not_quoted(dynamodb_local: local.LocalAws) -> None:
    make_table(dynamodb_local)

    with pytest.raises(RequestRefused) as refused:
        stream_of(dynamodb_local).read("shardId-1\nnonsense")

    assert "nonsense" not in str(refused.value)
