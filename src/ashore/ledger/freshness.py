"""How fresh the rows are: how far the stream was read, and when they were last found equal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from psycopg.rows import class_row

from ashore.postgres.connect import Conn

_LAGS: Final = """
    SELECT shard, owner, extract(epoch FROM clock_timestamp() - greatest(passed_at, marked_at))::float8 AS lag_seconds,
           records, newest_record_at, marked_at
    FROM ashore.shard WHERE source = %s AND state = 'open' ORDER BY shard
"""
_AS_OF: Final = """
    SELECT extract(epoch FROM clock_timestamp() - as_of)::float8 FROM ashore.stream_freshness WHERE source = %s
"""
_UNREAD: Final = """
    SELECT extract(epoch FROM clock_timestamp() - min(coalesce(greatest(passed_at, marked_at), listed_at)))::float8
    FROM ashore.shard WHERE source = %s AND state = 'open'
"""
_VERIFIED: Final[LiteralString] = """
    SELECT v.at, array_remove(ARRAY[
        CASE WHEN v.at < clock_timestamp() - interval '1 day' THEN 'it is older than a day' END,
        CASE WHEN EXISTS (SELECT FROM ashore.verification w WHERE w.source = v.source AND w.id > v.id)
             THEN 'a later verification did not find it equal' END,
        (SELECT 'not compared: ' || string_agg(e.entity, ', ' ORDER BY e.entity) FROM ashore.entity e
          WHERE e.source = v.source AND e.entity <> '' AND e.state NOT IN ('declared', 'loading')
            AND NOT EXISTS (SELECT FROM jsonb_array_elements(v.report -> 'entities') AS o (entity)
                            WHERE o.entity ->> 'entity' = e.entity)),
        CASE WHEN EXISTS (SELECT FROM ashore.load l
                          WHERE l.source = v.source AND l.purpose = 'load' AND l.started_at > v.at)
             THEN 'something was loaded after it' END,
        (SELECT 'changes were rejected after it: ' || count(*) FROM ashore.rejected_item r
          WHERE r.source = v.source AND r.rejected_at > v.at
            AND NOT ashore.is_waived(r.source, 'rejected', r.key, sha256(r.item || convert_to(r.reason, 'UTF8')))
          HAVING count(*) > 0),
        CASE WHEN EXISTS (SELECT FROM ashore.gap g WHERE g.source = v.source
                          AND g.found_at > (v.report ->> 'started_at')::timestamptz)
             THEN 'records of the stream were lost after it began' END,
        (SELECT 'changes are parked: ' || count(*) FROM ashore.obstacle p
          WHERE p.source = v.source AND p.kind = 'parked' AND NOT p.is_waived HAVING count(*) > 0),
        (SELECT 'keys wait to be repaired: ' || count(*) FROM ashore.repair r
          WHERE r.source = v.source HAVING count(*) > 0)
    ]::text[], NULL) AS stale
    FROM ashore.verification v WHERE v.source = %s AND (v.report ->> 'equal')::boolean
    ORDER BY v.id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLag:
    """A shard that is read. `marked_at` is the moment that its last marker shows it to have passed."""

    shard: str
    owner: str | None
    lag_seconds: float | None
    records: int
    newest_record_at: datetime | None
    marked_at: datetime | None


def shard_lags(conn: Conn, source: str) -> list[ShardLag]:
    """The shards that are read, by name."""
    with conn.cursor(row_factory=class_row(ShardLag)) as cursor:
        return cursor.execute(_LAGS, (source,)).fetchall()


def lag_seconds(conn: Conn, source: str) -> float | None:
    """How long ago the moment was up to which every change has arrived; None where that is not known."""
    row = conn.execute(_AS_OF, (source,)).fetchone()
    return None if row is None else row[0]


def unread_seconds(conn: Conn, source: str) -> float | None:
    """How old what no worker has read yet may be: records that are older than a day are lost.

    Unlike the lag it is known of a shard that was never read: since it was listed. None where no shard is open.
    """
    row = conn.execute(_UNREAD, (source,)).fetchone()
    return None if row is None else row[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The newest verification of a source that found it equal. `stale` says why it does not count any more."""

    at: datetime
    stale: tuple[str, ...]

    @property
    def is_fresh(self) -> bool:
        """Whether it still says something."""
        return not self.stale


def last_verified(conn: Conn, source: str) -> Verified | None:
    """When the source was last verified and found equal, and whether that still counts; None where it never was.

    It goes stale after a day; with a load, a rejected change or lost records after it; while changes are parked or keys
    wait to be repaired; with a later verification that found differences; and it never counts for entities that it
    did not compare.
    """
    with conn.cursor(row_factory=class_row(_Row)) as cursor:
        row = cursor.execute(_VERIFIED, (source,)).fetchone()
    return None if row is None else Verified(at=row.at, stale=tuple(row.stale))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    at: datetime
    stale: list[str]
