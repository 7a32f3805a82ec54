"""What the outbox tells of rows that were changed or deleted: the keys that their items and mirrors had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg import sql
from psycopg.rows import dict_row

from ashore.ledger.outbox import Entry
from ashore.mapping.items import RowNotAnItemError, item_key
from ashore.mapping.plan import RESIDUE, EntityPlan
from ashore.mapping.rebuilt import rendered_key, told_columns
from ashore.model.item import Item
from ashore.postgres.connect import Conn
from ashore.postgres.items import type_of
from ashore.postgres.kept_copies import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A row as it was: the keys of its item and its mirrors, and its link unless a column of that was NULL."""

    keys: tuple[Item, ...] = field(repr=False)
    link: Link | None = field(repr=False)


def earlier_rows(conn: Conn, entity: EntityPlan, entries: Sequence[Entry]) -> dict[int, Earlier]:
    """Entry → what its row was; entries of new rows, and of children, are left out.

    PostgreSQL reads the columns' texts, so that they are the values that it would give for them. The connection is one
    that went through `prepare`.
    """
    told = {
        one.id: Earlier(keys=(one.was["item"],), link=None)
        for one in entries
        if one.was is not None and "item" in one.was
    }
    others = [(one.id, one.was) for one in entries if one.id not in told]
    found = [(number, was) for number, was in others if was is not None and "columns" in was]
    if not found:
        return told
    columns = told_columns(entity)
    names = [sql.Identifier(f"k{at}") for at, _ in enumerate(columns)]
    statement = sql.SQL("SELECT {} FROM unnest({}) WITH ORDINALITY AS k({}, place) ORDER BY place").format(
        sql.SQL(", ").join(
            sql.SQL("k.{}::{} AS {}").format(name, type_of(entity.table, column), sql.Identifier(column))
            for name, column in zip(names, columns, strict=True)
        ),
        sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in columns),
        sql.SQL(", ").join(names),
    )
    texts = [[was["columns"].get(column) for _, was in found] for column in columns]
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement, texts).fetchall()
    for (number, was), row in zip(found, rows, strict=True):
        keys: list[Item] = [item_key(entity, {**row, RESIDUE: was.get("residue")})]
        for mirror in entity.mirrors:
            try:
                key = rendered_key(entity, mirror.form, row)
            except RowNotAnItemError:
                continue  # it was refused as it was, so nothing was written under such a key
            keys += [key] if key is not None else []
        told[number] = Earlier(keys=tuple(keys), link=link_of(entity, was["columns"]))
    return told


def link_of(entity: EntityPlan, texts: dict[str, str | None]) -> Link | None:
    """What copies name a row by, from its columns' texts; None for an entity without copies, and where one is NULL."""
    if entity.copies is None:
        return None
    found = [texts.get(name) for name, _ in entity.copies.links]
    return None if None in found else tuple(text for text in found if text is not None)
