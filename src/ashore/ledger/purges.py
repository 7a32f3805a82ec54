"""Purges: which entities' items are deleted from DynamoDB, how far that is, and what became of each item."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ashore.ledger.errors import LeaseLost
from ashore.model.chunk import Chunk, Position, Unit
from ashore.model.item import Item
from ashore.postgres.connect import Conn, one_row

Kind = Literal["row", "copy", "mirror", "other"]
Outcome = Literal["deleted", "gone", "changed", "foreign", "without_row", "unreadable", "not_touched"]
SINCE_VERSION: Final = 6
"""The version of the ledger that has purges."""
Counts = Mapping[tuple[str, Kind, Outcome], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeRecord:
    """A row of `ashore.purge`. `kept_in` is the folder that items are written to before they are deleted."""

    id: int
    source: str
    entities: list[str]
    origin: dict[str, Any]
    said: dict[str, Any]
    kept_in: str | None
    run: int
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Intended:
    """An item that is being deleted: its entity, what it is of it, and its key."""

    entity: str
    kind: Kind
    key: Item = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeUnit:
    """A unit that is not done: go on after `position`, with the transaction number `pages` from 0.

    `intended` are the items that an earlier run may have deleted without noting it.
    """

    unit: Unit
    position: Position | None
    pages: int
    kept_bytes: int
    intended: tuple[Intended, ...] = field(repr=False)


_COLUMNS: Final = "id, source, entities, origin, said, kept_in, run, started_at, ended_at"
_UNFINISHED: Final = f"SELECT {_COLUMNS} FROM ashore.purge WHERE source = %s AND ended_at IS NULL"  # noqa: S608
_BEGIN: Final = f"""
    INSERT INTO ashore.purge (source, entities, origin, said, kept_in, host, pid)
    VALUES (%(source)s, %(entities)s, %(origin)s, %(said)s, %(kept_in)s, %(host)s, %(pid)s) RETURNING {_COLUMNS}
"""  # noqa: S608 (a constant)
_TAKE_OVER: Final = f"""
    UPDATE ashore.purge SET run = run + 1, said = %(said)s, host = %(host)s, pid = %(pid)s,
        run_started_at = clock_timestamp()
    WHERE id = %(purge)s AND ended_at IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608 (a constant)
_ADD: Final = """
    INSERT INTO ashore.purge_unit (purge, ordinal, name, about)
    VALUES (%(purge)s, %(ordinal)s, %(name)s, %(about)s)
"""
_NEXT: Final = """
    SELECT name, about, position, pages, kept_bytes, intended FROM ashore.purge_unit
    WHERE purge = %s AND NOT done ORDER BY ordinal LIMIT 1
"""
_MINE: Final = "SELECT 1 FROM ashore.purge WHERE id = %(purge)s AND run = %(run)s AND ended_at IS NULL FOR SHARE"
_INTEND: Final = """
    UPDATE ashore.purge_unit SET intended = %(intended)s, kept_bytes = %(kept)s
    WHERE purge = %(purge)s AND name = %(name)s AND pages = %(pages)s AND NOT done
"""
_SETTLE: Final = """
    UPDATE ashore.purge_unit SET intended = NULL
    WHERE purge = %(purge)s AND name = %(name)s AND pages = %(pages)s AND NOT done
"""
_ADVANCE: Final = """
    UPDATE ashore.purge_unit SET position = %(position)s, done = %(last)s, pages = pages + 1, intended = NULL,
        items_read = items_read + %(items)s, read_units = read_units + %(read)s, write_units = write_units + %(write)s
    WHERE purge = %(purge)s AND name = %(name)s AND pages = %(pages)s AND NOT done
"""
_COUNT: Final = """
    INSERT INTO ashore.purge_count AS c (purge, entity, kind, outcome, items)
    VALUES (%(purge)s, %(entity)s, %(kind)s, %(outcome)s, %(items)s)
    ON CONFLICT (purge, entity, kind, outcome) DO UPDATE SET items = c.items + excluded.items
"""
_END: Final = "UPDATE ashore.purge SET ended_at = clock_timestamp() WHERE id = %(purge)s AND run = %(run)s"
_COUNTS: Final = "SELECT entity, kind, outcome, items FROM ashore.purge_count WHERE purge = %s ORDER BY 1, 2, 3"
_SUMS: Final = """
    SELECT coalesce(sum(items_read), 0)::bigint, coalesce(sum(read_units), 0), coalesce(sum(write_units), 0)
    FROM ashore.purge_unit WHERE purge = %s
"""
_PURGED: Final = """
    SELECT e, max(p.ended_at) FROM ashore.purge p, unnest(p.entities) AS e
    WHERE p.source = %s AND p.ended_at IS NOT NULL GROUP BY e
"""
_FOREIGN: Final = """
    SELECT DISTINCT key_hash FROM ashore.foreign_write
    WHERE source = %(source)s AND decision IS NULL AND key_hash = ANY(%(hashes)s)
"""
_EXPECTED: Final = """
    SELECT c.entity, sum(c.items)::bigint, max(l.ended_at) FROM ashore.load_count c
    JOIN ashore.load l ON l.id = c.load JOIN ashore.entity e ON e.load = l.id AND e.source = l.source
    WHERE l.source = %(source)s AND c.entity = e.entity AND c.entity = ANY(%(entities)s)
      AND c.outcome IN ('rows', 'copy')
    GROUP BY c.entity
"""
_BEFORE_RETIRING: Final = """
    SELECT v.at, (x.entity ->> 'differences')::bigint = 0 AND (x.entity ->> 'undecided')::bigint = 0
    FROM ashore.entity e JOIN ashore.verification v ON v.source = e.source AND v.at <= e.since,
         jsonb_array_elements(v.report -> 'entities') AS x (entity)
    WHERE e.source = %(source)s AND e.entity = %(entity)s AND x.entity ->> 'entity' = e.entity
    ORDER BY v.id DESC LIMIT 1
"""


