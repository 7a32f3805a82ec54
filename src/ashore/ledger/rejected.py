"""Rejected items: kept whole, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ashore.mapping.encoded import Rejected
from ashore.postgres.connect import Conn

_KEEP = """
    INSERT INTO ashore.rejected_item (load, source, entity, key, attribute, reason, detail, item, waits_for)
    VALUES (%(load)s, %(source)s, %(entity)s, %(key)s, %(attribute)s, %(reason)s, %(detail)s, %(item)s, %(waits_for)s)
"""
_BY_REASON = """
    SELECT entity, reason, count(*) FROM ashore.rejected_item WHERE load = %s
    GROUP BY entity, reason ORDER BY entity NULLS LAST, reason
"""
_FORGET = """
    DELETE FROM ashore.rejected_item WHERE source = %(source)s AND key = ANY(%(keys)s) RETURNING waits_for
"""
_WAITING = """
    SELECT key, entity, waits_for FROM ashore.rejected_item
    WHERE source = %(source)s AND waits_for = ANY(%(waited_for)s)
"""
_REASONS = "SELECT DISTINCT entity, reason FROM ashore.rejected_item WHERE source = %s"
_WITHOUT_WAITS = """
    SELECT id, entity, reason, item FROM ashore.rejected_item
    WHERE source = %s AND waits_for IS NULL ORDER BY id
"""
_SET_WAITS = "UPDATE ashore.rejected_item SET waits_for = %s WHERE id = %s"


def keep_rejected(conn: Conn, *, load: int, source: str, rejected: Iterable[Rejected]) -> None:
    """Keep items that could not become rows, in the transaction that passes them by."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _KEEP,
            [
                {
                    "load": load,
                    "source": source,
                    "entity": item.entity,
                    "key": storable(item.key),
                    "attribute": None if item.attribute is None else storable(item.attribute),
                    "reason": item.reason,
                    "detail": storable(item.detail),
                    "item": item.raw,
                    "waits_for": item.waits_for,
                }
                for item in rejected
            ],
        )


def rejected_by_reason(conn: Conn, load: int) -> dict[tuple[str | None, str], int]:
    """The number of a load's rejected items by entity and reason."""
    return {(entity, reason): items for entity, reason, items in conn.execute(_BY_REASON, (load,))}


def forget_rejected_keys(conn: Conn, source: str, keys: Sequence[str]) -> list[str]:
    """Drop the rejected items of keys that have a newer word; return what the dropped ones waited for."""
    found = conn.execute(_FORGET, {"source": source, "keys": list(keys)})
    return [waits_for for (waits_for,) in found if waits_for is not None]


def waiting_for(conn: Conn, source: str, waited_for: Sequence[str]) -> list[tuple[str, str | None, str]]:
    """Key, entity and digest of the rejected items that wait for one of these."""
    return conn.execute(_WAITING, {"source": source, "waited_for": list(waited_for)}).fetchall()


def reasons_of(conn: Conn, source: str) -> frozenset[tuple[str | None, str]]:
    """Entity and reason of what is rejected now."""
    return frozenset((entity, reason) for entity, reason in conn.execute(_REASONS, (source,)))


def without_waits(conn: Conn, source: str) -> Iterator[tuple[int, str | None, str, bytes]]:
    """Rejected items that do not say what they wait for: id, entity, reason, item. The caller's transaction."""
    with conn.cursor("without_waits") as cursor:
        yield from cursor.execute(_WITHOUT_WAITS, (source,))


def set_waits(conn: Conn, waits: Sequence[tuple[str, int]]) -> None:
    """Say what rejected items wait for: (digest, id)."""
    with conn.cursor() as cursor:
        cursor.executemany(_SET_WAITS, waits)


def storable(text: str) -> str:
    """The text with what PostgreSQL cannot hold (U+0000, lone surrogates) written as escapes."""
    return text.replace("\x00", "\\u0000").encode("utf-8", "backslashreplace").decode()
