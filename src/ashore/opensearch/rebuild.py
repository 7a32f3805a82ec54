"""Rebuilding an index from PostgreSQL: every row key is put into the outbox, for the feeder to make its document anew.

So the index has one writer, and a rebuild needs no version of its own. A row that is written meanwhile has an entry of
its own. It can be killed at any instant, and goes on behind the last keys that it committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from ashore.ledger import feeds
from ashore.mapping.plan import EntityPlan
from ashore.postgres.connect import Conn, one_row
from ashore.postgres.items import type_of
from ashore.postgres.names import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """One entity's rebuild, over a connection in autocommit mode that went through `postgres.items.prepare`.

    `began` tells it from another rebuild of the entity, which ends this one.
    """

    conn: Conn
    source: str
    entity: EntityPlan
    tables: Mapping[str, TableName]
    began: datetime
    at_once: int = 1_000

    def step(self) -> bool:
        """Put the next row keys into the outbox; return whether there may be more. One transaction."""
        with self.conn.transaction():
            found = feeds.lock_rebuild(self.conn, self.source, self.entity.name, self.began)
            if found is None:
                return False
            keys = self._keys(found[0])
            is_read = len(keys) < self.at_once
            feeds.enqueue(self.conn, self.source, self.entity.name, keys, is_read=is_read)
        return not is_read

    def _keys(self, after: list[str] | None) -> list[list[str]]:
        columns = [column.name for column in self.entity.table.primary_key.columns]
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        where: sql.Composable = sql.SQL("")
        if after is not None:
            values = [sql.SQL("%s::{}").format(type_of(self.entity.table, column)) for column in columns]
            where = sql.SQL("WHERE ({}) > ({})").format(names, sql.SQL(", ").join(values))
        statement = sql.SQL("SELECT ARRAY[{}] FROM {} {} ORDER BY {} LIMIT {}").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns),
            self.tables[self.entity.table.fullname].identifier,
            where,
            names,
            sql.Literal(self.at_once),
        )
        return [key for (key,) in self.conn.execute(statement, after or ())]


def count_rows(conn: Conn, entity: EntityPlan, tables: Mapping[str, TableName]) -> int:
    """How many rows the entity has, about: what the last ANALYZE counted, or all of them where there was none."""
    table = tables[entity.table.fullname]
    row = one_row(
        conn.execute("SELECT reltuples::bigint FROM pg_catalog.pg_class WHERE oid = %s::regclass", (str(table),))
    )
    if row[0] >= 0:
        return int(row[0])
    return int(one_row(conn.execute(sql.SQL("SELECT count(*) FROM {}").format(table.identifier)))[0])
