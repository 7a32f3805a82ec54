"""The demo's proof: every write is in both stores, and both hold the same, as plain SQL and boto3 read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString

from boto3.dynamodb.types import TypeDeserializer
from psycopg import sql

from ashore.local.court.application import COUNT, NUMBER, Key
from ashore.local.demo_table import for_boto3, table_name
from ashore.local.traffic import Standing, Written
from ashore.mapping.items import from_rows
from ashore.mapping.match import AsRow, matcher
from ashore.mapping.plan import Plan
from ashore.pipeline.load import tables_of
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowReader, prepare
from ashore.verify.witness import agree

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_IN_ROWS: Final[LiteralString] = """
    SELECT 'case|' || docket_number, 'case|' || docket_number, extra FROM court.case WHERE extra ? 'writeNumber'
    UNION ALL SELECT 'case|' || docket_number, 'docket-entry|' || docket_entry_id, extra
      FROM court.docket_entry WHERE extra ? 'writeNumber'
    UNION ALL SELECT 'case|' || docket_number, 'message|' || message_id, extra
      FROM court.message WHERE extra ? 'writeNumber'
"""
_REJECTED: Final = "SELECT item FROM ashore.rejected_item"
_deserialize: Final = TypeDeserializer().deserialize


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one store has of the writes.

    `writes` are accounted for by the records: those of each that has the number and the count of its last write, and
    those of each that is gone and was to go. `records` are the former; `strange` counts all others that have a number.
    """

    writes: int
    records: int
    strange: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was found once all was quiet.

    `items` are in the table, `compared` of them are records of entities that cross, and `differences` counts those that
    boto3 reads otherwise than the rows rebuild them, in either direction.
    """

    written: Written
    in_postgres: Found
    in_dynamodb: Found
    items: int
    compared: int
    differences: int

    def as_json(self) -> dict[str, Any]:
        """Plain values, without what was written."""
        return {
            "in_postgres": asdict(self.in_postgres),
            "in_dynamodb": asdict(self.in_dynamodb),
            "items": self.items,
            "compared": self.compared,
            "differences": self.differences,
        }


def prove(conn: Conn, client: DynamoDBClient, plan: Plan, written: Written) -> Proof:
    """Read both stores whole. Nothing is under way."""
    items, rows, match = _items(client), _rebuilt(conn, plan), matcher(plan)
    rejected = {_key(json.loads(item)) for (item,) in conn.execute(_REJECTED)}
    expected = {key for key in items.keys() - rejected if isinstance(match(*key), AsRow)} | rows.keys()
    in_rows = {(partition, sort): _standing(extra) for partition, sort, extra in conn.execute(_IN_ROWS)}
    in_items = {key: _standing(item) for key, item in items.items() if NUMBER in item}
    return Proof(
        written=written,
        in_postgres=found_in(in_rows, written),
        in_dynamodb=found_in(in_items, written),
        items=len(items),
        compared=len(expected),
        differences=sum(not agree(items.get(key), rows.get(key)) for key in expected),
    )


def found_in(store: Mapping[Key, Standing], written: Written) -> Found:
    """Which of the writes a store has, by what its records say of their last write."""
    right = {key: one for key, one in written.standing.items() if store.get(key) == one}
    gone = sum(writes for key, writes in written.gone.items() if key not in store)
    return Found(
        writes=sum(one.count for one in right.values()) + gone,
        records=len(right),
        strange=sum(key not in right for key in store),
    )


def _items(client: DynamoDBClient) -> dict[Key, dict[str, Any]]:
    """Every item of the table, as boto3 reads it."""
    found = {}
    for page in client.get_paginator("scan").paginate(TableName=table_name, ConsistentRead=True):
        for item in page["Items"]:
            found[item["pk"]["S"], item["sk"]["S"]] = _as_boto3_reads(item)
    return found


def _rebuilt(conn: Conn, plan: Plan) -> dict[Key, dict[str, Any]]:
    """The items that all rows are, as boto3 would read them."""
    prepare(conn)
    found = {}
    for entity in plan.entities.values():
        reader = RowReader(plan=entity, tables=tables_of(conn, entity))
        keys = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in reader.key_columns),
            reader.table.identifier,
        )
        for _, rows in reader.by_key(conn, conn.execute(keys).fetchall()):
            item = from_rows(entity, rows)
            found[_key(item)] = _as_boto3_reads(for_boto3({"M": item})["M"])
    return found


def _as_boto3_reads(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _deserialize(value) for name, value in item.items()}


def _key(item: Mapping[str, Any]) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def _standing(record: Mapping[str, Any]) -> Standing:
    return Standing(int(record[NUMBER]), int(record[COUNT]))
