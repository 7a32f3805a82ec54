"""Units of work: which are done, how far the others are, what became of their items."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ashore.ledger.errors import LeaseLost
from ashore.model.chunk import Chunk, Position, Unit
from ashore.postgres.connect import Conn, one_row

corrections = ""
"""The unit under which counts are corrected that no single unit can answer for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A unit that this worker may read, from after `position`, in the transaction number `chunks` from 0."""

    unit: Unit
    position: Position | None
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The sums over a load's units."""

    units: int
    units_done: int
    items_expected: int
    items_read: int
    bytes_read: int
    read_units: float


_ADD = """
    INSERT INTO ashore.load_unit (load, ordinal, name, about, items_expected, run)
    VALUES (%(load)s, %(ordinal)s, %(name)s, %(about)s, %(items)s, %(run)s)
"""
_TAKE_OVER = "UPDATE ashore.load_unit SET run = %(run)s, worker = NULL WHERE load = %(load)s AND NOT done"
_CLAIM = """
    UPDATE ashore.load_unit SET worker = %(worker)s
    WHERE load = %(load)s AND name = (
        SELECT name FROM ashore.load_unit
        WHERE load = %(load)s AND run = %(run)s AND NOT done AND worker IS NULL
        ORDER BY ordinal LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING name, items_expected, about, position, chunks
"""
_ADVANCE = """
    UPDATE ashore.load_unit
    SET position = %(position)s, done = %(last)s, chunks = chunks + 1, items_read = items_read + %(items)s,
        bytes_read = bytes_read + %(bytes)s, read_units = read_units + %(read_units)s
    WHERE load = %(load)s AND name = %(name)s AND run = %(run)s AND chunks = %(chunks)s AND NOT done
"""
_COUNT = """
    INSERT INTO ashore.load_count AS c (load, unit, entity, outcome, items)
    VALUES (%(load)s, %(unit)s, %(entity)s, %(outcome)s, %(items)s)
    ON CONFLICT (load, unit, entity, outcome) DO UPDATE SET items = c.items + excluded.items
"""
_ROWS = """
    INSERT INTO ashore.load_row AS r (load, unit, table_name, rows)
    VALUES (%(load)s, %(unit)s, %(table)s, %(rows)s)
    ON CONFLICT (load, unit, table_name) DO UPDATE SET rows = r.rows + excluded.rows
"""
_TALLY = """
    SELECT count(*), count(*) FILTER (WHERE done), coalesce(sum(items_expected), 0), coalesce(sum(items_read), 0),
           coalesce(sum(bytes_read), 0), coalesce(sum(read_units), 0)
    FROM ashore.load_unit WHERE load = %s
"""
_COUNTS = """
    SELECT entity, outcome, sum(items)::bigint FROM ashore.load_count WHERE load = %s
    GROUP BY entity, outcome HAVING sum(items) <> 0 ORDER BY entity NULLS LAST, outcome
"""
_ROW_COUNTS = "SELECT table_name, sum(rows)::bigint FROM ashore.load_row WHERE load = %s GROUP BY table_name"


def add_units(conn: Conn, load: int, run: int, units: Sequence[Unit]) -> None:
    """Write down a new load's units."""
    rows = [
        {
            "load": load,
            "ordinal": ordinal,
            "name": unit.name,
            "about": json.dumps(unit.about),
            "items": unit.items,
            "run": run,
        }
        for ordinal, unit in enumerate(units)
    ]
    with conn.cursor() as cursor:
        cursor.executemany(_ADD, rows)


def take_over_units(conn: Conn, load: int, run: int) -> None:
    """Give all units that are not done to `run`, unclaimed; waits for transactions of earlier runs on them."""
    conn.execute(_TAKE_OVER, {"load": load, "run": run})


def claim(conn: Conn, *, load: int, run: int, worker: int) -> Claim | None:
    """Take the next unit that nobody reads, or None if there is none left."""
    row = conn.execute(_CLAIM, {"load": load, "run": run, "worker": worker}).fetchone()
    if row is None:
        return None
    name, items, about, position, chunks = row
    return Claim(unit=Unit(name=name, items=items, about=about), position=position, chunks=chunks)


def advance(conn: Conn, *, load: int, run: int, unit: str, chunks: int, chunk: Chunk) -> None:
    """Move a unit's position past `chunk`, if the unit is still this run's and stands after `chunks` transactions.

    `chunks` grows with every position, so that comparing it compares the position.

    Raises:
        LeaseLost: It is not; the transaction must be rolled back.
    """
    moved = conn.execute(
        _ADVANCE,
        {
            "load": load,
            "name": unit,
            "run": run,
            "chunks": chunks,
            "position": json.dumps(chunk.position),
            "last": chunk.last,
            "items": len(chunk.items),
            "bytes": chunk.bytes_read,
            "read_units": chunk.read_units,
        },
    ).rowcount
    if moved != 1:
        raise LeaseLost(unit=f"unit {unit}")


def add_counts(conn: Conn, load: int, unit: str, counts: Mapping[tuple[str | None, str], int]) -> None:
    """Add to the number of items by entity and outcome (negative numbers take away)."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _COUNT,
            [
                {"load": load, "unit": unit, "entity": entity, "outcome": outcome, "items": items}
                for (entity, outcome), items in counts.items()
            ],
        )


def add_rows(conn: Conn, load: int, unit: str, rows: Mapping[str, int]) -> None:
    """Add to the number of rows by table."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _ROWS, [{"load": load, "unit": unit, "table": table, "rows": number} for table, number in rows.items()]
        )


def tally(conn: Conn, load: int) -> Tally:
    """How far a load's units are."""
    row = one_row(conn.execute(_TALLY, (load,)))
    return Tally(
        units=row[0],
        units_done=row[1],
        items_expected=int(row[2]),
        items_read=int(row[3]),
        bytes_read=int(row[4]),
        read_units=row[5],
    )


def counts(conn: Conn, load: int) -> dict[tuple[str | None, str], int]:
    """Items by entity (or rule) and outcome."""
    return {(entity, outcome): items for entity, outcome, items in conn.execute(_COUNTS, (load,))}


def row_counts(conn: Conn, load: int) -> dict[str, int]:
    """Rows written by table."""
    return dict(conn.execute(_ROW_COUNTS, (load,)).fetchall())
