"""Echoes: what was written back comes back by the stream. What comes without having been written is somebody else's."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from ashore.postgres.connect import Conn, one_row

_NOTE: Final = """
    INSERT INTO ashore.echo (source, key_hash, image)
    SELECT %(source)s, e.key_hash, e.image FROM unnest(%(hashes)s::uuid[], %(images)s::bytea[]) AS e(key_hash, image)
"""
_EXPECTED: Final = """
    SELECT key_hash, id, image FROM ashore.echo WHERE source = %(source)s AND key_hash = ANY(%(hashes)s) ORDER BY id
"""
_HEARD: Final = """
    DELETE FROM ashore.echo e USING unnest(%(hashes)s::uuid[], %(ids)s::bigint[]) AS h(key_hash, id)
    WHERE e.source = %(source)s AND e.key_hash = h.key_hash AND e.id <= h.id
"""
_FORGET: Final = "DELETE FROM ashore.echo WHERE source = %s AND at < clock_timestamp() - interval '26 hours'"
_FORGET_HEARD: Final = """
    DELETE FROM ashore.echo WHERE source = %(source)s AND (
        at < %(moment)s - interval '1 minute'
        OR NOT EXISTS (SELECT FROM ashore.entity WHERE source = %(source)s AND state IN ('writing', 'returning')))
"""
_FOREIGN: Final = """
    INSERT INTO ashore.foreign_write (source, entity, key, key_hash, sequence, is_expiry, at)
    VALUES (%(source)s, %(entity)s, %(key)s, %(key_hash)s, %(sequence)s, %(is_expiry)s, to_timestamp(%(at)s))
    ON CONFLICT (source, key_hash, sequence) DO NOTHING
"""
_OPEN: Final = """
    SELECT count(*) FROM ashore.foreign_write
    WHERE source = %(source)s AND decision IS NULL AND entity = ANY(%(entities)s)
"""
_DECIDE: Final = """
    UPDATE ashore.foreign_write SET decision = %(decision)s, decided_at = clock_timestamp()
    WHERE source = %(source)s AND decision IS NULL AND id = ANY(%(ids)s) RETURNING entity, key, key_hash
"""
_LIST: Final = """
    SELECT id, entity, key, at::text, is_expiry FROM ashore.foreign_write
    WHERE source = %s AND decision IS NULL ORDER BY id LIMIT 1000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A record of the stream while PostgreSQL has the writes: the digest of its item, None where it was removed."""

    entity: str
    key: bytes = field(repr=False)
    key_hash: UUID
    image: bytes | None = field(repr=False)
    sequence: int
    is_expiry: bool
    at: float


def note(conn: Conn, source: str, writes: Sequence[tuple[UUID, bytes | None]]) -> None:
    """Note what is about to be written back: key and digest of the item, None for a deletion. Commit before writing."""
    if writes:
        arguments = {"source": source, "hashes": [key for key, _ in writes], "images": [image for _, image in writes]}
        conn.execute(_NOTE, arguments)


def foreign_among(conn: Conn, source: str, told: Iterable[Told]) -> list[Told]:
    """Which of these records, in their shard's order, are no echoes. Those that are, and older ones, are forgotten.

    Of a key, an echo is only heard in the order in which it was written; one that was passed over (the write changed
    nothing, and made no record) is forgotten with it. The caller's transaction.
    """
    records = list(told)
    expected: defaultdict[UUID, deque[tuple[int, bytes | None]]] = defaultdict(deque)
    hashes = list({one.key_hash for one in records})
    for key_hash, number, image in conn.execute(_EXPECTED, {"source": source, "hashes": hashes}):
        expected[key_hash].append((number, image))
    foreign: list[Told] = []
    heard: dict[UUID, int] = {}
    for one in records:
        waiting = expected[one.key_hash]
        at = next((at for at, (_, image) in enumerate(waiting) if image == one.image), None)
        if at is None:
            foreign.append(one)
            continue
        for _ in range(at + 1):
            heard[one.key_hash] = waiting.popleft()[0]
    if heard:
        conn.execute(_HEARD, {"source": source, "hashes": list(heard), "ids": list(heard.values())})
    return foreign


def forget_old(conn: Conn, source: str) -> None:
    """Drop echoes that the stream does not hold any more, if it ever did."""
    conn.execute(_FORGET, (source,))


def forget_heard(conn: Conn, source: str, moment: datetime) -> None:
    """Drop echoes that nobody will hear: the stream was read past `moment`, so only those of later writes are to come.

    What is left would take a foreign write of the same item for its own. A write is noted up to a minute, the longest
    lease, before it is done, by whoever still writes entities back.
    """
    conn.execute(_FORGET_HEARD, {"source": source, "moment": moment})


def keep_foreign(conn: Conn, source: str, found: Iterable[Told]) -> int:
    """Keep records that are somebody else's; return how many. Idempotent."""
    arguments = [
        {
            "source": source,
            "entity": one.entity,
            "key": one.key.decode(),
            "key_hash": one.key_hash,
            "sequence": one.sequence,
            "is_expiry": one.is_expiry,
            "at": one.at,
        }
        for one in found
    ]
    if arguments:
        with conn.cursor() as cursor:
            cursor.executemany(_FOREIGN, arguments)
    return len(arguments)


def count_foreign(conn: Conn, source: str, entities: Sequence[str]) -> int:
    """How many writes of others are not decided on."""
    return int(one_row(conn.execute(_OPEN, {"source": source, "entities": list(entities)}))[0])


def foreign_writes(conn: Conn, source: str) -> list[tuple[int, str, str, str, bool]]:
    """Number, entity, key, time and whether it was an expiry, of those that are not decided on; at most 1,000."""
    return conn.execute(_LIST, (source,)).fetchall()


def decide(conn: Conn, source: str, ids: Sequence[int], decision: str) -> list[tuple[str, str, UUID]]:
    """Say what becomes of them: "dropped" or "taken"; return entity, key and digest of each."""
    return conn.execute(_DECIDE, {"source": source, "ids": list(ids), "decision": decision}).fetchall()