def unfinished(conn: Conn, source: str) -> PurgeRecord | None:
    """The purge of this source that has not ended, if one."""
    with conn.cursor(row_factory=class_row(PurgeRecord)) as cursor:
        return cursor.execute(_UNFINISHED, (source,)).fetchone()


def begin(  # noqa: PLR0913 (the columns of a purge)
    conn: Conn,
    *,
    source: str,
    entities: Sequence[str],
    origin: Mapping[str, Any],
    said: Mapping[str, Any],
    kept_in: str | None,
    units: Sequence[Unit],
) -> PurgeRecord:
    """Begin a purge and write down its units, in one transaction. There must be no unfinished one of this source."""
    arguments = {
        "source": source,
        "entities": sorted(entities),
        "origin": Jsonb(dict(origin)),
        "said": Jsonb(dict(said)),
        "kept_in": kept_in,
        **_this_process(),
    }
    with conn.transaction(), conn.cursor(row_factory=class_row(PurgeRecord)) as cursor:
        record = one_row(cursor.execute(_BEGIN, arguments))
        rows = [
            {"purge": record.id, "ordinal": ordinal, "name": unit.name, "about": json.dumps(unit.about)}
            for ordinal, unit in enumerate(units)
        ]
        cursor.executemany(_ADD, rows)
    return record


def take_over(conn: Conn, record: PurgeRecord, said: Mapping[str, Any]) -> PurgeRecord:
    """Begin a new run of an unfinished purge: from its commit on, no earlier run can note anything.

    Raises:
        LeaseLost: It has ended meanwhile.
    """
    with conn.cursor(row_factory=class_row(PurgeRecord)) as cursor:
        cursor.execute(_TAKE_OVER, {"purge": record.id, "said": Jsonb(dict(said)), **_this_process()})
        found = cursor.fetchone()
    if found is None:
        raise LeaseLost(unit=f"the purge of {record.source}")
    return found


def next_unit(conn: Conn, record: PurgeRecord) -> PurgeUnit | None:
    """The first unit that is not done."""
    row = conn.execute(_NEXT, (record.id,)).fetchone()
    if row is None:
        return None
    name, about, position, pages, kept_bytes, intended = row
    return PurgeUnit(
        unit=Unit(name=name, about=about),
        position=position,
        pages=pages,
        kept_bytes=kept_bytes,
        intended=tuple(Intended(*one) for one in intended or ()),
    )


