"""The stream of a source and its shards: which are known, how far each is, who may read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ashore.ledger.errors import LeaseLost
from ashore.model.change import Shard
from ashore.postgres.connect import Conn

StreamState = Literal["running", "paused", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRecord:
    """A row of `ashore.stream`."""

    source: str
    arn: str
    origin: dict[str, Any]
    state: StreamState
    started_at: datetime
    listed_at: datetime | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    """A row of `ashore.shard`, as a worker needs it.

    `position` is the sequence number of the last record whose effect is committed, `batches` the number of
    transactions so far. `at_horizon` says that the shard was open when the stream was begun. Up to `known_at` nothing
    of it is missing.
    """

    shard: str
    parent: str | None
    first: int | None
    position: int | None
    state: str
    at_horizon: bool
    fence: int
    batches: int
    known_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What one committed batch says of its shard. Times are seconds since 1970."""

    position: int | None
    records: int
    newest_record_at: float | None = None
    passed_at: float | None = None
    marked_at: float | None = None
    ended: bool = False


READABLE: Final[LiteralString] = """
    s.state = 'open' AND NOT EXISTS (
        SELECT FROM ashore.shard p WHERE p.source = s.source AND p.shard = s.parent AND p.state = 'open')
    AND (s.parent IS NULL OR s.at_horizon OR EXISTS (
        SELECT FROM ashore.shard p WHERE p.source = s.source AND p.shard = s.parent))
"""
"""Of a shard `s`: there is something to read in it, and all that came before it was read."""

_STREAM = "SELECT source, arn, origin, state, started_at, listed_at, since FROM ashore.stream WHERE source = %s"
_BEGIN = """
    INSERT INTO ashore.stream (source, arn, origin, state, listed_at)
    VALUES (%(source)s, %(arn)s, %(origin)s, 'running', clock_timestamp())
    ON CONFLICT (source) DO UPDATE
    SET arn = excluded.arn, origin = excluded.origin, state = 'running', started_at = clock_timestamp(),
        listed_at = clock_timestamp(), since = clock_timestamp(), marking = 'off', wanted_at = NULL,
        wanted_since = NULL, timed_to = NULL, listed_whole_at = NULL
"""
_FORGET_SHARDS = "DELETE FROM ashore.shard WHERE source = %s"
_FORGET_COUNTS = "DELETE FROM ashore.sync_count WHERE source = %s"
_SET_STATE = "UPDATE ashore.stream SET state = %(state)s, since = clock_timestamp() WHERE source = %(source)s"
_LISTED = """
    INSERT INTO ashore.shard (source, shard, parent, first, state, at_horizon)
    SELECT %(source)s, k.shard, k.parent, k.first, k.state, %(at_horizon)s
    FROM unnest(%(shards)s::text[], %(parents)s::text[], %(firsts)s::numeric[], %(states)s::text[]) WITH ORDINALITY
        AS k(shard, parent, first, state, place)
    ORDER BY k.place
    ON CONFLICT (source, shard) DO UPDATE
    SET seen_at = clock_timestamp(), first = coalesce(shard.first, excluded.first),
        parent = coalesce(shard.parent, excluded.parent)
    RETURNING (xmax = 0)
"""
_LISTED_WHOLE = "UPDATE ashore.stream SET listed_whole_at = %(since)s WHERE source = %(source)s"
_MAY_LIST = """
    UPDATE ashore.stream SET listed_at = clock_timestamp()
    WHERE source = %(source)s AND (listed_at IS NULL OR listed_at < clock_timestamp() - %(seconds)s * interval '1 s')
"""
_NOT_SEEN: Final[LiteralString] = f"""
    SELECT shard, parent, first, position, state, at_horizon, fence, batches,
           coalesce(greatest(passed_at, marked_at, skipped_at), listed_at)
    FROM ashore.shard s WHERE s.source = %(source)s AND s.seen_at < %(since)s AND {READABLE}
"""  # noqa: S608 (a constant)
_WITHOUT_PARENT: Final[LiteralString] = f"""
    SELECT shard, parent, first, position, state, at_horizon, fence, batches,
           coalesce(greatest(passed_at, marked_at, skipped_at), listed_at)
    FROM ashore.shard c WHERE source = %(source)s AND state = 'open' AND NOT at_horizon AND parent IS NOT NULL
      AND NOT EXISTS (SELECT FROM ashore.shard p WHERE p.source = c.source AND p.shard = c.parent)
      AND listed_at < clock_timestamp() - %(seconds)s * interval '1 s'
      AND NOT EXISTS (
          SELECT FROM ashore.shard s WHERE s.source = c.source AND {READABLE}
            AND coalesce(greatest(s.passed_at, s.marked_at, s.skipped_at), '-infinity') < c.listed_at)
"""  # noqa: S608 (a constant)
_PRUNE = """
    WITH gone AS (
        DELETE FROM ashore.shard s WHERE source = %(source)s AND state IN ('ended', 'skipped') AND seen_at < %(since)s
          AND coalesce(ended_at, listed_at) < clock_timestamp() - interval '26 hours'
          AND (parent IS NULL
               OR NOT EXISTS (SELECT FROM ashore.shard p WHERE p.source = s.source AND p.shard = s.parent))
          AND NOT EXISTS (
              SELECT FROM ashore.shard c WHERE c.source = s.source AND c.parent = s.shard AND c.state = 'open')
        RETURNING source, shard
    ), counted AS (
        DELETE FROM ashore.sync_count k USING gone WHERE k.source = gone.source AND k.shard = gone.shard
        RETURNING k.source, k.entity, k.outcome, k.changes
    )
    INSERT INTO ashore.sync_count AS k (source, shard, entity, outcome, changes)
    SELECT source, '', entity, outcome, sum(changes) FROM counted GROUP BY source, entity, outcome
    ORDER BY entity, outcome
    ON CONFLICT (source, shard, entity, outcome) DO UPDATE SET changes = k.changes + excluded.changes
"""
_ADVANCE = """
    UPDATE ashore.shard
    SET position = coalesce(%(position)s, position), batches = batches + 1, records = records + %(records)s,
        newest_record_at = coalesce(to_timestamp(%(newest)s), newest_record_at),
        written_at = CASE WHEN %(records)s > 0 THEN clock_timestamp() ELSE written_at END,
        passed_at = greatest(passed_at, to_timestamp(%(passed)s)),
        marked_at = greatest(marked_at, to_timestamp(%(marked)s)),
        state = CASE WHEN %(ended)s THEN 'ended' ELSE state END,
        ended_at = CASE WHEN %(ended)s THEN clock_timestamp() ELSE ended_at END,
        owner = CASE WHEN %(ended)s THEN NULL ELSE owner END
    WHERE source = %(source)s AND shard = %(shard)s AND owner = %(owner)s AND fence = %(fence)s
      AND batches = %(batches)s AND state = 'open'
"""
_FENCE = """
    UPDATE ashore.shard SET owner = NULL, lease_until = NULL, fence = fence + 1 WHERE source = %(source)s
"""
_IS_RUNNING = "SELECT FROM ashore.stream WHERE source = %s AND state = 'running' FOR SHARE"
_SKIP_OLDER = """
    UPDATE ashore.shard p SET state = 'skipped'
    WHERE source = %(source)s AND state = 'open' AND NOT at_horizon AND batches = 0
      AND EXISTS (SELECT FROM ashore.shard c WHERE c.source = p.source AND c.parent = p.shard
                    AND (c.at_horizon OR c.state = 'skipped'))
"""
_IS_UNREAD = """
    SELECT FROM ashore.shard WHERE source = %(source)s AND shard = %(shard)s AND state = 'open'
      AND batches = %(batches)s FOR UPDATE
"""
_LOST = """
    UPDATE ashore.shard SET state = 'lost', ended_at = clock_timestamp(), owner = NULL, fence = fence + 1,
        batches = batches + 1
    WHERE source = %(source)s AND shard = %(shard)s
"""
_SKIP_TO_HORIZON = """
    UPDATE ashore.shard SET position = NULL, at_horizon = true, owner = NULL, fence = fence + 1, batches = batches + 1,
        listed_at = clock_timestamp(), skipped_at = clock_timestamp(), passed_at = NULL, marked_at = NULL
    WHERE source = %(source)s AND shard = %(shard)s
"""


