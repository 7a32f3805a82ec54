"""Reading items back: the rows of an entity and of its children, as psycopg gives them, by the row's key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads
from sqlalchemy.dialects import postgresql

from ashore.mapping.copy_text import child_columns, entity_columns
from ashore.mapping.document import decode
from ashore.mapping.plan import ChildPlan, EntityPlan
from ashore.mapping.rows import Rows
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

RowKey = tuple[str, ...]
"""The values of an entity's primary key columns, in the table's order, each as PostgreSQL prints it."""


def prepare(conn: Conn) -> None:
    """Let a connection give values as `ashore.mapping` knows them: numbers in jsonb exact, timestamps in UTC.

    Needs autocommit, or a transaction that commits.
    """
    set_json_loads(decode, conn)
    conn.execute("SELECT set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO', false)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReader:
    """Reads the rows of one entity out of its tables, or out of others of the same columns.

    `tables` maps the full names of the declared tables to where the rows are. The connection is one that went
    through `prepare`; the caller owns its transaction.
    """

    plan: EntityPlan
    tables: Mapping[str, TableName]

    @property
    def table(self) -> TableName:
        """Where the entity's own rows are."""
        return self.tables[self.plan.table.fullname]

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of a `RowKey`."""
        return tuple(column.name for column in self.plan.table.primary_key.columns)

    def by_key(self, conn: Conn, keys: Sequence[RowKey]) -> list[tuple[RowKey, Rows]]:
        """The rows of some keys with all their children; a key without a row is left out.

        Two rows of one key are both returned, each with the children of both.
        """
        parents = self._select(conn, self.table, entity_columns(self.plan), self.plan.table, self.key_columns, keys)
        children = [self._children(conn, child, keys) for child in self.plan.children]
        return [
            (key, Rows(row, tuple([found for at, found in of_child if at == key] for of_child in children)))
            for key, row in parents
        ]

    def there(self, conn: Conn, keys: Sequence[RowKey]) -> set[RowKey]:
        """Which of these keys have a row."""
        found = self._select(conn, self.table, self.key_columns, self.plan.table, self.key_columns, keys)
        return {key for key, _ in found}

    def _children(self, conn: Conn, child: ChildPlan, keys: Sequence[RowKey]) -> list[tuple[RowKey, dict[str, Any]]]:
        theirs = {ours: column for column, ours in child.parent}
        columns = tuple(theirs[ours] for ours in self.key_columns)
        table = self.tables[child.record.table.fullname]
        return self._select(conn, table, child_columns(child), child.record.table, columns, keys)

    @staticmethod
    def _select(
        conn: Conn,
        table: TableName,
        wanted: Sequence[str],
        declared: sa.Table,
        key: Sequence[str],
        keys: Sequence[RowKey],
    ) -> list[tuple[RowKey, dict[str, Any]]]:
        if not keys:
            return []
        lists = [sql.SQL("%s::text[]") for _ in key]
        names = [sql.Identifier(f"k{place}") for place, _ in enumerate(key)]
        statement = sql.SQL(
            "SELECT {wanted}, {texts} FROM unnest({lists}) AS k({names}) JOIN {table} t ON {on}"
        ).format(
            wanted=sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(column)) for column in wanted),
            texts=sql.SQL(", ").join(
                sql.SQL("k.{} AS {}").format(name, sql.Identifier(f"\x01{place}")) for place, name in enumerate(names)
            ),
            lists=sql.SQL(", ").join(lists),
            names=sql.SQL(", ").join(names),
            table=table.identifier,
            on=sql.SQL(" AND ").join(
                sql.SQL("t.{} = k.{}::{}").format(sql.Identifier(column), name, type_of(declared, column))
                for column, name in zip(key, names, strict=True)
            ),
        )
        values = [[one[place] for one in keys] for place, _ in enumerate(key)]
        with conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(statement, values).fetchall()
        marks = [f"\x01{place}" for place, _ in enumerate(key)]
        return [(tuple(row.pop(mark) for mark in marks), row) for row in rows]


def in_batches(keys: Sequence[RowKey], size: int) -> Iterator[Sequence[RowKey]]:
    """Slices of at most `size` keys."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def as_text(value: Any) -> str:
    """A value as text that PostgreSQL reads as the same value."""
    match value:
        case bytes():
            return "\\x" + value.hex()
        case date() | datetime():
            return value.isoformat()
        case _:
            return str(value)


def type_of(table: sa.Table, column: str) -> sql.SQL:
    """The name of a declared column's type, quoted by SQLAlchemy where it has to be; text for every kind of string."""
    kind = table.columns[column].type
    if isinstance(kind, sa.String) and not isinstance(kind, sa.Enum):
        return sql.SQL("text")
    text = kind.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    return sql.SQL(text)
