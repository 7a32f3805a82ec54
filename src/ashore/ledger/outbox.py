"""The outbox: keys of rows that the application wrote, until DynamoDB has them; and who takes them there.

Entries are deleted by their ids, once what they ask for is done: `id > last` would pass by an entry whose transaction
was committed after that of a later one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ashore.ledger.errors import LeaseLost
from ashore.postgres.connect import Conn, one_row

_LEASE: Final = """
    INSERT INTO ashore.reverse AS r (source, owner, fence, lease_until, units_per_second)
    VALUES (%(source)s, %(owner)s, 1, clock_timestamp() + %(seconds)s * interval '1 s', %(units)s)
    ON CONFLICT (source) DO UPDATE
    SET owner = excluded.owner, lease_until = excluded.lease_until,
        fence = r.fence + CASE WHEN r.owner = excluded.owner THEN 0 ELSE 1 END,
        units_per_second = nullif(coalesce(r.units_limit, excluded.units_per_second), 'Infinity'),
        owed_units = CASE WHEN r.units_per_second IS NULL THEN 0 ELSE greatest(0, r.owed_units
            - r.units_per_second * extract(epoch FROM clock_timestamp() - r.owed_at)) END, owed_at = clock_timestamp()
    WHERE r.owner = excluded.owner OR r.owner IS NULL OR r.lease_until < clock_timestamp()
    RETURNING fence, units_per_second, coalesce(owed_units / units_per_second, 0) AS owed_seconds,
        coalesce(write_units / nullif(acknowledged, 0), 1) AS units_an_entry
"""
_LIMIT: Final = """
    INSERT INTO ashore.reverse AS r (source, units_limit) VALUES (%(source)s, %(units)s)
    ON CONFLICT (source) DO UPDATE SET units_limit = excluded.units_limit
"""
_LEAVE: Final = "UPDATE ashore.reverse SET owner = NULL WHERE source = %(source)s AND owner = %(owner)s"
_ENTRIES: Final = """
    SELECT id, entity, key, was FROM ashore.outbox o
    WHERE source = %(source)s AND back AND (refused IS NULL OR EXISTS (
        SELECT FROM ashore.outbox n WHERE n.source = o.source AND n.entity = o.entity AND n.key = o.key
          AND n.back AND n.refused IS NULL))
    ORDER BY id LIMIT %(most)s
"""
_DELETE: Final = "DELETE FROM ashore.outbox WHERE source = %(source)s AND id = ANY(%(ids)s)"
_LOCK_FED: Final = "SELECT entity FROM ashore.feed WHERE source = %(source)s FOR KEY SHARE"
_LOCK: Final = "SELECT FROM ashore.outbox WHERE source = %(source)s AND id = ANY(%(ids)s) ORDER BY id FOR UPDATE"
_LEAVE_TO_FEED: Final = """
    UPDATE ashore.outbox SET back = false, refused = NULL
    WHERE source = %(source)s AND id = ANY(%(ids)s) AND NOT fed AND entity = ANY(%(fed)s)
"""
_DELETE_FED: Final = """
    DELETE FROM ashore.outbox
    WHERE source = %(source)s AND id = ANY(%(ids)s) AND (fed OR entity <> ALL(%(fed)s))
"""
_LET_GO: Final = """
    UPDATE ashore.outbox SET back = false, refused = NULL
    WHERE source = %(source)s AND entity = ANY(%(entities)s) AND back
"""
_DELETE_LET_GO: Final = """
    DELETE FROM ashore.outbox o WHERE source = %(source)s AND entity = ANY(%(entities)s) AND NOT back
    AND (fed OR NOT EXISTS (SELECT FROM ashore.feed f WHERE f.source = o.source AND f.entity = o.entity))
"""
_REFUSE: Final = """
    UPDATE ashore.outbox o SET refused = r.reason
    FROM unnest(%(ids)s::bigint[], %(reasons)s::text[]) AS r(id, reason) WHERE o.id = r.id AND o.source = %(source)s
"""
_ACCOUNT: Final = """
    UPDATE ashore.reverse SET written = written + %(written)s, removed = removed + %(removed)s,
        write_units = write_units + %(units)s, owed_units = owed_units + %(units)s,
        acknowledged = acknowledged + %(entries)s, waited_seconds = waited_seconds + %(waited)s,
        passed_at = CASE WHEN EXISTS (SELECT FROM ashore.outbox
                                      WHERE source = %(source)s AND back AND refused IS NOT NULL)
                         THEN passed_at ELSE greatest(passed_at, %(passed_at)s) END
    WHERE source = %(source)s AND owner = %(owner)s AND fence = %(fence)s AND lease_until > clock_timestamp()
