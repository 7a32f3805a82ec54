"""A verification from its beginning to its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ashore.ledger import loads, records, units
from ashore.ledger.errors import WorkerEnded
from ashore.ledger.marking import want
from ashore.ledger.passing import moment_ago, passing
from ashore.ledger.schema import ensure_ledger
from ashore.ledger.waivers import keep_differences
from ashore.ledger.work import write_rows
from ashore.ledger.worker import ChunkDone, Task, UnitDone
from ashore.mapping.declared import PlanReference
from ashore.mapping.document import encode
from ashore.mapping.plan import EntityPlan, Plan, key_attributes
from ashore.model.chunk import ItemSource
from ashore.observe.events import Emit, LoadStarted, Progress, StepFinished, StepStarted, UnitFinished, silent
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated
from ashore.postgres.items import prepare
from ashore.postgres.names import TableName
from ashore.verify.entity import EntityVerifier
from ashore.verify.errors import NothingToVerifyError, VerificationStopped
from ashore.verify.report import Difference, EntityReport, RejectedReport, VerifyReport
from ashore.verify.reread import Fetch, Patience, never
from ashore.verify.shadow import (
    Finisher,
    KeepBeside,
    Shadow,
    ShadowEncoding,
    apart_rejected,
    compare_rejected,
    drop_shadow,
    make_shadow,
)

_flowing = frozenset({"merging", "syncing", "reading"})
_verifiable = frozenset({"loaded", "merging", "syncing", "reading"})
PATIENCE_SECONDS = 60.0
EVERY_ITEM = 1 << 40
"""As `VerifyOrder.witness`: every item is witnessed. Keeps a copy of each in the database while it runs."""


OnApart = Callable[[Conn, Sequence[bytes], bool], None]
"""(connection, keys as DynamoDB JSON, whether these are all) → whatever is to be done about them. Called in the
transaction that keeps the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOrder:
    """What to verify, and how.

    Attributes:
        targets: Declared tables' full names → tables, of all the entities.
        fetch: Reads items again by their keys, on a live table; None for an export, which does not change.
        witness: How many items of each shape the witness looks at, in each worker.
        list_differences: How many differences the report names; all are counted.
        on_apart: Hears, before the report is kept, of the keys that did not agree, as JSON; see `OnApart`.
        patience_seconds: How long a difference of a synced entity is read again before it is undecided.
        should_stop: Asked after each chunk, at least once a second, and between readings: whether to end early.
    """

    dsn: str = field(repr=False)
    plan: Plan
    reference: PlanReference
    source: ItemSource
    entities: tuple[str, ...]
    targets: Mapping[str, TableName]
    fetch: Fetch | None = None
    workers: int = 2
    witness: int = 5
    list_differences: int = 1_000
    patience_seconds: float = PATIENCE_SECONDS
    on_apart: OnApart | None = None
    should_stop: Callable[[], bool] = never

    def go_on(self) -> None:
        """Raise VerificationStopped if it is to stop."""
        if self.should_stop():
            raise VerificationStopped


def run_verify(order: VerifyOrder, emit: Emit = silent) -> VerifyReport:
    """Read the source again into a shadow, compare both ways, and let the witness look; keep the report.

    Changes nothing but the ledger and its own schema ``ashore_shadow``, which it drops again. Killed, it leaves
    that schema behind; the next run replaces it.

    Raises:
        NothingToVerifyError: An entity is not loaded.
        VerificationStopped: `order.should_stop` said so; its schema is dropped.
        AshoreError: The source or PostgreSQL failed; nothing is concluded.
    """
    started_at = datetime.now(UTC)
    with connect(order.dsn, application_name=f"ashore verify {order.plan.name}", autocommit=True) as conn:
        with translated("verifying"):
            prepare(conn)
            ensure_ledger(conn)
            _check_states(conn, order)
            record, shadow = _begin(conn, order)
        began = time.monotonic()
        with _dropped_if_stopped(conn, order, record):
            _read_again(conn, order, record, shadow, emit)
        scanned = time.monotonic()
        with translated("comparing"), _dropped_if_stopped(conn, order, record):
            stream = _Stream(conn=conn, source=order.plan.name)
            reports, differences, apart = _compare(conn, order, shadow, stream, emit)
            report = _report(
                conn,
                order,
                record,
                reports=reports,
                differences=differences,
                started_at=started_at,
                scan_seconds=scanned - began,
                passed=stream.passed,
            )
            with conn.transaction():
                if order.on_apart is not None:
                    rejected = apart_rejected(conn, order.plan.name, order.entities)
                    order.on_apart(conn, [*apart.keys, *rejected], apart.is_complete)
                drop_shadow(conn)
                loads.advance(conn, record, "done")
                keep_differences(conn, order.plan.name, order.entities, apart.standing)
                records.keep_verification(conn, order.plan.name, report.as_json())
    return report


@contextmanager
def _dropped_if_stopped(conn: Conn, order: VerifyOrder, record: loads.LoadRecord) -> Iterator[None]:
    """Leave nothing behind where the verification is to stop. A signal may have ended the workers as well."""
    try:
        yield
    except (VerificationStopped, WorkerEnded):
        if not order.should_stop():
            raise
        with translated("ending the verification"), conn.transaction():
            drop_shadow(conn)
            loads.discard(conn, record.id)
        raise VerificationStopped from None


def _check_states(conn: Conn, order: VerifyOrder) -> None:
    states = {name: one.state for name, one in loads.entities_of(conn, order.plan.name).items()}
    wrong = {name: states.get(name, "declared") for name in order.entities}
    wrong = {name: state for name, state in wrong.items() if state not in _verifiable}
    if wrong:
        raise NothingToVerifyError(source=order.plan.name, states=wrong)


