"""The load and the verification that are measured, in a process of their own, so that their memory is theirs alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeVar

from ashore.bench.clock import ClockedSource, LastCommit
from ashore.bench.errors import MeasuringProcessEnded
from ashore.bench.memory import peak_memory
from ashore.errors import AshoreError
from ashore.load.order import Limits
from ashore.mapping.declared import PlanReference, load_plan
from ashore.model.chunk import ItemSource
from ashore.pipeline.load import load
from ashore.pipeline.verify import verify

max_rejected_share: Final = 0.01
"""The court profile has one rejected item in a thousand: just what a load allows by default."""

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to load, where to, in how many processes, and whether by the native path; picklable."""

    dsn: str = field(repr=False)
    reference: PlanReference
    source: ItemSource
    workers: int
    notes: Path
    native: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A load: `row_seconds` from the first open to the last commit of rows, `seconds` of all of it."""

    items: int
    rejected: int
    bytes: int
    rows: int
    row_seconds: float
    seconds: float
    key_build_seconds: float
    findings: int
    peak_rss_mb: float
    native_items: int
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A verification: how long all of it took, and how many differences it found."""

    items: int
    seconds: float
    differences: int


def measure_load(job: Job) -> Loaded:
    """Load everything anew.

    Raises:
        AshoreError: The load's, or `MeasuringProcessEnded`.
    """
    return in_process(_load, job)


def measure_verify(job: Job) -> Verified:
    """Verify what was loaded.

    Raises:
        AshoreError: The verification's, or `MeasuringProcessEnded`.
    """
    return in_process(_verify, job)


def _load(job: Job) -> Loaded:
    clocked = ClockedSource(source=job.source, folder=job.notes)
    heard = LastCommit()
    plan = load_plan(job.reference)
    with peak_memory() as memory:
        outcome = load(
            plan=plan,
            reference=job.reference,
            source=clocked,
            dsn=job.dsn,
            workers=job.workers,
            restart=True,
            limits=Limits(max_rejected_share=max_rejected_share),
            native=job.native,
            emit=heard,
        )
    report = outcome.report
    return Loaded(
        items=report.items,
        rejected=sum(one.items for one in report.rejected),
        bytes=heard.bytes,
        rows=sum(report.rows.values()),
        row_seconds=heard.at - clocked.first_open(),
        seconds=report.seconds,
        key_build_seconds=report.key_build_seconds,
        findings=len(report.findings),
        peak_rss_mb=memory.sum_mb,
        native_items=report.native_items,
        refused=report.refused,
    )


def _verify(job: Job) -> Verified:
    began = time.monotonic()
    report = verify(
        plan=load_plan(job.reference), reference=job.reference, source=job.source, dsn=job.dsn, workers=job.workers
    )
    return Verified(
        items=report.items, seconds=time.monotonic() - began, differences=report.total_differences
    )  # fmt: skip


def in_process(work: Callable[[Work], Result], job: Work) -> Result:
    """Do some work in a process of its own; what is sent and what comes back are picklable.

    Raises:
        AshoreError: The work's, or `MeasuringProcessEnded`.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(work, job, theirs))
    process.start()
    theirs.close()
    try:
        result: Any = ours.recv()
    except EOFError:
        raise MeasuringProcessEnded(doing=work.__name__.strip("_")) from None
    finally:
        process.join()
    if isinstance(result, AshoreError):
        raise result
    done: Result = result
    return done


def _run(work: Callable[[Work], Any], job: Work, channel: Connection[Any, None]) -> None:
    try:
        channel.send(work(job))
    except AshoreError as error:
        channel.send(error)
