"""COPY: prepared text lines into a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from psycopg import sql

from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

_WRITE_BYTES = 128 * 1024


def copy_text(conn: Conn, table: TableName, columns: Sequence[str], lines: bytes) -> int:
    """Write COPY text lines into one table with a single COPY; return the rows that PostgreSQL took.

    Args:
        conn: The caller owns its transaction.
        table: Where the rows go.
        columns: In the order of the lines' fields.
        lines: Text format with its default options, a newline after every row.

    Raises:
        psycopg.Error: A row was refused; none of this COPY is kept.
    Source: https://www.postgresql.org/docs/current/sql-copy.html
    """
    with conn.cursor() as cursor:
        with cursor.copy(_statement(table, tuple(columns))) as copy:
            view = memoryview(lines)
            for start in range(0, len(view), _WRITE_BYTES):
                copy.write(view[start : start + _WRITE_BYTES])
        return cursor.rowcount


@lru_cache(maxsize=1_000)
def _statement(table: TableName, columns: tuple[str, ...]) -> bytes:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        table.identifier, sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    return statement.as_bytes()
