"""Unlogged tables beside the targets, for verify to load into a second time."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

_NAME_BYTES = 63


def create_unlogged_copies(conn: Conn, schema: str, tables: Sequence[TableName]) -> dict[TableName, TableName]:
    """Create, in `schema`, an empty unlogged table like each of `tables`; return target → copy.

    A copy has the target's columns, defaults, generated columns and checks, so that it refuses what the target
    refuses; no keys, indexes or triggers. The schema is made if need be; a copy of an earlier run is replaced. The
    caller owns the transaction.

    Source: https://www.postgresql.org/docs/current/sql-createtable.html (LIKE)
    """
    if conn.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None:
        conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    copies: dict[TableName, TableName] = {}
    for number, table in enumerate(tables):
        name = f"{number}_{table.name}".encode()[:_NAME_BYTES].decode(errors="ignore")
        copy = TableName(schema, name)
        conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(copy.identifier))
        conn.execute(
            sql.SQL(
                "CREATE UNLOGGED TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY"
                " INCLUDING CONSTRAINTS)"
            ).format(copy.identifier, table.identifier)
        )
        copies[table] = copy
    return copies


def drop_copies(conn: Conn, copies: Sequence[TableName]) -> None:
    """Drop what `create_unlogged_copies` made; idempotent. The caller owns the transaction."""
    for copy in copies:
        conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(copy.identifier))
