"""How fresh the rows are: how far the stream was read, and when they were last found equal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

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
_VERIFIED: Final = """
    SELECT v.at, v.at > clock_timestamp() - interval '1 day' AND NOT EXISTS (
        SELECT FROM ashore.rejected_item r WHERE r.source = v.source AND r.rejected_at > v.at)
        AND NOT EXISTS (
            SELECT FROM ashore.load l WHERE l.source = v.source AND l.purpose = 'load' AND l.started_at > v.at)
    FROM ashore.verification v WHERE v.source = %(source)s AND (v.report ->> 'equal')::boolean
    ORDER BY v.at DESC LIMIT 1
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


def last_verification(conn: Conn, source: str) -> tuple[datetime | None, bool]:
    """When the source was last verified and found equal, and whether that still says something.

    It goes stale after a day, with any change that was rejected after it, and with another load.
    """
    row = conn.execute(_VERIFIED, {"source": source}).fetchone()
    return (None, False) if row is None else (row[0], row[1])
