"""Waivers: what stands in the way, by key, and is passed by because somebody said so, for a reason and for a time.

A waiver is of what stood in the way when it was given (`state`, a digest): it says nothing of anything later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from psycopg.rows import class_row

from ashore.postgres.connect import Conn, one_row

Kind = Literal["rejected", "parked", "difference", "foreign", "refused"]

_OBSTACLES: Final = """
    SELECT kind, entity, key, state, what, is_waived FROM ashore.obstacle
    WHERE source = %(source)s AND (%(keys)s::text[] IS NULL OR key = ANY(%(keys)s))
    ORDER BY kind, entity NULLS FIRST, key LIMIT %(most)s
"""
_COUNT: Final = """
    SELECT count(*) FILTER (WHERE NOT is_waived), count(*) FILTER (WHERE is_waived) FROM ashore.obstacle
    WHERE source = %(source)s AND kind = %(kind)s AND entity = ANY(%(entities)s)
"""
_KEEP: Final = """
    INSERT INTO ashore.waiver (source, kind, entity, key, state, what, reason, until)
    VALUES (%(source)s, %(kind)s, %(entity)s, %(key)s, %(state)s, %(what)s, %(reason)s, %(until)s) RETURNING id
"""
_LIST: Final = """
    SELECT id, kind, entity, key, what, reason, until, who, at, until <= clock_timestamp() AS is_over
    FROM ashore.waiver WHERE source = %s AND withdrawn_at IS NULL ORDER BY id
"""
_WITHDRAW: Final = """
    UPDATE ashore.waiver SET withdrawn_at = clock_timestamp(), withdrawn_by = session_user
    WHERE source = %(source)s AND id = ANY(%(ids)s) AND withdrawn_at IS NULL RETURNING id
"""
_IS_WAIVED: Final = "SELECT ashore.is_waived(%(source)s, %(kind)s, %(key)s, %(state)s)"
_FORGET_DIFFERENCES: Final = "DELETE FROM ashore.difference WHERE source = %s AND entity = ANY(%s)"
_KEEP_DIFFERENCE: Final = """
    INSERT INTO ashore.difference (source, entity, key, state) VALUES (%s, %s, %s, %s)
    ON CONFLICT (source, entity, key) DO UPDATE SET state = excluded.state, found_at = excluded.found_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What stands in the way: `key` is an item's key as JSON, or a row's as a JSON array where its row is refused."""

    kind: Kind
    entity: str | None
    key: str = field(repr=False)
    state: bytes = field(repr=False)
    what: str
    is_waived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A waiver that was not withdrawn; it counts until `is_over`."""

    id: int
    kind: Kind
    entity: str | None
    key: str = field(repr=False)
    what: str
    reason: str
    until: datetime
    who: str
    at: datetime
    is_over: bool


def obstacles(conn: Conn, source: str, keys: Sequence[str] | None = None, *, most: int = 1_000) -> list[Obstacle]:
    """What stands in the way, of some keys or of all."""
    arguments = {"source": source, "keys": None if keys is None else list(keys), "most": most}
    with conn.cursor(row_factory=class_row(Obstacle)) as cursor:
        return cursor.execute(_OBSTACLES, arguments).fetchall()


def count_obstacles(conn: Conn, source: str, kind: Kind, entities: Sequence[str]) -> tuple[int, int]:
    """How many of a kind stand in these entities' way, and how many more are waived."""
    row = one_row(conn.execute(_COUNT, {"source": source, "kind": kind, "entities": list(entities)}))
    return int(row[0]), int(row[1])


def waive(conn: Conn, source: str, found: Iterable[Obstacle], *, reason: str, until: datetime) -> list[int]:
    """Pass these by until then; return the waivers' numbers. The caller's transaction."""
    numbers = []
    for one in found:
        arguments: dict[str, Any] = {
            "kind": one.kind,
            "entity": one.entity,
            "key": one.key,
            "state": one.state,
            "what": one.what,
        }
        arguments |= {"source": source, "reason": reason, "until": until}
        numbers.append(int(one_row(conn.execute(_KEEP, arguments))[0]))
    return numbers


def waivers(conn: Conn, source: str) -> list[Waiver]:
    """All that were not withdrawn, those included whose time is over."""
    with conn.cursor(row_factory=class_row(Waiver)) as cursor:
        return cursor.execute(_LIST, (source,)).fetchall()


def withdraw(conn: Conn, source: str, numbers: Sequence[int]) -> list[int]:
    """Let waivers count no more; return those that did until now, or whose time was over. The caller's transaction."""
    return [number for (number,) in conn.execute(_WITHDRAW, {"source": source, "ids": list(numbers)})]


def is_waived(conn: Conn, source: str, kind: Kind, key: str, state: bytes) -> bool:
    """Whether this, as it is, is passed by."""
    return bool(one_row(conn.execute(_IS_WAIVED, {"source": source, "kind": kind, "key": key, "state": state}))[0])


def keep_differences(conn: Conn, source: str, entities: Sequence[str], found: Iterable[tuple[str, str, bytes]]) -> None:
    """Keep on which keys (entity, key as JSON, digest of both sides) a verification found the stores to differ.

    In place of what an earlier one found of these entities. The caller's transaction.
    """
    conn.execute(_FORGET_DIFFERENCES, (source, list(entities)))
    with conn.cursor() as cursor:
        cursor.executemany(_KEEP_DIFFERENCE, [(source, *one) for one in found])
