"""Changes that wait: captured ones while their entity loads, parked ones that another key stands in the way of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Final
from uuid import UUID

from ashore.model.change import Change
from ashore.postgres.connect import Conn, one_row

_STAGE: Final = """
    CREATE TEMPORARY TABLE ashore_pending (load bigint, entity text, key_hash uuid, key bytea, item bytea,
        is_expiry boolean, at float8, shard text, sequence numeric) ON COMMIT DELETE ROWS
"""
_COPY: Final = "COPY pg_temp.ashore_pending FROM STDIN WITH (FORMAT binary)"
_TYPES: Final = ("int8", "text", "uuid", "bytea", "bytea", "bool", "float8", "text", "numeric")
_CAPTURE: Final = """
    INSERT INTO ashore.pending_change AS p (load, entity, key_hash, key, item, is_expiry, at, shard, sequence)
    SELECT load, entity, key_hash, key, item, is_expiry, to_timestamp(at), shard, sequence FROM pg_temp.ashore_pending
    ON CONFLICT (load, entity, key_hash) DO UPDATE
    SET item = excluded.item, is_expiry = excluded.is_expiry, at = excluded.at, shard = excluded.shard,
        sequence = excluded.sequence
"""
_TAKE: Final = """
    WITH taken AS (
        SELECT ctid FROM ashore.pending_change WHERE load = %(load)s AND entity = %(entity)s
        ORDER BY key_hash LIMIT %(most)s FOR UPDATE
    )
    DELETE FROM ashore.pending_change p USING taken WHERE p.ctid = taken.ctid
    RETURNING p.key, p.item, p.is_expiry, extract(epoch FROM p.at)::float8, p.sequence
"""
_COUNT: Final = "SELECT entity, count(*) FROM ashore.pending_change WHERE load = ANY(%s) GROUP BY entity"
_BYTES: Final = "SELECT pg_catalog.pg_total_relation_size('ashore.pending_change')"
_FORGET: Final = "DELETE FROM ashore.pending_change WHERE load = ANY(%(loads)s) AND entity = ANY(%(entities)s)"
_UNPARK: Final = "DELETE FROM ashore.parked_change WHERE source = %(source)s AND key_hash = ANY(%(hashes)s)"
_PARK: Final = """
    INSERT INTO ashore.parked_change (source, entity, key_hash, key, item, at, conflict, tries)
    VALUES (%(source)s, %(entity)s, %(key_hash)s, %(key)s, %(item)s, to_timestamp(%(at)s), %(conflict)s, %(tries)s)
    ON CONFLICT (source, entity, key_hash) DO UPDATE
    SET item = excluded.item, at = excluded.at, conflict = excluded.conflict, tries = excluded.tries,
        parked_at = excluded.parked_at
"""
_TAKE_PARKED: Final = """
    WITH taken AS (SELECT ctid FROM ashore.parked_change WHERE source = %(source)s AND entity = ANY(%(entities)s)
                   ORDER BY tries, parked_at LIMIT %(most)s FOR UPDATE)
    DELETE FROM ashore.parked_change p USING taken WHERE p.ctid = taken.ctid
    RETURNING p.key, p.item, false, extract(epoch FROM p.at)::float8, p.tries
