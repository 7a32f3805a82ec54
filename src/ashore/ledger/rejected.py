"""Rejected items: kept whole, with the reason."""

from __future__ import annotations

from collections.abc import Iterable

from ashore.mapping.encoded import Rejected
from ashore.postgres.connect import Conn

_KEEP = """
    INSERT INTO ashore.rejected_item (load, source, entity, key, attribute, reason, detail, item)
    VALUES (%(load)s, %(source)s, %(entity)s, %(key)s, %(attribute)s, %(reason)s, %(detail)s, %(item)s)
"""
_BY_REASON = """
    SELECT entity, reason, count(*) FROM ashore.rejected_item WHERE load = %s
    GROUP BY entity, reason ORDER BY entity NULLS LAST, reason
"""


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
                }
                for item in rejected
            ],
        )


def rejected_by_reason(conn: Conn, load: int) -> dict[tuple[str | None, str], int]:
    """The number of a load's rejected items by entity and reason."""
    return {(entity, reason): items for entity, reason, items in conn.execute(_BY_REASON, (load,))}


def storable(text: str) -> str:
    """The text with what PostgreSQL cannot hold (U+0000, lone surrogates) written as escapes."""
    return text.replace("\x00", "\\u0000").encode("utf-8", "backslashreplace").decode()
