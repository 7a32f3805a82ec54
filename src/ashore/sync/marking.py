"""Sending markers while something waits for a moment to be passed; one worker of all does."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ashore.dynamodb.errors import AccessDenied, SourceError
from ashore.ledger import loads, marking, records
from ashore.ledger.marking import Round, Wanted
from ashore.ledger.passing import Passing, may_still_return, passing
from ashore.model.item import Item
from ashore.model.marker import MarkerTable
from ashore.observe.events import Emit, MarkersRefused, MarkersSpent
from ashore.postgres.connect import Conn
from ashore.sync.markers import can_mark, marker_key
from ashore.sync.order import SyncOrder

_WRITERS: Final = 4
"""How many threads write markers, of those that read shards otherwise."""
_A_SHARD: Final = 4
_FEWEST: Final = 8
"""Markers a shard in the first round, and the fewest in a round; each later round doubles what was sent. Of 100 equal
shards 4 markers each reach 98 on average; the last one takes about 5 each."""
_KEPT_BACK_SECONDS: Final = 5.0
"""After a failure, before the next round."""
_LOOK_EVERY: Final = 60
"""Steps between two looks for rounds that others left."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a share of a round ended; `is_clean` where none of its markers can be in the table any more."""

    error: SourceError | None = None
    is_clean: bool = True


@dataclass(frozen=True, slots=True)
class _Running:
    """A round that is being written, or removed."""

    round: Round
    futures: Sequence[Future[_Ended]]