def _begin(conn: Conn, order: VerifyOrder) -> tuple[loads.LoadRecord, Shadow]:
    with conn.transaction():
        earlier = loads.unfinished(conn, order.plan.name, purpose="verify")
        if earlier is not None:
            loads.discard(conn, earlier.id)
        record = loads.begin(
            conn,
            source=order.plan.name,
            entities=order.entities,
            origin=order.source.origin,
            fingerprint="",
            purpose="verify",
        )
        units.add_units(conn, record.id, record.run, order.source.units())
        return record, make_shadow(conn, order.targets)


def _read_again(conn: Conn, order: VerifyOrder, record: loads.LoadRecord, shadow: Shadow, emit: Emit) -> None:
    tally = units.tally(conn, record.id)
    emit(
        LoadStarted(
            source=record.source,
            load=record.id,
            attempt=record.attempt,
            run=record.run,
            resumed=False,
            entities=order.entities,
            units=tally.units,
            units_done=0,
            items_expected=tally.items_expected,
            items_done=0,
        )
    )

    def hear(message: ChunkDone | UnitDone) -> None:
        order.go_on()
        if isinstance(message, UnitDone):
            emit(UnitFinished(unit=message.unit))
            return
        emit(
            Progress(
                items=message.items,
                bytes=message.bytes,
                read_units=message.read_units,
                throttled=message.throttled,
                rejected=sum(message.rejected.values()),
            )
        )

    task = Task(
        dsn=order.dsn,
        load=record.id,
        run=record.run,
        name=f"{record.source} verify",
        source=order.source,
        make_encoding=ShadowEncoding(reference=order.reference, entities=order.entities, sample=order.witness),
        targets=shadow.tables,
        keep_rejected=False,
        on_encoded=KeepBeside(),
    )
    write_rows(task, workers=max(1, min(order.workers, tally.units)), on_message=hear, on_tick=order.go_on)


@dataclass(slots=True)
class _Apart:
    """The keys that did not agree, as DynamoDB JSON; those that differ with their entity and a digest of both sides."""

    keys: list[bytes] = field(default_factory=list)
    standing: list[tuple[str, str, bytes]] = field(default_factory=list)
    is_complete: bool = True


def _compare(
    conn: Conn, order: VerifyOrder, shadow: Shadow, stream: _Stream, emit: Emit
) -> tuple[list[EntityReport], list[Difference], _Apart]:
    finisher = Finisher(plan=order.plan, shadow=shadow)
    states = loads.entities_of(conn, order.plan.name)
    unsynced = Patience(should_stop=order.should_stop)
    synced = replace(unsynced, seconds=order.patience_seconds, has_passed=stream.has_passed)
    reports: list[EntityReport] = []
    differences: list[Difference] = []
    apart = _Apart()
    for name in order.entities:
        order.go_on()
        entity: EntityPlan = order.plan.entities[name]
        emit(StepStarted(step=f"compare {name}"))
        began = time.monotonic()
        finisher.finish(conn, entity)
        verifier = EntityVerifier(
            plan=order.plan,
            entity=entity,
            shadow=shadow,
            fetch=order.fetch,
            most=order.list_differences,
            patience=synced if states[name].state in _flowing else unsynced,
        )
        reports.append(verifier.verify(conn))
        differences += verifier.differences
        apart.keys += [encode({one.name: key[one.name] for one in key_attributes(entity)}) for key in verifier.apart]
        apart.standing += [(name, key, state) for key, state in verifier.standing.items()]
        apart.is_complete = apart.is_complete and verifier.is_complete
        emit(StepFinished(step=f"compare {name}", seconds=time.monotonic() - began, finding=None))
    return reports, differences[: order.list_differences], apart


@dataclass(slots=True, kw_only=True)
class _Stream:
    """Whether the stream has passed a moment, and how that was last known."""

    conn: Conn
    source: str
    passed: dict[str, Any] | None = None

    def has_passed(self, moment: float) -> bool:
        """Whether it has passed `moment`, of this machine's clock, which need not be that of PostgreSQL."""
        then = moment_ago(self.conn, time.time() - moment)
        found = passing(self.conn, self.source, then)
        if not found.is_past:
            want(self.conn, self.source, moment_ago(self.conn, 0.0))
        elif self.passed is None or found.unmarked:
            self.passed = found.as_json()
        return found.is_past


def _report(  # noqa: PLR0913 (the parts of the report)
    conn: Conn,
    order: VerifyOrder,
    record: loads.LoadRecord,
    *,
    reports: list[EntityReport],
    differences: list[Difference],
    started_at: datetime,
    scan_seconds: float,
    passed: dict[str, Any] | None,
) -> VerifyReport:
    tally = units.tally(conn, record.id)
    by_entity = {report.entity: report for report in reports}
    other: dict[str, int] = {}
    for (name, outcome), items in units.counts(conn, record.id).items():
        if name in by_entity and outcome != "other":
            by_entity[name].counts[outcome] = items
        else:
            other[f"{outcome} {name}" if name else outcome] = items
    expected, actual, not_kept, no_longer = compare_rejected(conn, order.plan.name, order.entities)
    ended_at = datetime.now(UTC)
    return VerifyReport(
        source=order.plan.name,
        origin=order.source.origin,
        started_at=started_at,
        ended_at=ended_at,
        live=order.fetch is not None,
        items=tally.items_read,
        entities=tuple(reports),
        other=other,
        rejected=RejectedReport(expected=expected, actual=actual, not_kept=not_kept, no_longer_rejected=no_longer),
        differences=tuple(differences),
        scan_seconds=scan_seconds,
        compare_seconds=(ended_at - started_at).total_seconds() - scan_seconds,
        read_units=tally.read_units,
        stream=passed,
    )
