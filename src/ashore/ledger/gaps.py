"""Gaps: records that left a stream before they were read, until what they changed was read from the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from psycopg.rows import class_row

from ashore.ledger.streams import ShardRecord
from ashore.postgres.connect import Conn, one_row

GapKind = Literal["trimmed", "vanished", "unknown_start", "unlisted_parent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A row of `ashore.gap` that is not repaired.

    What was lost was written after `known_at` (None: nobody knows since when) and before `found_at`. `asked_at` is when
    every key that it may concern was in the repair queue; it is repaired once these have left it.
    """

    id: int
    shard: str | None
    kind: GapKind
    known_at: datetime | None
    found_at: datetime
    decision: str | None
    asked_at: datetime | None


_KEEP: Final = """
    WITH RECURSIVE line AS (
        SELECT s.parent, s.at_horizon, s.listed_at, greatest(s.passed_at, s.marked_at, s.skipped_at) AS known_at,
               0 AS depth
        FROM ashore.shard s WHERE s.source = %(source)s AND s.shard = %(shard)s
        UNION ALL
        SELECT p.parent, p.at_horizon, p.listed_at, greatest(p.passed_at, p.marked_at, p.skipped_at), c.depth + 1
        FROM line c JOIN ashore.shard p ON p.source = %(source)s AND p.shard = c.parent
        WHERE c.known_at IS NULL AND NOT c.at_horizon
    )
    INSERT INTO ashore.gap (source, shard, kind, after, decision, known_at)
    SELECT %(source)s, %(shard)s, %(kind)s, %(after)s, %(decision)s,
           CASE WHEN %(kind)s <> 'unlisted_parent' THEN (
               SELECT coalesce(known_at, CASE WHEN at_horizon THEN listed_at END) FROM line ORDER BY depth DESC LIMIT 1
           ) END
    RETURNING id
"""
_GO_ON: Final = """
    UPDATE ashore.gap SET decision = %(decision)s, kind = %(kind)s, found_at = clock_timestamp()
    WHERE source = %(source)s AND shard = %(shard)s AND repaired_at IS NULL AND decision IS NULL RETURNING id
"""
_OPEN: Final = """
    SELECT id, shard, kind, known_at, found_at, decision, asked_at FROM ashore.gap
    WHERE source = %s AND repaired_at IS NULL ORDER BY id
"""
_ASKED: Final = """
    UPDATE ashore.gap SET asked_at = (
        SELECT greatest(clock_timestamp(), max(r.asked_at)) FROM ashore.repair r WHERE r.source = %(source)s)
    WHERE source = %(source)s AND id = ANY(%(gaps)s) AND repaired_at IS NULL
"""
_CLOSE: Final = """
    WITH repaired AS (
        UPDATE ashore.gap g SET repaired_at = clock_timestamp()
        WHERE g.source = %(source)s AND g.repaired_at IS NULL AND g.asked_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM ashore.repair r WHERE r.source = g.source AND r.asked_at <= g.asked_at)
        RETURNING g.id, g.shard
    ), skipped AS (
        UPDATE ashore.shard s SET state = 'skipped' FROM repaired
        WHERE s.source = %(source)s AND s.shard = repaired.shard AND s.state = 'lost'
    )
    SELECT id FROM repaired
"""
_OVERTAKEN: Final = """
    WITH reloaded AS (
        UPDATE ashore.gap g SET repaired_at = clock_timestamp(), decision = 'reload'
        WHERE g.source = %(source)s AND g.repaired_at IS NULL AND g.decision = 'repair' AND NOT EXISTS (
            SELECT FROM ashore.entity e JOIN ashore.load l ON l.id = e.load
            WHERE e.source = g.source AND l.started_at < g.found_at
              AND e.state NOT IN ('declared', 'loading', 'loaded'))
        RETURNING g.id, g.shard
    ), skipped AS (
        UPDATE ashore.shard s SET state = 'skipped' FROM reloaded
        WHERE s.source = %(source)s AND s.shard = reloaded.shard AND s.state = 'lost'
    )
    SELECT id FROM reloaded
"""
_FORGET: Final = """
    UPDATE ashore.gap SET repaired_at = clock_timestamp(), decision = 'reload'
    WHERE source = %s AND repaired_at IS NULL
"""


def keep_gap(conn: Conn, *, source: str, shard: ShardRecord, kind: GapKind, decision: str | None) -> int:
    """Note that records of a shard were lost before they were read; return the gap's number.

    A gap at which a worker stopped (no decision) grows until there is one: it is the same gap then.

    Up to the moment that the shard has passed nothing of it is missing, nor of one that was never read up to the moment
    that its parent has passed: its records are younger. Where a parent is not known, since when is not known either.
    """
    arguments = {
        "source": source,
        "shard": shard.shard,
        "kind": kind,
        "after": shard.position,
        "decision": decision,
    }
    known = conn.execute(_GO_ON, arguments).fetchone()
    return int((known or one_row(conn.execute(_KEEP, arguments)))[0])


def open_gaps(conn: Conn, source: str) -> list[Gap]:
    """The gaps that are not repaired."""
    with conn.cursor(row_factory=class_row(Gap)) as cursor:
        return cursor.execute(_OPEN, (source,)).fetchall()


def gaps_asked(conn: Conn, source: str, gaps: Sequence[int]) -> None:
    """Note that every key that these gaps may concern is in the repair queue."""
    conn.execute(_ASKED, {"source": source, "gaps": list(gaps)})


def close_gaps(conn: Conn, source: str) -> list[int]:
    """Note which gaps are repaired, and return their numbers: all that was in the queue with their keys has left it.

    So is a gap that was found before every entity that is synced now was loaded. Shards that were lost in these gaps
    hold nothing up any more. Idempotent.
    """
    with conn.transaction():
        arguments = {"source": source}
        closed = conn.execute(_CLOSE, arguments).fetchall() + conn.execute(_OVERTAKEN, arguments).fetchall()
    return [number for (number,) in closed]


def forget_gaps(conn: Conn, source: str) -> None:
    """Note that a new beginning makes earlier gaps meaningless."""
    conn.execute(_FORGET, (source,))
