"""A sync worker in a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from ashore.observe.events import Event, SyncMerged
from ashore.pipeline.reverse import WriteBack
from ashore.pipeline.sync import caught_up, run_worker
from ashore.postgres.connect import Conn
from ashore.sync.order import SyncOrder

_POLL_SECONDS: Final = 0.1
_STATES: Final = "SELECT bool_and(state = 'syncing') FROM ashore.entity WHERE source = %s"
_RECORDS: Final = "SELECT coalesce(sum(records), 0)::bigint FROM ashore.shard WHERE source = %s"


class BackgroundWorker(threading.Thread):
    """Works from the beginning of its context to the end. What ends it early is raised by whoever waits for it."""

    def __init__(self, order: SyncOrder, write_back: WriteBack | None = None) -> None:
        super().__init__(name="ashore sync worker", daemon=True)
        self.merged = 0
        self._order = order
        self._write_back = write_back
        self._over = threading.Event()
        self._error: BaseException | None = None

    @property
    def source(self) -> str:
        """The source's name."""
        return self._order.plan.name

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Work until the context ends."""
        try:
            run_worker(self._order, self._over, emit=self._hear, write_back=self._write_back)
        except BaseException as error:  # noqa: BLE001 (it is raised again in the thread that waits)
            self._error = error

    def wait_until_syncing(self, conn: Conn, *, meanwhile: Callable[[int], None]) -> None:
        """Wait until all entities are merged; `meanwhile` is told the number of records that were committed."""
        self._wait(conn, lambda: bool(_one(conn, _STATES, self._order.plan.name)), meanwhile)

    def wait_until_caught_up(self, conn: Conn, moment: float, *, meanwhile: Callable[[int], None]) -> None:
        """Wait until all that was in the table at `moment` has arrived, and nothing waits."""
        is_caught_up = caught_up(self._order.plan.name, moment)
        self._wait(conn, lambda: is_caught_up(conn), meanwhile)

    def wait(self, conn: Conn, seconds: float, *, meanwhile: Callable[[int], None]) -> None:
        """Let it work for a while."""
        until = time.monotonic() + seconds
        self._wait(conn, lambda: time.monotonic() >= until, meanwhile)

    def wait_for(self, conn: Conn, is_done: Callable[[], bool], *, meanwhile: Callable[[int], None]) -> None:
        """Let it work until `is_done` says so."""
        self._wait(conn, is_done, meanwhile)

    def _wait(self, conn: Conn, is_done: Callable[[], bool], meanwhile: Callable[[int], None]) -> None:
        while True:
            done = is_done()
            meanwhile(records_committed(conn, self._order.plan.name))
            if done:
                return
            if not self.is_alive():
                self.join()
                raise self._error or RuntimeError("the worker ended")
            time.sleep(_POLL_SECONDS)

    def _hear(self, event: Event) -> None:
        if isinstance(event, SyncMerged):
            self.merged += event.changes


def records_committed(conn: Conn, source: str) -> int:
    """How many records of the stream were committed, by the ledger's account."""
    return int(_one(conn, _RECORDS, source))


def _one(conn: Conn, statement: str, source: str) -> int:
    row = conn.execute(statement.encode(), (source,)).fetchone()
    return 0 if row is None or row[0] is None else row[0]
