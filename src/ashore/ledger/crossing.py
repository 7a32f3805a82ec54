"""Which store an entity's reads and writes go to: asked by applications, changed by compare-and-set."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ashore.ledger.errors import StateMoved
from ashore.postgres.connect import Conn, one_row

Store = Literal["dynamodb", "postgres"]
HeldState = Literal["draining", "returning"]
OpenState = Literal["syncing", "reading", "writing", "retired"]
DEFAULT_VALIDITY_MS: Final = 5_000
"""What `ashore.routes` says while nothing is set: no fence may wait for less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A row of `ashore.routes`: where calls of one entity go, and for how long that may be acted on.

    `reads` is for calls that only read; one that feeds a write goes to `feeding_reads`. `held_ms` is how much longer
    writes are held at most, None while they are not. All that was written to DynamoDB `lag_ms` before the answer has
    arrived in PostgreSQL; None where that is not known.
    """

    entity: str
    state: str
    epoch: int
    reads: Store
    feeding_reads: Store
    writes: Literal["dynamodb", "postgres", "held"]
    validity_ms: int
    held_ms: int | None
    lag_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossingState:
    """An entity's state as the commands that change it need it."""

    entity: str
    tables: list[str]
    state: str
    came_from: str | None
    deadline: datetime | None
    epoch: int
    since: datetime


_ROUTES: Final = """
    SELECT entity, state, epoch, reads, feeding_reads, writes, validity_ms, held_ms, lag_ms FROM ashore.routes(%s)
"""
_STATES: Final = """
    SELECT entity, tables, state, came_from, deadline, epoch, since FROM ashore.entity
    WHERE source = %s AND entity <> '' ORDER BY entity
"""
_HOLD: Final = """
    UPDATE ashore.entity SET came_from = state, state = %(to)s, epoch = epoch + 1, since = clock_timestamp(),
        deadline = clock_timestamp() + %(seconds)s * interval '1 s'
    WHERE source = %(source)s AND entity = ANY(%(entities)s) AND state = ANY(%(expected)s)
    RETURNING entity, epoch
"""
_OPEN: Final = """
    UPDATE ashore.entity SET state = %(to)s, came_from = NULL, deadline = NULL, epoch = epoch + 1,
        since = clock_timestamp()
    WHERE source = %(source)s AND entity = ANY(%(entities)s) AND state = %(expected)s
      AND coalesce(deadline > clock_timestamp(), true)
      AND (%(epochs)s::jsonb IS NULL OR epoch = (%(epochs)s::jsonb ->> entity)::bigint)
"""
_GIVE_UP: Final = """
    UPDATE ashore.entity SET deadline = clock_timestamp()
    WHERE source = %(source)s AND state IN ('draining', 'returning')
      AND epoch = (%(epochs)s::jsonb ->> entity)::bigint
"""
_SET_VALIDITY: Final = """
    INSERT INTO ashore.crossing AS c (source, validity_ms, longest_validity_ms, since)
    VALUES (%(source)s, %(validity)s, greatest(%(validity)s, %(default)s), 'infinity')
    ON CONFLICT (source) DO UPDATE
    SET validity_ms = excluded.validity_ms, since = 'infinity', longest_validity_ms = greatest(
        excluded.validity_ms, c.validity_ms,
        CASE WHEN c.since + c.longest_validity_ms * interval '2 ms' >= clock_timestamp() THEN c.longest_validity_ms END)
    WHERE c.validity_ms <> excluded.validity_ms OR c.since = 'infinity'
"""
_SINCE_NOW: Final = """
    UPDATE ashore.crossing SET since = clock_timestamp() WHERE source = %(source)s AND since = 'infinity'
"""
_VALIDITY: Final = """
    SELECT coalesce(max(CASE WHEN since + longest_validity_ms * interval '2 ms' >= clock_timestamp()
                             THEN longest_validity_ms ELSE validity_ms END), %(default)s)
    FROM ashore.crossing WHERE source = %(source)s
"""


