"""How many rows stand in the way of a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

_FOREIGN_KEY = """
    SELECT nf.nspname, f.relname,
           array(SELECT a.attname::text FROM unnest(con.conkey) WITH ORDINALITY k(n, o)
                 JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.n ORDER BY k.o),
           array(SELECT a.attname::text FROM unnest(con.confkey) WITH ORDINALITY k(n, o)
                 JOIN pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.n ORDER BY k.o)
    FROM pg_constraint con JOIN pg_class f ON f.oid = con.confrelid JOIN pg_namespace nf ON nf.oid = f.relnamespace
    WHERE con.conrelid = %(table)s::regclass AND con.conname = %(name)s
"""
_TYPES = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped
"""


def count_orphans(conn: Conn, table: TableName, constraint: str) -> int:
    """The number of rows that violate a foreign key that is there but not valid. Rows with a NULL in the key do not."""
    row = conn.execute(_FOREIGN_KEY, {"table": str(table), "name": constraint}).fetchone()
    if row is None:
        return 0
    schema, name, columns, referenced_columns = row
    pairs = list(zip(columns, referenced_columns, strict=True))
    statement = sql.SQL("SELECT count(*) FROM {} t WHERE {} AND NOT EXISTS (SELECT FROM {} r WHERE {})").format(
        table.identifier,
        sql.SQL(" AND ").join(sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(ours)) for ours, _ in pairs),
        sql.Identifier(schema, name),
        sql.SQL(" AND ").join(
            sql.SQL("t.{} = r.{}").format(sql.Identifier(ours), sql.Identifier(theirs)) for ours, theirs in pairs
        ),
    )
    counted = conn.execute(statement).fetchone()
    return 0 if counted is None else int(counted[0])


def repeated_keys(
    conn: Conn, table: TableName, columns: Sequence[str], *, limit: int, group_by: Sequence[str] | None = None
) -> list[tuple[str, ...]]:
    """Values of `columns` of rows whose `group_by` (by default the same columns) stands more than once.

    At most `limit`, distinct as the columns' types compare; as text, so that every value comes back as it went.
    """
    grouped = sql.SQL(", ").join(map(sql.Identifier, group_by or columns))
    statement = sql.SQL(
        "SELECT DISTINCT ON ({distinct}) {wanted} FROM {table} WHERE ({grouped}) IN"
        " (SELECT {grouped} FROM {table} GROUP BY {grouped} HAVING count(*) > 1 LIMIT %(limit)s) LIMIT %(limit)s"
    ).format(
        distinct=sql.SQL(", ").join(map(sql.Identifier, columns)),
        wanted=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns),
        table=table.identifier,
        grouped=grouped,
    )
    return conn.execute(statement, {"limit": limit}).fetchall()


def delete_keys(conn: Conn, table: TableName, columns: Sequence[str], keys: Sequence[Sequence[str]]) -> int:
    """Delete the rows that have one of `keys` (values as text) in `columns`, in one pass; return how many."""
    types: dict[str, str] = dict(conn.execute(_TYPES, {"table": str(table)}).fetchall())
    statement = sql.SQL("DELETE FROM {} WHERE ({}) IN (SELECT {} FROM unnest({}) AS k({}))").format(
        table.identifier,
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(
            sql.SQL("k.{}::{}").format(sql.Identifier(column), _type(types[column])) for column in columns
        ),
        sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in columns),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
    )
    by_column = [[key[place] for key in keys] for place, _ in enumerate(columns)]
    return conn.execute(statement, by_column).rowcount


def _type(name: str) -> sql.Composable:
    literal: Any = name  # written by format_type, quoted where it has to be
    return sql.SQL(literal)
