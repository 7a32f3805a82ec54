"""The keys that items had before their rows were changed or deleted."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql
from psycopg.rows import dict_row

from ashore.ledger.outbox import Entry
from ashore.mapping.items import item_key
from ashore.mapping.plan import RESIDUE, EntityPlan
from ashore.model.item import Item
from ashore.postgres.connect import Conn
from ashore.postgres.items import type_of


def earlier_keys(conn: Conn, entity: EntityPlan, entries: Sequence[Entry]) -> dict[int, Item]:
    """Entry → the key attributes that the item of its earlier row had; entries of new rows are left out.

    PostgreSQL reads the columns' texts, so that they are the values that it would give for them. The connection is one
    that went through `prepare`.
    """
    told: dict[int, Item] = {one.id: one.was["item"] for one in entries if one.was is not None and "item" in one.was}
    found = [one for one in entries if one.was is not None and one.id not in told]
    if not found:
        return told
    columns = [column.column for column in entity.key]
    names = [sql.Identifier(f"k{at}") for at, _ in enumerate(columns)]
    statement = sql.SQL("SELECT {} FROM unnest({}) WITH ORDINALITY AS k({}, place) ORDER BY place").format(
        sql.SQL(", ").join(
            sql.SQL("k.{}::{} AS {}").format(name, type_of(entity.table, column), sql.Identifier(column))
            for name, column in zip(names, columns, strict=True)
        ),
        sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in columns),
        sql.SQL(", ").join(names),
    )
    texts = [[(one.was or {})["columns"][column] for one in found] for column in columns]
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement, texts).fetchall()
    return told | {
        one.id: item_key(entity, {**row, RESIDUE: (one.was or {}).get("residue")})
        for one, row in zip(found, rows, strict=True)
    }
