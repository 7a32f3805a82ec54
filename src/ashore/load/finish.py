"""After the rows: keys, indexes, foreign keys, statistics. Each step is committed alone, with its note."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from ashore.ledger import loads, records, rejected, taken_off, units
from ashore.ledger.errors import CountMismatch
from ashore.load.duplicates import reject_repeated
from ashore.load.order import LoadOrder, OpenLoad
from ashore.load.rows import RejectedGuard
from ashore.observe.events import Emit, Finding, StepFinished, StepStarted
from ashore.postgres import catalog, tables
from ashore.postgres.catalog import Definition
from ashore.postgres.connect import Conn
from ashore.postgres.errors import refusal
from ashore.postgres.names import TableName
from ashore.postgres.violations import count_orphans

_SET_TIMEOUTS = "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', '0', true)"
_SET_MEMORY = "SELECT set_config('maintenance_work_mem', %s, true)"
_refusals = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.InvalidForeignKey,
)
_VALID = "validate"

Step = Callable[[], Finding | None]


@dataclass(slots=True, kw_only=True)
class Finish:
    """The steps after the rows of one load; those that an earlier run committed are left out.

    The connection holds the lock of the flow, so that no two processes take the same step.
    """

    conn: Conn
    order: LoadOrder
    load: OpenLoad
    emit: Emit
    done: dict[str, tuple[float, dict[str, Any] | None]] = field(default_factory=dict)

    def run(self) -> None:
        """Take every step that is not done.

        Raises:
            SourceRepeatsItems: Two rows of one key are one and the same item.
            TooManyRejected: Too many items shared their row keys with others.
            psycopg.Error: Of the step that failed; those before it stay.
        """
        self.done = records.steps(self.conn, self.load.record.id)
        off = [definition for definition, _ in taken_off.taken_off(self.conn, self.load.record.source)]
        off = [definition for definition in off if not self._waits(definition)]
        for definition in off:
            if definition.kind == "primary_key":
                self._primary_key(definition)
        for table in self._targets():
            self._step(f"count {table}", partial(self._count, table))
        for entity in self.order.entities:
            self._step(f"after rows of {entity}", partial(self._after_rows, entity))
        for definition in off:
            if definition.kind in {"index", "unique", "exclusion"}:
                self._step(_name(definition), partial(self._put_back, definition))
        keys = [definition for definition in off if definition.kind == "foreign_key"]
        for definition in keys:
            self._step(_name(definition), partial(self._put_back, definition))
        for definition in keys:
            self._step(f"{_VALID} {_name(definition)}", partial(self._validate, definition))
        for table in self._targets():
            self._step(f"analyze {table}", partial(self._analyze, table))

    def _waits(self, definition: Definition) -> bool:
        """Whether this has to stay off while the stream is captured or applied.

        UNIQUE waits for the merge: a scan may see a value twice. Foreign keys wait for the cutover: shards run at
        their own pace, so that a row may come before the one that it refers to, and PostgreSQL would refuse it.
        """
        if not definition.is_unique and definition.kind != "foreign_key":
            return False
        synced = {str(table) for table in self.load.targets.values()} if self.load.record.is_captured else set()
        synced |= loads.synced_tables(self.conn, self.load.record.source)
        return str(definition.table) in synced or (definition.kind == "foreign_key" and bool(synced))

    def _targets(self) -> list[TableName]:
        return sorted(set(self.load.targets.values()))

    def _step(self, name: str, action: Step) -> None:
        if name in self.done:
            return
        self.emit(StepStarted(step=name))
        began = time.monotonic()
        with self.conn.transaction():
            self._settings()
            finding = action()
            seconds = time.monotonic() - began
            stored = None if finding is None else asdict(finding)
            records.keep_step(self.conn, self.load.record.id, name, seconds, stored)
        self.done[name] = (seconds, stored)
        self.emit(StepFinished(step=name, seconds=seconds, finding=finding))

    def _settings(self) -> None:
        limits = self.order.limits
        self.conn.execute(_SET_TIMEOUTS, (str(limits.lock_timeout_ms),))
        if limits.maintenance_work_mem is not None:
            self.conn.execute(_SET_MEMORY, (limits.maintenance_work_mem,))
        loads.assert_mine(self.conn, self.load.record)

    def _primary_key(self, definition: Definition) -> None:
        def build() -> None:
            catalog.create(self.conn, definition)
            taken_off.is_back(self.conn, definition)

        try:
            self._step(_name(definition), build)
        except psycopg.errors.UniqueViolation:
            self._reject_repeated(definition)
            self._step(_name(definition), build)

    def _reject_repeated(self, definition: Definition) -> None:
        guard = RejectedGuard.of_load(self.conn, self.load.record.id, self.order.limits)
        while True:
            with self.conn.transaction():
                self._settings()
                number = reject_repeated(self.conn, self.order, self.load, definition.table)
            if number == 0:
                return
            guard.rejected[None, "duplicate_key"] += number
            guard.check()

    def _count(self, table: TableName) -> Finding | None:
        expected = units.row_counts(self.conn, self.load.record.id).get(str(table), 0)
        actual = tables.count_rows(self.conn, table)
        if expected == actual:
            return None
        detail = f"{expected} rows were written and {actual} are there: did something else write, or a trigger?"
        return Finding(kind="row_count", table=str(table), name=table.name, rows=actual - expected, detail=detail)

    def _after_rows(self, entity: str) -> None:
        moved = self.order.after_rows(self.conn, entity)
        balance = sum(moved.counts.values())
        if balance != 0:
            raise CountMismatch(where=f"the step after the rows of {entity}", expected=0, actual=balance)
        load = self.load.record
        units.add_counts(self.conn, load.id, units.corrections, moved.counts)
        rejected.keep_rejected(self.conn, load=load.id, source=load.source, rejected=moved.rejected)

    def _put_back(self, definition: Definition) -> Finding | None:
        try:
            with self.conn.transaction():
                catalog.create(self.conn, definition)
        except _refusals as error:
            taken_off.set_state(self.conn, definition, "refused")
            return _finding(definition, refusal(error), None)
        if definition.validate is None:
            taken_off.is_back(self.conn, definition)
        else:
            taken_off.set_state(self.conn, definition, "not_valid")
        return None

    def _validate(self, definition: Definition) -> Finding | None:
        if definition.validate is None or self.done[_name(definition)][1] is not None:
            return None
        try:
            with self.conn.transaction():
                catalog.validate(self.conn, definition)
        except psycopg.IntegrityError as error:
            rows = count_orphans(self.conn, definition.table, definition.name)
            return _finding(definition, f"{refusal(error)}; it is there, NOT VALID", rows)
        taken_off.is_back(self.conn, definition)
        return None

    def _analyze(self, table: TableName) -> None:
        self.conn.execute(sql.SQL("ANALYZE {}").format(table.identifier))


def _finding(definition: Definition, detail: str, rows: int | None) -> Finding:
    return Finding(kind=definition.kind, table=str(definition.table), name=definition.name, rows=rows, detail=detail)


def _name(definition: Definition) -> str:
    return f"{definition.kind.replace('_', ' ')} {definition.name} of {definition.table}"
