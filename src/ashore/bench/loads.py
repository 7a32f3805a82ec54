"""`ashore bench load` and `ashore bench scan`: the real load, and its limit in the same run.

The order is a warm-up that does not count, limit, COPY alone, then for each round a load, a limit, COPY alone: what the
machine does meanwhile falls on all of them. Each figure is a median. A checkpoint comes before each, so that none pays
for another's writes. The warm-up is for the first that writes, which would pay for making the server's log files: they
are used again by all that follow.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ashore.bench.figures import LoadFigures, Runs, figures
from ashore.bench.limit import Gunzip, LimitTask, NoReading, Reading, make_tables, run_limit
from ashore.bench.loader import Job, Loaded, measure_load, measure_verify
from ashore.bench.machine import machine, versions
from ashore.bench.prepared import prepare
from ashore.bench.profiles import Profile
from ashore.bench.scan import RawScan, scan_source
from ashore.bench.server import bench_postgres, settings, settle
from ashore.bench.transcoding import measure_transcoding
from ashore.dynamodb.export import ExportSource
from ashore.local.export_writer import write_export
from ashore.local.postgres import LocalPostgres
from ashore.mapping.declared import load_plan
from ashore.mapping.native_library import find_library
from ashore.model.chunk import ItemSource
from ashore.postgres.connect import connect
from ashore.postgres.names import TableName, table_name
from ashore.postgres.tables import create_missing

Tell = Callable[[str], None]
_files_a_worker: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A source with the items of a profile; how the limit reads it, and what decompressing an item takes."""

    name: str
    source: ItemSource
    reading: Reading
    gunzip_us: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBench:
    """What to measure. Files are made under `folder`: about twice the size of the items."""

    profile: Profile
    items: int
    workers: int = 2
    rounds: int = 1
    folder: Path | None = None

    def load(self, tell: Tell) -> LoadFigures:
        """Measure a load from an export of gzip files, eight for each worker; `tell` hears what is being done."""
        return self._measure(self._exported, tell)

    def scan(self, tell: Tell) -> LoadFigures:
        """Measure a load from a Scan that is served as fast as a client can read, one segment for each worker."""
        return self._measure(self._served, tell)

    def _measure(self, made: Callable[[Path, Tell], AbstractContextManager[Measured]], tell: Tell) -> LoadFigures:
        before = machine()
        with (
            tempfile.TemporaryDirectory(prefix="ashore-bench-", dir=self.folder) as folder,
            made(Path(folder), tell) as measured,
            bench_postgres() as server,
        ):
            runs = self._runs(measured, Path(folder), server, tell)
            return figures(
                runs,
                profile=self.profile.name,
                source=measured.name,
                workers=self.workers,
                settings=dict(settings),
                versions=versions(server),
                machine=before,
            )

    def _runs(self, measured: Measured, folder: Path, server: LocalPostgres, tell: Tell) -> Runs:
        tell("preparing rows for the limit")
        units, columns = prepare(measured.source, self.profile.reference, folder, workers=self.workers)
        targets = self._make_tables(server)
        limits: list[float] = []
        plains: list[float] = []
        loads: list[Loaded] = []

        def measure_limits() -> None:
            for reading, seconds in ((measured.reading, limits), (NoReading(), plains)):
                tell("COPY of prepared rows" + (", reading the source" if reading is measured.reading else " alone"))
                task = LimitTask(dsn=server.dsn, reading=reading, units=units, columns=columns, targets=targets)
                seconds.append(run_limit(task, workers=self.workers))

        job = Job(
            dsn=server.dsn,
            reference=self.profile.reference,
            source=measured.source,
            workers=self.workers,
            notes=folder,
        )
        tell("a warm-up")
        run_limit(
            LimitTask(dsn=server.dsn, reading=NoReading(), units=units, columns=columns, targets=targets),
            workers=self.workers,
        )
        measure_limits()
        python = self._python_seconds(job, server, tell)
        for _ in range(self.rounds):
            settle(server)
            tell("the load")
            loads.append(measure_load(job))
            measure_limits()
        settle(server)
        tell("verify")
        return Runs(
            loads=loads,
            limits=limits,
            plains=plains,
            verified=measure_verify(job),
            prepared_rows=sum(unit.rows for unit in units),
            gunzip_us=measured.gunzip_us,
            python_seconds=python,
            transcode=measure_transcoding(self.profile),
        )

    @staticmethod
    def _python_seconds(job: Job, server: LocalPostgres, tell: Tell) -> float | None:
        """What the row phase takes without the native path; None where there is none."""
        if find_library().library is None:
            return None
        settle(server)
        tell("the load in Python")
        return measure_load(replace(job, native=False)).row_seconds

    def _make_tables(self, server: LocalPostgres) -> dict[str, TableName]:
        plan = load_plan(self.profile.reference)
        tables = [table for entity in plan.entities.values() for table in entity.tables]
        with connect(server.dsn, application_name="ashore bench", autocommit=True) as conn:
            create_missing(conn, tables, default_schema="public")
            return make_tables(conn, {table.fullname: table_name(table, default_schema="public") for table in tables})

    @contextmanager
    def _exported(self, folder: Path, tell: Tell) -> Iterator[Measured]:
        tell(f"writing an export of {self.items:,} items")
        home = write_export(folder, self.profile.items(self.items), files=_files_a_worker * self.workers)
        source = ExportSource(path=str(home))
        gunzip = Gunzip(home)
        yield Measured(name="export", source=source, reading=gunzip, gunzip_us=_gunzip_us(source, gunzip))

    @contextmanager
    def _served(self, _folder: Path, tell: Tell) -> Iterator[Measured]:
        tell(f"preparing the pages of {self.items:,} items")
        with scan_source(self.profile.name, self.items, workers=self.workers) as source:
            yield Measured(name="scan", source=source, reading=RawScan(source.endpoint_url or ""), gunzip_us=None)


def _gunzip_us(source: ExportSource, gunzip: Gunzip) -> float:
    """Microseconds an item for decompressing one data file, which has been written just before, on one core."""
    unit = source.units()[0]
    began = time.perf_counter()
    gunzip(unit.name)(1 << 62)
    return (time.perf_counter() - began) * 1e6 / max(1, unit.items or 1)
