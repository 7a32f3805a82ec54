"""`ashore bench sync`: changes applied, against the fastest bare upserts of the same rows in the same run; and lag."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from random import Random
from typing import Any, Final

from ashore.bench.bare import Step, bare_seconds, step_of, ways
from ashore.bench.flat import flat_items
from ashore.bench.lag import Lag, measure_lag
from ashore.bench.machine import machine, versions
from ashore.bench.prepared_stream import PreparedStream, pages_of
from ashore.bench.server import bench_postgres, settings, settle
from ashore.bench.synced import begin, entity, fill, make_table, plan
from ashore.ledger import loads
from ashore.ledger.passing import passing
from ashore.local.postgres import LocalPostgres
from ashore.pipeline.load import tables_of
from ashore.postgres.connect import Conn, connect, one_row
from ashore.postgres.names import TableName
from ashore.sync.order import SyncLimits, SyncOrder
from ashore.sync.turns import quick_turns
from ashore.sync.worker import Worker, new_executor

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncFigures:
    """What was measured.

    `changes_per_s` from the first read to the last commit, parsing included: the median of the rounds.
    `upsert_limit_per_s` is the best of `limits`: bare upserts and deletes of the same rows over one connection in
    transactions of the same size, prepared beforehand; that by COPY is the median of the rounds as well. `rounds` has
    what each found, in turn. `worker_cpu_us` is what the worker's process computes for a change, in microseconds.
    `capture_per_s` is of changes into `pending_change`, `merge_rows_per_s` of captured changes into their table.

    `lag_p50_ms` and `lag_p99_ms` are of another run, through DynamoDB Local; None where there is none.
    """

    changes: int
    rows_before: int
    changes_per_s: int
    upsert_limit_per_s: int
    ratio: float
    limits: Mapping[str, int]
    rounds: Mapping[str, Sequence[int]]
    worker_cpu_us: float
    capture_per_s: int
    merge_rows_per_s: int
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    lag: Lag
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure_sync(changes: int, *, tell: Tell, rounds: int = 3, lag_seconds: float = 20.0, seed: int = 1) -> SyncFigures:
    """Apply so many changes (nine in ten of existing rows, the others new or removed), and upsert them bare.

    Args:
        changes: How many, in each round.
        tell: Is told what is being done.
        rounds: How often the changes are applied, each time after the fastest of the bare ways.
        lag_seconds: For how long items are written to measure the lag; 0 measures none.
        seed: What the items are made of.
    """
    before = machine()
    rows = max(changes // 2, 1_000)
    tell(f"making {changes:,} changes of {rows:,} rows")
    base = list(flat_items(rows + changes // 20 + 1, seed))
    pages = pages_of(base, rows, changes, Random(seed))  # noqa: S311 (made-up items are no secret)
    with bench_postgres() as server:
        bench = _Bench(server, make_table(server, base[:rows]), base[:rows], pages, changes)
        steps = [step_of(page) for shard in pages.values() for page in shard]
        tell("a warm-up that does not count")
        bench.bare(steps, "copy")
        singly = {}
        for way in [way for way in ways if way != "copy"]:
            tell(f"the limit by {way}")
            singly[way] = bench.bare(steps, way)
        found: dict[str, list[int]] = {"copy": [], "sync": []}
        cpu = []
        for turn in range(rounds):
            tell(f"round {turn + 1} of {rounds}: the limit by copy, and sync")
            found["copy"].append(bench.bare(steps, "copy"))
            speed, cpu_us = bench.sync()
            found["sync"].append(speed)
            cpu.append(cpu_us)
        tell("capture and merge")
        captured, merged = bench.capture_and_merge()
        tell("lag")
        lag = measure_lag(server, seconds=lag_seconds) if lag_seconds else Lag(why="not asked for")
        limits = {"copy": round(statistics.median(found["copy"])), **singly}
        speed = round(statistics.median(found["sync"]))
        return SyncFigures(
            changes=changes,
            rows_before=rows,
            changes_per_s=speed,
            upsert_limit_per_s=max(limits.values()),
            ratio=round(speed / max(limits.values()), 3),
            limits=limits,
            rounds=found,
            worker_cpu_us=round(statistics.median(cpu), 1),
            capture_per_s=captured,
            merge_rows_per_s=merged,
            lag_p50_ms=lag.p50_ms,
            lag_p99_ms=lag.p99_ms,
            lag=lag,
            settings=dict(settings),
            versions=versions(server),
            machine=before,
        )


@dataclass(frozen=True, slots=True)
class _Bench:
    """The same changes, over and over, into a table that has the same rows each time."""

    server: LocalPostgres
    target: TableName
    base: Sequence[bytes]
    pages: Mapping[str, Sequence[bytes]]
    changes: int

    def bare(self, steps: Sequence[Step], way: str) -> int:
        """Changes a second."""
        return round(self.changes / bare_seconds(self.server, self.target, self.base, steps, way))

    def sync(self) -> tuple[int, float]:
        """Changes a second, and what the worker's process computes for each, in microseconds."""
        with self._connected(state="syncing") as conn, self._worker(conn) as worker:
            computed = time.process_time()
            seconds = self._run(worker, conn)
            return round(self.changes / seconds), (time.process_time() - computed) * 1e6 / self.changes

    def capture_and_merge(self) -> tuple[int, int]:
        """Changes a second captured, and rows a second merged."""
        with self._connected(state="loading") as conn, self._worker(conn) as worker:
            captured = self.changes / self._run(worker, conn)
            pending = int(one_row(conn.execute("SELECT count(*) FROM ashore.pending_change"))[0])
            while not passing(conn, plan.name, _rows_ended_at(conn)).is_past:
                worker.round()
            loads.set_state(conn, source=plan.name, entities=[entity.name, loads.UNMATCHED], state="merging")
            began = time.monotonic()
            while loads.entities_of(conn, plan.name)[entity.name].state != "syncing":
                worker.tend()
            return round(captured), round(pending / (time.monotonic() - began))

    @contextmanager
    def _connected(self, *, state: str) -> Iterator[Conn]:
        with connect(self.server.dsn, application_name="ashore bench", autocommit=True) as conn:
            fill(conn, self.target, self.base)
            begin(conn, PreparedStream(self.pages), state=state)
            settle(self.server)
            yield conn

    @contextmanager
    def _worker(self, conn: Conn) -> Iterator[Worker]:
        """A worker on a connection of its own."""
        order = SyncOrder(
            dsn=self.server.dsn,
            plan=plan,
            source=PreparedStream(self.pages),
            fetch=lambda _: [],
            limits=SyncLimits(margin_seconds=0.0),
        )
        tables = tables_of(conn, entity)
        with (
            connect(self.server.dsn, application_name="ashore sync bench", autocommit=True) as own,
            new_executor(order) as executor,
            quick_turns(),
        ):
            worker = Worker(conn=own, order=order, tables=tables, executor=executor)
            yield worker
            worker.leave()

    def _run(self, worker: Worker, conn: Conn) -> float:
        began = time.monotonic()
        while int(one_row(conn.execute(_RECORDS))[0]) < self.changes:
            worker.round()
        return time.monotonic() - began


def _rows_ended_at(conn: Conn) -> datetime:
    found: datetime = one_row(conn.execute("SELECT max(rows_ended_at) FROM ashore.load"))[0]
    return found


_RECORDS: Final = "SELECT coalesce(sum(records), 0)::bigint FROM ashore.shard"
