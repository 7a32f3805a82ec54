"""Who feeds OpenSearch, with which external version, and which entries of the outbox the index has.

A version is drawn by the first statement of a REPEATABLE READ transaction, by updating the one row that all draws
update. So of two draws the later one has the later snapshot, and the higher number: a document of a higher version is
never of older rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ashore.ledger.errors import LeaseLost
from ashore.ledger.outbox import Entry
from ashore.postgres.connect import Conn, one_row

STRIDE: Final = 1_000
"""Every version that Ashore draws is a multiple of it, so that one that another feed has added to is seen."""

_LEASE: Final = """
    INSERT INTO ashore.feeder AS f (source, owner, fence, lease_until)
    VALUES (%(source)s, %(owner)s, 1, clock_timestamp() + %(seconds)s * interval '1 s')
    ON CONFLICT (source) DO UPDATE
    SET owner = excluded.owner, lease_until = excluded.lease_until,
        fence = f.fence + CASE WHEN f.owner = excluded.owner THEN 0 ELSE 1 END
    WHERE f.owner = excluded.owner OR f.owner IS NULL OR f.lease_until < clock_timestamp()
    RETURNING fence
"""
_LEAVE: Final = """
    UPDATE ashore.feeder SET owner = NULL, busy_until = NULL WHERE source = %(source)s AND owner = %(owner)s
"""
# Milliseconds of the clock, unless the last version is higher: a ledger that was restored from a backup draws higher
# numbers than before, and so does one whose server's clock was put back.
_DRAW: Final = """
    UPDATE ashore.feeder SET busy_until = clock_timestamp() + %(busy)s * interval '1 s',
        version = greatest(version + %(stride)s,
                           floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint * %(stride)s)
    WHERE source = %(source)s AND owner = %(owner)s AND fence = %(fence)s AND lease_until > clock_timestamp()
    RETURNING version, clock_timestamp()
"""
_ENTRIES: Final = """
    SELECT o.id, o.entity, o.key, o.was FROM ashore.outbox o JOIN ashore.feed f USING (source, entity)
    WHERE source = %(source)s AND o.entity = ANY(%(entities)s) AND NOT o.fed AND (o.feed_refused IS NULL OR EXISTS (
        SELECT FROM ashore.outbox n WHERE n.source = o.source AND n.entity = o.entity AND n.key = o.key
          AND NOT n.fed AND n.feed_refused IS NULL))
    ORDER BY o.id LIMIT %(most)s
"""
_ACCOUNT: Final = """
    UPDATE ashore.feeder SET busy_until = NULL, indexed = indexed + %(indexed)s, deleted = deleted + %(deleted)s,
        versions_of_others = versions_of_others + %(others)s,
        other_seen_at = CASE WHEN %(others)s > 0 THEN clock_timestamp() ELSE other_seen_at END,
        version = greatest(version, (%(highest)s::bigint / %(stride)s) * %(stride)s),
        passed_at = CASE WHEN EXISTS (SELECT FROM ashore.outbox WHERE source = %(source)s AND NOT fed
                                      AND feed_refused IS NOT NULL)
                         THEN passed_at ELSE greatest(passed_at, %(passed_at)s) END
    WHERE source = %(source)s AND owner = %(owner)s AND fence = %(fence)s AND lease_until > clock_timestamp()
"""
_LOCK: Final = "SELECT FROM ashore.outbox WHERE source = %(source)s AND id = ANY(%(ids)s) ORDER BY id FOR UPDATE"
_LEAVE_TO_WRITE_BACK: Final = """
    UPDATE ashore.outbox SET fed = true, feed_refused = NULL WHERE source = %(source)s AND id = ANY(%(ids)s) AND back
"""
_DELETE: Final = "DELETE FROM ashore.outbox WHERE source = %(source)s AND id = ANY(%(ids)s) AND NOT back"
_REFUSE: Final = """
    UPDATE ashore.outbox o SET feed_refused = r.reason
    FROM unnest(%(ids)s::bigint[], %(reasons)s::text[]) AS r(id, reason) WHERE o.id = r.id AND o.source = %(source)s
"""
_ASK: Final = """
    INSERT INTO ashore.outbox (source, entity, key, was, back)
    SELECT source, entity, %(key)s::text[], %(was)s, false FROM ashore.feed
    WHERE source = %(source)s AND entity = %(entity)s
"""
_TRY_AGAIN: Final = """
    UPDATE ashore.outbox SET feed_refused = NULL
    WHERE source = %(source)s AND entity = ANY(%(entities)s) AND feed_refused IS NOT NULL
"""
_STANDING: Final = """
    SELECT (SELECT count(*) FROM ashore.outbox JOIN ashore.feed USING (source, entity)
            WHERE source = %(source)s AND NOT fed) AS entries,
           (SELECT count(*) FROM ashore.outbox JOIN ashore.feed USING (source, entity)
            WHERE source = %(source)s AND NOT fed AND feed_refused IS NOT NULL) AS refused,
           (SELECT min(at) FROM ashore.outbox JOIN ashore.feed USING (source, entity)
            WHERE source = %(source)s AND NOT fed AND feed_refused IS NULL) AS oldest,
           CASE WHEN f.lease_until > clock_timestamp() THEN f.owner END AS owner, f.busy_until,
           coalesce(f.version, 0) AS version, f.passed_at,
           coalesce(f.indexed, 0) AS indexed, coalesce(f.deleted, 0) AS deleted,
           coalesce(f.versions_of_others, 0) AS versions_of_others, f.other_seen_at, clock_timestamp() AS now
    FROM (SELECT) AS one LEFT JOIN ashore.feeder f ON f.source = %(source)s
