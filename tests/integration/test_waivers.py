"""Waivers: what stands in the way is passed by, by key, as it is and for as long as was said; nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests import sync_world
from tests.cutover_world import World
from tests.cutover_world import account as an_account
from tests.integration.test_verify_table import court_table, put
from tests.integration.verify_world import a_case, load_court, verify_court

from ashore.cutover import gates
from ashore.cutover.errors import TookTooLong
from ashore.cutover.gates import Conditions, Gate
from ashore.cutover.run import roll_back
from ashore.cutover.switch import NotYet, _nothing_waits
from ashore.dynamodb.scan import TableSource
from ashore.ledger import freshness, waivers
from ashore.ledger.waivers import Kind
from ashore.postgres.connect import connect

__all__ = ["court_table"]


@pytest.fixture
def world(postgres_dsn: str) -> Iterator[World]:
    made = World(postgres_dsn)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


def waive(dsn: str, source: str, kind: Kind, *, days: float = 1) -> list[int]:
    """Waive all of a kind that stands in the way."""
    with connect(dsn, application_name="test", autocommit=True) as conn, conn.transaction():
        found = [one for one in waivers.obstacles(conn, source) if one.kind == kind and not one.is_waived]
        assert found
        return waivers.waive(conn, source, found, reason="known", until=datetime.now(UTC) + timedelta(days=days))


def gate(world: World, name: str, *, back: bool = False) -> Gate:
    found = (
        gates.return_gates(world.conn, world.one)
        if back
        else gates.writes_gates(world.conn, world.one, Conditions(max_pause_seconds=60))
    )
    return next(one for one in found if one.name == name)


def reject(world: World, colour: str) -> None:
    world.table.put(an_account(7, balance={"N": "5000"}, colour={"S": colour}))
    sync_world.settle(world.dsn, world.table)


def test_law_9_a_waiver_opens_the_gate_for_the_item_as_it_was_rejected_and_for_no_later_one(world: World) -> None:
    reject(world, "red")
    assert not gate(world, "rejected items").is_open
    with pytest.raises(NotYet):
        _nothing_waits(world.conn, world.one)
    waive(world.dsn, "world", "rejected")
    assert gate(world, "rejected items").is_open
    assert gate(world, "rejected items").found == "0, and 1 waived"
    _nothing_waits(world.conn, world.one)
    reject(world, "blue")
    assert gate(world, "rejected items").found == "1", "another item under the same key"
    reject(world, "red")
    assert gate(world, "rejected items").is_open


def test_a_waiver_ends_on_its_day_and_when_it_is_withdrawn(world: World) -> None:
    reject(world, "red")
    waive(world.dsn, "world", "rejected", days=-1)
    assert not gate(world, "rejected items").is_open, "its day is over"
    [number] = waive(world.dsn, "world", "rejected")
    assert gate(world, "rejected items").is_open
    assert [number] == waivers.withdraw(world.conn, "world", [number, 99])
    assert not gate(world, "rejected items").is_open
    assert [] == waivers.withdraw(world.conn, "world", [number])
    [over] = waivers.waivers(world.conn, "world")
    assert over.is_over


def test_law_9_a_parked_change_that_is_waived_is_passed_by_until_it_is_another(world: World) -> None:
    for number in (3, 4):
        world.table.put(an_account(number, email={"S": "one"}))
    sync_world.settle(world.dsn, world.table)
    assert gate(world, "parked changes").found == "1"
    waive(world.dsn, "world", "parked")
    sync_world.settle(world.dsn, world.table)
    assert gate(world, "parked changes").is_open, "it is tried again, and is the same"
    [(parked,)] = world.rows("SELECT convert_from(key, 'UTF8')::jsonb #>> '{pk,S}' FROM ashore.parked_change")
    world.table.put(an_account(int(parked.removeprefix("account|")), email={"S": "one"}, balance={"N": "8"}))
    sync_world.settle(world.dsn, world.table)
    assert not gate(world, "parked changes").is_open


def test_law_17_a_write_of_another_that_is_waived_lets_the_way_back_go_on_and_the_next_does_not(world: World) -> None:
    world.cut_over()
    world.table.put(an_account(1, by={"S": "another"}))
    sync_world.settle(world.dsn, world.table)
    assert not gate(world, "writes of others", back=True).is_open
    waive(world.dsn, "world", "foreign")
    assert gate(world, "writes of others", back=True).is_open
    world.table.put(an_account(1, by={"S": "yet another"}))
    sync_world.settle(world.dsn, world.table)
    assert gate(world, "writes of others", back=True).found == "1, and 1 waived"
    ticks = iter(range(1_000))
    with pytest.raises(TookTooLong, match="writes of others"):
        roll_back(world.conn, world.one, world.order(clock=lambda: float(next(ticks))))
    waive(world.dsn, "world", "foreign")
    assert roll_back(world.conn, world.one, world.order()).state == "syncing"


def test_law_18_a_row_that_is_waived_stays_as_dynamodb_has_it_and_its_next_version_does_not(world: World) -> None:
    world.cut_over()
    world.writer.store.too_large = 1_000  # type: ignore[attr-defined]

    def write(letter: str) -> None:
        world.do("UPDATE world.account SET extra = jsonb_build_object('x', repeat(%s, 2000))", letter)
        world.writer.step()

    world.do("DELETE FROM world.account WHERE account_id = '2'")
    write("a")
    closed = gate(world, "rows that DynamoDB cannot hold", back=True)
    assert (closed.is_open, closed.found) == (False, "1: account ValidationException")
    waive(world.dsn, "world", "refused")
    assert gate(world, "rows that DynamoDB cannot hold", back=True).is_open
    write("b")
    assert not gate(world, "rows that DynamoDB cannot hold", back=True).is_open, "another version of the row"
    ticks = iter(range(1_000))
    with pytest.raises(TookTooLong, match="1 rows are not in DynamoDB"):
        roll_back(world.conn, world.one, world.order(clock=lambda: float(next(ticks))))
    waive(world.dsn, "world", "refused")
    assert roll_back(world.conn, world.one, world.order()).state == "syncing"
    assert world.rows("SELECT count(*) FROM ashore.outbox") == [(0,)]
    assert b'"x"' not in world.table.items["account|1", "account"]


def test_a_difference_that_is_waived_is_none_until_either_side_changes(
    court_table: tuple[TableSource, Any], postgres_dsn: str
) -> None:
    source, client = court_table
    load_court(postgres_dsn, source)
    put(client, [a_case("101-20", caption={"S": "changed"})])
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:

        def waived_and_different() -> tuple[int, int]:
            report = verify_court(postgres_dsn, source, witness_all=True)
            return sum(one.waived for one in report.entities), report.total_differences

        waived, different = waived_and_different()
        assert waived == 0
        assert different > 0
        assert freshness.last_verified(conn, "court") is None
        [obstacle] = waivers.obstacles(conn, "court")
        assert obstacle.key == '{"pk":{"S":"case|101-20"},"sk":{"S":"case|101-20"}}'
        waive(postgres_dsn, "court", "difference")
        assert waived_and_different() == (1, 0)
        verified = freshness.last_verified(conn, "court")
        assert verified is not None
        assert verified.is_fresh

        put(client, [a_case("101-20", caption={"S": "changed again"})])
        assert waived_and_different()[0] == 0, "DynamoDB's side is another"
        put(client, [a_case("101-20", caption={"S": "changed"})])
        with psycopg.connect(postgres_dsn, autocommit=True) as other:
            other.execute("UPDATE \"case\" SET caption = 'mended' WHERE docket_number = '101-20'")
        waived, different = waived_and_different()
        assert waived == 0, "PostgreSQL's side is another"
        assert different > 0


def test_a_waiver_is_of_its_source_kind_and_key(world: World) -> None:
    reject(world, "red")
    [number] = waive(world.dsn, "world", "rejected")
    [one] = waivers.waivers(world.conn, "world")
    assert (one.id, one.kind, one.entity, one.reason, one.is_over) == (number, "rejected", "account", "known", False)
    assert waivers.waivers(world.conn, "another") == []
    world.table.put(an_account(8, balance={"N": "5000"}))
    sync_world.settle(world.dsn, world.table)
    assert gate(world, "rejected items").found == "1, and 1 waived"
    assert gate(replace_entities(world, "session"), "rejected items").found == "0"


def replace_entities(world: World, *names: str) -> World:
    world.one = replace(world.one, entities=names)
    return world