"""
_STANDING: Final = """
    SELECT (SELECT count(*) FROM ashore.outbox WHERE source = %(source)s AND back) AS entries,
           (SELECT count(*) FROM ashore.outbox WHERE source = %(source)s AND back AND refused IS NOT NULL) AS refused,
           (SELECT min(at) FROM ashore.outbox WHERE source = %(source)s AND back AND NOT (refused IS NOT NULL
                AND ashore.is_waived(source, 'refused', to_jsonb(key)::text, convert_to(id::text, 'UTF8')))) AS oldest,
           r.owner, r.passed_at, coalesce(r.written, 0) AS written, coalesce(r.removed, 0) AS removed,
           coalesce(r.write_units, 0) AS write_units, clock_timestamp() AS now,
           coalesce(r.write_units / nullif(r.acknowledged, 0), 1) AS units_an_entry,
           nullif(coalesce(r.units_limit, r.units_per_second), 'Infinity') AS units_per_second,
           coalesce(CASE WHEN r.units_per_second IS NULL THEN 0 ELSE greatest(0, r.owed_units
            - r.units_per_second * extract(epoch FROM clock_timestamp() - r.owed_at)) END, 0) AS owed_units,
           coalesce(r.waited_seconds, 0) AS waited_seconds
    FROM (SELECT) AS one LEFT JOIN ashore.reverse r ON r.source = %(source)s
"""
_ASK: Final = """
    INSERT INTO ashore.outbox (source, entity, key, was) VALUES (%(source)s, %(entity)s, %(key)s, %(was)s)
"""
_OF_ENTITIES: Final = """
    SELECT count(*) FROM ashore.outbox WHERE source = %(source)s AND back AND entity = ANY(%(entities)s)
      AND NOT (refused IS NOT NULL AND ashore.is_waived(
          source, 'refused', to_jsonb(key)::text, convert_to(id::text, 'UTF8')))
"""
_FORGET: Final = "DELETE FROM ashore.outbox WHERE source = %(source)s AND entity = ANY(%(entities)s)"
_REFUSED: Final = """
    SELECT entity, key, max(refused) AS reason FROM ashore.outbox WHERE source = %s AND back AND refused IS NOT NULL
    GROUP BY entity, key ORDER BY entity, key LIMIT 100
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row that was written. `was` is of a row that was there before: what the key of its item is made of."""

    id: int
    entity: str
    key: list[str] = field(repr=False)
    was: dict[str, Any] | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the way back is. `refused` entries are of rows that DynamoDB cannot hold.

    `units_per_second` is the cap on write units; None where there is none. `owed_units` were consumed beyond it, and
    have to be waited for. `units_an_entry` is what entries took so far on average, 1 before the first.
    """

    entries: int
    refused: int
    oldest: datetime | None
    owner: str | None
    passed_at: datetime | None
    written: int
    removed: int
    write_units: float
    now: datetime
    units_an_entry: float
    units_per_second: float | None
    owed_units: float
    waited_seconds: float

    @property
    def estimated_units(self) -> float:
        """About what the entries that wait will take."""
        return (self.entries - self.refused) * self.units_an_entry

    @property
    def estimated_seconds(self) -> float | None:
        """How long that takes at the cap; None where there is none."""
        if self.units_per_second is None:
            return None
        return (self.owed_units + self.estimated_units) / self.units_per_second if self.estimated_units else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write back: `owed_seconds` have to pass before the next request, for the sake of the cap."""

    fence: int
    units_per_second: float | None
    owed_seconds: float
    units_an_entry: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was done: items written and deleted, the write units that they took, and up to when nothing is left.

    `entries` were acknowledged; `waited` seconds were spent for the sake of the cap before.
    """

    written: int = 0
    removed: int = 0
    units: float = 0.0
    entries: int = 0
    waited: float = 0.0
    passed_at: datetime | None = None


