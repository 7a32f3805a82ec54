"""The demo's DynamoDB table: made, filled, and put right where items cannot be rows."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ashore.local.court.application import entity_of, key_of
from ashore.local.demo_events import DemoEvent, Filled, Filling
from ashore.local.dynamodb import LocalAws
from ashore.model.attribute import TypedValue
from ashore.model.item import Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

table_name: Final = "court"
_put_at_once: Final = 25
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html"""


@contextmanager
def nothing_but(aws: LocalAws) -> Iterator[None]:
    """Point AWS's settings of this process, and of those that it starts, at the local server and nothing else."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        **aws.environment,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def fill(client: DynamoDBClient, items: Sequence[Item], emit: Callable[[DemoEvent], None]) -> None:
    """Make the table, put all items into it, and switch its stream on."""
    began = time.monotonic()
    client.create_table(
        TableName=table_name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    for start in range(0, len(items), _put_at_once):
        batch = items[start : start + _put_at_once]
        client.batch_write_item(
            RequestItems={table_name: [{"PutRequest": {"Item": for_boto3({"M": item})["M"]}} for item in batch]}
        )
        emit(Filling(items=start + len(batch), of=len(items)))
    client.update_table(
        TableName=table_name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )
    emit(Filled(table=table_name, items=len(items), seconds=time.monotonic() - began))


def switch_recovery_on(client: DynamoDBClient) -> None:
    """Switch point-in-time recovery of the table on: a gate of the cutover."""
    client.update_continuous_backups(
        TableName=table_name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def put_right(client: DynamoDBClient, awkward: Sequence[Item]) -> tuple[int, int]:
    """Do to the awkward messages and docket entries what a developer would; the stream brings it.

    U+0000 is taken out, a key is spelled as the others are, a date is looked up, and of two copies the one that was
    left behind goes.

    Returns:
        How many items were put right, and by how many the table has fewer.
    """
    ours = [item for item in awkward if entity_of(key_of(item)) != "case"]
    ids = [item["sk"]["S"] for item in ours]
    fewer = 0
    for place, item in enumerate(ours):
        key: Any = {name: item[name] for name in ("pk", "sk")}
        if ids[place] in ids[place + 1 :]:
            client.delete_item(TableName=table_name, Key=key)
            fewer += 1
            continue
        corrected: Any = {name: _corrected(name, value) for name, value in item.items()}
        if corrected["sk"] != item["sk"]:
            client.delete_item(TableName=table_name, Key=key)
        client.put_item(TableName=table_name, Item=corrected)
    return len(ours), fewer


def _corrected(name: str, value: TypedValue) -> TypedValue:
    text = value.get("S")
    if not isinstance(text, str):
        return value
    if name in {"sk", "docketEntryId"}:
        return {"S": text.lower()}
    return {
        "S": "2025-03-04T15:00:00.000Z" if name == "filingDate" and not text[:1].isdigit() else text.replace("\0", "")
    }


def for_boto3(value: TypedValue) -> dict[str, Any]:
    """A typed value as boto3 takes it: binary as bytes, not as the base64 that is on the wire."""
    for kind, content in value.items():
        match kind:
            case "B":
                return {kind: base64.b64decode(content)}
            case "BS":
                return {kind: [base64.b64decode(member) for member in content]}
            case "M":
                return {kind: {name: for_boto3(member) for name, member in content.items()}}
            case "L":
                return {kind: [for_boto3(member) for member in content]}
    return dict(value)
