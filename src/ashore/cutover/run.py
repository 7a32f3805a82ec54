"""Cutting over and rolling back: hold, wait, switch; or give up before the pause becomes longer than it may be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from ashore.cutover import foreign_keys, switch
from ashore.cutover.errors import TookTooLong
from ashore.cutover.switch import Crossing, Held, NotYet
from ashore.ledger import crossing, records, rehearsal
from ashore.ledger.errors import StateMoved
from ashore.ledger.marking import want
from ashore.observe.events import Finding
from ashore.postgres.connect import Conn, one_row

_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How to switch. `mark` asks for markers after the fence, where they are on; `sleep` and `clock` count seconds."""

    max_pause_seconds: float
    has_way_back: bool = True
    mark: Callable[[Conn, str, datetime], object] = want
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a switch took: the seconds for which writes were held, and how the fence is known to have been passed."""

    entities: tuple[str, ...]
    state: str
    pause_seconds: float
    passed: str
    findings: tuple[Finding, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """How long a cutover would hold the writes, and how it would know that the stream was read past the fence."""

    entities: tuple[str, ...]
    pause_seconds: float
    passed: str


def cut_over(conn: Conn, one: Crossing, order: Order) -> Done:
    """Move the writes of entities that are synced, or read already, to PostgreSQL.

    `conn` is in autocommit mode. Can be killed at any instant: until the switch, writes are open again in DynamoDB when
    the deadline has passed; after it they are open in PostgreSQL.

    Raises:
        TookTooLong, StateMoved: Writes go to DynamoDB, as before.
    """
    doing = "the cutover"
    _assert_fence_fits(conn, one, order, doing)
    began = order.clock()
    held = switch.hold(conn, one, expected=("syncing", "reading"), to="draining", seconds=order.max_pause_seconds)
    with _given_up_unless_done(conn, one, held):
        fence = _fence(conn, one, order)

        def attempt() -> str:
            order.mark(conn, one.source, fence)  # each time: nothing comes of it while another moment is asked for
            return switch.to_writing(conn, one, held, fence, has_way_back=order.has_way_back)

        passed = _until(order, began, doing, attempt)
    pause = order.clock() - began
    findings = foreign_keys.validate(conn, one.source, one.own_tables)
    _note_pause(conn, one, "writing", held, pause)
    return Done(
        entities=one.entities, state="writing", pause_seconds=pause, passed=passed, findings=tuple(findings)
    )  # fmt: skip


def roll_back(conn: Conn, one: Crossing, order: Order) -> Done:
    """Move the writes back to DynamoDB, once it holds everything that was written in PostgreSQL.

    `conn` is in autocommit mode. Can be killed at any instant: until the switch, writes are open again in PostgreSQL
    when the deadline has passed.

    Raises:
        TookTooLong, StateMoved, NoWayBack, RoleMayStillWrite: Writes go to PostgreSQL, as before.
    """
    doing = "the way back"
    _assert_fence_fits(conn, one, order, doing)
    began = order.clock()
    held = switch.hold(conn, one, expected=("writing",), to="returning", seconds=order.max_pause_seconds)
    held_since = order.clock()
    with _given_up_unless_done(conn, one, held):
        _until(order, began, doing, lambda: switch.wait_for_writers(conn, one))
        _until(order, began, doing, lambda: switch.assert_written_back(conn, one))
        fence = _fence(conn, one, order, waited=order.clock() - held_since)

        def attempt() -> str:
            order.mark(conn, one.source, fence)
            return switch.to_syncing(conn, one, held, fence)

        passed = _until(order, began, doing, attempt)
    pause = order.clock() - began
    _note_pause(conn, one, "syncing", held, pause)
    return Done(entities=one.entities, state="syncing", pause_seconds=pause, passed=passed)


def retire(conn: Conn, one: Crossing, order: Order, *, note: Callable[[], object]) -> None:
    """Close the way back for good, with what `note` writes of it. Writers are never made to wait for long.

    `conn` is in autocommit mode.

    Raises:
        TookTooLong, StateMoved: Nothing was changed.
    """

    def attempt() -> None:
        with conn.transaction():
            switch.to_retired(conn, one)
            note()

    _until(order, order.clock(), "retiring", attempt)


def rehearse(conn: Conn, one: Crossing, order: Order) -> Rehearsed:
    """How long a cutover would hold the writes; nothing is held, and nothing changed but the audit log.

    Raises:
        TookTooLong: Longer than it may.
    """
    validity = crossing.fence_seconds(conn, one.source)
    patience = max(0.0, order.max_pause_seconds - validity)
    found = rehearsal.rehearse(
        conn, one.source, patience_seconds=patience, clock=order.clock, pause=order.sleep
    )  # fmt: skip
    seconds = validity + found.seconds
    if not found.is_past:
        waited_for = f"{found.passed.not_passed} shards have not been read past the present moment"
        raise TookTooLong(doing="the rehearsal", seconds=seconds, waited_for=waited_for)
    detail = {"source": one.source, "entities": list(one.entities), **found.as_json(), "seconds": round(seconds, 3)}
    records.audit(conn, "cutover rehearsal", detail)
    return Rehearsed(entities=one.entities, pause_seconds=seconds, passed=found.passed.how)


def _assert_fence_fits(conn: Conn, one: Crossing, order: Order, doing: str) -> None:
    validity = crossing.fence_seconds(conn, one.source)
    if validity >= order.max_pause_seconds:
        told = f"applications act on what they were told for {validity:g} s, and writes may be held for"
        raise TookTooLong(doing=doing, seconds=0.0, waited_for=f"{told} {order.max_pause_seconds:g} s")


def _fence(conn: Conn, one: Crossing, order: Order, *, waited: float = 0.0) -> datetime:
    """Wait until nobody acts on an earlier answer any more; return that moment.

    On the way back, too: the guard refuses what is written by an earlier answer, and not what is read by one in order
    to be written in DynamoDB.
    """
    order.sleep(max(0.0, crossing.fence_seconds(conn, one.source) - waited))
    fence: datetime = one_row(conn.execute("SELECT clock_timestamp()"))[0]
    return fence


def _until(order: Order, began: float, doing: str, attempt: Callable[[], str | None]) -> str:
    """Try until it works, or the pause is over."""
    while True:
        try:
            return attempt() or ""
        except NotYet as reason:
            waited_for = str(reason)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            waited_for = "another session holds a lock on one of the tables"
        seconds = order.clock() - began
        if seconds >= order.max_pause_seconds:
            raise TookTooLong(doing=doing, seconds=seconds, waited_for=waited_for)
        order.sleep(_AGAIN_SECONDS)


@contextmanager
def _given_up_unless_done(conn: Conn, one: Crossing, held: Held) -> Iterator[None]:
    """Open the writes at once where the switch is not reached; the deadline does it where this process cannot."""
    try:
        yield
    except StateMoved:
        raise
    except BaseException:
        if not conn.closed and not conn.broken:
            with suppress(psycopg.errors.LockNotAvailable):
                switch.give_up(conn, one, held)
        raise


def _note_pause(conn: Conn, one: Crossing, state: str, held: Held, pause: float) -> None:
    detail = {"source": one.source, "entities": list(one.entities), "held_at": held.at.isoformat()}
    records.audit(conn, f"{state}: pause", {**detail, "seconds": round(pause, 3)})
