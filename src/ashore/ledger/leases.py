"""Shards spread over workers by leases: one worker reads a shard, and a fence keeps an earlier one from writing."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from typing import Final, LiteralString

from ashore.ledger.streams import READABLE, ShardRecord, is_running, shard_record
from ashore.postgres.connect import Conn, one_row

_ALIVE: Final = """
    INSERT INTO ashore.sync_worker (source, worker, host, pid, alive_until, changes_per_s)
    VALUES (%(source)s, %(worker)s, %(host)s, %(pid)s, clock_timestamp() + %(seconds)s * interval '1 s', %(pace)s)
    ON CONFLICT (source, worker) DO UPDATE
    SET alive_until = excluded.alive_until, changes_per_s = excluded.changes_per_s
"""
# Whoever locks several shards does so in this order, SKIP LOCKED too: PostgreSQL waits there all the same where a row's
# newer version is being written. See `streams.keep_listed`.
_RENEW: Final = """
    WITH mine AS (
        SELECT shard FROM ashore.shard WHERE source = %(source)s AND owner = %(worker)s
        ORDER BY shard COLLATE "C" FOR UPDATE
    )
    UPDATE ashore.shard s SET lease_until = clock_timestamp() + %(seconds)s * interval '1 s'
    FROM mine WHERE s.source = %(source)s AND s.shard = mine.shard
    RETURNING s.shard
"""
_FAIR_SHARE: Final[LiteralString] = f"""
    SELECT ceil((SELECT count(*) FROM ashore.shard s WHERE s.source = %(source)s AND {READABLE})
                / greatest(1, (SELECT count(*) FROM ashore.sync_worker w
                               WHERE w.source = %(source)s AND w.alive_until > clock_timestamp()))::numeric)::int
"""  # noqa: S608 (a constant)
_TAKE: Final[LiteralString] = f"""
    WITH free AS (
        SELECT s.shard FROM ashore.shard s
        WHERE s.source = %(source)s AND (s.owner IS NULL OR s.lease_until < clock_timestamp()) AND {READABLE}
        ORDER BY s.listed_at, s.shard LIMIT %(most)s
    ), mine AS (
        SELECT s.shard FROM ashore.shard s JOIN free ON free.shard = s.shard
        WHERE s.source = %(source)s AND (s.owner IS NULL OR s.lease_until < clock_timestamp()) AND s.state = 'open'
        ORDER BY s.shard COLLATE "C" FOR UPDATE OF s SKIP LOCKED
    )
    UPDATE ashore.shard s SET owner = %(worker)s, fence = fence + 1,
        lease_until = clock_timestamp() + %(seconds)s * interval '1 s'
    FROM mine WHERE s.source = %(source)s AND s.shard = mine.shard
    RETURNING s.shard, parent, first, position, state, at_horizon, fence, batches,
              coalesce(greatest(passed_at, marked_at, skipped_at), listed_at)
"""  # noqa: S608 (a constant)
_RELEASE: Final = """
    WITH mine AS (
        SELECT shard FROM ashore.shard WHERE source = %(source)s AND owner = %(worker)s AND shard = ANY(%(shards)s)
        ORDER BY shard COLLATE "C" FOR UPDATE
    )
    UPDATE ashore.shard s SET owner = NULL, lease_until = NULL
    FROM mine WHERE s.source = %(source)s AND s.shard = mine.shard
"""
_LEAVE: Final = """
    WITH mine AS (
        SELECT shard FROM ashore.shard WHERE source = %(source)s AND owner = %(worker)s
        ORDER BY shard COLLATE "C" FOR UPDATE
    ), released AS (
        UPDATE ashore.shard s SET owner = NULL, lease_until = NULL
        FROM mine WHERE s.source = %(source)s AND s.shard = mine.shard
    )
    DELETE FROM ashore.sync_worker WHERE source = %(source)s AND worker = %(worker)s
"""
_ALIVE_NOW: Final = """
    SELECT count(*), coalesce(sum(changes_per_s), 0) FROM ashore.sync_worker
    WHERE source = %s AND alive_until > clock_timestamp()
"""
_FORGET_DEAD: Final = """
    DELETE FROM ashore.sync_worker WHERE source = %s AND alive_until < clock_timestamp() - interval '1 day'
"""


def keep_alive(conn: Conn, source: str, worker: str, *, seconds: float, pace: float = 0.0) -> frozenset[str]:
    """Renew this worker's leases for so many seconds; return the shards that it has still.

    `pace` is how many changes a second it writes, for others to see.
    """
    arguments = {"source": source, "worker": worker, "seconds": seconds}
    with conn.transaction():
        conn.execute(_ALIVE, {**arguments, "host": socket.gethostname(), "pid": os.getpid(), "pace": pace})
        conn.execute(_FORGET_DEAD, (source,))
        return frozenset(shard for (shard,) in conn.execute(_RENEW, arguments))


def fair_share(conn: Conn, source: str) -> int:
    """How many shards a worker should have, of those that may be read now, if all have the same."""
    return int(one_row(conn.execute(_FAIR_SHARE, {"source": source}))[0])


def take(conn: Conn, source: str, worker: str, *, most: int, seconds: float) -> list[ShardRecord]:
    """Take shards that nobody reads, and that may be read: their parents are read to their ends.

    A shard whose parent has not been listed yet waits for it, unless it was there when the stream was begun. None is
    taken while the stream is paused or stopped.

    From its commit on, whoever had a shard before can write nothing of it.
    """
    if most <= 0:
        return []
    arguments = {"source": source, "worker": worker, "most": most, "seconds": seconds}
    with conn.transaction():
        if not is_running(conn, source):
            return []
        return [shard_record(row) for row in conn.execute(_TAKE, arguments)]


def release(conn: Conn, source: str, worker: str, shards: Collection[str]) -> None:
    """Give shards back, for others to take at once."""
    if shards:
        conn.execute(_RELEASE, {"source": source, "worker": worker, "shards": list(shards)})


def workers_alive(conn: Conn, source: str) -> tuple[int, float]:
    """How many workers are alive, and how many changes a second they wrote in the last minute, together."""
    count, pace = one_row(conn.execute(_ALIVE_NOW, (source,)))
    return int(count), float(pace)


def leave(conn: Conn, source: str, worker: str) -> None:
    """Give all shards back and be no worker any more."""
    conn.execute(_LEAVE, {"source": source, "worker": worker})
