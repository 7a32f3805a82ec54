"""Comparing a target with its shadow inside PostgreSQL, so that values compare as PostgreSQL compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName
from ashore.verify.report import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A target and the shadow of it that was loaded just now.

    `key` is the primary key; `parent` are the columns that name the entity's row (the key itself for the entity's
    own table); `columns` are all others that an item fills.
    """

    expected: TableName
    actual: TableName
    key: tuple[str, ...]
    parent: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A row that is not the same on both sides; `parent` names the entity's row, as text."""

    kind: Kind
    key: tuple[str, ...]
    parent: tuple[str, ...]
    columns: tuple[str, ...]


def compare(conn: Conn, pair: Pair, found: TableName) -> int:
    """Compare every row of both tables; keep the mismatches in a new unlogged table `found`, and count them.

    Both must have at most one row a key. The caller owns the transaction.
    """
    keys = [sql.Identifier(column) for column in pair.key]
    on = sql.SQL(" AND ").join(sql.SQL("e.{0} = a.{0}").format(key) for key in keys)
    differs = [
        sql.SQL("CASE WHEN e.{0} IS DISTINCT FROM a.{0} THEN {1} END").format(sql.Identifier(name), sql.Literal(name))
        for name in pair.columns
    ]
    distinct = sql.SQL(" OR ").join(
        sql.SQL("e.{0} IS DISTINCT FROM a.{0}").format(sql.Identifier(name)) for name in pair.columns
    )
    first = keys[0]
    statement = sql.SQL(
        "CREATE UNLOGGED TABLE {found} AS SELECT"
        " CASE WHEN a.{first} IS NULL THEN 'missing' WHEN e.{first} IS NULL THEN 'extra' ELSE 'different' END AS kind,"
        " ARRAY[{key}] AS key, ARRAY[{parent}] AS parent,"
        " CASE WHEN a.{first} IS NULL OR e.{first} IS NULL THEN '{{}}'::text[]"
        " ELSE array_remove(ARRAY[{differs}]::text[], NULL) END AS columns"
        " FROM {expected} e FULL JOIN {actual} a ON {on}"
        " WHERE a.{first} IS NULL OR e.{first} IS NULL OR {distinct}"
    ).format(
        found=found.identifier,
        first=first,
        key=_texts(pair.key),
        parent=_texts(pair.parent),
        differs=sql.SQL(", ").join(differs) if differs else sql.SQL("NULL"),
        expected=pair.expected.identifier,
        actual=pair.actual.identifier,
        on=on,
        distinct=distinct if pair.columns else sql.SQL("false"),
    )
    return max(conn.execute(statement).rowcount, 0)


def _texts(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("coalesce(e.{0}, a.{0})::text").format(sql.Identifier(column)) for column in columns
    )


def mismatches(conn: Conn, found: TableName, limit: int) -> list[Mismatch]:
    """The first mismatches that `compare` kept, in the order of their keys."""
    statement = sql.SQL("SELECT kind, key, parent, columns FROM {} ORDER BY key LIMIT {}").format(
        found.identifier, sql.Literal(limit)
    )
    return [
        Mismatch(kind=kind, key=tuple(key), parent=tuple(parent), columns=tuple(columns))
        for kind, key, parent, columns in conn.execute(statement)
    ]


def by_kind(conn: Conn, found: TableName) -> dict[str, int]:
    """The number of mismatches of each kind."""
    statement = sql.SQL("SELECT kind, count(*) FROM {} GROUP BY kind").format(found.identifier)
    return dict(conn.execute(statement).fetchall())
