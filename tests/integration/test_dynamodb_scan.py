"""A table by Scan, against both emulators; boto3 is the witness of what is there."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer

from ashore import local
from ashore.dynamodb.access import check_access
from ashore.dynamodb.budget import Backoff, ReadBudget
from ashore.dynamodb.errors import CredentialsRefused, SourceChanged, TableNotFound
from ashore.dynamodb.scan import Connected, TableSource, pages_of
from ashore.dynamodb.table import KeyAttribute
from ashore.dynamodb.transport import Transport
from ashore.model.chunk import Unit
from ashore.model.item import same_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "court"
VALUES: dict[str, Any] = {
    "S": 'ä "quoted" \n \\ 😀',
    "N": Decimal("-1234567890.1234567890123456789012345678"),
    "B": Binary(b"\x00\xff\x10"),
    "BOOL": True,
    "NULL": None,
    "M": {"inner": {"deep": [1, "x", None]}, "blank": ""},
    "L": [1, "two", [3], {"four": 4}],
    "SS": {"a", "b"},
    "NS": {Decimal(1), Decimal("2.5")},
    "BS": {Binary(b"\x01"), Binary(b"\x02")},
    "empty": "",
}


@pytest.fixture
def aws(dynamodb: local.LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[local.LocalAws]:
    """Each emulator, with the credentials and the region that it takes in the environment; tables end with the test."""
    for name, value in dynamodb.environment.items():
        if name != "AWS_ENDPOINT_URL":
            monkeypatch.setenv(name, value)
    yield dynamodb
    client = dynamodb.client("dynamodb")
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)


def make_table(aws: local.LocalAws, items: Iterable[dict[str, Any]], *, name: str = TABLE) -> DynamoDBClient:
    client = aws.client("dynamodb")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
            {"AttributeName": "of", "AttributeType": "B"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-of",
                "KeySchema": [{"AttributeName": "of", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    serialize = TypeSerializer().serialize
    typed = [{attribute: serialize(value) for attribute, value in item.items()} for item in items]
    for start in range(0, len(typed), 25):
        put: list[Any] = [{"PutRequest": {"Item": item}} for item in typed[start : start + 25]]
        assert {} == client.batch_write_item(RequestItems={name: put}).get("UnprocessedItems", {})
    return client


def numbered(count: int, size: int = 10) -> list[dict[str, Any]]:
    return [{"pk": f"case|{number % 17}", "sk": number, "text": "x" * size} for number in range(count)]


def source_of(aws: local.LocalAws, **settings: Any) -> TableSource:
    return TableSource(table=TABLE, region=aws.region, endpoint_url=aws.endpoint_url, **settings)


def everything(source: TableSource) -> list[dict[str, Any]]:
    return [json.loads(item) for unit in source.units() for chunk in source.read(unit, None) for item in chunk.items]


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """As boto3's own deserializer reads it."""
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in item.items()}


def by_key(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: (item["pk"]["S"], Decimal(item["sk"]["N"])))


def test_all_ten_types_are_what_boto3_reads(aws: local.LocalAws) -> None:
    client = make_table(aws, [{"pk": "a", "sk": Decimal(1), **VALUES}])
    witness = client.get_item(TableName=TABLE, Key={"pk": {"S": "a"}, "sk": {"N": "1"}})["Item"]

    (actual,) = everything(source_of(aws, segments=1))

    base64_as_bytes = TypeDeserializer()
    assert set(witness) == set(actual)
    for name in set(witness) - {"B", "BS"}:
        assert base64_as_bytes.deserialize(witness[name]) == base64_as_bytes.deserialize(actual[name])
    assert {"B": "AP8Q"} == actual["B"]
    assert ["AQ==", "Ag=="] == sorted(actual["BS"]["BS"])


def test_every_item_is_read_once_as_boto3s_paginator_reads_it(aws: local.LocalAws) -> None:
    client = make_table(aws, numbered(150))
    witness = [item for page in client.get_paginator("scan").paginate(TableName=TABLE) for item in page["Items"]]

    actual = everything(source_of(aws, segments=1, page_limit=40))

    assert 150 == len(actual)
    assert all(same_item(expected, found) for expected, found in zip(by_key(witness), by_key(actual), strict=True))
    assert [plain(item) for item in by_key(witness)] == [plain(item) for item in by_key(actual)]


@pytest.mark.needs_dynamodb_local
def test_segments_together_are_the_table(dynamodb_local: local.LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    # moto divides by one byte of a hash of its own; DynamoDB Local is nearer to the real thing
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", dynamodb_local.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", dynamodb_local.secret_access_key)
    make_table(dynamodb_local, numbered(200))
    source = source_of(dynamodb_local, segments=5)

    found = everything(source)

    assert 5 == len(source.units())
    assert list(range(200)) == sorted(int(item["sk"]["N"]) for item in found)