"""
_REFUSED: Final = """
    SELECT entity, key, max(feed_refused) AS reason FROM ashore.outbox
    WHERE source = %s AND NOT fed AND feed_refused IS NOT NULL
    GROUP BY entity, key ORDER BY entity, key LIMIT 100
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederStanding:
    """How far the feed is. `refused` entries are of documents that OpenSearch, or the user's function, refuses.

    `versions_of_others` counts documents that were met with a version that Ashore never drew: another feed wrote them.
    """

    entries: int
    refused: int
    oldest: datetime | None
    owner: str | None
    busy_until: datetime | None
    version: int
    passed_at: datetime | None
    indexed: int
    deleted: int
    versions_of_others: int
    other_seen_at: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedAccount:
    """What a batch did: documents written and deleted, and what it met.

    `highest` is the highest version of another feed that was met, 0 for none: the next draw is above it.
    """

    indexed: int = 0
    deleted: int = 0
    others: int = 0
    highest: int = 0
    passed_at: datetime | None = None


def lease(conn: Conn, source: str, owner: str, *, seconds: float) -> int | None:
    """Be, or stay, the one who feeds for so many seconds; return the fence, None while another is."""
    row = conn.execute(_LEASE, {"source": source, "owner": owner, "seconds": seconds}).fetchone()
    return None if row is None else int(row[0])


def leave(conn: Conn, source: str, owner: str) -> None:
    """Let another feed at once; no request of this owner may be under way."""
    conn.execute(_LEAVE, {"source": source, "owner": owner})


def draw(conn: Conn, source: str, owner: str, fence: int, *, busy_seconds: float) -> tuple[int, datetime]:
    """The external version of what this transaction reads, and when that is; requests may run for so many seconds.

    Has to be the first statement of a REPEATABLE READ transaction.

    Raises:
        LeaseLost: Another may have the lease.
        psycopg.errors.SerializationFailure: Another has drawn meanwhile.
    """
    arguments = {"source": source, "owner": owner, "fence": fence, "busy": busy_seconds, "stride": STRIDE}
    row = conn.execute(_DRAW, arguments).fetchone()
    if row is None:
        raise LeaseLost(unit=f"the feed of {source}")
    return int(row[0]), row[1]


def entries(conn: Conn, source: str, entities: Sequence[str], *, most: int) -> list[Entry]:
    """The oldest entries of these entities, as far as they are fed.

    One of a refused document is among them once its row was written again.
    """
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_ENTRIES, {"source": source, "entities": list(entities), "most": most}).fetchall()


def account(conn: Conn, source: str, owner: str, fence: int, done: FeedAccount) -> None:
    """Count what was done, under the owner's lease; no request is under way any more. The caller's transaction.

    Raises:
        LeaseLost: Another may have it; the transaction must be rolled back.
    """
    arguments = {
        "source": source,
        "owner": owner,
        "fence": fence,
        "indexed": done.indexed,
        "deleted": done.deleted,
        "others": done.others,
        "highest": done.highest,
        "passed_at": done.passed_at,
        "stride": STRIDE,
    }
    if conn.execute(_ACCOUNT, arguments).rowcount != 1:
        raise LeaseLost(unit=f"the feed of {source}")


def acknowledge(conn: Conn, source: str, ids: Sequence[int]) -> None:
    """Be through with exactly these entries: the index has what they ask for. The caller's transaction.

    Those that are still to be written back stay until that is done.
    """
    arguments = {"source": source, "ids": list(ids)}
    conn.execute(_LOCK, arguments)
    conn.execute(_LEAVE_TO_WRITE_BACK, arguments)
    conn.execute(_DELETE, arguments)


def refuse(conn: Conn, source: str, reasons: Mapping[int, str]) -> None:
    """Note of entries why their documents are refused."""
    if reasons:
        conn.execute(_REFUSE, {"source": source, "ids": list(reasons), "reasons": list(reasons.values())})


def ask(conn: Conn, source: str, asked: Sequence[tuple[str, Sequence[str], Mapping[str, Any]]]) -> None:
    """Have documents made anew, or deleted: entity, row key, and the key of an item that the row may have been.

    Those of entities that are not fed any more are passed by. The caller's transaction.
    """
    for entity, key, item in asked:
        arguments = {
            "source": source,
            "entity": entity,
            "key": list(key),
            "was": Jsonb({"item": dict(item), "is_own": True}),
        }
        conn.execute(_ASK, arguments)


def try_again(conn: Conn, source: str, entities: Sequence[str]) -> int:
    """Let refused entries be tried again; return how many."""
    return conn.execute(_TRY_AGAIN, {"source": source, "entities": list(entities)}).rowcount


def standing(conn: Conn, source: str) -> FeederStanding:
    """How far the feed is."""
    with conn.cursor(row_factory=class_row(FeederStanding)) as cursor:
        return one_row(cursor.execute(_STANDING, {"source": source}))


def refused(conn: Conn, source: str) -> list[tuple[str, list[str], str]]:
    """Entity, row key and reason of documents that are refused; at most 100."""
    return conn.execute(_REFUSED, (source,)).fetchall()
