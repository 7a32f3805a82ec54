"""What docs/verified-on.md says of items and of the wire, seen on both emulators."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from ashore import local

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "seen"
_numbers = count(1)


@pytest.fixture
def client(dynamodb: local.LocalAws) -> DynamoDBClient:
    return _with_table(dynamodb)


@pytest.fixture
def strict(dynamodb_local: local.LocalAws) -> DynamoDBClient:
    """AWS's own emulator, which checks what moto lets through."""
    return _with_table(dynamodb_local)


def _with_table(aws: local.LocalAws) -> DynamoDBClient:
    client = aws.client("dynamodb")
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    )
    return client


def kept(client: DynamoDBClient, **attributes: Any) -> dict[str, Any]:
    """The item that DynamoDB gives back for one with these attributes."""
    item: dict[str, Any] = {"pk": {"S": "p"}, "sk": {"S": str(next(_numbers))}, **attributes}
    client.put_item(TableName=TABLE, Item=item)
    return dict(client.get_item(TableName=TABLE, Key={"pk": item["pk"], "sk": item["sk"]})["Item"])


def test_texts_names_and_keys_may_hold_nul(client: DynamoDBClient) -> None:
    item = kept(client, sk={"S": "a\0"}, **{"text": {"S": "x\0y"}, "na\0me": {"S": "x"}, "blank": {"S": ""}})

    assert {"pk", "sk", "text", "na\0me", "blank"} == item.keys()
    assert {"S": "x\0y"} == item["text"]
    assert {"S": "a\0"} == item["sk"]


def test_keys_are_as_long_as_they_may_be_and_no_longer(client: DynamoDBClient) -> None:
    item = kept(client, pk={"S": "k" * 2048}, sk={"S": "k" * 1024})

    assert (2048, 1024) == (len(item["pk"]["S"]), len(item["sk"]["S"]))
    refused: list[dict[str, Any]] = [
        {"pk": {"S": "k" * 2049}},
        {"sk": {"S": "k" * 1025}},
        {"sk": {"S": ""}},
        {"set": {"SS": []}},
    ]
    for longer in refused:
        with pytest.raises(ClientError, match="ValidationException"):
            kept(client, **longer)


def test_text_keys_are_ordered_by_their_utf8_bytes(client: DynamoDBClient) -> None:
    texts = ["a", "B", "ä", "😀", "\uffff"]
    for text in texts:
        kept(client, pk={"S": "order"}, sk={"S": text})

    found = client.query(
        TableName=TABLE, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "order"}}
    )

    assert sorted(texts, key=str.encode) == [item["sk"]["S"] for item in found["Items"]]


def test_answers_have_a_checksum_and_say_what_they_consumed(client: DynamoDBClient) -> None:
    kept(client)

    answer = client.scan(TableName=TABLE, ConsistentRead=True, ReturnConsumedCapacity="TOTAL")

    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-crc32"].isdigit()
    assert answer["ConsumedCapacity"]["CapacityUnits"] > 0


def test_a_batch_has_at_most_a_hundred_keys(client: DynamoDBClient) -> None:
    keys: list[Any] = [{"pk": {"S": "p"}, "sk": {"S": str(number)}} for number in range(101)]

    with pytest.raises(ClientError, match="ValidationException"):
        client.batch_get_item(RequestItems={TABLE: {"Keys": keys}})


@pytest.mark.needs_dynamodb_local
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("1.0", "1", id="trailing zero"),
        pytest.param("007", "7", id="leading zeros"),
        pytest.param("-0", "0", id="minus zero"),
        pytest.param("1e3", "1000", id="scientific notation"),
        pytest.param("1E+125", "1" + "0" * 125, id="large"),
        pytest.param("1E-130", "0." + "0" * 129 + "1", id="small"),
        pytest.param("1" * 38, "1" * 38, id="38 digits"),
    ],
)
def test_numbers_come_back_in_plain_digits(strict: DynamoDBClient, given: str, expected: str) -> None:
    assert {"N": expected} == kept(strict, number={"N": given})["number"]


@pytest.mark.needs_dynamodb_local
@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"N": "1" * 39}, id="39 digits"),
        pytest.param({"N": "1E126"}, id="too large"),
        pytest.param({"SS": ["a", "a"]}, id="a text twice"),
        pytest.param({"NS": ["1", "1.0"]}, id="a number twice"),
        pytest.param({"S": "x" * 410 * 1024}, id="410 KB"),
    ],
)
def test_what_an_item_cannot_hold_is_refused(strict: DynamoDBClient, value: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        kept(strict, value=value)


@pytest.mark.needs_dynamodb_local
def test_maps_are_at_most_32_levels_deep(strict: DynamoDBClient) -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {"S": "x"}
        for _ in range(levels):
            value = {"M": {"inner": value}}
        return value

    assert nested(31) == kept(strict, value=nested(31))["value"]
    with pytest.raises(ClientError, match="ValidationException"):
        kept(strict, value=nested(32))
