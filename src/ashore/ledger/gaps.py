"""Gaps: records that left a stream before they were read, until what they said has been read from the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from ashore.ledger.streams import ShardRecord
from ashore.postgres.connect import Conn, one_row

GapKind = Literal["trimmed", "vanished", "unknown_start", "unlisted_parent"]

_FORGET_UNDECIDED = """
    DELETE FROM ashore.gap
    WHERE source = %(source)s AND shard = %(shard)s AND decision IS NULL AND repaired_at IS NULL
"""
_GAP = """
    INSERT INTO ashore.gap (source, shard, kind, after, decision)
    VALUES (%(source)s, %(shard)s, %(kind)s, %(after)s, %(decision)s) RETURNING id
"""
_OPEN_GAPS = """
    SELECT id, shard, kind, found_at, decision FROM ashore.gap WHERE source = %s AND repaired_at IS NULL ORDER BY id
"""
_REPAIRED = "UPDATE ashore.gap SET repaired_at = clock_timestamp() WHERE id = ANY(%(gaps)s) AND repaired_at IS NULL"
_SKIP_LOST = """
    UPDATE ashore.shard SET state = 'skipped' WHERE source = %(source)s AND state = 'lost'
      AND shard IN (SELECT shard FROM ashore.gap WHERE id = ANY(%(gaps)s))
"""
_FORGET_GAPS = """
    UPDATE ashore.gap SET repaired_at = clock_timestamp(), decision = 'reload'
    WHERE source = %s AND repaired_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A row of `ashore.gap` that is not repaired."""

    id: int
    shard: str | None
    kind: GapKind
    found_at: datetime
    decision: str | None


def keep_gap(conn: Conn, *, source: str, shard: ShardRecord | None, kind: GapKind, decision: str | None) -> int:
    """Note that records were lost before they were read; return the gap's number.

    A gap of the shard that nobody has decided on yet is replaced.
    """
    arguments = {
        "source": source,
        "shard": None if shard is None else shard.shard,
        "kind": kind,
        "after": None if shard is None else shard.position,
        "decision": decision,
    }
    conn.execute(_FORGET_UNDECIDED, arguments)
    return int(one_row(conn.execute(_GAP, arguments))[0])


def open_gaps(conn: Conn, source: str) -> list[Gap]:
    """The gaps that are not repaired."""
    with conn.cursor(row_factory=class_row(Gap)) as cursor:
        return cursor.execute(_OPEN_GAPS, (source,)).fetchall()


def gaps_repaired(conn: Conn, source: str, gaps: Sequence[int]) -> None:
    """Note that what was lost in these gaps has been read from the table; their lost shards hold nothing up then."""
    arguments = {"source": source, "gaps": list(gaps)}
    conn.execute(_REPAIRED, arguments)
    conn.execute(_SKIP_LOST, arguments)


def forget_gaps(conn: Conn, source: str) -> None:
    """Note that a new beginning makes earlier gaps meaningless."""
    conn.execute(_FORGET_GAPS, (source,))
