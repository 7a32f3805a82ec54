"""From loaded to syncing: what was captured beside a load is merged into its tables; then the stream applies."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from ashore.ledger import loads, pending, records, taken_off
from ashore.ledger.counts import keep_counts
from ashore.ledger.errors import CountMismatch
from ashore.ledger.loads import UNMATCHED, CapturedLoad
from ashore.ledger.passing import passing
from ashore.model.change import Change
from ashore.observe.events import Emit, StepFinished, StepStarted, silent
from ashore.postgres import catalog
from ashore.postgres.connect import Conn
from ashore.sync.batches import BatchWriter, Counts
from ashore.sync.order import SyncOrder
from ashore.sync.waits import fill_waits

_SETTINGS = "SELECT set_config('lock_timeout', '10s', true), set_config('statement_timeout', '0', true)"
_refusals = (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.ProgramLimitExceeded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What one step did: `changes` merged; `syncing` are the entities that it took to the end."""

    changes: int = 0
    syncing: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Merger:
    """Merges, a batch a step, so that its worker reads on in between. One of all workers does (`has_turn`).

    The captured changes are the newest word on every key that they hold, once each shard has passed the end of the
    load's reading; until then nothing is merged. What may take long is told as a step (`emit`).
    """

    order: SyncOrder
    writer: BatchWriter
    emit: Emit = silent
    _filled: set[int] = field(default_factory=set)

    def step(self) -> Merged:
        """Do the next piece of work; `Merged()` where there is none, or it is not time yet."""
        conn = self.writer.conn
        for load in loads.captured_loads(conn, self.order.plan.name):
            if passing(conn, self.order.plan.name, load.rows_ended_at).is_past:
                return self._step(conn, load)
        return Merged()

    def _step(self, conn: Conn, load: CapturedLoad) -> Merged:
        if load.load not in self._filled:
            with self._step_told("to look for what rejected items wait for"), conn.transaction():
                fill_waits(conn, self.order.plan)
                pending.analyze_pending(conn)
            self._filled.add(load.load)
        most = self.order.limits.merge_changes
        merged = self.writer.in_transaction(lambda: self._merge(load, most))
        if merged == most:
            return Merged(changes=merged)
        self._put_back_unique(conn, load)
        rest = self.writer.in_transaction(lambda: self._switch(conn, load, most))
        if rest is None:
            return Merged(changes=merged)
        return Merged(changes=merged + rest, syncing=tuple(name for name in load.entities if name != UNMATCHED))

    def _merge(self, load: CapturedLoad, most: int, *, exclusively: bool = False) -> int:
        """Delete captured changes and write exactly these, in one transaction."""
        states = self.writer.lock_states(exclusively=exclusively)
        names = [name for name in load.entities if states[name].state == "merging" and states[name].load == load.load]
        changes = pending.take_pending(self.writer.conn, [load.load], names, most=most)
        if changes:
            keep_counts(self.writer.conn, self.order.plan.name, self._apply(changes, states))
        return len(changes)

    def _apply(self, changes: Sequence[Change], states: dict[str, loads.LockedState]) -> Counts:
        return self.writer.apply([self.writer.router.keyed(change) for change in changes], states)

    @contextmanager
    def _step_told(self, step: str) -> Iterator[None]:
        began = time.monotonic()
        self.emit(StepStarted(step=step))
        try:
            yield
        finally:
            self.emit(StepFinished(step=step, seconds=time.monotonic() - began, finding=None))

    def _switch(self, conn: Conn, load: CapturedLoad, most: int) -> int | None:
        """Merge the rest while nothing more can be captured, and flip the entities; None where too much is left."""
        source = self.order.plan.name
        loads.lock_states(conn, source, exclusively=True)
        left = sum(pending.count_pending(conn, [load.load]).values())
        if left > most:
            return None
        merged = self._merge(load, most, exclusively=True)
        if (left := sum(pending.count_pending(conn, [load.load]).values())) != 0:
            raise CountMismatch(where=f"captured changes of load {load.load}", expected=0, actual=left)
        passed = passing(conn, source, load.rows_ended_at)
        loads.set_state(conn, source=source, entities=load.entities, state="syncing")
        records.audit(
            conn,
            "syncing",
            {
                "source": source,
                "load": load.load,
                "entities": [name for name in load.entities if name != UNMATCHED],
                **passed.as_json(),
            },
        )
        return merged

    def _put_back_unique(self, conn: Conn, load: CapturedLoad) -> None:
        """UNIQUE comes after the merge: a scan may see a value at the item that had it and at the one that has it."""
        known = loads.entities_of(conn, self.order.plan.name)
        tables = {table for name in load.entities for table in known[name].tables}
        for definition, state in taken_off.taken_off(conn, self.order.plan.name):
            if not definition.is_unique or state != "off" or str(definition.table) not in tables:
                continue
            try:
                with self._step_told(f"to build {definition.name} of {definition.table}"), conn.transaction():
                    conn.execute(_SETTINGS)
                    catalog.create(conn, definition)
                    taken_off.is_back(conn, definition)
            except _refusals:
                taken_off.set_state(conn, definition, "refused")
