"""Sequences that columns take their values from: none may give a value that a row of the stream has already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from psycopg import sql

from ashore.postgres.connect import Conn, one_row
from ashore.postgres.names import TableName

_OWNED: Final = """
    SELECT a.attrelid::regclass::text, a.attname, pg_get_serial_sequence(a.attrelid::regclass::text, a.attname)
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = ANY(%s::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped
      AND pg_get_serial_sequence(a.attrelid::regclass::text, a.attname) IS NOT NULL
"""


def behind(conn: Conn, tables: Iterable[TableName]) -> list[tuple[str, str, str]]:
    """Table, column and sequence wherever a row has a value that the sequence has not reached."""
    found = []
    for table, column, sequence in conn.execute(_OWNED, ([str(table) for table in tables],)).fetchall():
        statement = sql.SQL(
            "SELECT coalesce((SELECT max({}) FROM {}), 0)"
            " > coalesce((SELECT last_value - (NOT is_called)::int FROM {}), 0)"
        ).format(sql.Identifier(column), sql.SQL(table), sql.SQL(sequence))
        if one_row(conn.execute(statement))[0]:
            found.append((table, column, sequence))
    return found


def catch_up(conn: Conn, tables: Iterable[TableName]) -> None:
    """Let each sequence that is behind go on after the greatest value that a row has; none goes back."""
    for table, column, sequence in behind(conn, tables):
        statement = sql.SQL("SELECT setval({}, max({})::bigint) FROM {}").format(
            sql.Literal(sequence), sql.Identifier(column), sql.SQL(table)
        )
        conn.execute(statement)
