"""Markers in the ledger: whether they are written, what waits for them, and rounds that are not cleaned up yet.

A round is in the ledger before its first marker is in the table, and leaves it once they are all removed. So whoever
comes after a kill knows every key that may have stayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from psycopg.rows import class_row

from ashore.postgres.connect import Conn, one_row

State = Literal["off", "on", "refused", "unfit"]
"""`refused`: these credentials may not write them. `unfit`: the table's partition key is not text."""

_SET: Final = "UPDATE ashore.stream SET marking = %(state)s WHERE source = %(source)s AND marking <> %(state)s"
_WANT: Final = """
    UPDATE ashore.stream
    SET wanted_at = %(moment)s, wanted_since = clock_timestamp(), markers_sent = 0
    WHERE source = %(source)s AND marking = 'on' AND wanted_at IS NULL
      AND coalesce(timed_to < %(moment)s, true)
"""
_WANTED: Final = """
    SELECT wanted_at AS moment, extract(epoch FROM clock_timestamp() - wanted_since)::float8 AS seconds,
           markers_sent AS sent
    FROM ashore.stream WHERE source = %s AND wanted_at IS NOT NULL
"""
_ENDED: Final = """
    UPDATE ashore.stream
    SET wanted_at = NULL, wanted_since = NULL,
        timed_to = CASE WHEN %(timed)s THEN greatest(timed_to, %(moment)s) ELSE timed_to END
    WHERE source = %(source)s AND wanted_at = %(moment)s
"""
_BEGIN: Final = """
    INSERT INTO ashore.marker_round (source, markers) VALUES (%(source)s, %(markers)s)
    RETURNING round, written_at, markers
"""
_SENT: Final = "UPDATE ashore.stream SET markers_sent = markers_sent + %(markers)s WHERE source = %(source)s"
_LEFT: Final = """
    SELECT round::text, written_at, markers FROM ashore.marker_round
    WHERE source = %(source)s AND written_at < clock_timestamp() - %(seconds)s * interval '1 s' ORDER BY written_at
"""
_CLEAN: Final = "DELETE FROM ashore.marker_round WHERE round = %s"
_STATE: Final = "SELECT marking, markers_sent, wanted_at FROM ashore.stream WHERE source = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A moment that something waits for, since when, and how many markers were sent for it."""

    moment: datetime
    seconds: float
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Markers that are written together. Its keys say `written_at`, which is earlier than any of them."""

    round: str
    written_at: datetime
    markers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkingState:
    """Whether markers are written; how many were for the last moment; the moment that something waits for now."""

    marking: State
    markers_sent: int
    wanted_at: datetime | None


def set_marking(conn: Conn, source: str, state: State) -> bool:
    """Say whether the leading worker writes markers; return whether that is news."""
    return conn.execute(_SET, {"source": source, "state": state}).rowcount == 1


def marking_of(conn: Conn, source: str) -> MarkingState | None:
    """What is said of the markers of a source."""
    with conn.cursor(row_factory=class_row(MarkingState)) as cursor:
        return cursor.execute(_STATE, (source,)).fetchone()


def want(conn: Conn, source: str, moment: datetime) -> None:
    """Ask that every shard be shown to have passed `moment` (PostgreSQL's clock). Nothing happens while another is
    asked for, where no markers are written, and where they were given up for a later moment.
    """
    conn.execute(_WANT, {"source": source, "moment": moment})


def wanted(conn: Conn, source: str) -> Wanted | None:
    """What is asked for."""
    with conn.cursor(row_factory=class_row(Wanted)) as cursor:
        return cursor.execute(_WANTED, (source,)).fetchone()


def reached(conn: Conn, source: str, moment: datetime) -> None:
    """Every open shard returned a marker of after `moment`."""
    conn.execute(_ENDED, {"source": source, "moment": moment, "timed": False})


def give_up(conn: Conn, source: str, moment: datetime) -> None:
    """No more markers for `moment`: from now on time counts for the shards that returned none."""
    conn.execute(_ENDED, {"source": source, "moment": moment, "timed": True})


def begin_round(conn: Conn, source: str, markers: int) -> Round:
    """Note that so many markers are about to be written; commits before it returns where `conn` is in autocommit."""
    arguments: dict[str, Any] = {"source": source, "markers": markers}
    with conn.transaction():
        found = one_row(conn.execute(_BEGIN, arguments))
        conn.execute(_SENT, arguments)
    return Round(round=str(found[0]), written_at=found[1], markers=int(found[2]))


def rounds_left(conn: Conn, source: str, *, seconds: float) -> list[Round]:
    """Rounds that began longer ago than that and are not cleaned up: whoever wrote them died, or could not."""
    with conn.cursor(row_factory=class_row(Round)) as cursor:
        return cursor.execute(_LEFT, {"source": source, "seconds": seconds}).fetchall()


def round_is_clean(conn: Conn, number: str) -> None:
    """Note that none of a round's markers is in the table any more."""
    conn.execute(_CLEAN, (number,))
