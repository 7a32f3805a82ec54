"""Binary rows of the native path are the rows of the general path, in PostgreSQL and as bytes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql
from tests.integration.test_mapping_postgres import accepted
from tests.mapping_values import raw
from tests.mapping_worlds import World, worlds
from tests.native_rows import framed, general_only, native_encoder, without_frame

from ashore.mapping.encoded import Encoded

pytestmark = pytest.mark.needs_native

NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


def create(dsn: str, world: World) -> None:
    """The declared tables, without constraints, in the schemas `general` and `native`."""
    engine = sa.create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        for schema in ("public", "general", "native"):
            connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
            connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
        world.metadata.create_all(connection)
        for schema in ("general", "native"):
            for table in world.entity.tables:
                connection.execute(sa.text(f'CREATE TABLE {schema}."{table.name}" (LIKE public."{table.name}")'))
    engine.dispose()


def copy(conn: psycopg.Connection[Any], schema: str, columns: dict[str, tuple[str, ...]], batch: Encoded) -> None:
    def into(name: str, data: bytes, options: str) -> int:
        names = sql.SQL(", ").join(map(sql.Identifier, columns[name]))
        statement = sql.SQL("COPY {} ({}) FROM STDIN" + options).format(sql.Identifier(schema, name), names)
        cursor = conn.cursor()
        with cursor.copy(statement) as writer:
            writer.write(data)
        return cursor.rowcount

    for name, data in batch.copy_data.items():
        into(name, data, "")
    for name, rows in batch.binary.items():
        assert rows.count == into(name, framed(rows.data), " (FORMAT binary)")


def dumped(conn: psycopg.Connection[Any], schema: str, name: str, columns: tuple[str, ...]) -> bytes:
    """All rows in their order in the table, as PostgreSQL's own binary COPY writes them."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY ctid) TO STDOUT (FORMAT binary)")
    with conn.cursor().copy(query.format(names, sql.Identifier(schema, name))) as reader:
        return without_frame(b"".join(bytes(part) for part in reader))


def check(dsn: str, data: st.DataObject, taken: Counter[str]) -> None:
    world = data.draw(worlds())
    items = accepted(world, data.draw(st.lists(world.items, min_size=1, max_size=12)))
    create(dsn, world)
    native, general = native_encoder(world.plan), general_only(world.plan)
    with psycopg.connect(dsn, autocommit=True) as conn:
        for item in items:
            one = raw(item, style=data.draw(st.sampled_from([0, 0, 0, 1, 2])))
            actual, expected = native.encode([one]), general.encode([one])
            assert expected.counts == actual.counts
            assert expected.row_counts == actual.row_counts
            taken.update(actual.refused or {"taken": 1})
            copy(conn, "native", native.columns, actual)
            copy(conn, "general", general.columns, expected)
        for table in world.entity.tables:
            columns = native.columns[table.fullname]
            expected_rows = dumped(conn, "general", table.name, columns)
            assert expected_rows == dumped(conn, "native", table.name, columns)


def test_rows_of_the_native_path_are_those_of_the_general_path_in_postgresql(postgres_dsn: str) -> None:
    taken: Counter[str] = Counter()

    @settings(max_examples=100, phases=NO_SHRINKING, suppress_health_check=SLOW, deadline=None)
    @given(st.data())
    def checked(data: st.DataObject) -> None:
        check(postgres_dsn, data, taken)

    checked()
    assert taken["taken"] > 20, taken
    assert 0 == taken["fault"]


@pytest.mark.slow
def test_rows_of_the_native_path_are_those_of_the_general_path_on_every_postgresql(any_postgres_dsn: str) -> None:
    taken: Counter[str] = Counter()

    @settings(max_examples=80, phases=NO_SHRINKING, suppress_health_check=SLOW, deadline=None)
    @given(st.data())
    def checked(data: st.DataObject) -> None:
        check(any_postgres_dsn, data, taken)

    checked()
    assert taken["taken"] > 15, taken
    assert 0 == taken["fault"]
