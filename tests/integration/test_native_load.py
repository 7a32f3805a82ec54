"""Loads and syncs with the native path hold what they hold without it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from tests.integration import load_world as world

from ashore.ledger.chunk import Encoding
from ashore.load.order import planned_encoding
from ashore.load.run import run_load
from ashore.mapping.native import NativeEncoder, fastest_encoder
from ashore.observe.events import Event, Progress
from ashore.postgres.binary import binary_types, misfit_entities, withhold_misfits
from ashore.postgres.connect import connect
from ashore.postgres.names import TableName
from ashore.postgres.tables import create_missing

pytestmark = pytest.mark.needs_native

TABLES = {f"shop.{name}": TableName("shop", name) for name in world.TABLES}


@dataclass(frozen=True, slots=True)
class InPython:
    """Makes an encoder without the native path."""

    def __call__(self) -> Encoding:
        return planned_encoding(world.plan, ("customer", "purchase"), native=False)


def counts(report: Any) -> dict[tuple[str | None, str], int]:
    return {(one.entity, one.outcome): one.items for one in report.counts}


def test_a_load_holds_what_it_holds_without_the_native_path(any_postgres_dsn: str) -> None:
    odd = [
        world.raw(world.a_customer(90_001, age={"N": "1E1"})),
        world.raw(world.a_customer(90_003, note={"S": "\0"})),
        world.raw(world.a_customer(90_005, age={"N": "300"})),
    ]
    source = world.MemorySource(items=[*world.items(900), *odd, b'{"pk":{"S":"x"},"sk":{"S":"y"}}'])
    heard: list[Event] = []
    order = world.order(any_postgres_dsn, source)

    native = run_load(order, heard.append)
    digest = world.digest(any_postgres_dsn)
    python = run_load(replace(order, make_encoding=InPython(), restart=True))

    assert digest == world.digest(any_postgres_dsn)
    assert counts(python) == counts(native)
    assert python.rejected == native.rejected
    assert python.rows == native.rows
    assert (0, {}) == (python.native_items, python.refused)
    missing = sum(one.items for one in native.rejected if one.reason == "missing")
    assert {"value": 1, "nul": 1, "unrouted": 1, "missing": missing} == native.refused
    progress = [event for event in heard if isinstance(event, Progress)]
    assert native.native_items == sum(event.native_items for event in progress) > 700


def test_a_row_that_postgresql_refuses_is_rejected_alone_and_the_rest_of_its_chunk_lands(postgres_dsn: str) -> None:
    items = [world.raw(world.a_customer(number)) for number in range(50)]
    items[17] = world.raw(world.a_customer(17, age={"N": "300"}))

    report = run_load(world.order(postgres_dsn, world.MemorySource(items=items, unit_count=1)))

    assert {("customer", "rows"): 49, ("customer", "rejected"): 1} == counts(report)
    assert [("customer", "refused_by_postgres", 1)] == [(one.entity, one.reason, one.items) for one in report.rejected]
    assert {"shop.customer": 49} == report.rows


def test_a_table_with_other_types_takes_the_text_path_and_the_others_stay_native(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as conn:
        create_missing(conn, [world.customer, world.purchase, world.line], default_schema="public")
        conn.execute("ALTER TABLE shop.customer ALTER COLUMN age TYPE bigint")

    report = run_load(world.order(postgres_dsn, world.MemorySource(items=world.items(300))))

    assert 100 == world.one(postgres_dsn, "SELECT count(*) FROM shop.customer")
    purchases = counts(report)["purchase", "rows"]
    assert purchases == report.native_items
    assert 100 == report.refused["unrouted"]
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:
        expected = "column 'age' of table shop.customer is int8, not int4"
        assert {"customer": expected} == misfit_entities(conn, world.plan)


def test_types_are_looked_at_through_domains_and_enums(postgres_dsn: str) -> None:
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:
        conn.execute("CREATE DOMAIN short AS varchar(3); CREATE DOMAIN shorter AS short CHECK (value <> '')")
        conn.execute("CREATE TYPE mood AS ENUM ('a'); CREATE TYPE pair AS (a int, b int)")
        conn.execute('CREATE TABLE "odd Name" (a shorter, b mood, c text[], d pair, e int, gone int)')
        conn.execute('ALTER TABLE "odd Name" DROP COLUMN gone')

        found = binary_types(conn, TableName("public", "odd Name"))

        assert {"a": "varchar", "b": "enum", "c": "_text", "d": "public.pair", "e": "int4"} == found
        assert {} == binary_types(conn, TableName("public", "none"))


def test_an_encoder_without_the_native_path_has_nothing_to_withhold(postgres_dsn: str) -> None:
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:
        withhold_misfits(conn, world.plan.encoder(), TABLES)


def test_a_chunk_that_the_library_does_not_take_is_encoded_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = fastest_encoder(world.plan)
    assert isinstance(encoder, NativeEncoder)
    monkeypatch.setattr(encoder.transcoder, "encode", lambda _items, **_options: None)

    encoded = encoder.encode(world.items(30))

    assert {} == encoded.binary
    assert {"fault": 30} == encoded.refused
    assert 30 == sum(encoded.counts.values())
