"""The laws of a cutover and of the way back: a test for each, on both PostgreSQL versions where that may differ."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests import cutover_world, sync_world
from tests.cutover_world import GROUP as _GROUP
from tests.cutover_world import World, account, drain
from tests.sync_world import ENTITIES

from ashore.cutover import gates, guard, switch
from ashore.cutover.errors import GatesClosed, NoWayBack, RoleMayStillWrite, TookTooLong
from ashore.cutover.gates import Conditions, Gate
from ashore.cutover.run import Order, cut_over, rehearse, roll_back
from ashore.cutover.switch import Crossing, NotYet
from ashore.ledger import crossing, outbox, records
from ashore.ledger.crossing import routes
from ashore.ledger.errors import StateMoved
from ashore.postgres.connect import Conn
from ashore.sync.errors import StillCrossing
from ashore.sync.stop import stop


@pytest.fixture
def world(postgres_dsn: str) -> Iterator[World]:
    made = World(postgres_dsn)
    yield made
    made.close()


@pytest.fixture
def any_world(any_postgres_dsn: str) -> Iterator[World]:
    made = World(any_postgres_dsn)
    yield made
    made.close()


@pytest.fixture
def role(any_world: World) -> Iterator[str]:
    world, name = any_world, "the app's"
    world.do(f'DROP ROLE IF EXISTS "{name}"')
    world.do(f'CREATE ROLE "{name}"')
    world.do(f'GRANT USAGE ON SCHEMA world TO "{name}"')
    world.do(f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA world TO "{name}"')
    yield name
    world.do(f'DROP OWNED BY "{name}"')
    world.do(f'DROP ROLE "{name}"')


def test_law_12_the_fence_is_one_full_validity_after_the_hold_the_longest_that_was_told(world: World) -> None:
    crossing.set_validity(world.conn, "world", 7_000)
    crossing.set_validity(world.conn, "world", 1_000)
    fences: list[Any] = []
    switch.guard_up(world.conn, world.one, [])

    def mark(_conn: Conn, _source: str, fence: Any) -> None:
        assert world.slept[0] == 7.0, "nobody acts on an earlier answer when the markers go out"
        fences.append(fence)

    cut_over(world.conn, world.one, world.order(mark=mark))
    assert len(set(fences)) == 1
    assert world.state() == "writing"


def test_law_12_writes_that_are_under_way_when_writes_are_held_are_in_postgresql_before_it_writes(world: World) -> None:
    switch.guard_up(world.conn, world.one, [])
    order = world.order()

    def sleep(seconds: float) -> None:
        if seconds > 1:
            world.table.put(account(1, balance={"N": "9"}))
        order.sleep(seconds)

    cut_over(world.conn, world.one, replace(order, sleep=sleep))
    assert world.rows("SELECT balance FROM world.account WHERE account_id = '1'") == [(9,)]


def test_law_13_a_pause_that_would_become_too_long_is_given_up_and_writes_are_open(world: World) -> None:
    ticks = iter(range(100))
    order = Order(max_pause_seconds=6, sleep=lambda _: None, clock=lambda: float(next(ticks)))
    with pytest.raises(TookTooLong, match="have not been read past the fence"):
        cut_over(world.conn, world.one, order)
    assert routes(world.conn, "world")["account"].writes == "dynamodb"
    assert world.state() == "syncing"


def test_law_13_a_cutover_that_died_holds_nobody_for_longer_than_the_deadline(world: World) -> None:
    held = switch.hold(world.conn, world.one, expected=("syncing",), to="draining", seconds=0.2)
    assert routes(world.conn, "world")["account"].writes == "held"
    time.sleep(0.3)
    assert routes(world.conn, "world")["account"].writes == "dynamodb"
    with pytest.raises(StateMoved):
        switch.to_writing(world.conn, world.one, held, _long_ago(world.conn), has_way_back=True)


def test_law_14_privileges_that_are_taken_count_in_open_transactions_and_come_back_with_the_switch(
    any_world: World, role: str
) -> None:
    world = any_world
    with psycopg.connect(world.dsn) as application:
        application.execute(f'SET ROLE "{role}"')
        application.execute("UPDATE world.account SET balance = 5 WHERE account_id = 'none'")
        application.commit()
        application.execute("SELECT 1")
        switch.guard_up(world.conn, world.one, [role])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute("UPDATE world.account SET balance = 5")
        application.rollback()
        assert guard.how(world.conn, "world", _GROUP) == f"guarded by privileges: {role} cannot write"

        cut_over(world.conn, world.one, world.order())
        application.execute("UPDATE world.account SET balance = 5")
        application.commit()

        switch.hold(world.conn, world.one, expected=("writing",), to="returning", seconds=0.2)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute("UPDATE world.account SET balance = 6")
        application.rollback()
        time.sleep(0.3)
        crossing.return_overdue(world.conn, "world")
        application.execute("UPDATE world.account SET balance = 6")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute("TRUNCATE world.account")  # it never had that
    drain(world.writer)


def test_law_14_a_role_that_could_write_all_the_same_is_refused_and_nothing_is_changed(
    any_world: World, role: str
) -> None:
    world = any_world
    world.do(f'GRANT UPDATE (balance) ON world.account TO "{role}"')
    world.do("GRANT DELETE ON world.session TO PUBLIC")
    with pytest.raises(RoleMayStillWrite):
        switch.guard_up(world.conn, world.one, [role])
    assert world.rows("SELECT count(*) FROM ashore.guard") == [(0,)]
    assert world.rows(
        f"SELECT has_table_privilege('{role.replace(chr(39), chr(39) * 2)}', 'world.account', 'INSERT')"
    ) == [(True,)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO world.account (account_id) VALUES ('9')",
        "UPDATE world.account SET balance = 7",
        "DELETE FROM world.account",
        "TRUNCATE world.session",
        "WITH x AS (UPDATE world.account SET balance = 7 RETURNING 1) SELECT count(*) FROM x",
    ],
)
def test_law_14_the_trigger_refuses_every_statement_that_writes_while_dynamodb_takes_the_writes(
    world: World, statement: str
) -> None:
    switch.guard_up(world.conn, world.one, [])
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="takes no writes"):
        world.do(statement)
    world.table.put(account(1, balance={"N": "3"}))
    sync_world.settle(world.dsn, world.table)
    assert world.rows("SELECT balance FROM world.account WHERE account_id = '1'") == [(3,)], "Ashore itself writes"


def test_law_14_a_snapshot_of_when_postgresql_had_the_writes_is_no_way_past_the_trigger(any_world: World) -> None:
    world = any_world
    world.cut_over()
    with psycopg.connect(world.dsn) as application:
        application.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        application.execute("SELECT 1 FROM world.account")
        switch.hold(world.conn, world.one, expected=("writing",), to="returning", seconds=60)
        with pytest.raises(psycopg.errors.SerializationFailure):
            application.execute("UPDATE world.account SET balance = 6")


def test_law_15_writes_of_other_regions_keep_the_gate_shut_until_they_come_from_one(world: World) -> None:
    conditions = Conditions(max_pause_seconds=60, replicas=("eu-west-1",), stream_region="us-east-1")

    def gate(**said: Any) -> Gate:
        found = gates.writes_gates(world.conn, world.one, replace(conditions, **said))
        return next(one for one in found if one.name == "regions")

    assert not gate().is_open
    assert not gate(writes_from="eu-west-1").is_open, "another region's stream is read"
    assert gate(writes_from="us-east-1").is_open
    assert gate(replicas=()).is_open


def test_law_18_what_cannot_be_written_back_keeps_the_gate_shut(world: World) -> None:
    def gate(one: Crossing, **said: Any) -> Gate:
        found = gates.writes_gates(world.conn, one, Conditions(max_pause_seconds=60, **said))
        return next(each for each in found if each.name == "way back")

    assert gate(world.one).is_open
    world.do("ALTER TABLE world.account ADD COLUMN colour text")
    assert gate(world.one).found == "column colour of world.account has no attribute"
    notes = replace(world.one, entities=("note",))
    assert gate(notes).found == (
        "copies 'archive|{year} {place}' of note are not made of rows that PostgreSQL adds: {year} is no column that an"
        " item fills; copies 'bin|{year} {place}' of note are not made of rows that PostgreSQL adds: {year} is no"
        " column that an item fills"
    )
    assert gate(notes, has_way_back=False).is_open


def test_law_18_copies_that_new_ones_would_not_be_like_keep_the_gate_shut(world: World) -> None:
    def gate() -> Gate:
        tasks = replace(world.one, entities=("task",))
        found = gates.writes_gates(world.conn, tasks, Conditions(max_pause_seconds=60))
        return next(each for each in found if each.name == "way back")

    assert gate().is_open, "rendered and carried copies, and mirrors, are written back"
    row = {"pk": {"S": "project|a"}, "sk": {"S": "task|1"}, "taskRef": {"S": "task|1"}, "projectId": {"S": "a"}}
    world.table.put(row)
    world.table.put({**row, "pk": {"S": "done|ann"}, "sk": {"S": "m1"}, "ttl": {"N": "7"}})
    sync_world.settle(world.dsn, world.table)
    assert gate().found == "copies of task have attributes of their own, which new ones would lack: 'ttl'"
    world.table.put({**row, "ttl": {"N": "8"}})
    sync_world.settle(world.dsn, world.table)
    assert gate().is_open, "their originals have it, too"


def test_law_19_a_transaction_that_passed_the_guard_is_waited_for_before_the_outbox_counts_as_empty(
    world: World,
) -> None:
    world.cut_over()
    with psycopg.connect(world.dsn) as slow:
        slow.execute("UPDATE world.account SET balance = 8 WHERE account_id = '1'")
        switch.hold(world.conn, world.one, expected=("writing",), to="returning", seconds=60)
        switch.assert_written_back(world.conn, world.one)  # it is empty, and that means nothing yet
        with pytest.raises(psycopg.errors.LockNotAvailable):
            switch.wait_for_writers(world.conn, world.one)
        slow.commit()
    switch.wait_for_writers(world.conn, world.one)
    with pytest.raises(NotYet, match="1 rows are not in DynamoDB"):
        switch.assert_written_back(world.conn, world.one)


def test_law_19_the_way_back_ends_with_everything_in_dynamodb(any_world: World) -> None:
    world = any_world
    world.cut_over()
    world.do("UPDATE world.account SET balance = 8 WHERE account_id = '1'")
    world.do("DELETE FROM world.account WHERE account_id = '2'")
    world.do("INSERT INTO world.session (session_id, ttl) VALUES ('5', 9)")
    done = roll_back(world.conn, world.one, world.order())
    assert done.state == world.state() == "syncing"
    cutover_world.assert_both_hold_the_same(world.dsn, world.table, *_GROUP)

    world.table.put(account(1, balance={"N": "10"}))
    sync_world.settle(world.dsn, world.table)
    assert world.rows("SELECT balance FROM world.account WHERE account_id = '1'") == [(10,)], "the stream applies again"
    assert world.rows("SELECT count(*) FROM ashore.outbox") == [(0,)], "what the stream writes is not written back"


def test_law_19_what_was_cut_over_without_a_way_back_cannot_go_back(any_world: World) -> None:
    world = any_world
    with pytest.raises(StateMoved):
        roll_back(world.conn, world.one, world.order())
    cut_over(world.conn, world.one, world.order(has_way_back=False))
    world.do("UPDATE world.account SET balance = 8 WHERE account_id = '1'")
    gate = next(gate for gate in gates.return_gates(world.conn, world.one) if gate.name == "way back")
    assert not gate.is_open
    with pytest.raises(NoWayBack, match="account, session"):
        roll_back(world.conn, world.one, world.order())
    assert world.state() == "writing"
    world.do("UPDATE world.account SET balance = 9 WHERE account_id = '1'")


def test_law_17_writes_of_others_keep_the_way_back_shut_until_somebody_decides(world: World) -> None:
    world.cut_over()
    world.table.put(account(1, balance={"N": "77"}))
    sync_world.settle(world.dsn, world.table)
    ticks = iter(range(1000))
    with pytest.raises(TookTooLong, match="writes of others"):
        roll_back(world.conn, world.one, world.order(clock=lambda: float(next(ticks))))
    assert world.state() == "writing"
    assert routes(world.conn, "world")["account"].writes == "postgres"


def test_law_19_a_second_cutover_needs_a_fresh_verification(world: World) -> None:
    def verified() -> Gate:
        return next(one for one in gates.reads_gates(world.conn, world.one) if one.name == "verification")

    assert not verified().is_open
    report = {"equal": True, "entities": [{"entity": name} for name in ENTITIES]}
    records.keep_verification(world.conn, "world", report)
    assert verified().is_open
    world.cut_over()
    roll_back(world.conn, world.one, world.order())
    assert not verified().is_open
    assert "the entities came to their state after it" in verified().found


def test_law_8_a_rehearsal_holds_nothing_predicts_the_pause_and_is_a_gate(world: World) -> None:
    def gate(seconds: float) -> Gate:
        found = gates.writes_gates(world.conn, world.one, Conditions(max_pause_seconds=seconds))
        return next(one for one in found if one.name == "rehearsal")

    assert not gate(60).is_open
    rehearsed = rehearse(world.conn, world.one, world.order())
    assert rehearsed.pause_seconds >= 5.0, "the validity is part of the pause"
    assert world.state() == "syncing"
    assert gate(60).is_open
    assert not gate(1).is_open, "longer than it may be"


def test_law_20_removals_of_a_retired_entity_are_ignored(world: World) -> None:
    world.cut_over()
    with world.conn.transaction():
        crossing.move(world.conn, source="world", entities=_GROUP, expected="writing", to="retired")
    world.table.delete("account|1", "account")
    sync_world.settle(world.dsn, world.table)
    assert world.rows("SELECT count(*) FROM world.account") == [(2,)]
    assert world.rows("SELECT count(*) FROM ashore.foreign_write") == [(0,)]


def test_what_still_waits_to_be_written_back_is_dropped_when_its_entity_retires_and_no_other(world: World) -> None:
    world.cut_over()
    world.do("UPDATE world.account SET balance = 8 WHERE account_id = '1'")
    world.do("INSERT INTO world.session (session_id, ttl) VALUES ('5', 9)")
    with world.conn.transaction():
        outbox.let_go(world.conn, "world", ["account"])
    assert world.rows("SELECT DISTINCT entity, back FROM ashore.outbox") == [("session", True)]


def test_foreign_keys_are_made_between_tables_that_postgresql_writes_and_taken_off_on_the_way_back(
    world: World,
) -> None:
    both = replace(world.one, entities=("account", "note"))
    switch.guard_up(world.conn, both, [])
    cut_over(world.conn, both, world.order(has_way_back=False))
    assert world.rows(
        "SELECT count(*), bool_and(convalidated) FROM pg_constraint"
        " WHERE contype = 'f' AND connamespace = 'world'::regnamespace"
    ) == [(2, True)]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        world.do("INSERT INTO world.note (note_id, owner_id) VALUES ('1', 'nobody')")


def test_a_sync_that_writes_back_cannot_be_stopped(world: World) -> None:
    world.cut_over()
    with pytest.raises(StillCrossing, match="account, session"):
        stop(world.conn, "world")
    assert world.rows("SELECT state FROM ashore.stream") == [("running",)]


def test_all_closed_gates_are_told_at_once(world: World) -> None:
    with pytest.raises(GatesClosed) as refused:
        gates.assert_open("x", gates.writes_gates(world.conn, world.one, Conditions(max_pause_seconds=60)))
    told = refused.value.what()
    for name in ("verification", "rehearsal", "restore point of DynamoDB", "restore point of PostgreSQL"):
        assert name in told


def test_readers_are_not_held_up_by_a_switch_that_waits_for_a_lock(world: World) -> None:
    switch.guard_up(world.conn, world.one, [])
    held = switch.hold(world.conn, world.one, expected=("syncing",), to="draining", seconds=60)
    with psycopg.connect(world.dsn) as vacuum:
        vacuum.execute("LOCK TABLE world.account IN SHARE ROW EXCLUSIVE MODE")
        read: list[Any] = []
        fence = _long_ago(world.conn)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            switch.to_writing(world.conn, world.one, held, fence, has_way_back=True)
        reading = threading.Thread(target=lambda: read.extend(world.rows("SELECT count(*) FROM world.account")))
        reading.start()
        reading.join(10)
        assert read == [(2,)]


def _long_ago(conn: Conn) -> Any:
    return conn.execute("SELECT clock_timestamp() - interval '1 day'").fetchall()[0][0]
