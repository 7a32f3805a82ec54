"""What the mapping writes is what PostgreSQL holds, and what it gives back is the item."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.rows import dict_row
from tests.mapping_values import as_boto3, raw
from tests.mapping_worlds import World, worlds
from tests.unit.test_mapping_round_trip import as_declared

from ashore.mapping.encoded import Encoded, Encoder
from ashore.mapping.encoder import GeneratedEncoder
from ashore.mapping.items import from_rows
from ashore.mapping.match import AsRow, key_texts, matcher
from ashore.mapping.plan import key_attributes
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import Rows, to_rows
from ashore.mapping.wire import read_item
from ashore.model.attribute import canonical
from ashore.model.item import Item, differing_attributes
from ashore.postgres.items import prepare

NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
"""Each example is a schema; the unit tests, which have no server, find the smallest ones."""
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


def create(dsn: str, world: World) -> None:
    """The declared tables in schema `public`, and tables like them, without any constraint, in `general` and `fast`."""
    engine = sa.create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        for schema in ("public", "general", "fast"):
            connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
            connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
        world.metadata.create_all(connection)
        for schema in ("general", "fast"):
            for table in world.entity.tables:
                connection.execute(sa.text(f'CREATE TABLE {schema}."{table.name}" (LIKE public."{table.name}")'))
    engine.dispose()


def copy(conn: psycopg.Connection[Any], schema: str, encoder: Encoder, batch: Encoded) -> None:
    for name, data in batch.copy_data.items():
        columns = sql.SQL(", ").join(map(sql.Identifier, encoder.columns[name]))
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(schema, name), columns)
        with conn.cursor().copy(statement) as into:
            into.write(data)


def rows_of(conn: psycopg.Connection[Any], world: World, schema: str) -> list[Rows]:
    entity = world.entity
    key = [column.name for column in entity.table.primary_key.columns]

    def read(table: str) -> list[dict[str, Any]]:
        with conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                sql.SQL("SELECT * FROM {} ORDER BY ctid").format(sql.Identifier(schema, table))
            ).fetchall()

    children = [read(child.record.table.name) for child in entity.children]
    return [
        Rows(
            row,
            tuple([one for one in of_child if all(one[name] == row[name] for name in key)] for of_child in children),
        )
        for row in read(entity.table.name)
    ]


def accepted(world: World, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items that become rows, those that would give a row key again left out."""
    match = matcher(world.plan)
    kept: dict[tuple[str, ...], dict[str, Any]] = {}
    for item in items:
        found = match(*key_texts(world.plan, item))
        if isinstance(found, AsRow):
            try:
                rows = to_rows(world.entity, item, found.generation)
            except UnfitError:
                continue
            kept.setdefault(tuple(str(rows.row[column.column]) for column in world.entity.key), item)
    return list(kept.values())


def general_only(world: World) -> GeneratedEncoder:
    encoder = world.plan.encoder()
    assert isinstance(encoder, GeneratedEncoder)
    for slot in encoder._slots:
        slot.path = None
    return encoder


def key_of(world: World, item: Item) -> tuple[Any, ...]:
    return tuple(canonical(item[key.name]) for key in key_attributes(world.plan))


def check(dsn: str, data: st.DataObject) -> None:
    world = data.draw(worlds())
    items = accepted(world, data.draw(st.lists(world.items, min_size=1, max_size=12)))
    raws = [raw(item, style=data.draw(st.integers(0, 2))) for item in items]
    create(dsn, world)
    with psycopg.connect(dsn, autocommit=True) as conn:
        prepare(conn)
        general = general_only(world)
        copy(conn, "general", general, general.encode(raws))
        fast = world.plan.encoder()
        fast.encode(raws)
        copy(conn, "fast", fast, fast.encode(raws))
        for table in world.entity.tables:
            for one, other in (("general", "fast"), ("fast", "general")):
                statement = f'SELECT * FROM {one}."{table.name}" EXCEPT ALL SELECT * FROM {other}."{table.name}"'
                assert [] == conn.execute(statement).fetchall()
        found = rows_of(conn, world, "general")
        assert len(items) == len(found)
        by_key = {key_of(world, back): back for back in (from_rows(world.entity, rows) for rows in found)}
        for item in items:
            expected, back = as_declared(world.entity, item), by_key[key_of(world, item)]
            assert [] == differing_attributes(expected, back)
            assert as_boto3(expected) == as_boto3(back)
            assert expected.keys() == read_item(raw(back)).keys()


@settings(max_examples=25, phases=NO_SHRINKING, suppress_health_check=SLOW)
@given(st.data())
def test_rows_of_both_paths_are_equal_in_postgresql_and_rebuild_every_item(
    postgres_dsn: str, data: st.DataObject
) -> None:
    check(postgres_dsn, data)


@pytest.mark.slow
@settings(max_examples=60, phases=NO_SHRINKING, suppress_health_check=SLOW)
@given(st.data())
def test_rows_rebuild_every_item_on_every_postgresql(any_postgres_dsn: str, data: st.DataObject) -> None:
    check(any_postgres_dsn, data)
