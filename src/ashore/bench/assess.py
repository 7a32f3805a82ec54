"""`ashore bench assess`: every item of an export assessed, beside a load of the same export in the same run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ashore.bench.loader import Job, in_process, measure_load
from ashore.bench.machine import machine, versions
from ashore.bench.memory import peak_memory
from ashore.bench.profiles import profiles
from ashore.bench.server import bench_postgres, settings, settle
from ashore.dynamodb.export import ExportSource
from ashore.local.export_writer import write_export
from ashore.mapping.declared import load_plan
from ashore.pipeline.assess import assess
from ashore.postgres.connect import connect
from ashore.postgres.tables import create_missing

_files_a_worker: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessFigures:
    """Items a second of both, their ratio, and the memory of the assessing process and its workers."""

    items: int
    workers: int
    entities: int
    items_per_s: int
    load_items_per_s: int
    ratio: float
    peak_rss_mb: float
    seconds: float
    load_seconds: float
    settings: dict[str, str]
    versions: dict[str, str]
    machine: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Task:
    source: ExportSource
    workers: int


@dataclass(frozen=True, slots=True)
class _Done:
    entities: int
    items: int
    seconds: float
    peak_rss_mb: float


def measure_assess(items: int, *, workers: int, folder: Path | None, tell: Callable[[str], None]) -> AssessFigures:
    """Write an export of flat items, load it, and assess all of it with as many processes.

    The load's time is that of its rows, from the first open to the last commit; the assessment's is all of it.
    """
    before = machine()
    profile = profiles["flat"]
    with tempfile.TemporaryDirectory(prefix="ashore-bench-", dir=folder) as made, bench_postgres() as server:
        tell(f"writing an export of {items:,} items")
        home = write_export(Path(made), profile.items(items), files=_files_a_worker * workers)
        source = ExportSource(path=str(home))
        plan = load_plan(profile.reference)
        with connect(server.dsn, application_name="ashore bench", autocommit=True) as conn:
            tables = [table for entity in plan.entities.values() for table in entity.tables]
            create_missing(conn, tables, default_schema="public")
        settle(server)
        tell("the load")
        job = Job(dsn=server.dsn, reference=profile.reference, source=source, workers=workers, notes=Path(made))
        loaded = measure_load(job)
        settle(server)
        tell("the assessment")
        done = in_process(_assess, _Task(source, workers))
        return AssessFigures(
            items=done.items,
            workers=workers,
            entities=done.entities,
            items_per_s=round(done.items / done.seconds),
            load_items_per_s=round(loaded.items / loaded.row_seconds),
            ratio=round(loaded.row_seconds / done.seconds, 3),
            peak_rss_mb=round(done.peak_rss_mb, 1),
            seconds=round(done.seconds, 3),
            load_seconds=round(loaded.row_seconds, 3),
            settings=dict(settings),
            versions=versions(server),
            machine=before,
        )


def _assess(task: _Task) -> _Done:
    began = time.monotonic()
    with peak_memory() as memory:
        found = assess(
            task.source, table_name="flat", partition_key=("pk", "S"), sort_key=("sk", "S"), workers=task.workers
        )
    seconds = time.monotonic() - began
    return _Done(len(found.proposal.entities), found.survey.items_read, seconds, memory.sum_mb)
