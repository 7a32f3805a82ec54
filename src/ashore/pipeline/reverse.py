"""What a sync worker does beside reading the stream once entities are written in PostgreSQL: write back, let expire."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

import psycopg

from ashore.cutover import noting
from ashore.cutover.expiry import expire
from ashore.cutover.reverse import ItemStore, ReverseWriter
from ashore.dynamodb.errors import Throttled, Unreachable
from ashore.ledger import crossing, feeds, loads
from ashore.ledger.errors import LeaseLost
from ashore.mapping.plan import Plan
from ashore.observe.events import silent
from ashore.pipeline.load import tables_of
from ashore.postgres.connect import Conn
from ashore.postgres.items import prepare
from ashore.postgres.names import TableName
from ashore.sync.order import SyncOrder
from ashore.sync.outages import over_outages
from ashore.sync.worker import new_name

_PAUSE_SECONDS: Final = 0.2
_IDLE_SECONDS: Final = 1.0
_EXPIRE_EVERY: Final = 50
"""Rounds between two looks at what has expired."""
_WRITERS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBack:
    """Where items are written back to, and how many write units a second that may take (None: as many as it takes).

    The ledger's word, if there is one, comes before it: see `ashore.ledger.outbox.limit`.
    """

    store: ItemStore
    units_per_second: float | None = None


class Reverser:
    """Runs in a thread of its own, over a connection of its own, until it is told to end.

    `failure` is what ended it before; whoever started it looks. An outage of PostgreSQL is none of that.
    """

    def __init__(self, order: SyncOrder, write_back: WriteBack) -> None:
        self.failure: BaseException | None = None
        self._order = order
        self._write_back = write_back
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ashore reverse", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with ThreadPoolExecutor(_WRITERS, thread_name_prefix="ashore write-back") as executor:
                over_outages(
                    self._order,
                    f"reverse {new_name()}",
                    self._ended,
                    lambda conn, alive: self._work(conn, alive, executor),
                    silent,
                )
        except BaseException as error:  # noqa: BLE001 (it ends the worker, which raises it)
            self.failure = error

    def _work(self, conn: Conn, alive: Callable[[], None], executor: Executor) -> None:
        plan = self._order.plan
        prepare(conn)
        tables = {name: table for entity in plan.entities.values() for name, table in tables_of(conn, entity).items()}
        writer = ReverseWriter(
            conn=conn,
            plan=plan,
            tables=tables,
            store=self._write_back.store,
            executor=executor,
            units_per_second=self._write_back.units_per_second,
        )
        _refresh_noting(conn, plan, tables)
        rounds = 0
        try:
            while not self._ended.is_set():
                crossing.return_overdue(conn, plan.name)
                states = crossing.crossing_states(conn, plan.name)
                written = [name for name, one in states.items() if one.state in {"writing", "returning", "retired"}]
                done = 0
                if any(states[name].state != "retired" for name in written):
                    done = _step(writer)
                if rounds % _EXPIRE_EVERY == 0:
                    _expire(conn, plan, tables)
                rounds += 1
                alive()
                if not done:
                    self._ended.wait(_PAUSE_SECONDS if written else _IDLE_SECONDS)
        finally:
            writer.leave()


def _refresh_noting(conn: Conn, plan: Plan, tables: Mapping[str, TableName]) -> None:
    """Let the outbox note what this declaration needs, where an earlier one was cut over. One worker at a time."""
    with conn.transaction():
        loads.lock_states(conn, plan.name, exclusively=True)
        states = crossing.crossing_states(conn, plan.name)
        written = [name for name, one in states.items() if one.state in {"writing", "returning", "retired"}]
        fed = feeds.feeds(conn, plan.name)
        for name in set(written) & plan.entities.keys():
            if noting.are_installed(conn, plan.entities[name], tables):
                for_feed_only = name in fed and fed[name].notes_for_feed_only
                noting.refresh(conn, plan.name, plan.entities[name], tables, to_write_back=not for_feed_only)


def _expire(conn: Conn, plan: Plan, tables: Mapping[str, TableName]) -> None:
    """Let rows expire of what PostgreSQL writes, and goes on to write until they are gone."""
    with suppress(psycopg.errors.LockNotAvailable), conn.transaction():
        conn.execute("SELECT set_config('lock_timeout', '1s', true)")
        for name, one in loads.lock_states(conn, plan.name).items():
            if one.state in {"writing", "retired"} and name in plan.entities:
                expire(conn, plan.entities[name], tables)


def _step(writer: ReverseWriter) -> int:
    """One step; what passes by itself is tried again at the next."""
    try:
        return writer.step()
    except (LeaseLost, Throttled, Unreachable):
        return 0