def test_position_resumes_with_exactly_the_rest(aws: local.LocalAws) -> None:
    make_table(aws, numbered(40))
    source = source_of(aws, segments=1, page_limit=7)
    (unit,) = source.units()
    chunks = list(source.read(unit, None))
    whole = [item for chunk in chunks for item in chunk.items]

    taken = 0
    for chunk in chunks:
        taken += len(chunk.items)
        stored = json.loads(json.dumps(chunk.position))
        assert whole[taken:] == [item for rest in source.read(unit, stored) for item in rest.items]
    assert [False] * (len(chunks) - 1) + [True] == [chunk.last for chunk in chunks]


def test_empty_table_is_one_empty_last_chunk(aws: local.LocalAws) -> None:
    make_table(aws, [])
    source = source_of(aws, segments=1)

    (chunk,) = source.read(source.units()[0], None)

    assert ([], True, {"key": None}) == (chunk.items, chunk.last, chunk.position)


def test_chunks_say_what_they_consumed(aws: local.LocalAws) -> None:
    make_table(aws, numbered(10, size=4000))
    source = source_of(aws, segments=1)

    (chunk,) = source.read(source.units()[0], None)

    assert chunk.read_units > 0
    assert chunk.bytes_read > 40_000


def test_budget_is_held_with_a_clock_of_ones_own(aws: local.LocalAws) -> None:
    make_table(aws, numbered(60, size=3000))
    source = source_of(aws, segments=1)
    seconds = [0.0]

    def sleep(duration: float) -> None:
        seconds[0] += duration

    budget = ReadBudget(5, clock=lambda: seconds[0], sleep=sleep)
    connected = Connected(Transport(source.aws), budget, Backoff())
    chunks = list(pages_of(connected, source, source.units()[0], None))

    consumed = sum(chunk.read_units for chunk in chunks)
    assert consumed - chunks[-1].read_units <= 5 * seconds[0] + 1e-6
    assert 60 == sum(len(chunk.items) for chunk in chunks)


def test_keys_are_read_again_in_batches(aws: local.LocalAws) -> None:
    make_table(aws, numbered(150))
    keys = [{"pk": {"S": f"case|{number % 17}"}, "sk": {"N": str(number)}} for number in range(0, 300, 2)]

    found = [json.loads(item) for item in source_of(aws).get_items(keys)]

    assert list(range(0, 150, 2)) == sorted(int(item["sk"]["N"]) for item in found)
    assert [] == source_of(aws).get_items([])


@pytest.mark.needs_dynamodb_local
def test_batch_beyond_16_mb_is_read_whole(dynamodb_local: local.LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    # BatchGetItem answers with at most 16 MB and leaves the other keys unprocessed
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", dynamodb_local.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", dynamodb_local.secret_access_key)
    make_table(dynamodb_local, numbered(60, size=390_000))
    keys = [{"pk": {"S": f"case|{number % 17}"}, "sk": {"N": str(number)}} for number in range(60)]

    assert 60 == len(source_of(dynamodb_local).get_items(keys))


def test_table_is_described(aws: local.LocalAws) -> None:
    client = make_table(aws, numbered(3))
    client.update_time_to_live(TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})

    found = source_of(aws).describe()

    assert (KeyAttribute("pk", "S"), KeyAttribute("sk", "N")) == found.key
    assert [("by-of", (KeyAttribute("of", "B"),), "KEYS_ONLY", True)] == [
        (index.name, index.key, index.projection, index.is_global) for index in found.indexes
    ]
    assert 3 == found.items
    assert found.provisioned_read_units is None
    assert found.stream is not None
    assert "NEW_AND_OLD_IMAGES" == found.stream.view
    assert "expires" == found.ttl_attribute
    assert found.arn.endswith(f"table/{TABLE}")


def test_source_reads_the_same_after_pickling(aws: local.LocalAws) -> None:
    make_table(aws, numbered(5))
    source = source_of(aws, segments=1)
    before = everything(source)
    copy = pickle.loads(pickle.dumps(source))

    assert before == everything(copy)
    assert source.origin == copy.origin


def test_table_that_does_not_exist_is_named(aws: local.LocalAws) -> None:
    source = source_of(aws, segments=1)

    with pytest.raises(TableNotFound, match="no table 'court'"):
        list(source.read(source.units()[0], None))
    with pytest.raises(TableNotFound):
        source.estimate()
    (problem,) = check_access(source)
    assert "table court" == problem.where


def test_access_to_a_table_that_can_be_read_has_no_problem(aws: local.LocalAws) -> None:
    make_table(aws, numbered(2))

    assert [] == check_access(source_of(aws))


def test_without_credentials_the_error_says_so(dynamodb: local.LocalAws) -> None:
    source = TableSource(table=TABLE, region="us-west-2", endpoint_url=dynamodb.endpoint_url, segments=1)

    with pytest.raises(CredentialsRefused, match="none were found"):
        list(source.read(source.units()[0], None))


@pytest.mark.parametrize("position", [{"items": 3}, {"key": "x"}])
def test_position_of_another_source_is_refused(aws: local.LocalAws, position: dict[str, Any]) -> None:
    make_table(aws, [])
    source = source_of(aws, segments=1)

    with pytest.raises(SourceChanged):
        list(source.read(source.units()[0], position))
    with pytest.raises(SourceChanged):
        list(source.read(Unit(name="x.json.gz"), None))
