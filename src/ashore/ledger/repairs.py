"""The repair queue: keys that are read again from the table until both stores agree on them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from psycopg.rows import class_row

from ashore.postgres.connect import Conn

_ASK: Final = """
    INSERT INTO ashore.repair (source, key_hash, key, entity, reason)
    SELECT %(source)s, k.key_hash, k.key, k.entity, %(reason)s
    FROM unnest(%(hashes)s::uuid[], %(keys)s::bytea[], %(entities)s::text[]) AS k(key_hash, key, entity)
    ORDER BY k.key_hash
    ON CONFLICT (source, key_hash) DO UPDATE
    SET touched = repair.touched + 1, not_before = least(repair.not_before, excluded.not_before)
"""
_ASK_FOR_PARKED: Final = """
    WITH parked AS (
        DELETE FROM ashore.parked_change WHERE source = %(source)s AND entity = ANY(%(entities)s)
        RETURNING key_hash, key, entity
    )
    INSERT INTO ashore.repair (source, key_hash, key, entity, reason)
    SELECT %(source)s, key_hash, key, entity, 'parked' FROM parked ORDER BY key_hash
    ON CONFLICT (source, key_hash) DO UPDATE SET touched = repair.touched + 1
"""
_DUE: Final = """
    SELECT key_hash, key, entity, reason, touched, tries FROM ashore.repair
    WHERE source = %(source)s AND not_before <= clock_timestamp() ORDER BY not_before LIMIT %(most)s
"""
_DONE: Final = """
    DELETE FROM ashore.repair r USING unnest(%(hashes)s::uuid[], %(touched)s::bigint[]) AS k(key_hash, touched)
    WHERE r.source = %(source)s AND r.key_hash = k.key_hash AND r.touched = k.touched
"""
_LATER: Final = """
    UPDATE ashore.repair SET tries = tries + 1,
        not_before = clock_timestamp() + least(60, 0.2 * 2 ^ least(tries, 10)) * interval '1 s'
    WHERE source = %(source)s AND key_hash = ANY(%(hashes)s)
"""
_LOADED_ANEW: Final = """
    UPDATE ashore.repair r SET asked_at = clock_timestamp()
    FROM unnest(%(hashes)s::uuid[], %(loads)s::bigint[]) AS k(key_hash, load) JOIN ashore.load l ON l.id = k.load
    WHERE r.source = %(source)s AND r.key_hash = k.key_hash AND NOT EXISTS (
        SELECT FROM ashore.gap g
        WHERE g.source = r.source AND g.repaired_at IS NULL AND l.started_at <= g.found_at)
"""
_TOUCH: Final = (
    "UPDATE ashore.repair SET touched = touched + 1 WHERE source = %(source)s AND key_hash = ANY(%(hashes)s)"
)
_COUNT: Final = "SELECT entity, count(*) FROM ashore.repair WHERE source = %s GROUP BY entity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A key of the queue. `touched` counts what was said of the key since it was asked for."""

    key_hash: UUID
    key: bytes = field(repr=False)
    entity: str | None
    reason: str
    touched: int
    tries: int


def key_hash(key: bytes) -> UUID:
    """The digest under which the ledger finds a key, given as its JSON."""
    return UUID(bytes=hashlib.blake2b(key, digest_size=16).digest())


def ask_repair(conn: Conn, source: str, keys: Sequence[tuple[UUID, bytes, str | None]], *, reason: str) -> None:
    """Put keys (digest, JSON, entity) into the queue; one that is there already has to be looked at again."""
    if keys:
        arguments = {
            "source": source,
            "reason": reason,
            "hashes": [key_hash for key_hash, _, _ in keys],
            "keys": [key for _, key, _ in keys],
            "entities": [entity for _, _, entity in keys],
        }
        conn.execute(_ASK, arguments)


def ask_for_parked(conn: Conn, source: str, entities: Sequence[str]) -> None:
    """Have the keys of parked changes read again, in place of what was parked: it may be older than their rows."""
    conn.execute(_ASK_FOR_PARKED, {"source": source, "entities": list(entities)})


def due_repairs(conn: Conn, source: str, *, most: int) -> list[Repair]:
    """Keys whose turn it is."""
    with conn.cursor(row_factory=class_row(Repair)) as cursor:
        return cursor.execute(_DUE, {"source": source, "most": most}).fetchall()


def repaired(conn: Conn, source: str, repairs: Sequence[Repair]) -> None:
    """Take keys off the queue, except those of which something was said meanwhile."""
    arguments = {
        "source": source,
        "hashes": [one.key_hash for one in repairs],
        "touched": [one.touched for one in repairs],
    }
    conn.execute(_DONE, arguments)


def try_later(conn: Conn, source: str, repairs: Sequence[Repair]) -> None:
    """Let keys wait, longer each time, a minute at most."""
    conn.execute(_LATER, {"source": source, "hashes": [one.key_hash for one in repairs]})


def loaded_anew(conn: Conn, source: str, repairs: Sequence[tuple[Repair, int]]) -> None:
    """Say that keys are read by a load that is under way, whose number is given: no earlier gap waits for them.

    They stay in the queue, as if they had been asked for now. Nothing is changed where an open gap was found after the
    load had begun.
    """
    arguments = {
        "source": source,
        "hashes": [one.key_hash for one, _ in repairs],
        "loads": [load for _, load in repairs],
    }
    conn.execute(_LOADED_ANEW, arguments)


def touch(conn: Conn, source: str, hashes: Sequence[UUID]) -> None:
    """Say that the stream brought changes of these keys."""
    conn.execute(_TOUCH, {"source": source, "hashes": list(hashes)})


def count_repairs(conn: Conn, source: str) -> int:
    """How many keys wait."""
    return sum(number for _, number in conn.execute(_COUNT, (source,)))
