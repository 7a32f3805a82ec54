"""Cutovers and ways back that meet each other, that are paused between two statements, or meet what others do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests import cutover_world, sync_world
from tests.cutover_world import GROUP, MemoryStore, World, account, drain, plan
from tests.streamed_table import MemoryTable
from tests.sync_world import MemoryMarkers

from ashore.cutover import switch
from ashore.cutover.errors import RoleMayStillWrite, TookTooLong
from ashore.cutover.run import Order, cut_over, retire, roll_back
from ashore.cutover.switch import Crossing
from ashore.dynamodb.errors import Throttled
from ashore.ledger import crossing, loads, marking, streams, waivers
from ashore.ledger.crossing import routes
from ashore.ledger.errors import StateMoved
from ashore.ledger.passing import passing
from ashore.ledger.streams import stream_of
from ashore.model.change import Shard
from ashore.observe.events import silent
from ashore.pipeline import reverse
from ashore.postgres.connect import Conn, connect
from ashore.sync import outages
from ashore.sync.listing import list_shards
from ashore.sync.outages import over_outages


@pytest.fixture
def world(postgres_dsn: str) -> Iterator[World]:
    made = World(postgres_dsn)
    yield made
    made.close()


@pytest.fixture
def role(world: World) -> Iterator[str]:
    world.do("DROP ROLE IF EXISTS application")
    world.do("CREATE ROLE application")
    world.do("GRANT USAGE ON SCHEMA world TO application")
    world.do("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA world TO application")
    yield "application"
    world.do("DROP OWNED BY application")
    world.do("DROP ROLE application")


def assert_given_up_meanwhile(work: Callable[[], object]) -> None:
    """That it ends, in vain, while another session holds a lock."""
    ended: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except TookTooLong as error:
            ended.append(error)

    working = threading.Thread(target=run, daemon=True)
    working.start()
    working.join(30)
    assert [str(error).count("another session holds a lock") for error in ended] == [1]


def test_law_13_a_cutover_that_slept_past_its_deadline_does_not_end_the_hold_of_another(world: World) -> None:
    switch.guard_up(world.conn, world.one, [])
    order = world.order()

    def asleep(seconds: float) -> None:
        order.sleep(seconds)
        if not seconds > 1:
            return
        world.do("UPDATE ashore.entity SET deadline = clock_timestamp() WHERE state = 'draining'")
        assert routes(world.conn, "world")["account"].writes == "dynamodb"
        switch.hold(world.conn, world.one, expected=("syncing",), to="draining", seconds=60)
        world.table.put(account(1, balance={"N": "9"}))  # by one who was told before the second hold, and may still

    with pytest.raises(StateMoved):
        cut_over(world.conn, world.one, replace(order, sleep=asleep))
    assert world.state() == "draining", "the second cutover has not had its fence yet"


def test_law_13_a_cutover_that_slept_past_its_deadline_gives_up_nothing_of_another(world: World) -> None:
    switch.guard_up(world.conn, world.one, [])
    ticks = iter([0.0, 90.0, 90.0, 90.0])

    def asleep(seconds: float) -> None:
        if seconds > 1:
            world.do("UPDATE ashore.entity SET deadline = clock_timestamp() WHERE state = 'draining'")
            crossing.return_overdue(world.conn, "world")
            switch.hold(world.conn, world.one, expected=("syncing",), to="draining", seconds=60)

    with pytest.raises((TookTooLong, StateMoved)):
        cut_over(world.conn, world.one, Order(max_pause_seconds=60, sleep=asleep, clock=lambda: next(ticks)))
    assert world.state() == "draining"


def test_law_19_a_way_back_that_slept_past_its_deadline_does_not_end_the_hold_of_another(world: World) -> None:
    world.cut_over()
    holds: list[switch.Held] = []

    def asleep(_conn: Any, _source: str, _fence: Any) -> None:
        if holds:
            return
        world.do("UPDATE ashore.entity SET deadline = clock_timestamp() WHERE state = 'returning'")
        assert routes(world.conn, "world")["account"].writes == "postgres"
        holds.append(switch.hold(world.conn, world.one, expected=("writing",), to="returning", seconds=60))

    with pytest.raises(StateMoved):
        roll_back(world.conn, world.one, world.order(mark=asleep))
    assert world.state() == "returning", "the second way back has not waited for the writers yet"


def test_law_11_on_the_way_back_nobody_reads_by_an_earlier_answer_what_is_to_be_written_in_dynamodb(
    world: World,
) -> None:
    world.cut_over()
    world.slept.clear()
    now = [0.0]
    order = world.order(clock=lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds
        order.sleep(seconds)

    def mark(_conn: Any, _source: str, _fence: Any) -> None:
        assert sum(world.slept) >= 5.0, "that is for how long answers are valid"

    roll_back(world.conn, world.one, replace(order, sleep=sleep, mark=mark))
    assert world.state() == "syncing"


def test_law_14_what_a_role_was_granted_while_postgresql_wrote_is_taken_on_the_way_back_too(
    world: World, role: str
) -> None:
    switch.guard_up(world.conn, world.one, [role])
    cut_over(world.conn, world.one, world.order())
    world.do("GRANT DELETE ON world.account TO application")  # as a deployment does
    switch.hold(world.conn, world.one, expected=("writing",), to="returning", seconds=0.2)
    with psycopg.connect(world.dsn) as application:
        application.execute("SET ROLE application")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute("DELETE FROM world.account")
        application.rollback()
        time.sleep(0.3)
        crossing.return_overdue(world.conn, "world")
        application.execute("DELETE FROM world.account WHERE account_id = '2'")


def test_law_14_a_role_that_could_write_after_the_way_back_by_other_means_keeps_it_shut(
    world: World, role: str
) -> None:
    switch.guard_up(world.conn, world.one, [role])
    cut_over(world.conn, world.one, world.order())
    world.do("GRANT UPDATE ON world.account TO PUBLIC")
    with pytest.raises(RoleMayStillWrite):
        roll_back(world.conn, world.one, world.order())
    assert world.state() == "writing"


def test_law_14_a_second_cutover_that_comes_late_does_not_shut_the_writers_out(world: World, role: str) -> None:
    switch.guard_up(world.conn, world.one, [role])
    cut_over(world.conn, world.one, world.order())
    with pytest.raises(StateMoved):
        switch.guard_up(world.conn, world.one, [role])  # its gates were open before the first one's hold
    assert world.rows("SELECT has_table_privilege('application', 'world.account', 'UPDATE')") == [(True,)]


def test_law_8_a_cutover_gets_its_markers_though_others_were_on_their_way_when_it_asked(world: World) -> None:
    switch.guard_up(world.conn, world.one, [])
    world.worker.order = replace(world.worker.order, markers=MemoryMarkers(world.table))
    world.worker.round()
    ticks = iter(range(1000))
    order = world.order(clock=lambda: float(next(ticks)))

    def sleep(seconds: float) -> None:
        if seconds > 1:
            [(moment,)] = world.rows("SELECT clock_timestamp()")
            marking.want(world.conn, "world", moment)  # a verification, say
            world.worker.round()
            assert marking.wanted(world.conn, "world") is not None
        else:
            order.sleep(seconds)

    done = cut_over(world.conn, world.one, replace(order, sleep=sleep))
    assert done.passed == "by markers"


def test_law_17_an_echo_of_an_earlier_period_is_none_of_the_next(world: World) -> None:
    world.cut_over()
    for _ in range(2):  # the second write changes nothing, and makes no record
        world.do("UPDATE world.account SET balance = 1 WHERE account_id = '1'")
        drain(world.writer)
    roll_back(world.conn, world.one, world.order())
    world.table.put(account(1, balance={"N": "2"}))
    sync_world.settle(world.dsn, world.table)
    world.cut_over()
    world.table.put(account(1))  # somebody else's write
    sync_world.settle(world.dsn, world.table)
    assert world.rows("SELECT count(*) FROM ashore.foreign_write") == [(1,)]


def test_a_fence_that_is_longer_than_the_pause_may_be_holds_nothing(world: World) -> None:
    crossing.set_validity(world.conn, "world", 90_000)
    held: list[str] = []
    order = Order(max_pause_seconds=60, sleep=lambda _: held.append(world.state()))
    with pytest.raises(TookTooLong, match="90"):
        cut_over(world.conn, world.one, order)
    assert held == []
    assert world.state() == "syncing"


def test_a_sequence_that_the_last_writes_in_dynamodb_passed_by_gives_none_of_their_values(world: World) -> None:
    world.do("CREATE SEQUENCE world.balances OWNED BY world.account.balance")
    world.do("ALTER TABLE world.account ALTER balance SET DEFAULT nextval('world.balances')")
    world.do("SELECT setval('world.balances', 1)")
    switch.guard_up(world.conn, world.one, [])
    order = world.order()

    def sleep(seconds: float) -> None:
        if seconds > 1:
            world.table.put(account(1, balance={"N": "9"}))  # the gate was open, and the application goes on
        order.sleep(seconds)

    cut_over(world.conn, world.one, replace(order, sleep=sleep))
    world.do("INSERT INTO world.account (account_id) VALUES ('7')")
    assert world.rows("SELECT balance FROM world.account WHERE account_id = '7'") == [(10,)]


def test_law_24_retiring_waits_behind_no_open_transaction_with_everybody_else_behind_it(world: World) -> None:
    world.cut_over()
    ticks = iter(range(1000))
    order = Order(max_pause_seconds=3, sleep=lambda _: None, clock=lambda: float(next(ticks)))
    noted: list[bool] = []
    with psycopg.connect(world.dsn) as slow:
        slow.execute("UPDATE world.account SET balance = 8 WHERE account_id = '1'")
        assert_given_up_meanwhile(lambda: retire(world.conn, world.one, order, note=lambda: noted.append(True)))
    assert (world.state(), noted) == ("writing", [])
    retire(world.conn, world.one, order, note=lambda: noted.append(True))
    assert (world.state(), noted) == ("retired", [True])


def test_law_13_a_cutover_that_cannot_give_up_since_a_frozen_worker_has_the_states_says_so(world: World) -> None:
    switch.guard_up(world.conn, world.one, [])
    ticks = iter(range(1000))
    frozen = psycopg.connect(world.dsn)

    def sleep(seconds: float) -> None:
        if seconds > 1:
            frozen.execute("SELECT 1 FROM ashore.entity FOR SHARE")  # as each batch of the stream does

    order = Order(max_pause_seconds=6, sleep=sleep, clock=lambda: float(next(ticks)))
    with frozen:
        assert_given_up_meanwhile(lambda: cut_over(world.conn, world.one, order))
    world.do("UPDATE ashore.entity SET deadline = clock_timestamp() WHERE state = 'draining'")
    assert routes(world.conn, "world")["account"].writes == "dynamodb"


def test_law_13_a_worker_that_freezes_within_a_batch_does_not_hold_the_application_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "_FROZEN_SECONDS", 3)
    batches: list[str] = []

    def work(conn: Conn, _alive: Any) -> None:
        with conn.transaction():
            loads.lock_states(conn, "world")
            batches.append("begun")
            if len(batches) == 1:
                switch_is_over.wait(20)
        batches.append("done")

    switch_is_over = threading.Event()
    order = sync_world.order(world.dsn, world.table)
    switch.hold(world.conn, world.one, expected=("syncing",), to="draining", seconds=60)
    worker = threading.Thread(target=lambda: over_outages(order, "frozen", threading.Event(), work, silent))
    worker.start()
    while not batches:
        time.sleep(0.01)
    world.do("SET lock_timeout = '10s'; UPDATE ashore.entity SET deadline = clock_timestamp() WHERE state = 'draining'")
    assert routes(world.conn, "world")["account"].writes == "dynamodb"
    switch_is_over.set()
    worker.join(20)
    assert batches[-2:] == ["begun", "done"], "once it goes on it needs another connection"
    assert len(batches) > 2


class HalfListed:
    """A table whose list of shards breaks off before its last page, on which one shard is."""

    def __init__(self, table: MemoryTable, unlisted: str) -> None:
        self._table, self._unlisted = table, unlisted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def shards(self, arn: str) -> Iterator[Sequence[Shard]]:
        for page in self._table.shards(arn):
            yield [one for one in page if one.id != self._unlisted]
        raise Throttled("DescribeStream", "world", 10, 30.0)


def test_law_6_a_shard_that_ended_has_not_passed_while_only_some_of_its_children_are_listed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch.guard_up(world.conn, world.one, [])
    table = world.table
    before = {one.id for one in table.open_shards()}
    table.put(account(1, balance={"N": "8"}))
    [parent] = [one for one in table.open_shards() if one.records and b"account|1" in one.records[-1].key]
    table.close(parent, children=2)
    table.put(account(1, balance={"N": "9"}))
    [its] = [one for one in table.open_shards() if one.records and one.id not in before]
    half = replace(world.worker.order, source=HalfListed(table, its.id))

    def rounds() -> None:
        for _ in range(20):
            world.worker.round()

    with monkeypatch.context() as patched:
        patched.setattr(streams, "may_list", lambda *_, **__: False)  # that is another worker's turn
        rounds()
        stream = stream_of(world.conn, "world")
        assert stream is not None
        with suppress(Throttled):
            list_shards(world.conn, half, stream)
        [(fence,)] = world.rows("SELECT clock_timestamp()")
        rounds()
        assert not passing(world.conn, "world", fence).is_past, "the other child has the newest write"
    rounds()
    assert passing(world.conn, "world", fence).is_past
    assert world.rows("SELECT balance FROM world.account WHERE account_id = '1'") == [(9,)]


@pytest.fixture
def vacuumed(world: World) -> Iterator[World]:
    """A world in which autovacuum has the table of accounts, and will have it for minutes."""
    world.do("ALTER SYSTEM SET autovacuum_naptime = '1s'")
    world.do("SELECT pg_reload_conf()")
    world.do("INSERT INTO world.account (account_id) SELECT 'n' || g FROM generate_series(1, 100000) AS g")
    world.do("DELETE FROM world.account WHERE right(account_id, 1) = '1'")
    world.do(
        "ALTER TABLE world.account SET (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,"
        " autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0)"
    )
    try:
        give_up_at = time.monotonic() + 90
        while not world.rows(_VACUUMS):
            assert time.monotonic() < give_up_at, "autovacuum does not come"
            time.sleep(0.1)
        yield world
    finally:
        world.do("ALTER SYSTEM RESET autovacuum_naptime")
        world.do("SELECT pg_reload_conf()")


_VACUUMS = """
    SELECT 1 FROM pg_locks
    WHERE relation = 'world.account'::regclass AND mode = 'ShareUpdateExclusiveLock' AND granted
