"""The limit of a sync: bare upserts and deletes of the same rows, prepared beforehand, over one connection."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

from ashore.bench.server import settle
from ashore.bench.synced import entity, fill, plan, row_key
from ashore.dynamodb.stream import changes_of
from ashore.local.postgres import LocalPostgres
from ashore.mapping.copy_text import entity_columns
from ashore.postgres.connect import Conn, connect
from ashore.postgres.copy import copy_text
from ashore.postgres.names import TableName

_columns: Final = entity_columns(entity)
_key: Final = ("docket_number", "docket_entry_id")


@dataclass(frozen=True, slots=True)
class Step:
    """The rows and the keys of one page as bare SQL takes them: the newest of each key."""

    lines: bytes
    rows: list[tuple[str | None, ...]]
    removed: list[tuple[str, str]]


def step_of(page: bytes) -> Step:
    """What a page asks for."""
    changes, _ = changes_of(page, "bench")
    newest = {change.key: change for change in changes}
    items = [change.item for change in newest.values() if change.item is not None]
    lines = plan.encoder().encode(items).copy_data.get(entity.table.fullname, b"")
    rows = [tuple(_value(text) for text in line.split("\t")) for line in lines.decode().splitlines()]
    removed = [row_key(json.loads(change.key)) for change in newest.values() if change.item is None]
    return Step(lines, rows, removed)


def _value(text: str) -> str | None:
    return None if text == "\\N" else text.replace("\\\\", "\\")


Write = Callable[[Conn, Step], None]


def bare_seconds(
    server: LocalPostgres, target: TableName, base: Sequence[bytes], steps: Sequence[Step], by: str
) -> float:
    """Seconds for all steps, each in a transaction, beginning with the rows of `base`; `by` is a name of `ways`."""
    with connect(server.dsn, application_name="ashore bench", autocommit=True) as conn:
        fill(conn, target, base)
        conn.execute(
            sql.SQL("CREATE TEMP TABLE bare ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA").format(
                _names(_columns), target.identifier
            )
        )
        write, delete = ways[by](target), _deletion(target)
        settle(server)
        began = time.monotonic()
        for step in steps:
            with conn.transaction():
                write(conn, step)
                if step.removed:
                    delete(conn, step)
        return time.monotonic() - began


def _by_copy(target: TableName) -> Write:
    statement = _upsert(target, sql.SQL("SELECT {} FROM bare").format(_names(_columns)))
    bare = TableName("pg_temp", "bare")

    def write(conn: Conn, step: Step) -> None:
        copy_text(conn, bare, _columns, step.lines)
        conn.execute(statement)

    return write


def _by_unnest(target: TableName) -> Write:
    lists = [sql.SQL("%s::{}[]").format(sql.SQL(_type(name))) for name in _columns]
    statement = _upsert(target, sql.SQL("SELECT * FROM unnest({})").format(sql.SQL(", ").join(lists)))

    def write(conn: Conn, step: Step) -> None:
        conn.execute(statement, [list(column) for column in zip(*step.rows, strict=True)])

    return write


def _by_executemany(target: TableName) -> Write:
    values = [sql.SQL("%s::{}").format(sql.SQL(_type(name))) for name in _columns]
    statement = _upsert(target, sql.SQL("VALUES ({})").format(sql.SQL(", ").join(values)))

    def write(conn: Conn, step: Step) -> None:
        with conn.pipeline(), conn.cursor() as cursor:
            cursor.executemany(statement, step.rows)

    return write


def _deletion(target: TableName) -> Write:
    statement = sql.SQL(
        "DELETE FROM {} t USING unnest(%s::text[], %s::uuid[]) AS k(a, b)"
        " WHERE t.docket_number = k.a AND t.docket_entry_id = k.b"
    )
    composed = statement.format(target.identifier).as_bytes()

    def delete(conn: Conn, step: Step) -> None:
        conn.execute(composed, [[a for a, _ in step.removed], [b for _, b in step.removed]])

    return delete


def _upsert(target: TableName, source: sql.Composable) -> bytes:
    """Composed once, as a program that wants speed does."""
    statement = sql.SQL("INSERT INTO {} ({}) {} ON CONFLICT ({}) DO UPDATE SET {}").format(
        target.identifier,
        _names(_columns),
        source,
        _names(_key),
        sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in _columns if name not in _key
        ),
    )
    return statement.as_bytes()


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _type(column: str) -> Any:
    kind = entity.table.columns[column].type
    return {"uuid": "uuid", "integer": "int", "numeric": "numeric", "boolean": "bool", "datetime": "timestamptz"}.get(
        kind.__visit_name__, "jsonb" if kind.__visit_name__ == "JSONB" else "text"
    )


ways: Final[Mapping[str, Callable[[TableName], Write]]] = {
    "copy": _by_copy,
    "unnest": _by_unnest,
    "executemany": _by_executemany,
}
"""COPY into a temporary table and one upsert from there; one upsert of arrays; pipelined upserts of single rows."""
