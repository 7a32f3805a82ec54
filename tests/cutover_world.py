"""A crossing of the small world beyond syncing: the store that is written back to, and what both sides hold."""

from __future__ import annotations

import json
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from tests import sync_world
from tests.database import HasDatabase
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, AtOnce, Key, SteppedLoad

from ashore.cutover import noting, switch
from ashore.cutover.reverse import ReverseWriter
from ashore.cutover.run import Order, cut_over
from ashore.cutover.switch import Crossing
from ashore.dynamodb.errors import RequestRefused
from ashore.ledger import loads
from ashore.ledger.crossing import crossing_states
from ashore.mapping.match import AsRow, matcher
from ashore.model.item import Item, same_item
from ashore.postgres.connect import connect
from ashore.postgres.items import prepare

plan = sync_world.plan
GROUP: Final = ("account", "session")
_match = matcher(plan)


@dataclass
class MemoryStore:
    """What `TableWriter` does, on the table in memory. `too_large` items are refused, as those above 400 KB are."""

    table: MemoryTable
    too_large: int = 400_000
    requests: int = 0

    def put(self, item: Item) -> float:
        self.requests += 1
        if len(json.dumps(item)) > self.too_large:
            raise RequestRefused("PutItem", "world", "ValidationException")
        self.table.put(item)
        return 1.0

    def remove(self, key: Item) -> float:
        self.requests += 1
        partition, sort = key["pk"]["S"], key["sk"]["S"]
        if (partition, sort) in self.table.items:
            self.table.delete(partition, sort)
        return 1.0


def reverse_writer(dsn: str, store: Any, *, executor: Executor | None = None, **options: Any) -> ReverseWriter:
    conn = connect(dsn, application_name="test reverse", autocommit=True)
    prepare(conn)
    tables = sync_world.tables(conn)
    return ReverseWriter(conn=conn, plan=plan, tables=tables, store=store, executor=executor or AtOnce(), **options)


def write_in_postgres(dsn: str, *entities: str) -> None:
    """Let these entities be written in PostgreSQL, without any fence: nobody writes meanwhile."""
    with connect(dsn, application_name="test", autocommit=True) as conn, conn.transaction():
        for name in entities:
            noting.install(conn, "world", plan.entities[name], sync_world.tables(conn))
        loads.set_state(conn, source="world", entities=list(entities), state="writing")


def write_in_dynamodb(dsn: str, *entities: str) -> None:
    """Let these entities be written in DynamoDB again, without any fence: nobody writes meanwhile."""
    with connect(dsn, application_name="test", autocommit=True) as conn, conn.transaction():
        for name in entities:
            noting.suspend(conn, plan.entities[name], sync_world.tables(conn))
        loads.set_state(conn, source="world", entities=list(entities), state="syncing")


def drain(writer: ReverseWriter, *, most: int = 1_000) -> None:
    """Write back until nothing is left but what is refused."""
    for _ in range(most):
        writer.step()
        with psycopg.connect(writer.conn.info.dsn) as conn:
            if conn.execute("SELECT 1 FROM ashore.outbox WHERE refused IS NULL LIMIT 1").fetchone() is None:
                return
    message = "the outbox does not become empty"
    raise AssertionError(message)


def items_of(table: MemoryTable, *entities: str) -> dict[Key, dict[str, Any]]:
    """The items of the table that are records of these entities, copies left out."""
    found: dict[Key, dict[str, Any]] = {}
    for key, raw in table.items.items():
        match = _match(*key)
        if isinstance(match, AsRow) and match.entity.name in entities:
            found[key] = json.loads(raw)
    return found


def rows_of(dsn: str, *entities: str) -> dict[Key, dict[str, Any]]:
    """The items that the rows of these entities are."""
    rows = {}
    for key, item in sync_world.homes(dsn).rows.items():
        match = _match(*key)
        if isinstance(match, AsRow) and match.entity.name in entities:
            rows[key] = item
    return rows


def assert_both_hold_the_same(dsn: str, table: MemoryTable, *entities: str) -> None:
    expected, actual = items_of(table, *entities), rows_of(dsn, *entities)
    assert expected.keys() == actual.keys()
    for key, item in expected.items():
        assert same_item(item, actual[key]), key


def account(number: int, **attributes: Any) -> dict[str, Any]:
    return {"pk": {"S": f"account|{number}"}, "sk": {"S": "account"}, "balance": {"N": "1"}, **attributes}


class World(HasDatabase):
    """Two entities that are synced, and the commands that move them; the stream is read whenever somebody waits."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.table = MemoryTable(3)
        sync_world.fresh(dsn)
        self.table.put(account(1))
        self.table.put(account(2))
        sync_world.begin(dsn, self.table)
        SteppedLoad(dsn, self.table, ENTITIES).finish()
        sync_world.settle(dsn, self.table)
        self.conn = connect(dsn, application_name="cutover", autocommit=True)
        self.one = Crossing(plan=plan, entities=GROUP, tables=sync_world.tables(self.conn), lock_timeout_ms=100)
        self.worker = sync_world.worker(dsn, self.table)
        self.writer = reverse_writer(dsn, MemoryStore(self.table))
        self.slept: list[float] = []

    def order(self, **options: Any) -> Order:
        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.writer.step()
            for _ in range(4):
                self.worker.round()

        return Order(**{"max_pause_seconds": 60.0, "sleep": sleep, **options})

    def cut_over(self) -> None:
        switch.guard_up(self.conn, self.one, [])
        cut_over(self.conn, self.one, self.order())

    def state(self) -> str:
        [state] = {crossing_states(self.conn, "world")[name].state for name in GROUP}
        return state

    def close(self) -> None:
        for conn in (self.conn, self.worker.conn, self.writer.conn):
            conn.close()
