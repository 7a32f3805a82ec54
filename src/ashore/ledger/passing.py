"""Whether the stream has passed a moment: everything that was written before it has arrived, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ashore.postgres.connect import Conn, one_row

_PASSED: Final = """
    WITH time AS (
        SELECT coalesce(bool_or(marking <> 'on' OR coalesce(timed_to >= %(moment)s, false)), true) AS counts,
               coalesce(max(listed_whole_at), '-infinity') AS listed_at
        FROM ashore.stream WHERE source = %(source)s
    ), known AS (
        SELECT shard, state,
               state = 'open' AND coalesce(marked_at >= %(moment)s, false) AS is_marked,
               state = 'open' AND coalesce(passed_at >= %(moment)s, false) AS is_timed,
               state = 'lost' OR state = 'ended' AND (ended_at > time.listed_at OR NOT EXISTS (
                   SELECT FROM ashore.shard c WHERE c.source = s.source AND c.parent = s.shard)) AS holds_up
        FROM ashore.shard s CROSS JOIN time WHERE source = %(source)s
    )
    SELECT count(*) FILTER (WHERE holds_up OR state = 'open' AND NOT is_marked AND NOT (is_timed AND time.counts)),
           count(*) FILTER (WHERE is_marked),
           coalesce(array_agg(shard ORDER BY shard) FILTER (WHERE state = 'open' AND NOT is_marked), '{}')
    FROM known CROSS JOIN time
"""
_BEHIND: Final = """
    SELECT EXISTS (
        SELECT FROM ashore.shard WHERE source = %(source)s AND state = 'open'
          AND coalesce(marked_at < %(moment)s, true)
          AND coalesce(passed_at + %(margin)s * interval '1 s' < %(written)s, true))
"""
_AGO = "SELECT clock_timestamp() - %s * interval '1 s'"
_NAMED: Final = 20
"""How many shards a claim names; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """Whether every shard has passed a moment, and how that is known.

    `not_passed` counts shards. `marked` open shards returned a marker that was written after the moment; `unmarked`
    names the others, which pass by time.
    """

    not_passed: int
    marked: int
    unmarked: tuple[str, ...]

    @property
    def is_past(self) -> bool:
        """Whether all have."""
        return not self.not_passed

    @property
    def by_markers(self) -> bool:
        """Whether markers say so of every open shard."""
        return self.marked > 0 and not self.unmarked

    @property
    def how(self) -> str:
        """The claim in words: ``by markers``, ``by time``, or ``by markers, and by time for 2 of 5 shards``."""
        if self.by_markers:
            return "by markers"
        if not self.marked:
            return "by time"
        return f"by markers, and by time for {len(self.unmarked)} of {self.marked + len(self.unmarked)} shards"

    def as_json(self) -> dict[str, Any]:
        """The claim as reports and the audit log keep it; at most 20 shards are named."""
        return {
            "passed": self.how,
            "shards_by_markers": self.marked,
            "shards_by_time": len(self.unmarked),
            "by_time": list(self.unmarked[:_NAMED]),
        }


def passing(conn: Conn, source: str, moment: datetime) -> Passing:
    """Whether every shard has passed `moment`: by a marker, by time, or ended with children that have.

    All of its children: of two, the listing may have brought one yet, on an earlier page than the other.
    While markers are being sent, time counts for a moment only once they were given up for it (`marking.give_up`).
    """
    row = one_row(conn.execute(_PASSED, {"source": source, "moment": moment}))
    return Passing(not_passed=int(row[0]), marked=int(row[1]), unmarked=tuple(row[2]))


def may_still_return(conn: Conn, source: str, moment: datetime, *, written: datetime, margin_seconds: float) -> bool:
    """Whether a shard that has not passed `moment` by a marker has not been read as far as `written` either.

    So markers of that time may be ahead of its reader still. `margin_seconds` is what the workers keep back of the time
    that they have read to.
    """
    arguments = {"source": source, "moment": moment, "written": written, "margin": margin_seconds}
    return bool(one_row(conn.execute(_BEHIND, arguments))[0])


def moment_ago(conn: Conn, seconds: float) -> datetime:
    """The moment that many seconds ago, by PostgreSQL's clock: moments of other clocks compare with nothing here."""
    found: datetime = one_row(conn.execute(_AGO, (max(0.0, seconds),)))[0]
    return found
