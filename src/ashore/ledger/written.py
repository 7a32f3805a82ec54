"""Which rows were written since a moment, whoever wrote them: PostgreSQL says it of each row version, by its xmin.

An incremental export leaves out an item that was made and deleted again within its window. Where its making was applied
and its deletion was lost, its row is found here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from psycopg import sql

from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

_MARK: Final = """
    INSERT INTO ashore.written_mark (source, xid)
    SELECT %(source)s, pg_snapshot_xmin(pg_current_snapshot())
    WHERE NOT EXISTS (SELECT FROM ashore.written_mark WHERE source = %(source)s
                      AND at > clock_timestamp() - %(seconds)s * interval '1 s')
    ON CONFLICT DO NOTHING
"""
_SINCE: Final = """
    SELECT (m.xid::text::numeric %% 4294967296)::bigint,
           m.xid::text::numeric BETWEEN s.next - 2000000000 AND s.next
    FROM ashore.written_mark m, (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric AS next) s
    WHERE m.source = %(source)s
    ORDER BY m.at <= %(moment)s DESC, CASE WHEN m.at <= %(moment)s THEN m.at END DESC, m.at LIMIT 1
"""
_AT_ONCE: Final = 500


def mark_written(conn: Conn, source: str, *, seconds: float) -> None:
    """Note which transactions may still write now, unless that was done in the last so many seconds.

    Done before anything is written for a source, so that its first mark is older than all that was.
    """
    conn.execute(_MARK, {"source": source, "seconds": seconds})


def written_since(conn: Conn, source: str, moment: datetime) -> int | None:
    """The oldest transaction id that a row version committed after `moment`, by this server's clock, can have.

    None: it cannot be told from older ones, so every row counts. That is where no mark was made, where ids have wrapped
    around since, and where the database was restored elsewhere.
    """
    row = conn.execute(_SINCE, {"source": source, "moment": moment}).fetchone()
    return int(row[0]) if row is not None and row[1] else None


def keys_written_since(
    conn: Conn, table: TableName, columns: Sequence[str], since: int | None
) -> Iterator[list[tuple[str, ...]]]:
    """The values, as text, of some columns of every row that was written since; some hundreds at a time.

    Reads the whole table once, without an index, before the first are handed out. The connection is in autocommit mode,
    so that what is done meanwhile is no part of a long transaction.
    """
    texts = [sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns]
    for rows in _rows(conn, table, texts, since):
        yield [tuple(row) for row in rows]


def items_written_since(conn: Conn, table: TableName, since: int | None) -> Iterator[list[Any]]:
    """The stored items of every copy that was written since; as `keys_written_since`."""
    for rows in _rows(conn, table, [sql.Identifier("item")], since):
        yield [item for (item,) in rows]


def _rows(
    conn: Conn, table: TableName, columns: Sequence[sql.Composable], since: int | None
) -> Iterator[list[tuple[Any, ...]]]:
    newer = sql.SQL("true") if since is None else sql.SQL("age(xmin) <= age({}::xid)").format(sql.Literal(str(since)))
    statement = sql.SQL("SELECT {} FROM {} WHERE {}").format(sql.SQL(", ").join(columns), table.identifier, newer)
    with conn.cursor(name="ashore_written", withhold=True) as cursor:
        cursor.execute(statement)
        while rows := cursor.fetchmany(_AT_ONCE):
            yield rows


_OTHER_HOMES: Final = """
    SELECT convert_to(r.key, 'UTF8') FROM ashore.rejected_item r WHERE r.source = %(source)s
    UNION
    SELECT p.key FROM ashore.parked_change p WHERE p.source = %(source)s
"""


def keys_without_rows(conn: Conn, source: str) -> list[bytes]:
    """The keys, as JSON, of items that have another home than a row: the rejected and the parked ones."""
    return [bytes(key) for (key,) in conn.execute(_OTHER_HOMES, {"source": source})]