def stream_of(conn: Conn, source: str) -> StreamRecord | None:
    """The stream that is read for a source, if one was begun."""
    with conn.cursor(row_factory=class_row(StreamRecord)) as cursor:
        return cursor.execute(_STREAM, (source,)).fetchone()


def begin(conn: Conn, *, source: str, arn: str, origin: Mapping[str, Any], shards: Sequence[Shard]) -> None:
    """Begin a stream, in place of an earlier one: every open shard at its oldest record. The caller's transaction.

    What closed shards hold was written before this, so nothing that is read later lacks it.
    """
    conn.execute(_FORGET_SHARDS, (source,))
    conn.execute(_FORGET_COUNTS, (source,))
    conn.execute(_BEGIN, {"source": source, "arn": arn, "origin": Jsonb(dict(origin))})
    _list(conn, source, [(shard, "skipped" if shard.is_closed else "open") for shard in shards], at_horizon=True)


def set_stream_state(conn: Conn, source: str, state: StreamState) -> None:
    """Let the workers read on, or wait, or end."""
    conn.execute(_SET_STATE, {"source": source, "state": state})


def fence_shards(conn: Conn, source: str) -> None:
    """Take all shards from their workers: none of them writes anything more of what it has read."""
    conn.execute(_FENCE, {"source": source})


def is_running(conn: Conn, source: str) -> bool:
    """Whether the stream is read; if so, that stays so until the caller's transaction ends."""
    return conn.execute(_IS_RUNNING, (source,)).fetchone() is not None


def may_list(conn: Conn, source: str, *, seconds: float) -> bool:
    """Whether it is this caller's turn to list the shards: one does, of all workers, every so many seconds."""
    return conn.execute(_MAY_LIST, {"source": source, "seconds": seconds}).rowcount == 1