@dataclass(slots=True, kw_only=True)
class Marking:
    """Writes rounds of markers for the moment that something waits for, until each open shard returned one.

    Guarantees:
        - No more than `order.limits.marker_writes` markers are written for one moment.
        - A marker is removed at once after it was written. What a kill leaves is in the ledger, and removed by the next
          worker that leads.
        - Shards that a whole budget did not reach are not written for again, unless others have to be reached as well.
        - Where the markers are spent, refused, or not back in time, time counts, and the shards are named.
    """

    order: SyncOrder
    conn: Conn
    executor: Executor
    emit: Emit
    _running: _Running | None = None
    _cleaning: _Running | None = None
    _is_refused: bool = False
    _out_of_reach: frozenset[str] = frozenset()
    _written_at: datetime | None = None
    _not_before: float = 0.0
    _steps: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def step(self) -> None:
        """Do what is due; never waits for DynamoDB. Before anything asks whether a moment was passed."""
        table = self.order.markers
        state = self._state()
        if marking.set_marking(self.conn, self.order.plan.name, state) and state == "unfit":
            self.emit(MarkersRefused(reason="the table's partition key is not text"))
        if table is None or state != "on":
            self._settle_wish()
            return
        self._hear()
        self._clean(table)
        self._ask_for_loads()
        wanted = marking.wanted(self.conn, self.order.plan.name)
        if wanted is not None:
            self._work(table, wanted)

    def leave(self) -> None:
        """End the round that is being written: markers that were written are removed, the others never are written.

        Where PostgreSQL is gone the round stays in the ledger, and the next worker removes what may be left.
        """
        self._stop.set()
        if not self.conn.closed and not self.conn.broken:
            self._hear(wait=True)

    def _state(self) -> marking.State:
        if self.order.markers is None:
            return "off"
        if self._is_refused:
            return "refused"
        return "on" if can_mark(self.order.plan) else "unfit"

    def _settle_wish(self) -> None:
        """Nothing will come of what another worker, which wrote markers, was asked for."""
        wanted = marking.wanted(self.conn, self.order.plan.name)
        if wanted is not None:
            marking.give_up(self.conn, self.order.plan.name, wanted.moment)

    def _ask_for_loads(self) -> None:
        for load in loads.captured_loads(self.conn, self.order.plan.name):
            if passing(self.conn, self.order.plan.name, load.rows_ended_at).unmarked:
                marking.want(self.conn, self.order.plan.name, load.rows_ended_at)

    def _work(self, table: MarkerTable, wanted: Wanted) -> None:
        source, limits = self.order.plan.name, self.order.limits
        found = passing(self.conn, source, wanted.moment)
        if found.by_markers:
            marking.reached(self.conn, source, wanted.moment)
            return
        is_late = wanted.sent > 0 and wanted.seconds > limits.marker_patience_seconds
        left = limits.marker_writes - wanted.sent
        if is_late:
            self._give_up(wanted, found)
        elif self._running is not None or self.order.clock() < self._not_before or self._may_return(wanted):
            return
        elif left <= 0:
            self._out_of_reach = frozenset(found.unmarked)
            self._give_up(wanted, found)
        elif wanted.sent and self._out_of_reach.issuperset(found.unmarked):
            self._give_up(wanted, found)
        elif found.unmarked:
            shards = found.marked + len(found.unmarked)
            self._send(table, min(left, wanted.sent or max(_FEWEST, _A_SHARD * shards)))

    def _may_return(self, wanted: Wanted) -> bool:
        """Whether markers of the last round are ahead of a shard's reader: more of them would be of no use."""
        return self._written_at is not None and may_still_return(
            self.conn,
            self.order.plan.name,
            wanted.moment,
            written=self._written_at,
            margin_seconds=self.order.limits.margin_seconds,
        )

    def _send(self, table: MarkerTable, markers: int) -> None:
        begun = marking.begin_round(self.conn, self.order.plan.name, markers)
        self._written_at = begun.written_at
        shares = [share for at in range(_WRITERS) if (share := self._keys(begun)[at::_WRITERS])]
        self._stop.clear()
        self._running = _Running(
            begun, [self.executor.submit(_write_and_remove, table, share, self._stop) for share in shares]
        )
        self._hear()

    def _keys(self, begun: Round) -> list[Item]:
        return [
            marker_key(self.order.plan, begun.round, number, begun.written_at) for number in range(1, begun.markers + 1)
        ]

    def _hear(self, *, wait: bool = False) -> None:
        """Look whether the rounds that are under way have ended, and how."""
        for running in (self._running, self._cleaning):
            if running is None or not (wait or all(future.done() for future in running.futures)):
                continue
            ended = [future.result() for future in running.futures]
            self._running = None if running is self._running else self._running
            self._cleaning = None if running is self._cleaning else self._cleaning
            self._not_before = self.order.clock() + self.order.limits.marker_return_seconds
            if all(one.is_clean for one in ended):
                marking.round_is_clean(self.conn, running.round.round)
            for one in ended:
                if one.error is not None:
                    self._failed(one.error)

    def _failed(self, error: SourceError) -> None:
        """No markers for now, or none at all: the wait goes on by time."""
        self._not_before = self.order.clock() + _KEPT_BACK_SECONDS
        if isinstance(error, AccessDenied) and not self._is_refused:
            self._is_refused = True
            marking.set_marking(self.conn, self.order.plan.name, "refused")
            records.audit(self.conn, "markers refused", {"source": self.order.plan.name, "action": error.action})
            self.emit(MarkersRefused(reason=f"these credentials may not {error.action}"))
            self._settle_wish()

    def _give_up(self, wanted: Wanted, found: Passing) -> None:
        source = self.order.plan.name
        with self.conn.transaction():
            marking.give_up(self.conn, source, wanted.moment)
            claim = {name: one for name, one in found.as_json().items() if name != "passed"}
            records.audit(self.conn, "markers spent", {"source": source, "markers": wanted.sent, **claim})
        self.emit(MarkersSpent(markers=wanted.sent, shards=found.marked, not_reached=found.unmarked))

    def _clean(self, table: MarkerTable) -> None:
        """Remove what a worker that was killed may have left."""
        self._steps += 1
        if self._steps % _LOOK_EVERY != 1 or self._cleaning is not None:
            return
        mine = None if self._running is None else self._running.round.round
        age = self.order.limits.marker_left_seconds
        for left in marking.rounds_left(self.conn, self.order.plan.name, seconds=age):
            if left.round != mine:
                self._cleaning = _Running(left, [self.executor.submit(_remove, table, self._keys(left))])
                return


def _write_and_remove(table: MarkerTable, keys: Sequence[Item], stop: threading.Event) -> _Ended:
    is_clean = True
    try:
        table.delete(keys[0])  # whoever may not remove a marker fails here, before one is written
        for key in keys:
            if stop.is_set():
                break
            is_clean = False
            table.put(key)
            table.delete(key)
            is_clean = True
    except SourceError as error:
        is_refused = isinstance(error, AccessDenied) and error.action == "dynamodb:PutItem"
        return _Ended(error, is_clean or is_refused)
    return _Ended()


def _remove(table: MarkerTable, keys: Sequence[Item]) -> _Ended:
    try:
        for key in keys:
            table.delete(key)
    except SourceError as error:
        return _Ended(error, is_clean=False)
    return _Ended()
