"""A load from its beginning to its report."""

from __future__ import annotations

import time
from typing import NamedTuple

from ashore.ledger import loads, records, rejected, units
from ashore.ledger.errors import CountMismatch
from ashore.ledger.schema import ensure_ledger
from ashore.load.finish import Finish
from ashore.load.order import LoadOrder, OpenLoad
from ashore.load.report import LoadReport, OutcomeCount, RejectedCount
from ashore.load.rows import Paths, load_rows
from ashore.load.start import start_load
from ashore.observe.events import Emit, Finding, Finished, LoadStarted, PhaseChanged, silent
from ashore.postgres import tables
from ashore.postgres.connect import Conn
from ashore.postgres.errors import translated
from ashore.postgres.retry import connect_patiently


def run_load(order: LoadOrder, emit: Emit = silent) -> LoadReport:
    """Load a source into PostgreSQL, or go on with the unfinished load of it.

    Killed at any instant and called again, it goes on where it was and ends with the same rows: rows and progress
    are committed together, and each step after the rows is committed with the note that it is done.

    Raises:
        LoadError: The load is refused, or stopped; see each subclass for what is left.
        PostgresError, WorkerEnded: Something failed; calling again goes on.
    """
    began = time.monotonic()
    with connect_patiently(order.dsn, application_name=f"ashore load {order.plan.name}", autocommit=True) as conn:
        with translated("starting the load"):
            ensure_ledger(conn)
            load = start_load(conn, order)
            before = units.tally(conn, load.record.id)
        emit(_started(load, before))
        paths = Paths()
        if load.record.phase == "rows":
            emit(PhaseChanged(phase="rows"))
            with translated("writing rows"):
                paths = load_rows(conn, order, load, emit)
        row_seconds = time.monotonic() - began
        emit(PhaseChanged(phase="keys"))
        with translated("building keys and indexes"):
            Finish(conn=conn, order=order, load=load, emit=emit).run()
            report = _report(conn, load, before, paths, _Spans(began, row_seconds))
            with conn.transaction():
                loads.advance(conn, load.record, "done")
                ended = [*load.record.entities, *([loads.UNMATCHED] if load.record.is_captured else [])]
                state = "merging" if load.record.is_captured else "loaded"
                loads.set_state(conn, source=load.record.source, entities=ended, state=state)
                loads.keep_report(conn, load.record.id, report.as_json())
    emit(PhaseChanged(phase="done"))
    items_rejected = sum(one.items for one in report.rejected)
    emit(
        Finished(
            source=report.source,
            items=report.items,
            rejected=items_rejected,
            findings=len(report.findings),
            seconds=report.seconds,
        )
    )
    return report


def _started(load: OpenLoad, tally: units.Tally) -> LoadStarted:
    record = load.record
    return LoadStarted(
        source=record.source,
        load=record.id,
        attempt=record.attempt,
        run=record.run,
        resumed=load.resumed,
        entities=tuple(record.entities),
        units=tally.units,
        units_done=tally.units_done,
        items_expected=tally.items_expected,
        items_done=tally.items_read,
    )


class _Spans(NamedTuple):
    """When the run began (`time.monotonic`), and the seconds of its row phase."""

    began: float
    row_seconds: float


def _report(conn: Conn, load: OpenLoad, before: units.Tally, paths: Paths, spans: _Spans) -> LoadReport:
    record = load.record
    tally = units.tally(conn, record.id)
    counts = units.counts(conn, record.id)
    reasons = rejected.rejected_by_reason(conn, record.id)
    _assert_balance("items of the load", tally.items_read, sum(counts.values()))
    counted_rejected = sum(items for (_, outcome), items in counts.items() if outcome == "rejected")
    _assert_balance("rejected items of the load", counted_rejected, sum(reasons.values()))
    steps = records.steps(conn, record.id)
    findings = [Finding(**finding) for _, finding in steps.values() if finding is not None]
    items, read = tally.items_read - before.items_read, tally.bytes_read - before.bytes_read
    return LoadReport(
        source=record.source,
        load=record.id,
        attempt=record.attempt,
        run=record.run,
        entities=tuple(record.entities),
        items=tally.items_read,
        counts=tuple(
            OutcomeCount(entity=entity, outcome=outcome, items=number) for (entity, outcome), number in counts.items()
        ),
        rejected=tuple(
            RejectedCount(entity=entity, reason=reason, items=number) for (entity, reason), number in reasons.items()
        ),
        rows=units.row_counts(conn, record.id),
        findings=(*findings, *_triggers(conn, load)),
        seconds=time.monotonic() - spans.began,
        row_seconds=spans.row_seconds,
        items_per_s=items / spans.row_seconds,
        mb_per_s=read / 1e6 / spans.row_seconds,
        native_items=paths.native_items,
        refused=dict(paths.refused),
        key_build_seconds=sum(seconds for seconds, _ in steps.values()),
        read_units=tally.read_units,
    )


def _triggers(conn: Conn, load: OpenLoad) -> list[Finding]:
    return [
        Finding(
            kind="trigger", table=str(table), name=name, rows=None, detail="a trigger fired on the rows of the load"
        )
        for table in sorted(set(load.targets.values()))
        for name in tables.triggers_of(conn, table)
    ]


def _assert_balance(where: str, expected: int, actual: int) -> None:
    if expected != actual:
        raise CountMismatch(where=where, expected=expected, actual=actual)