def intend(
    conn: Conn, record: PurgeRecord, unit: str, pages: int, intended: Sequence[Intended], *, kept_bytes: int
) -> None:
    """Note what is about to be deleted; commit before it is. Raises LeaseLost."""
    told = json.dumps([[one.entity, one.kind, dict(one.key)] for one in intended])
    _change(conn, record, unit, pages, _INTEND, {"intended": told, "kept": kept_bytes})


def settle(conn: Conn, record: PurgeRecord, unit: str, pages: int, counts: Counts) -> None:
    """Count what an earlier run had deleted, and forget its intentions, in one transaction. Raises LeaseLost."""
    with conn.transaction():
        _change(conn, record, unit, pages, _SETTLE, {})
        _add(conn, record, counts)


def advance(  # noqa: PLR0913 (what a page was)
    conn: Conn, record: PurgeRecord, unit: str, pages: int, chunk: Chunk, counts: Counts, *, write_units: float
) -> None:
    """Count what became of a page's items and move past it, in one transaction. Raises LeaseLost."""
    arguments = {
        "position": json.dumps(chunk.position),
        "last": chunk.last,
        "items": len(chunk.items),
        "read": chunk.read_units,
        "write": write_units,
    }
    with conn.transaction():
        _change(conn, record, unit, pages, _ADVANCE, arguments)
        _add(conn, record, counts)


def end(conn: Conn, record: PurgeRecord) -> None:
    """Note that every unit is done; the caller's transaction. Raises LeaseLost."""
    if conn.execute(_END, {"purge": record.id, "run": record.run}).rowcount != 1:
        raise LeaseLost(unit=f"the purge of {record.source}")


def counts_of(conn: Conn, purge: int) -> dict[tuple[str, Kind, Outcome], int]:
    """Items by entity (or rule), kind and outcome."""
    return {(entity, kind, outcome): items for entity, kind, outcome, items in conn.execute(_COUNTS, (purge,))}


def sums_of(conn: Conn, purge: int) -> tuple[int, float, float]:
    """Items read, read units and write units so far."""
    items, read, write = one_row(conn.execute(_SUMS, (purge,)))
    return int(items), float(read), float(write)


def purged(conn: Conn, source: str) -> dict[str, datetime]:
    """When the last purge of each entity ended; those that were never purged are left out."""
    return dict(conn.execute(_PURGED, (source,)).fetchall())


def foreign_keys_among(conn: Conn, source: str, hashes: Sequence[UUID]) -> set[UUID]:
    """Of these digests of keys, those that somebody else wrote in DynamoDB, and nobody decided on."""
    return {found for (found,) in conn.execute(_FOREIGN, {"source": source, "hashes": list(hashes)})}


def expected_items(conn: Conn, source: str, entities: Sequence[str]) -> dict[str, tuple[int, datetime | None]]:
    """How many items of each entity its last load read, copies included, and when it ended."""
    found = conn.execute(_EXPECTED, {"source": source, "entities": list(entities)})
    return {entity: (items, ended_at) for entity, items, ended_at in found}


def verified_before_retiring(conn: Conn, source: str, entity: str) -> tuple[datetime, bool] | None:
    """When the last verification of the entity ended before it came to its state, and whether it was found equal."""
    row = conn.execute(_BEFORE_RETIRING, {"source": source, "entity": entity}).fetchone()
    return None if row is None else (row[0], bool(row[1]))


def _change(conn: Conn, record: PurgeRecord, unit: str, pages: int, statement: str, more: Mapping[str, Any]) -> None:
    arguments = {"purge": record.id, "run": record.run, "name": unit, "pages": pages, **more}
    with conn.transaction():
        is_mine = conn.execute(_MINE, arguments).fetchone() is not None
        if not is_mine or conn.execute(statement, arguments).rowcount != 1:
            raise LeaseLost(unit=f"the purge of {record.source}")


def _add(conn: Conn, record: PurgeRecord, counts: Counts) -> None:
    rows = [
        {"purge": record.id, "entity": entity, "kind": kind, "outcome": outcome, "items": items}
        for (entity, kind, outcome), items in sorted(counts.items())
    ]
    if rows:
        with conn.cursor() as cursor:
            cursor.executemany(_COUNT, rows)


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid()}
