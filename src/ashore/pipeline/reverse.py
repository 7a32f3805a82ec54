"""What a sync worker does beside reading the stream once entities are written in PostgreSQL: write back, let expire."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ashore.cutover.expiry import expire
from ashore.cutover.reverse import ItemStore, ReverseWriter
from ashore.dynamodb.budget import ReadBudget
from ashore.dynamodb.errors import Throttled, Unreachable
from ashore.ledger import crossing
from ashore.ledger.errors import LeaseLost
from ashore.mapping.plan import Plan
from ashore.pipeline.load import tables_of
from ashore.postgres.connect import Conn, connect
from ashore.postgres.items import prepare

_PAUSE_SECONDS: Final = 0.2
_EXPIRE_EVERY: Final = 50
"""Pauses between two looks at what has expired."""
_WRITERS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBack:
    """What is written back, where to, and how many write units a second it may take (None: as many as it takes)."""

    dsn: str
    plan: Plan
    store: ItemStore
    write_units: float | None = None


class Reverser:
    """Runs in a thread of its own, over a connection of its own, until it is told to end.

    `failure` is what ended it before; whoever started it looks.
    """

    def __init__(self, order: WriteBack) -> None:
        self.failure: BaseException | None = None
        self._order = order
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ashore reverse", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """End after what is under way, and give the lease back."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            name = f"ashore reverse {self._order.plan.name}"
            with (
                connect(self._order.dsn, application_name=name, autocommit=True) as conn,
                ThreadPoolExecutor(_WRITERS, thread_name_prefix="ashore write-back") as executor,
            ):
                self._work(conn, executor)
        except BaseException as error:  # noqa: BLE001 (it ends the worker, which raises it)
            self.failure = error

    def _work(self, conn: Conn, executor: ThreadPoolExecutor) -> None:
        plan = self._order.plan
        prepare(conn)
        tables = {name: table for entity in plan.entities.values() for name, table in tables_of(conn, entity).items()}
        budget = ReadBudget(self._order.write_units)
        writer = ReverseWriter(
            conn=conn,
            plan=plan,
            tables=tables,
            store=self._order.store,
            executor=executor,
            pace=lambda units: budget.consumed(units, 0),
        )
        pauses = 0
        try:
            while not self._ended.is_set():
                crossing.return_overdue(conn, plan.name)
                states = crossing.crossing_states(conn, plan.name)
                written = [name for name, one in states.items() if one.state in {"writing", "returning", "retired"}]
                done = 0
                if any(states[name].state != "retired" for name in written):
                    budget.wait()
                    done = _step(writer)
                if pauses % _EXPIRE_EVERY == 0:
                    for name in written:
                        if states[name].state != "returning" and name in plan.entities:
                            expire(conn, plan.entities[name], tables)
                pauses += 1
                if not done:
                    self._ended.wait(_PAUSE_SECONDS)
        finally:
            writer.leave()


def _step(writer: ReverseWriter) -> int:
    """One step; what passes by itself is tried again at the next."""
    try:
        return writer.step()
    except (LeaseLost, Throttled, Unreachable):
        return 0