def keep_listed(conn: Conn, source: str, shards: Sequence[Shard]) -> int:
    """Note the shards of one page of a listing; return how many are new. A new one is read from its first record.

    They are locked in the order of their names, as leases are renewed: a worker that lists and one that renews would
    otherwise wait for each other. A new one whose child was there when the stream was begun is skipped, and so are
    those that it came from: they are of before that, and the listing of then had left them out.
    """
    new = _list(conn, source, [(shard, "open") for shard in shards], at_horizon=False)
    if new:
        while conn.execute(_SKIP_OLDER, {"source": source}).rowcount:  # a generation each time
            pass
    return new


def _list(conn: Conn, source: str, shards: Sequence[tuple[Shard, str]], *, at_horizon: bool) -> int:
    """Note shards in the order of their names, each with its state if it is new; return how many are."""
    by_name = {shard.id: (shard, state) for shard, state in shards}
    ordered = [by_name[name] for name in sorted(by_name)]
    found = conn.execute(
        _LISTED,
        {
            "source": source,
            "shards": [shard.id for shard, _ in ordered],
            "parents": [shard.parent for shard, _ in ordered],
            "firsts": [shard.first for shard, _ in ordered],
            "states": [state for _, state in ordered],
            "at_horizon": at_horizon,
        },
    )
    return sum(is_new for (is_new,) in found)


def not_seen(conn: Conn, source: str, since: datetime) -> list[ShardRecord]:
    """Shards that are not read to their end and were not in a listing that began at `since`.

    Only those whose turn to be read it is: what such a shard has lost is read from the table, and older records of the
    same keys that came after that would undo it.
    """
    return _shards(conn, _NOT_SEEN, {"source": source, "since": since})


def without_parent(conn: Conn, source: str, *, seconds: float) -> list[ShardRecord]:
    """Shards that have waited for so long for their parents to be listed that these must have come and gone.

    None before all that can be read was read up to the moment that such a shard was listed: for the reason that
    `not_seen` has, and since nobody knows which shard its parent came from.
    """
    return _shards(conn, _WITHOUT_PARENT, {"source": source, "seconds": seconds})


def listed_whole(conn: Conn, source: str, since: datetime) -> None:
    """Note that every shard is known that there was at `since`: until then some of a shard's children may not be."""
    conn.execute(_LISTED_WHOLE, {"source": source, "since": since})


def prune(conn: Conn, source: str, since: datetime) -> None:
    """Forget shards that ended long ago, that the listing no longer has, and on which nothing hangs."""
    conn.execute(_PRUNE, {"source": source, "since": since})


def advance(conn: Conn, *, source: str, owner: str, shard: ShardRecord, progress: Progress) -> ShardRecord:
    """Move a shard past a batch, in the batch's transaction; return the shard as it is then.

    Raises:
        LeaseLost: Another worker has it; the transaction must be rolled back.
    """
    moved = conn.execute(
        _ADVANCE,
        {
            "source": source,
            "shard": shard.shard,
            "owner": owner,
            "fence": shard.fence,
            "batches": shard.batches,
            "position": progress.position,
            "records": progress.records,
            "newest": progress.newest_record_at,
            "passed": progress.passed_at,
            "marked": progress.marked_at,
            "ended": progress.ended,
        },
    ).rowcount
    if moved != 1:
        raise LeaseLost(unit=f"shard {shard.shard}")
    return ShardRecord(
        shard=shard.shard,
        parent=shard.parent,
        first=shard.first,
        position=shard.position if progress.position is None else progress.position,
        state="ended" if progress.ended else "open",
        at_horizon=shard.at_horizon,
        fence=shard.fence,
        batches=shard.batches + 1,
        known_at=shard.known_at if progress.passed_at is None else datetime.fromtimestamp(progress.passed_at, UTC),
    )


def is_unread(conn: Conn, source: str, shard: ShardRecord) -> bool:
    """Whether nobody read on in the shard since; if so, that stays so until the caller's transaction ends."""
    arguments = {"source": source, "shard": shard.shard, "batches": shard.batches}
    return conn.execute(_IS_UNREAD, arguments).fetchone() is not None


def give_up_shard(conn: Conn, source: str, shard: str) -> None:
    """Note that a shard is gone though it was not read to its end."""
    conn.execute(_LOST, {"source": source, "shard": shard})


def skip_to_horizon(conn: Conn, source: str, shard: str) -> None:
    """Let a trimmed shard be read on from the oldest record that there is."""
    conn.execute(_SKIP_TO_HORIZON, {"source": source, "shard": shard})


def _shards(conn: Conn, statement: Any, arguments: Mapping[str, Any]) -> list[ShardRecord]:
    return [shard_record(row) for row in conn.execute(statement, arguments)]


def shard_record(row: Sequence[Any]) -> ShardRecord:
    """A row of ``shard, parent, first, position, state, at_horizon, fence, batches`` and of `known_at`."""
    return ShardRecord(
        shard=row[0],
        parent=row[1],
        first=None if row[2] is None else int(row[2]),
        position=None if row[3] is None else int(row[3]),
        state=row[4],
        at_horizon=row[5],
        fence=row[6],
        batches=row[7],
        known_at=row[8],
    )