"""


def test_law_24_an_autovacuum_of_a_table_gives_way_to_the_switch(vacuumed: World) -> None:
    world = vacuumed
    one = replace(world.one, lock_timeout_ms=Crossing(plan=plan, entities=(), tables={}).lock_timeout_ms)
    held = switch.hold(world.conn, one, expected=("syncing",), to="draining", seconds=60)
    [(fence,)] = world.rows("SELECT clock_timestamp() - interval '1 day'")
    switch.to_writing(world.conn, one, held, fence, has_way_back=True)
    assert world.state() == "writing"


def test_law_13_a_switch_at_whose_expense_postgresql_ends_a_deadlock_is_tried_again(world: World) -> None:
    switch.guard_up(world.conn, world.one, [])
    one = replace(world.one, lock_timeout_ms=20_000)
    world.conn.execute("SET deadlock_timeout = '50ms'")

    def write_and_ask() -> None:
        while not world.rows("SELECT FROM pg_locks WHERE relation = 'world.account'::regclass AND NOT granted"):
            time.sleep(0.02)
        other.execute("SELECT FROM ashore.entity WHERE entity = 'account' FOR SHARE")
        other.rollback()

    with psycopg.connect(world.dsn) as other:
        other.execute("SET deadlock_timeout = '1min'")
        other.execute("LOCK TABLE world.account IN ROW EXCLUSIVE MODE")
        asking = threading.Thread(target=write_and_ask)
        asking.start()
        done = cut_over(world.conn, one, world.order())
        asking.join()
    assert done.state == world.state() == "writing"


def test_law_9_what_was_parked_and_waived_at_a_cutover_is_read_again_after_the_way_back(world: World) -> None:
    world.table.put(account(1, email={"S": "one"}))
    sync_world.settle(world.dsn, world.table)
    world.table.put(account(2, email={"S": "one"}, balance={"N": "5"}))
    sync_world.settle(world.dsn, world.table)
    with world.conn.transaction():
        found = waivers.obstacles(world.conn, "world")
        waivers.waive(world.conn, "world", found, reason="mended in PostgreSQL", until=datetime.now(UTC) + timedelta(1))
    assert [one.kind for one in found] == ["parked"]
    world.cut_over()
    world.do("UPDATE world.account SET email = NULL")
    world.do("INSERT INTO world.account (account_id, email, balance) VALUES ('2', 'two', 7)")
    drain(world.writer)
    roll_back(world.conn, world.one, world.order())
    for _ in range(20):
        world.worker.round()
    cutover_world.assert_both_hold_the_same(world.dsn, world.table, *GROUP)
    assert world.rows("SELECT email, balance FROM world.account WHERE account_id = '2'") == [("two", 7)]


def test_a_row_whose_time_is_over_is_not_deleted_once_dynamodb_has_the_writes_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table.put({"pk": {"S": "session|1"}, "sk": {"S": "session"}, "ttl": {"N": "9"}})
    sync_world.settle(world.dsn, world.table)
    cutover_world.write_in_postgres(world.dsn, *GROUP)
    is_over = threading.Event()
    order, write_back = sync_world.order(world.dsn, world.table), reverse.WriteBack(store=MemoryStore(world.table))

    def step(_writer: Any) -> int:  # it takes its time, and meanwhile the writes go back
        cutover_world.write_in_dynamodb(world.dsn, *GROUP)
        is_over.set()
        return 0

    monkeypatch.setattr(reverse, "_step", step)
    with reverse.Reverser(order, write_back) as reverser:
        is_over.wait(20)
    assert reverser.failure is None
    cutover_world.assert_both_hold_the_same(world.dsn, world.table, *GROUP)


def test_law_13_a_cutover_that_freezes_within_its_switch_does_not_hold_the_application_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "_LOCK_TIMEOUT", switch._LOCK_TIMEOUT.replace("'15s'", "'3s'"))
    is_over, in_switch = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def freeze(*_: Any, **__: Any) -> None:
        in_switch.set()
        is_over.wait(40)

    def run() -> None:
        try:
            cut_over(world.conn, world.one, world.order())
        except psycopg.Error as error:
            failures.append(error)

    monkeypatch.setattr("ashore.cutover.noting.install", freeze)
    switch.guard_up(world.conn, world.one, [])
    cutting = threading.Thread(target=run, daemon=True)
    cutting.start()
    assert in_switch.wait(30)
    try:
        world.do(
            "SET lock_timeout = '10s'; UPDATE ashore.entity SET deadline = clock_timestamp() WHERE deadline > now()"
        )
        assert routes(world.writer.conn, "world")["account"].writes == "dynamodb"
    finally:
        is_over.set()
        cutting.join(30)
    assert len(failures) == 1


def test_law_1_a_change_of_state_that_waits_is_overtaken_by_no_batch_that_begins_later(world: World) -> None:
    held: list[switch.Held] = []

    def hold() -> None:
        held.append(switch.hold(world.conn, world.one, expected=("syncing",), to="draining", seconds=60))

    holding = threading.Thread(target=hold, daemon=True)
    with connect(world.dsn, application_name="test") as batch, connect(world.dsn, application_name="test") as later:
        loads.lock_states(batch, "world")
        holding.start()
        while not world.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
            time.sleep(0.01)
        later.execute("SET lock_timeout = '500ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            loads.lock_states(later, "world")
        later.rollback()
        batch.commit()
        holding.join(10)
        assert len(held) == 1
        assert loads.lock_states(later, "world")["account"].state == "draining"


def test_law_19_all_that_waited_is_in_dynamodb_before_the_fence_is_waited_for(world: World) -> None:
    world.cut_over()
    world.do("UPDATE world.account SET balance = 8 WHERE account_id = '1'")
    order = world.order()
    fenced: list[float] = []

    def sleep(seconds: float) -> None:
        if fenced or seconds > 1:
            fenced.append(seconds)
            for _ in range(4):
                world.worker.round()  # and nobody writes back
        else:
            order.sleep(seconds)

    roll_back(world.conn, world.one, replace(order, sleep=sleep))
    cutover_world.assert_both_hold_the_same(world.dsn, world.table, *GROUP)
