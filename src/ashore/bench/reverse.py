"""Reverse sync: how many rows a second become items, and how long after its commit one does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ashore.bench.errors import RowsNotSeen
from ashore.dynamodb.write_back import TableWriter
from ashore.ledger import outbox
from ashore.local.court.application import entity_of, key_of
from ashore.local.demo_table import table_name
from ashore.local.dynamodb import LocalAws
from ashore.model.item import Item
from ashore.pipeline.project import Project
from ashore.postgres.connect import Conn

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROUNDS: Final = 3
_PROBES_AT_ONCE: Final = 4
_WRITERS: Final = 8
"""As many as a worker has for writing back."""
_LOOK_SECONDS: Final = 0.005
"""Between two looks at DynamoDB; a lag is told too long by up to as much, and by the time that a look takes."""
_PATIENCE_SECONDS: Final = 120.0
_BARE: Final = "bare"
_PROBE: Final = """
    UPDATE court.docket_entry SET extra = coalesce(extra, '{}') || jsonb_build_object('benchProbe', %s::bigint)
    WHERE docket_number = %s AND docket_entry_id = %s
"""
_CHANGE_ALL: Final = """
    UPDATE court.docket_entry SET extra = coalesce(extra, '{}') || jsonb_build_object('benchRound', %s::bigint)
"""


@dataclass(frozen=True, slots=True)
class ReverseRates:
    """Rows a second that became items, and bare puts a second, of each round."""

    reverse: list[int]
    bare: list[int]


def measure_lags(conn: Conn, aws: LocalAws, items: Sequence[Item], *, seconds: float) -> list[float]:
    """Change rows, a few at a time, until the time is over; seconds from each commit until DynamoDB has the item.

    Raises:
        RowsNotSeen: One did not come.
    """
    client = aws.client("dynamodb")
    entries = [item for item in items if entity_of(key_of(item)) == "docket_entry"]
    until = time.monotonic() + seconds
    lags: list[float] = []
    number = 0
    while time.monotonic() < until or not lags:
        awaited: dict[int, tuple[Any, float]] = {}
        for _ in range(_PROBES_AT_ONCE):
            number += 1
            item = entries[number % len(entries)]
            (partition, sort) = key_of(item)
            conn.execute(_PROBE, (number, partition.partition("|")[2], sort.partition("|")[2]))
            awaited[number] = ({"pk": {"S": partition}, "sk": {"S": sort}}, time.monotonic())
        lags += _seen(client, awaited)
    return lags


def measure_rates(conn: Conn, project: Project, aws: LocalAws, items: Sequence[Item]) -> ReverseRates:
    """Change every docket entry in one transaction, and put as many items bare, in turns. Nobody else writes."""
    client = aws.client("dynamodb")
    client.create_table(
        TableName=_BARE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    entries = [item for item in items if entity_of(key_of(item)) == "docket_entry"]
    store = TableWriter(table=_BARE, region=aws.region, endpoint_url=aws.endpoint_url)
    rates = ReverseRates([], [])
    with ThreadPoolExecutor(_WRITERS) as executor:
        for turn in range(ROUNDS):
            began = time.monotonic()
            list(executor.map(store.put, entries))
            rates.bare.append(round(len(entries) / (time.monotonic() - began)))
            began = time.monotonic()
            changed = conn.execute(_CHANGE_ALL, (turn,)).rowcount
            wait_until_written_back(conn, project.plan.name)
            rates.reverse.append(round(changed / (time.monotonic() - began)))
    return rates


def wait_until_written_back(conn: Conn, source: str) -> None:
    """Return once the outbox is empty. Raises RowsNotSeen where it does not become so."""
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while left := outbox.standing(conn, source).entries:
        if time.monotonic() > give_up_at:
            raise RowsNotSeen(seen=0, written=left, seconds=_PATIENCE_SECONDS)
        time.sleep(_LOOK_SECONDS)


def _seen(client: DynamoDBClient, awaited: dict[int, tuple[Any, float]]) -> list[float]:
    """The lags of some rows, each number of which is awaited in one item."""
    lags: list[float] = []
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while awaited:
        for number, (key, committed_at) in list(awaited.items()):
            found = client.get_item(TableName=table_name, Key=key, ConsistentRead=True).get("Item", {})
            if found.get("benchProbe") == {"N": str(number)}:
                lags.append(time.monotonic() - committed_at)
                del awaited[number]
        if time.monotonic() > give_up_at:
            raise RowsNotSeen(seen=len(lags), written=len(lags) + len(awaited), seconds=_PATIENCE_SECONDS)
        time.sleep(_LOOK_SECONDS)
    return lags
