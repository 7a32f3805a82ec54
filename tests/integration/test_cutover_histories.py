"""Random histories over a crossing: cut over, roll back, cut over again, under writes, kills and others' writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests import cutover_world, sync_world
from tests.copied_world import COLUMNS, Task
from tests.cutover_world import MemoryStore, drain, plan, reverse_writer
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.cutover.errors import TookTooLong
from ashore.cutover.reverse import ReverseWriter
from ashore.cutover.run import Order, cut_over, roll_back
from ashore.cutover.switch import Crossing, guard_up
from ashore.ledger.crossing import crossing_states, move, routes
from ashore.ledger.errors import LeaseLost, StateMoved
from ashore.model.item import same_item
from ashore.postgres.connect import Conn, connect
from ashore.sync.worker import Worker

HISTORIES = int(os.environ.get("ASHORE_HISTORIES", "1000" if os.environ.get("CI") == "true" else "25"))
_GROUP = ("account", "session", "task")
_keys = st.sampled_from(
    [("account", number) for number in "123456"]
    + [("session", number) for number in "123"]
    + [("task", number) for number in "123"]
)
_values = st.integers(0, 9)
Step = tuple[str, Any]
_steps: st.SearchStrategy[Step] = st.one_of(
    *[st.tuples(st.just("write"), st.tuples(_keys, _values)) for _ in range(5)],
    st.tuples(st.just("delete"), _keys),
    st.tuples(st.just("round"), st.integers(1, 6)),
    st.tuples(st.just("reverse"), st.none()),
    st.tuples(st.just("cut_over"), st.lists(st.tuples(_keys, _values), max_size=3)),
    st.tuples(st.just("roll_back"), st.none()),
    st.tuples(st.just("read"), st.none()),
    st.tuples(st.just("foreign"), st.tuples(_keys, _values)),
    st.tuples(st.just("elsewhere"), st.tuples(_keys, _values)),
    st.tuples(st.just("replicate"), st.none()),
    st.tuples(
        st.sampled_from(["kill_cutover", "kill_worker", "kill_reverse", "close", "expire_iterators", "overdue"]),
        st.integers(0, 5),
    ),
)


class _Killed(Exception):
    """The process of the command was killed."""


def task_of(number: str, value: int) -> Task:
    by = "ann" if value % 2 else None
    return Task(number, "p", {"title": f"t{value % 3}", "done_by": by, "done_at": f"m{number}"})


def beside(task: Task) -> dict[Any, dict[str, Any]]:
    """The copy and the mirror that a task has in DynamoDB."""
    copies = {} if task.done is None else {task.done: task.body}
    return {key: _whole(key, body) for key, body in (copies | task.mirror).items()}


def _whole(key: tuple[str, str], body: dict[str, Any]) -> dict[str, Any]:
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}, **body}


def item_of(key: tuple[str, str], value: int) -> dict[str, Any]:
    kind, number = key
    if kind == "task":
        return _whole(task_of(number, value).key, task_of(number, value).body)
    values = {"balance": {"N": str(value)}} if kind == "account" else {"ttl": {"N": str(value)}}
    return {"pk": {"S": f"{kind}|{number}"}, "sk": {"S": kind}, **values}


class History:
    """One application, its table, its rows, and the commands that move it, a step at a time."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.table = MemoryTable(5)
        sync_world.fresh(dsn)
        sync_world.begin(dsn, self.table)
        SteppedLoad(dsn, self.table, ENTITIES).finish()
        sync_world.settle(dsn, self.table)
        self.conn = self._connect()
        self.crossing = Crossing(plan=plan, entities=_GROUP, tables=sync_world.tables(self.conn))
        guard_up(self.conn, self.crossing, [])
        self.application = psycopg.connect(dsn, autocommit=True)
        self.forget()

    def forget(self) -> None:
        """Begin anew, with what there is."""
        self.model = cutover_world.items_of(self.table, *_GROUP)
        for name, number in self.table.items:
            if name.startswith(("done|", "title|")):
                assert any((name, number) in beside(task) for task in self._tasks()), "a copy of no task"
        self.foreign: set[Any] = set()
        self.strangers = 0
        self.writes = 0
        self.written: dict[tuple[str, str], int] = {}
        """The number of the last write of each key: in a global table the last one stays."""
        self.replicating: list[tuple[int, tuple[str, str], int]] = []
        self.table.empties = 3
        self.worker: Worker = sync_world.worker(self.dsn, self.table, lease_seconds=0.05, list_seconds=0.02)
        self.reverse: ReverseWriter = reverse_writer(
            self.dsn, MemoryStore(self.table), at_once=3, lease_seconds=0.05, request_seconds=0.0
        )

    def _connect(self) -> Conn:
        return connect(self.dsn, application_name="test", autocommit=True)

    def take(self, name: str, argument: Any) -> None:
        getattr(self, f"_{name}")(argument)

    def _tasks(self) -> list[Task]:
        """The tasks as the application wrote them."""
        found = [item for (name, _), item in self.model.items() if name.startswith("project|")]
        return [
            Task(
                item["taskRef"]["S"].removeprefix("task|"),
                item["projectId"]["S"],
                {column: item[name]["S"] if name in item else None for column, name in COLUMNS.items()},
            )
            for item in found
        ]

    def _put(self, key: tuple[str, str], value: int) -> None:
        """Write to DynamoDB as the application does: copies and mirrors, too."""
        item = item_of(key, value)
        if key[0] == "task":
            self._leave(key)
            for other in beside(task_of(key[1], value)).values():
                self.table.put(other)
        self.table.put(item)
        self.model[item["pk"]["S"], item["sk"]["S"]] = item

    def _leave(self, key: tuple[str, str]) -> None:
        for task in self._tasks():
            for other in beside(task) if task.id == key[1] else ():
                if other in self.table.items:
                    self.table.delete(*other)

    # What the application does: it asks where to write, and waits while writes are held.

    def _store(self, kind: str) -> str:
        return routes(self.conn, "world")[kind].writes

    def _write(self, argument: tuple[tuple[str, str], int]) -> None:
        key, value = argument
        store = self._store(key[0])
        event(f"a write to {store}")
        if store == "held":
            return
        item = item_of(key, value)
        if store == "dynamodb":
            self._put(key, value)
        elif key[0] == "task":
            columns = task_of(key[1], value).columns
            self.application.execute(
                "INSERT INTO world.task (task_id, project, title, done_by, done_at) VALUES (%s, 'p', %s, %s, %s)"
                " ON CONFLICT (task_id) DO UPDATE"
                " SET title = excluded.title, done_by = excluded.done_by, done_at = excluded.done_at",
                (key[1], columns["title"], columns["done_by"], columns["done_at"]),
            )
        else:
            column = "balance" if key[0] == "account" else "ttl"
            self.application.execute(
                f"INSERT INTO world.{key[0]} ({key[0]}_id, {column}) VALUES (%s, %s)"
                f" ON CONFLICT ({key[0]}_id) DO UPDATE SET {column} = excluded.{column}",
                (key[1], value),
            )
        self.model[item["pk"]["S"], item["sk"]["S"]] = item
        self.foreign.discard((item["pk"]["S"], item["sk"]["S"]))
        self._number(key)

    def _number(self, key: tuple[str, str]) -> int:
        self.writes += 1
        self.written[key] = self.writes
        return self.writes

    def _delete(self, key: tuple[str, str]) -> None:
        store = self._store(key[0])
        name = ("project|p", f"task|{key[1]}") if key[0] == "task" else (f"{key[0]}|{key[1]}", key[0])
        if store == "dynamodb" and key[0] == "task":
            self._leave(key)
        if store == "dynamodb" and name in self.table.items:
            self.table.delete(*name)
        elif store == "postgres":
            statement = f"DELETE FROM world.{key[0]} WHERE {key[0]}_id = %s"
            if not self.application.execute(statement, (key[1],)).rowcount:
                return  # there was no row, so nothing is written back, and a write of others stays
        if store != "held":
            self.model.pop(name, None)
            self.foreign.discard(name)
            self._number(key)

    def _foreign(self, argument: tuple[tuple[str, str], int]) -> None:
        """Somebody who was not told writes to DynamoDB."""
        key, value = argument
        if self._store(key[0]) == "postgres":
            item = {**item_of(key, value), "by": {"S": "another"}}
            if self.table.put(item):
                self.foreign.add((item["pk"]["S"], item["sk"]["S"]))
                self.strangers += 1
                event("a foreign write")

    def _elsewhere(self, argument: tuple[tuple[str, str], int]) -> None:
        """An instance in another region of a global table writes, and its region tells ours later."""
        key, value = argument
        if self._store(key[0]) == "dynamodb":
            self.replicating.append((self._number(key), key, value))

    def _replicate(self, _: None) -> None:
        """What was written in the other region arrives. Where the writes moved meanwhile, it is a write of others."""
        for number, key, value in self.replicating:
            if self.written[key] > number:
                continue
            item = item_of(key, value)
            if crossing_states(self.conn, "world")[key[0]].state not in {"writing", "returning"}:
                self._put(key, value)
                event("a write of another region came in time")
            elif self.table.put(item):
                self.foreign.add((item["pk"]["S"], item["sk"]["S"]))
                self.strangers += 1
                event("a write of another region came too late")
        self.replicating = []

    # What runs.

    def _round(self, rounds: int) -> None:
        for _ in range(rounds):
            self.worker.round()

    def _reverse(self, _: None) -> None:
        self._write_back()

    def _write_back(self) -> None:
        """One step of reverse sync; as the command does, one that lost its lease is done again by the next."""
        try:
            self.reverse.step()
        except LeaseLost:
            event("reverse sync lost its lease")

    def _kill_worker(self, _: int) -> None:
        self.worker.conn.close()
        self.worker = sync_world.worker(self.dsn, self.table, lease_seconds=0.05, list_seconds=0.02)

    def _kill_reverse(self, number: int) -> None:
        """Kill it after some of its requests were done and none was acknowledged."""
        store = MemoryStore(self.table)
        put = store.put

        def put_and_die(item: Any) -> float:
            put(item)
            if store.requests > number % 3:
                raise _Killed
            return 1.0

        self.reverse.store = store
        store.put = put_and_die  # type: ignore[method-assign]
        try:
            self.reverse.step()
        except (_Killed, LeaseLost):
            event("reverse sync killed")
        self.reverse.conn.close()
        self.reverse = reverse_writer(
            self.dsn, MemoryStore(self.table), at_once=3, lease_seconds=0.05, request_seconds=0.0
        )

    def _close(self, number: int) -> None:
        open_shards = self.table.open_shards()
        self.table.close(open_shards[number % len(open_shards)], children=1 + number % 2)

    def _expire_iterators(self, _: int) -> None:
        self.table.expire_iterators()

    # The commands.

    def _read(self, _: None) -> None:
        try:
            with self.conn.transaction():
                move(self.conn, source="world", entities=_GROUP, expected="syncing", to="reading")
        except StateMoved:
            return

    def _cut_over(self, late: list[Any]) -> None:
        """Cut over; `late` are writes of instances that were told DynamoDB before, and may act on it still."""
        ends = iter([*late])

        def sleep(seconds: float) -> None:
            if seconds > 1:
                for key, value in ends:
                    self._put(key, value)
                    self._number(key)
            self._round(4)

        self._command(cut_over, sleep)

    def _roll_back(self, _: None) -> None:
        def sleep(_: float) -> None:
            self._write_back()
            self._round(4)

        self._command(roll_back, sleep)

    def _kill_cutover(self, number: int) -> None:
        """Kill whichever command is possible now, after some of its pauses."""
        left = number

        def sleep(_: float) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                self.conn.close()
                raise _Killed
            self._write_back()
            self._round(2)

        state = crossing_states(self.conn, "world")["account"].state
        self._command(roll_back if state == "writing" else cut_over, sleep)

    def _command(self, command: Any, sleep: Any) -> None:
        ticks = iter(range(10_000))
        order = Order(max_pause_seconds=60, sleep=sleep, clock=lambda: float(next(ticks)))
        try:
            command(self.conn, self.crossing, order)
            event(f"{command.__name__} done")
        except StateMoved:
            event(f"{command.__name__} not possible")
        except TookTooLong:
            assert self.strangers, "nothing keeps it from ending but writes of others, overwritten since or not"
            event(f"{command.__name__} given up")
        except _Killed:
            event(f"{command.__name__} killed")
            self.conn = self._connect()

    def _overdue(self, _: int) -> None:
        """Let the time of what is held be over."""
        self.conn.execute("UPDATE ashore.entity SET deadline = clock_timestamp() WHERE deadline IS NOT NULL")

    def end(self) -> None:
        self._replicate(None)
        self._overdue(0)
        self.worker.conn.close()
        self.reverse.conn.close()
        states = {routes(self.conn, "world")[name].state for name in _GROUP}
        assert len(states) == 1, "a group moves together"
        writer = reverse_writer(self.dsn, MemoryStore(self.table), lease_seconds=30.0)
        try:
            with psycopg.connect(self.dsn, autocommit=True) as conn:
                conn.execute("UPDATE ashore.reverse SET owner = NULL")
            drain(writer)
            sync_world.settle(self.dsn, self.table)
        finally:
            writer.leave()
            writer.conn.close()
        rows = cutover_world.rows_of(self.dsn, *_GROUP)
        items = cutover_world.items_of(self.table, *_GROUP)
        assert self.model.keys() == rows.keys()
        assert all(same_item(item, rows[key]) for key, item in self.model.items())
        strange = {key for key in items.keys() | rows.keys() if not _same(items.get(key), rows.get(key))}
        assert strange <= self.foreign, "both stores hold the same but for what others wrote"
        others = {
            key: json.loads(raw) for key, raw in self.table.items.items() if key[0].startswith(("done|", "title|"))
        }
        assert {key: item for task in self._tasks() for key, item in beside(task).items()} == others
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            found = conn.execute("SELECT DISTINCT key FROM ashore.foreign_write WHERE decision IS NULL").fetchall()
            assert strange <= {_name(json.loads(key)) for (key,) in found}, "every foreign write was found"
            conn.execute("UPDATE ashore.foreign_write SET decision = 'taken', decided_at = clock_timestamp()")
        for key in strange:
            self.table._write((key[0], key[1] or ""), None if key not in rows else json.dumps(rows[key]).encode())
        if strange:
            sync_world.settle(self.dsn, self.table)
            self.conn.execute("UPDATE ashore.foreign_write SET decision = 'taken' WHERE decision IS NULL")
        if states == {"writing"}:
            self._go_back()

    def _go_back(self) -> None:
        """For the next history: DynamoDB has the writes again."""
        self.forget()
        self._roll_back(None)
        self.worker.conn.close()
        self.reverse.conn.close()
        assert crossing_states(self.conn, "world")["account"].state == "syncing"

    def close(self) -> None:
        for conn in (self.conn, self.worker.conn, self.reverse.conn, self.application):
            conn.close()


def _same(one: Any, other: Any) -> bool:
    return one == other if one is None or other is None else same_item(one, other)


def _name(key: Any) -> tuple[str, str]:
    return key["pk"]["S"], key["sk"]["S"]


@pytest.fixture
def history(postgres_dsn: str) -> Iterator[History]:
    made = History(f"{postgres_dsn}{'&' if '?' in postgres_dsn else '?'}options=-csynchronous_commit%3Doff")
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.histories
@pytest.mark.timeout(3_000)
@settings(
    max_examples=HISTORIES,
    deadline=None,
    derandomize=os.environ.get("CI")
    == "true",  # there the same histories each time; new ones elsewhere, and by `make chaos`
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(steps=st.lists(_steps, min_size=5, max_size=50))
def test_whatever_happens_no_acknowledged_write_is_lost_and_both_stores_agree(
    history: History, steps: list[Step]
) -> None:
    for conn in (history.worker.conn, history.reverse.conn):
        conn.close()
    history.forget()
    try:
        for name, argument in steps:
            history.take(name, argument)
    finally:
        history._overdue(0)
    history.end()
