"""Expiry: rows whose time to live is over are deleted, as DynamoDB deleted items, while PostgreSQL takes the writes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from psycopg import sql

from ashore.mapping.plan import ColumnPlan, EntityPlan
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

_AT_ONCE: Final = 1_000


def ttl_column(plan: EntityPlan) -> ColumnPlan | None:
    """The column that holds the time to live, if items of the entity expire."""
    return next((column for column in plan.record.columns if plan.ttl and column.path == (plan.ttl,)), None)


def not_expired(plan: EntityPlan, *, now: float | None = None) -> sa.ColumnElement[bool]:
    """The condition that readers add: true for rows whose time is not over, or that never expire.

    DynamoDB deletes expired items within days, and until then its readers have to pass them by as well.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ttl-expired-items.html
    """
    found = ttl_column(plan)
    if found is None:
        return sa.true()
    column = plan.table.columns[found.column]
    moment: Any = sa.func.now() if isinstance(column.type, sa.DateTime) else (time.time() if now is None else now)
    return sa.or_(column.is_(None), column > moment)


def expire(conn: Conn, plan: EntityPlan, tables: Mapping[str, TableName], *, most: int = _AT_ONCE) -> int:
    """Delete up to `most` rows whose time is over, with their children; return how many. The caller has the states
    locked, so that the writes do not move meanwhile.
    """
    found = ttl_column(plan)
    if found is None:
        return 0
    column = sql.Identifier(found.column)
    is_timestamp = isinstance(plan.table.columns[found.column].type, sa.DateTime)
    now = sql.SQL("now()") if is_timestamp else sql.SQL("extract(epoch FROM now())")
    primary = [one.name for one in plan.table.primary_key.columns]
    keys = sql.SQL(", ").join(map(sql.Identifier, primary))
    gone = sql.SQL(
        "gone AS (DELETE FROM {table} WHERE ({keys}) IN (SELECT {keys} FROM {table} WHERE {column} <= {now}"
        " LIMIT {most} FOR UPDATE SKIP LOCKED) RETURNING {keys})"
    ).format(table=tables[plan.table.fullname].identifier, keys=keys, column=column, now=now, most=sql.Literal(most))
    children = [
        sql.SQL("{} AS (DELETE FROM {} AS c USING gone AS p WHERE {})").format(
            sql.Identifier(f"child{at}"),
            tables[child.record.table.fullname].identifier,
            sql.SQL(" AND ").join(
                sql.SQL("c.{} = p.{}").format(sql.Identifier(theirs), sql.Identifier(ours))
                for theirs, ours in child.parent
            ),
        )
        for at, child in enumerate(plan.children)
    ]
    steps = sql.SQL(", ").join([gone, *children])
    row = conn.execute(sql.SQL("WITH {} SELECT count(*) FROM gone").format(steps)).fetchone()
    return 0 if row is None else int(row[0])
