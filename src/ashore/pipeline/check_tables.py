"""The declared tables against those of the database, column by column. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from ashore.errors import Problem
from ashore.mapping.plan import Plan
from ashore.postgres.connect import Conn
from ashore.postgres.errors import TableNotSupported
from ashore.postgres.names import TableName, table_name
from ashore.postgres.tables import current_schema, exists

_COLUMNS: Final = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, c.collname, a.attgenerated <> '',
           a.atthasdef OR a.attidentity <> ''
    FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
    WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""
_BYTE_ORDER: Final = frozenset({"C", "POSIX", "ucs_basic"})
_timestamp: Final = re.compile(r"timestamp(?:\(6\))? (with|without) time zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A column as the database has it; `type` as format_type spells it."""

    type: str
    is_not_null: bool
    collation: str | None
    is_generated: bool
    has_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TablesFound:
    """What the tables are like. `missing` are those that a load will make."""

    problems: tuple[Problem, ...]
    advice: tuple[Problem, ...]
    there: tuple[str, ...]
    missing: tuple[str, ...]


def check_tables(conn: Conn, plan: Plan) -> TablesFound:
    """Compare every declared table that exists; columns that are missing are `ashore.postgres.server`'s to tell."""
    schema = current_schema(conn)
    problems: list[Problem] = []
    advice: list[Problem] = []
    there: list[str] = []
    missing: list[str] = []
    for entity in plan.entities.values():
        for table in entity.tables:
            name = table_name(table, default_schema=schema)
            try:
                is_there = exists(conn, name)
            except TableNotSupported:
                continue
            (there if is_there else missing).append(str(name))
            if is_there:
                found = _columns(conn, name)
                problems += _problems(table, name, found)
                advice += _advice(table, name, found)
    return TablesFound(problems=tuple(problems), advice=tuple(advice), there=tuple(there), missing=tuple(missing))


def _columns(conn: Conn, name: TableName) -> dict[str, _Column]:
    return {
        column: _Column(
            type=kind, is_not_null=not_null, collation=collation, is_generated=generated, has_default=default
        )
        for column, kind, not_null, collation, generated, default in conn.execute(_COLUMNS, {"table": str(name)})
    }


def _problems(table: sa.Table, name: TableName, found: Mapping[str, _Column]) -> Iterator[Problem]:
    keys = {column.name for column in table.primary_key.columns}
    for column in table.columns:
        actual = found.get(column.name)
        if actual is None:
            continue
        where = f"{name}.{column.name}"
        declared = declared_type(column)
        if not _same_type(declared, actual.type):
            hint = f"ALTER TABLE {name} ALTER COLUMN {column.name} TYPE {declared}, or correct the SQLAlchemy table"
            yield Problem(where=where, what=f"is {actual.type}, declared as {declared}", hint=hint)
        if actual.is_not_null and column.nullable:
            hint = "declare it nullable=False, or ALTER COLUMN … DROP NOT NULL"
            yield Problem(where=where, what="is NOT NULL, declared as nullable", hint=hint)
        if actual.is_generated and column.computed is None:
            hint = "declare it in only_in_postgres, or drop its expression"
            yield Problem(where=where, what="is a generated column, declared as an ordinary one", hint=hint)
        if column.name in keys and actual.collation is not None and actual.collation not in _BYTE_ORDER:
            hint = f'ALTER TABLE {name} ALTER COLUMN {column.name} TYPE {declared} COLLATE "C"'
            yield Problem(where=where, what=f'a text key is COLLATE "C", this one is {actual.collation!r}', hint=hint)
    for column_name, actual in found.items():
        if column_name not in table.columns and actual.is_not_null and not actual.has_default:
            what = "is NOT NULL without a default, and the declaration does not know it: every row would be refused"
            yield Problem(where=f"{name}.{column_name}", what=what, hint="declare it, or give it a default")


def _advice(table: sa.Table, name: TableName, found: Mapping[str, _Column]) -> Iterator[Problem]:
    for column in table.columns:
        actual = found.get(column.name)
        if actual is not None and not column.nullable and not actual.is_not_null:
            what = "is nullable, declared NOT NULL: items without it are rejected, though the table would take them"
            yield Problem(where=f"{name}.{column.name}", what=what, hint="let one follow the other")
    extra = sorted(found.keys() - set(table.columns.keys()))
    if extra:
        what = f"has columns that the declaration does not know: {', '.join(extra)}"
        yield Problem(where=str(name), what=what, hint="no item fills them; declare them with only_in_postgres")


def declared_type(column: sa.Column[object]) -> str:
    """The type of a declared column in PostgreSQL's own spelling, without its collation."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    spelled = column.type.compile(dialect=dialect)
    if isinstance(column.type, sa.Enum):
        return spelled
    spelled = re.sub(r" COLLATE .*", "", spelled).replace(", ", ",").lower()
    return re.sub(r"^varchar", "character varying", spelled)


def _same_type(declared: str, actual: str) -> bool:
    return _plain(declared) == _plain(actual)


def _plain(spelled: str) -> str:
    """One spelling for types that hold the same values: text and varchar without a length, schema-qualified enums."""
    spelled = _timestamp.sub(r"timestamp \1 time zone", spelled)
    if re.fullmatch(r"character varying(\[\])?", spelled):
        return spelled.replace("character varying", "text")
    return spelled.rpartition(".")[2].strip('"')
