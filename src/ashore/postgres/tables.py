"""Target tables: whether they are there, what they are, and making them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, cast

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateSchema

from ashore.postgres.connect import Conn
from ashore.postgres.errors import TableNotSupported
from ashore.postgres.names import TableName, table_name

_KIND = """
    SELECT c.relkind::text, c.relpersistence::text, c.relispartition, c.relhassubclass
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = %(name)s
"""
_COLUMNS = """
    SELECT a.attname FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_TRIGGERS = """
    SELECT tgname FROM pg_catalog.pg_trigger
    WHERE tgrelid = %(table)s::regclass AND NOT tgisinternal AND tgenabled <> 'D' ORDER BY tgname
"""
_SCHEMA = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s"
_TYPE = """
    SELECT 1 FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typname = %s AND n.nspname = coalesce(%s, current_schema())
"""
_kinds = {"v": "a view", "m": "a materialised view", "p": "a partitioned table", "f": "a foreign table"}


def current_schema(conn: Conn) -> str:
    """The schema that an unqualified table is in, ``public`` if the search path is empty."""
    row = conn.execute("SELECT coalesce(current_schema(), 'public')").fetchone()
    return "public" if row is None else str(row[0])


def exists(conn: Conn, table: TableName) -> bool:
    """Whether there is such a table.

    Raises:
        TableNotSupported: Something of that name is there that cannot be a target.
    """
    row = conn.execute(_KIND, {"schema": table.schema, "name": table.name}).fetchone()
    if row is None:
        return False
    kind, persistence, is_partition, has_children = row
    found = _kinds.get(kind, "not a table") if kind != "r" else None
    if found is None and persistence != "p":
        found = "an unlogged or temporary table"
    if found is None and (is_partition or has_children):
        found = "part of an inheritance or of a partitioned table"
    if found is not None:
        raise TableNotSupported(table=str(table), found=found)
    return True


def has_rows(conn: Conn, table: TableName) -> bool:
    """Whether the table holds a row; reads one at most."""
    statement = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table.identifier)
    row = conn.execute(statement).fetchone()
    return row is not None and bool(row[0])


def count_rows(conn: Conn, table: TableName) -> int:
    """The number of rows; reads the whole table."""
    row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(table.identifier)).fetchone()
    return 0 if row is None else int(row[0])


def columns_of(conn: Conn, table: TableName) -> tuple[str, ...]:
    """The table's columns in order."""
    return tuple(row[0] for row in conn.execute(_COLUMNS, {"table": str(table)}))


def triggers_of(conn: Conn, table: TableName) -> tuple[str, ...]:
    """The user's enabled triggers. COPY fires them."""
    return tuple(row[0] for row in conn.execute(_TRIGGERS, {"table": str(table)}))


def truncate(conn: Conn, tables: Collection[TableName]) -> None:
    """Empty the tables, in one statement. The caller owns the transaction."""
    if tables:
        names = sql.SQL(", ").join(table.identifier for table in sorted(tables))
        conn.execute(sql.SQL("TRUNCATE TABLE ONLY {}").format(names))


def create_missing(conn: Conn, tables: Sequence[sa.Table], *, default_schema: str) -> list[TableName]:
    """Create the tables that are not there, and those that they refer to, with schemas, types and all; return them.

    The caller owns the transaction. Idempotent.
    """
    wanted = _with_referenced(tables)
    missing = [table for table in wanted if not exists(conn, table_name(table, default_schema=default_schema))]
    for schema in sorted({table.schema for table in missing if table.schema}):
        if conn.execute(_SCHEMA, (schema,)).fetchone() is None:
            _execute(conn, CreateSchema(schema))

    def run(element: Any, *_: Any, **__: Any) -> None:
        made = getattr(element, "element", None)
        if isinstance(made, sa.Enum) and conn.execute(_TYPE, (made.name, made.schema)).fetchone() is not None:
            return
        _execute(conn, element)

    engine = sa.create_mock_engine("postgresql+psycopg://", run)
    for metadata in {id(table.metadata): table.metadata for table in missing}.values():
        metadata.create_all(
            cast("sa.Engine", engine), [table for table in missing if table.metadata is metadata], checkfirst=False
        )
    return [table_name(table, default_schema=default_schema) for table in missing]


def _execute(conn: Conn, element: Any) -> None:
    # compiled as psycopg's own dialect does, but for "%", which stands for itself where there are no parameters
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    conn.execute(str(element.compile(dialect=dialect)).encode())


def _with_referenced(tables: Iterable[sa.Table]) -> list[sa.Table]:
    found: dict[str, sa.Table] = {}
    waiting = list(tables)
    while waiting:
        table = waiting.pop()
        if table.fullname not in found:
            found[table.fullname] = table
            waiting.extend(key.column.table for key in table.foreign_keys)
    return list(found.values())