def lease(
    conn: Conn, source: str, owner: str, *, seconds: float, units_per_second: float | None = None
) -> Lease | None:
    """Be, or stay, the one who writes back for so many seconds; None while another is.

    No request of an owner may be under way after its lease, so that a new one never writes beside it. The cap is what
    `limit` set, else `units_per_second`; it outlives owners, so that several workers hold it together.
    """
    arguments = {"source": source, "owner": owner, "seconds": seconds, "units": units_per_second}
    with conn.cursor(row_factory=class_row(Lease)) as cursor:
        return cursor.execute(_LEASE, arguments).fetchone()


def limit(conn: Conn, source: str, units_per_second: float | None) -> None:
    """Set the cap on write units a second, `math.inf` for none; None leaves it to the workers' settings again."""
    conn.execute(_LIMIT, {"source": source, "units": units_per_second})


def leave(conn: Conn, source: str, owner: str) -> None:
    """Let another write back at once; no request of this owner may be under way."""
    conn.execute(_LEAVE, {"source": source, "owner": owner})


def entries(conn: Conn, source: str, *, most: int) -> list[Entry]:
    """The oldest entries. One of a refused row is among them once the row was written again."""
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(_ENTRIES, {"source": source, "most": most}).fetchall()


def assert_owner(conn: Conn, source: str, owner: str, fence: int) -> None:
    """Do nothing while this owner has its lease still; it stays so until the transaction ends.

    Raises:
        LeaseLost: Another may have it.
    """
    account(conn, source, owner, fence, Account())


def account(conn: Conn, source: str, owner: str, fence: int, done: Account) -> None:
    """Count what was done, under the owner's lease. The caller's transaction.

    Raises:
        LeaseLost: Another may have it; the transaction must be rolled back.
    """
    arguments = {
        "source": source,
        "owner": owner,
        "fence": fence,
        "written": done.written,
        "removed": done.removed,
        "units": done.units,
        "entries": done.entries,
        "waited": done.waited,
        "passed_at": done.passed_at,
    }
    if conn.execute(_ACCOUNT, arguments).rowcount != 1:
        raise LeaseLost(unit=f"the way back of {source}")


def ask(conn: Conn, source: str, entity: str, key: Sequence[str], was: Mapping[str, Any]) -> None:
    """Have a row written back though nobody wrote it; `was` names the item that it may have been."""
    conn.execute(_ASK, {"source": source, "entity": entity, "key": list(key), "was": Jsonb(dict(was))})


def acknowledge(conn: Conn, source: str, ids: Sequence[int]) -> None:
    """Be through with exactly these entries: what they ask for is in DynamoDB. The caller's transaction.

    Those of entities that are fed to OpenSearch stay until the feed is through with them, too.
    """
    arguments: dict[str, Any] = {"source": source, "ids": list(ids)}
    fed = [entity for (entity,) in conn.execute(_LOCK_FED, arguments)]
    if not fed:
        conn.execute(_DELETE, arguments)
        return
    arguments["fed"] = fed
    conn.execute(_LOCK, arguments)
    conn.execute(_LEAVE_TO_FEED, arguments)
    conn.execute(_DELETE_FED, arguments)


def let_go(conn: Conn, source: str, entities: Sequence[str]) -> None:
    """Write nothing of these entities back any more. The caller's transaction, in which they retire."""
    arguments = {"source": source, "entities": list(entities)}
    conn.execute(_LET_GO, arguments)
    conn.execute(_DELETE_LET_GO, arguments)


def refuse(conn: Conn, source: str, reasons: dict[int, str]) -> None:
    """Note of entries why DynamoDB cannot hold their rows."""
    if reasons:
        conn.execute(_REFUSE, {"source": source, "ids": list(reasons), "reasons": list(reasons.values())})


def standing(conn: Conn, source: str) -> Standing:
    """How far the way back is."""
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return one_row(cursor.execute(_STANDING, {"source": source}))


def count_entries(conn: Conn, source: str, entities: Sequence[str]) -> int:
    """How many entries there are of these entities, without those of refused rows that are waived."""
    return int(one_row(conn.execute(_OF_ENTITIES, {"source": source, "entities": list(entities)}))[0])


def forget(conn: Conn, source: str, entities: Sequence[str]) -> None:
    """Drop what is left of these entities: refused rows that were waived. The caller's transaction."""
    conn.execute(_FORGET, {"source": source, "entities": list(entities)})


def refused(conn: Conn, source: str) -> list[tuple[str, list[str], str]]:
    """Entity, row key and reason of rows that DynamoDB cannot hold; at most 100."""
    return conn.execute(_REFUSED, (source,)).fetchall()