"""
_PARKED: Final = "SELECT entity, count(*) FROM ashore.parked_change WHERE source = %s GROUP BY entity"
_PARKED_BEFORE: Final = (
    "SELECT EXISTS (SELECT FROM ashore.parked_change WHERE source = %(source)s AND parked_at < %(moment)s)"
)
_FORGET_PARKED: Final = """
    DELETE FROM ashore.parked_change WHERE source = %(source)s AND entity = ANY(%(entities)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A change to be captured for a load of its entity."""

    load: int
    entity: str
    key_hash: UUID
    key: bytes = field(repr=False)
    change: Change = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A change that PostgreSQL refused because another row has its UNIQUE value; `conflict` names the constraint."""

    entity: str
    key_hash: UUID
    key: bytes = field(repr=False)
    item: bytes = field(repr=False)
    at: float
    conflict: str
    tries: int = 0


def make_stage(conn: Conn) -> None:
    """Make the session's temporary table, in place of an earlier one; autocommit expected."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.ashore_pending")
    conn.execute(_STAGE)


def capture(conn: Conn, shard: str, captures: Iterable[Capture]) -> None:
    """Keep the newest change of each key, in place of an earlier one; no two of one key. The caller's transaction."""
    with conn.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for one in captures:
            change = one.change
            row = (one.load, one.entity, one.key_hash, one.key, change.item, change.is_expiry, change.at, shard)
            copy.write_row((*row, change.sequence))
    conn.execute(_CAPTURE)


def analyze_pending(conn: Conn) -> None:
    """Let PostgreSQL know how many wait, so that `take_pending` follows the primary key and sorts nothing."""
    conn.execute("ANALYZE ashore.pending_change")


def take_pending(conn: Conn, loads: Sequence[int], entities: Sequence[str], *, most: int) -> list[Change]:
    """Delete up to `most` captured changes and return exactly those: the caller writes them in this transaction.

    They are found in the order of the primary key, entity by entity: then a step costs the same however many wait.
    """
    taken: list[Change] = []
    for load, entity in product(loads, entities):
        left = most - len(taken)
        if left:
            rows = conn.execute(_TAKE, {"load": load, "entity": entity, "most": left}, binary=True)
            taken += [Change(int(sequence), key, item, at, is_expiry) for key, item, is_expiry, at, sequence in rows]
    return taken


def count_pending(conn: Conn, loads: Sequence[int]) -> dict[str, int]:
    """Captured changes by entity."""
    return dict(conn.execute(_COUNT, (list(loads),)).fetchall())


def pending_bytes(conn: Conn) -> int:
    """What `pending_change` takes on disk, indexes and dead rows included."""
    return int(one_row(conn.execute(_BYTES))[0])


def forget_pending(conn: Conn, loads: Sequence[int], entities: Sequence[str]) -> None:
    """Drop what was captured for loads that count for nothing now."""
    conn.execute(_FORGET, {"loads": list(loads), "entities": list(entities)})


def unpark(conn: Conn, source: str, hashes: Sequence[UUID]) -> None:
    """Drop parked changes of keys that have a newer word."""
    conn.execute(_UNPARK, {"source": source, "hashes": list(hashes)})


def park(conn: Conn, source: str, parked: Iterable[Parked]) -> None:
    """Park changes, the newest of each key."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _PARK,
            [
                {
                    "source": source,
                    "entity": one.entity,
                    "key_hash": one.key_hash,
                    "key": one.key,
                    "item": one.item,
                    "at": one.at,
                    "conflict": one.conflict,
                    "tries": one.tries,
                }
                for one in parked
            ],
        )


def take_parked(conn: Conn, source: str, entities: Sequence[str], *, most: int) -> list[tuple[Change, int]]:
    """Delete up to `most` parked changes and return exactly those, each with how often it was tried again."""
    rows = conn.execute(_TAKE_PARKED, {"source": source, "entities": list(entities), "most": most})
    return [(Change(0, key, item, at, is_expiry), int(tries)) for key, item, is_expiry, at, tries in rows]


def count_parked(conn: Conn, source: str) -> dict[str, int]:
    """Parked changes by entity."""
    return dict(conn.execute(_PARKED, (source,)).fetchall())


def is_parked_since_before(conn: Conn, source: str, moment: datetime) -> bool:
    """Whether a parked change has not been tried again since `moment`: each try parks it anew, or ends it."""
    return bool(one_row(conn.execute(_PARKED_BEFORE, {"source": source, "moment": moment}))[0])


def forget_parked(conn: Conn, source: str, entities: Sequence[str]) -> None:
    """Drop the parked changes of entities that begin anew."""
    conn.execute(_FORGET_PARKED, {"source": source, "entities": list(entities)})