def routes(conn: Conn, source: str) -> dict[str, Route]:
    """The routes of a source's entities, by name. Whoever asks sends overdue ones back first.

    `conn` must be of the primary, and in no transaction of a higher isolation level than READ COMMITTED.
    """
    with conn.cursor(row_factory=class_row(Route)) as cursor:
        return {route.entity: route for route in cursor.execute(_ROUTES, (source,))}


def crossing_states(conn: Conn, source: str) -> dict[str, CrossingState]:
    """The states of a source's entities, by name."""
    with conn.cursor(row_factory=class_row(CrossingState)) as cursor:
        return {state.entity: state for state in cursor.execute(_STATES, (source,))}


def hold(
    conn: Conn, *, source: str, entities: Sequence[str], expected: Collection[str], to: HeldState, seconds: float
) -> dict[str, int]:
    """Hold the writes of entities, all of which must be in one of the expected states, for at most so many seconds.

    The caller's transaction. After its commit anybody may, and will, send them back once the time is over. Returns the
    epoch that each has by then, which tells this hold from a later one of the same entities.

    Raises:
        StateMoved: One was in another state; the caller's transaction must be rolled back.
    """
    arguments = {
        "source": source,
        "entities": list(entities),
        "expected": list(expected),
        "to": to,
        "seconds": seconds,
    }
    epochs: dict[str, int] = dict(conn.execute(_HOLD, arguments).fetchall())
    if len(epochs) != len(set(entities)):
        raise StateMoved(entities=tuple(entities), expected=tuple(expected))
    return epochs


def move(
    conn: Conn,
    *,
    source: str,
    entities: Sequence[str],
    expected: str,
    to: OpenState,
    epochs: Mapping[str, int] | None = None,
) -> None:
    """Take entities from one state to the next, all of them or none; a held one only before its deadline.

    With the `epochs` that `hold` returned only out of that hold: whoever was asleep past its deadline may find that
    another holds the same entities, whose fence is not his.

    The caller's transaction. The rows stay locked until it ends, so nobody sends them back meanwhile.

    Raises:
        StateMoved: One was in another state, or its deadline has passed; the transaction must be rolled back.
    """
    arguments = {
        "source": source,
        "entities": list(entities),
        "expected": expected,
        "to": to,
        "epochs": None if epochs is None else Jsonb(dict(epochs)),
    }
    if conn.execute(_OPEN, arguments).rowcount != len(set(entities)):
        raise StateMoved(entities=tuple(entities), expected=(expected,))


def give_up(conn: Conn, source: str, epochs: Mapping[str, int]) -> None:
    """Let the time of a hold, and of no other, be over at once: the next who asks sends its entities back."""
    conn.execute(_GIVE_UP, {"source": source, "epochs": Jsonb(dict(epochs))})


def return_overdue(conn: Conn, source: str) -> int:
    """Send entities back that are held longer than they may be; return how many were."""
    return int(one_row(conn.execute("SELECT ashore.return_overdue(%s)", (source,)))[0])


def set_validity(conn: Conn, source: str, milliseconds: int) -> None:
    """Say for how long applications may act on what `routes` tells them from now on. Idempotent.

    `conn` is in autocommit mode: that it is so is committed first, and since when is written down after that.
    """
    arguments = {"source": source, "validity": milliseconds, "default": DEFAULT_VALIDITY_MS}
    conn.execute(_SET_VALIDITY, arguments)
    conn.execute(_SINCE_NOW, arguments)


def fence_seconds(conn: Conn, source: str) -> float:
    """How long after a change of state an application may still act on the earlier one, at most.

    A longer validity than the present one counts until twice its time is over: once for the answers that were given
    under it, and once as a margin for the clock of a server that failed over.
    """
    row = one_row(conn.execute(_VALIDITY, {"source": source, "default": DEFAULT_VALIDITY_MS}))
    return int(row[0]) / 1000
