"""COPY: prepared rows into a table, text lines or binary ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from psycopg import sql

from ashore.mapping.encoded import Encoded
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

_WRITE_BYTES = 128 * 1024
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"


def copy_rows(conn: Conn, table: TableName, columns: Sequence[str], encoded: Encoded, name: str) -> int:
    """Write all rows that `encoded` has under `name`, with a COPY for each format; return the rows that were taken.

    The caller owns the transaction, as of `copy_text` and `copy_binary`, and of the two COPYs together.
    """
    rows = 0
    if name in encoded.binary:
        rows += copy_binary(conn, table, columns, encoded.binary[name].data)
    if encoded.copy_data.get(name):
        rows += copy_text(conn, table, columns, encoded.copy_data[name])
    return rows


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
    return _copy(conn, _statement(table, tuple(columns)), [lines])


def copy_binary(conn: Conn, table: TableName, columns: Sequence[str], rows: bytes) -> int:
    """Write binary rows into one table with a single COPY; return the rows that PostgreSQL took.

    Args:
        conn: The caller owns its transaction.
        table: Where the rows go. Its columns must have the types that the rows were made for: nothing is cast.
        columns: In the order of the rows' fields.
        rows: Without the header and the trailer of the format.

    Raises:
        psycopg.Error: A row was refused; none of this COPY is kept.
    Source: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
    """
    statement = _statement(table, tuple(columns)) + b" (FORMAT binary)"
    return _copy(conn, statement, [_HEADER, rows, _TRAILER])


def _copy(conn: Conn, statement: bytes, parts: Sequence[bytes]) -> int:
    with conn.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for part in parts:
                view = memoryview(part)
                for start in range(0, len(view), _WRITE_BYTES):
                    copy.write(view[start : start + _WRITE_BYTES])
        return cursor.rowcount


@lru_cache(maxsize=1_000)
def _statement(table: TableName, columns: tuple[str, ...]) -> bytes:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        table.identifier, sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    return statement.as_bytes()
