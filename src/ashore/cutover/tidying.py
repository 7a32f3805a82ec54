"""Rows as a load would leave them: `extra` and `residue` say nothing of values that the columns do not hold any more.

A row that was changed in PostgreSQL may keep such entries. They change nothing of its item, but the stream and a
verification know a row by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import sql

from ashore.mapping.document import encode, same_plain
from ashore.mapping.match import key_texts, matches
from ashore.mapping.plan import EXTRA, RESIDUE, EntityPlan
from ashore.mapping.promote import promoted_rows
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import Rows, to_rows
from ashore.model.item import Item
from ashore.postgres.connect import Conn
from ashore.postgres.errors import refusal
from ashore.postgres.items import as_text, type_of
from ashore.postgres.names import TableName

_LOCK_TIMEOUT: Final = "SELECT set_config('lock_timeout', '1s', true)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Untidy:
    """A row of a table, by its primary key as text: what `extra` and `residue` are, and what they are to be."""

    table: str
    key: Mapping[str, str] = field(repr=False)
    was: Mapping[str, Any] = field(repr=False)
    values: Mapping[str, Any] = field(repr=False)
    ids: tuple[int, ...]


def untidy(entity: EntityPlan, rows: Rows, item: Item, ids: tuple[int, ...]) -> Iterator[Untidy]:
    """Those of an item's rows that a load would make otherwise, in nothing but these two columns."""
    if not any(_is_suspect(row) for row in (rows.row, *(row for child in rows.children for row in child))):
        return
    loaded = _as_loaded(entity, item)
    if loaded is None:
        return
    primary = [column.name for column in entity.table.primary_key.columns]
    yield from _differing(entity.table.fullname, primary, rows.row, loaded.row, ids)
    for child, found, wanted in zip(entity.children, rows.children, loaded.children, strict=True):
        if len(found) == len(wanted):
            key = [*(theirs for theirs, _ in child.parent), child.order]
            ordered = sorted(found, key=lambda row: int(row[child.order]))
            for row, other in zip(ordered, wanted, strict=True):
                yield from _differing(child.record.table.fullname, key, row, other, ids)


def tidy(conn: Conn, entity: EntityPlan, tables: Mapping[str, TableName], one: Untidy) -> str | None:
    """Let the row say so; return why PostgreSQL refuses it, if it does. The row is noted as any that is written.

    One whose `extra` or `residue` was written since it was read stays as it is: it is noted for that already.

    Raises:
        psycopg.errors.LockNotAvailable: Somebody else has the row in hand; try again.
    """
    declared = next(table for table in entity.tables if table.fullname == one.table)
    statement = sql.SQL("UPDATE {} SET {} WHERE {}").format(
        tables[one.table].identifier,
        sql.SQL(", ").join(sql.SQL("{} = %s::jsonb").format(sql.Identifier(name)) for name in one.values),
        sql.SQL(" AND ").join(
            [
                *(sql.SQL("{} = %s::{}").format(sql.Identifier(name), type_of(declared, name)) for name in one.key),
                *(sql.SQL("{} IS NOT DISTINCT FROM %s::jsonb").format(sql.Identifier(name)) for name in one.was),
            ]
        ),
    )
    arguments = [*map(_text, one.values.values()), *one.key.values(), *map(_text, one.was.values())]
    try:
        with conn.transaction():
            conn.execute(_LOCK_TIMEOUT)
            conn.execute(statement, arguments)
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError, psycopg.errors.RaiseException) as error:
        return refusal(error)
    return None


def _text(document: Any) -> str | None:
    return None if document is None else encode(document).decode()


def _is_suspect(row: Mapping[str, Any]) -> bool:
    return row[RESIDUE] is not None or row[EXTRA] == {}


def _as_loaded(entity: EntityPlan, item: Item) -> Rows | None:
    """The rows that a load makes of an item; None where it makes none."""
    try:
        texts = key_texts(entity, item)
        for place, form in enumerate(entity.generations):
            if matches(form, *texts) is not None:
                return to_rows(entity, item, place)
        return promoted_rows(entity, item)
    except UnfitError:
        return None


def _differing(
    table: str, key: list[str], row: Mapping[str, Any], loaded: Mapping[str, Any], ids: tuple[int, ...]
) -> Iterator[Untidy]:
    values = {name: loaded[name] for name in (EXTRA, RESIDUE) if not same_plain(row[name], loaded[name])}
    if values:
        was = {name: row[name] for name in (EXTRA, RESIDUE)}
        yield Untidy(table=table, key={name: as_text(row[name]) for name in key}, was=was, values=values, ids=ids)
