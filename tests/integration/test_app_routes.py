"""What an application holds in its hand, on a real ledger: caching, holding, outages, and the fence."""

from __future__ import annotations

import asyncio
import math
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from tests.slow_wire import wire_to

from ashore.app import EntityNotRouted, PermitTooShort, Routes, RoutesVoid, StoresDiffer, WritesHeld, caller
from ashore.ledger import loads
from ashore.ledger.crossing import fence_seconds, hold, move
from ashore.ledger.schema import ensure_ledger
from ashore.local import LocalPostgres, embedded_postgres
from ashore.postgres.connect import Conn, connect

VALIDITY = 1.0


@pytest.fixture
def conn(postgres_dsn: str) -> Iterator[Conn]:
    with connect(postgres_dsn, application_name="test", autocommit=True) as made:
        ensure_ledger(made)
        loads.declare_entities(made, "court", {"case": ["c"], "message": ["m"]})
        loads.set_state(made, source="court", entities=["case", "message"], state="syncing")
        made.execute("INSERT INTO ashore.crossing VALUES ('court', %(ms)s, %(ms)s)", {"ms": VALIDITY * 1000})
        yield made


@pytest.fixture
def routes(conn: Conn) -> Iterator[Routes]:
    with Routes("court", conn.info.dsn, write_seconds=0.4) as made:
        yield made


def set_state(conn: Conn, state: str, *entities: str) -> None:
    conn.execute(
        "UPDATE ashore.entity SET state = %s, came_from = NULL, deadline = NULL, epoch = epoch + 1"
        " WHERE entity = ANY(%s)",
        (state, list(entities) or ["case", "message"]),
    )


def questions(conn: Conn) -> int:
    row = conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ashore.app' AND datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


def is_answer_under_way(conn: Conn) -> bool:
    """Whether a session has run the question, and has not heard the end of its transaction."""
    asked = conn.execute(
        "SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%ashore.routes%'"
        " AND datname = current_database()"
    )
    return asked.fetchone() is not None


def wait_until(holds: Any, seconds: float = 20.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up_at, "it never came to hold"
        time.sleep(0.01)


def test_reads_and_writes_follow_the_states(conn: Conn, routes: Routes) -> None:
    found = []
    for state in ("syncing", "reading", "writing", "retired"):
        set_state(conn, state)
        routes.forget()
        with routes.write("message", "case") as permit:
            found.append((state, routes.reads("case"), routes.reads("case", feeds_write=True), permit.store))
    reads = {state: stores[1:] for state, *stores in found}
    assert reads == {
        "syncing": ["dynamodb", "dynamodb"],
        "reading": ["dynamodb", "dynamodb"],
        "writing": ["postgres", "postgres"],
        "retired": ["postgres", "postgres"],
    }
    set_state(conn, "reading")
    routes.forget()
    with caller("somebody who did not write"):
        assert routes.reads("case") == "postgres"


def test_an_answer_that_is_valid_is_not_asked_for_again(conn: Conn) -> None:
    conn.execute("UPDATE ashore.crossing SET validity_ms = 60000, longest_validity_ms = 60000")
    with Routes("court", conn.info.dsn) as routes:
        assert routes.reads("message") == "dynamodb"
        first = routes.latest
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ashore.app'")
        assert {routes.reads("message") for _ in range(1_000)} == {"dynamodb"}
        assert routes.latest is first


@pytest.mark.slow
def test_answers_are_renewed_ahead_of_time_while_they_are_used(routes: Routes) -> None:
    seen = set()
    end = time.monotonic() + 3 * VALIDITY
    while time.monotonic() < end:
        routes.reads("message", wait_seconds=10)
        assert routes.latest is not None
        seen.add(routes.latest.asked_at)
        time.sleep(0.01)
    assert len(seen) > 3, "it was renewed before it was void"


def test_an_unknown_entity_is_an_error(routes: Routes) -> None:
    with pytest.raises(EntityNotRouted), routes.write("mesage"):
        raise AssertionError
    with pytest.raises(EntityNotRouted):
        routes.reads("mesage")
    with pytest.raises(TypeError):
        routes.write()


def test_entities_of_one_transaction_are_written_in_one_store_or_not_at_all(conn: Conn, routes: Routes) -> None:
    set_state(conn, "writing", "case")
    with pytest.raises(StoresDiffer), routes.write("message", "case"):
        raise AssertionError


def test_a_write_that_is_held_waits_and_goes_where_the_writes_are_then(conn: Conn, routes: Routes) -> None:
    hold(conn, source="court", entities=["case", "message"], expected=["syncing"], to="draining", seconds=60)
    given: list[str] = []

    def one_write() -> None:
        with routes.write("message") as permit:
            given.append(permit.store)

    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(one_write) for _ in range(8)]
        time.sleep(0.5)
        assert given == [], "nobody writes while writes are held"
        with conn.transaction():
            move(conn, source="court", entities=["case", "message"], expected="draining", to="writing")
        for write in writes:
            write.result(20)
    assert given == ["postgres"] * 8


def test_law_11_a_read_that_feeds_a_write_waits_while_writes_are_held(conn: Conn, routes: Routes) -> None:
    """What it was told then would be valid still when others write in the other store: it would read what was."""
    hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)
    assert routes.reads("message") == "dynamodb", "calls that only read go on"
    with pytest.raises(WritesHeld):
        routes.reads("message", feeds_write=True, wait_seconds=0.2)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(routes.reads, "message", feeds_write=True)
        time.sleep(0.3)
        assert not reading.done()
        with conn.transaction():
            move(conn, source="court", entities=["message"], expected="draining", to="writing")
        assert reading.result(20) == "postgres"


def test_a_write_that_was_held_too_long_for_its_caller_has_written_nothing(conn: Conn, routes: Routes) -> None:
    hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)
    began = time.monotonic()
    with pytest.raises(WritesHeld) as caught, routes.write("message", wait_seconds=0.3):
        raise AssertionError
    assert 0.3 <= time.monotonic() - began < 10
    assert caught.value.entities == ("message",)


def test_law_13_a_hold_ends_by_itself_and_the_write_that_waited_goes_on(conn: Conn, routes: Routes) -> None:
    hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=0.5)
    with routes.write("message") as permit:
        assert permit.store == "dynamodb"


def test_law_12_after_the_fence_and_one_validity_no_permit_for_dynamodb_is_outstanding(conn: Conn) -> None:
    """The answer is slow on its way to one instance: the fence begins after it was given and before it arrives."""
    with wire_to(conn.info.dsn) as wire, Routes("court", wire.dsn, write_seconds=0.1) as slow:
        slow.reads("message")  # the connection is open
        with Routes("court", conn.info.dsn, write_seconds=0.1) as quick:
            with quick.write("message") as given:
                assert given.store == "dynamodb"
            wire.delay_seconds = 0.3  # of each of the three answers to BEGIN, the question and COMMIT
            slow.forget()
            permits = [given]

            def one_write() -> None:
                with suppress(WritesHeld, RoutesVoid), slow.write("message", wait_seconds=2) as permit:
                    permits.append(permit)

            writing = threading.Thread(target=one_write)
            writing.start()
            wait_until(lambda: is_answer_under_way(conn))
            hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)
            fenced_at = time.monotonic()
            longest = fence_seconds(conn, "court")
            assert longest == VALIDITY
            writing.join(20)
            time.sleep(max(0.0, fenced_at + longest - time.monotonic()))
            assert [permit.store for permit in permits if permit.seconds_left() > 0] == []
            for permit in permits:
                with pytest.raises(PermitTooShort):
                    permit.require(0.001)
            with pytest.raises(WritesHeld), quick.write("message", wait_seconds=0.2):
                raise AssertionError
        wire.delay_seconds = 0.0


@pytest.mark.slow
def test_law_12_a_permit_is_prolonged_by_newer_answers_as_long_as_nothing_moved(conn: Conn, routes: Routes) -> None:
    with routes.write("message") as permit:
        for _ in range(20):
            time.sleep(0.1)
            routes.reads("case")  # somebody uses the answers

        def is_prolonged() -> bool:
            routes.reads("case")
            return permit.seconds_left() > 0

        wait_until(is_prolonged)  # with a validity of one second
        hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)
        assert permit.seconds_left() <= VALIDITY
        routes.forget()
        with pytest.raises(WritesHeld), routes.write("message", wait_seconds=0.5):
            raise AssertionError
        assert permit.seconds_left() <= 0, "it counts from the answer that it was given by"
    set_state(conn, "writing")
    routes.forget()
    with routes.write("message") as permit:
        assert permit.seconds_left() == math.inf


def test_law_11_a_caller_finds_what_it_wrote(conn: Conn, routes: Routes) -> None:
    set_state(conn, "reading")
    with caller("writer"):
        with routes.write("message"):
            pass
        assert routes.reads("message") == "dynamodb", "nobody knows how far the stream is"
    with caller("reader"):
        assert routes.reads("message") == "postgres"
    with caller("reader", wrote_seconds_ago=1):
        assert routes.reads("message") == "dynamodb", "it wrote through another instance"
    assert routes.reads("message") == "dynamodb", "who does not say who he is may be anybody"
    assert routes.reads("case") == "postgres"


def test_law_11_a_caller_goes_to_postgres_once_the_stream_has_passed_its_write(conn: Conn) -> None:
    set_state(conn, "reading")
    conn.execute("INSERT INTO ashore.stream (source, arn, origin, state) VALUES ('court', 'arn', '{}', 'running')")
    with Routes("court", conn.info.dsn, write_seconds=0.2, lag_margin_seconds=0.5) as routes, caller("writer"):
        with routes.write("message"):
            pass
        wrote_at = time.monotonic()
        conn.execute(
            "INSERT INTO ashore.shard (source, shard, state, at_horizon, passed_at)"
            " VALUES ('court', 's', 'open', true, clock_timestamp() - interval '1 hour')"
        )
        routes.forget()
        assert routes.reads("message") == "dynamodb"

        def has_moved() -> bool:
            conn.execute("UPDATE ashore.shard SET passed_at = clock_timestamp()")
            return routes.reads("message") == "postgres"

        wait_until(has_moved)
        assert time.monotonic() - wrote_at >= 0.5, "the margin"


SHARDS: Final[list[tuple[list[tuple[str, str | None, str, int | None]], bool]]] = [
    ([], False),
    ([("a", None, "open", 1)], True),
    ([("a", None, "open", None)], False),
    ([("a", None, "ended", 1)], False),
    ([("a", None, "ended", 1), ("b", "a", "open", 2)], True),
    ([("a", None, "lost", 1), ("b", None, "open", 2)], False),
    ([("a", None, "skipped", None), ("b", None, "open", 2)], True),
]
"""Shards of a stream (name, parent, state, minutes since the moment that they passed), and whether the lag is known."""


def test_law_11_the_lag_is_told_only_where_every_shard_is_known(conn: Conn, routes: Routes) -> None:
    conn.execute("INSERT INTO ashore.stream (source, arn, origin, state) VALUES ('court', 'arn', '{}', 'running')")
    for shards, expected in SHARDS:
        conn.execute("DELETE FROM ashore.shard")
        for shard, parent, state, minutes in shards:
            conn.execute(
                "INSERT INTO ashore.shard (source, shard, parent, state, at_horizon, passed_at)"
                " VALUES ('court', %s, %s, %s, true, clock_timestamp() - %s * interval '1 minute')",
                (shard, parent, state, minutes),
            )
        routes.forget()
        routes.reads("message")
        assert routes.latest is not None
        lag = routes.latest.routes["message"].lag_ms
        assert expected is (lag is not None), shards
        if lag is not None:
            slowest = max(minutes for *_, state, minutes in shards if state == "open" and minutes is not None)
            assert 60_000 * slowest <= lag < 60_000 * slowest + 20_000


def test_an_instance_that_cannot_reach_the_ledger_holds_after_the_validity_and_goes_on_afterwards(conn: Conn) -> None:
    with wire_to(conn.info.dsn) as wire, Routes("court", wire.dsn, write_seconds=0.2, outage_read_seconds=60) as routes:
        assert routes.reads("message") == "dynamodb"
        wire.cut()
        wait_until(lambda: routes.latest is not None and routes.latest.seconds_left(routes.clock()) < 0)
        with pytest.raises(RoutesVoid) as caught, routes.write("message", wait_seconds=0.3):
            raise AssertionError
        assert caught.value.reason is not None
        with pytest.raises(RoutesVoid):
            routes.reads("message", feeds_write=True, wait_seconds=0.1)
        assert routes.reads("message") == "dynamodb", "calls that only read go on"
        given: list[str] = []

        def one_write() -> None:
            with routes.write("message") as permit:
                given.append(permit.store)

        writing = threading.Thread(target=one_write)
        writing.start()
        set_state(conn, "writing")
        wire.mend()
        writing.join(20)
        assert given == ["postgres"], "it waited, and then heard what had happened meanwhile"


def test_a_ledger_that_takes_questions_and_never_answers_keeps_no_reader_waiting_for_long(conn: Conn) -> None:
    with wire_to(conn.info.dsn) as wire, Routes("court", wire.dsn, write_seconds=0.2, hold_seconds=60) as routes:
        assert routes.reads("message") == "dynamodb"
        wire.delay_seconds = 60
        wait_until(lambda: routes.latest is not None and routes.latest.seconds_left(routes.clock()) < 0)
        began = time.monotonic()
        assert routes.reads("message") == "dynamodb"
        assert time.monotonic() - began < 30
        with pytest.raises(RoutesVoid), routes.write("message", wait_seconds=0.1):
            raise AssertionError
        wire.cut()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["immediate", "kill"])
def test_a_server_that_restarts_is_asked_again(postgres_server: LocalPostgres, conn: Conn, mode: Any) -> None:
    with Routes("court", conn.info.dsn, write_seconds=0.2) as routes:
        assert routes.reads("message") == "dynamodb"
        postgres_server.restart(mode)
        routes.forget()
        with routes.write("message") as permit:
            assert permit.store == "dynamodb"


def test_a_role_without_the_grant_is_told_so(conn: Conn) -> None:
    conn.execute("DROP ROLE IF EXISTS app_without_grant")
    conn.execute("CREATE ROLE app_without_grant LOGIN")
    try:
        dsn = psycopg.conninfo.make_conninfo(conn.info.dsn, user="app_without_grant")
        with Routes("court", dsn) as routes, pytest.raises(RoutesVoid, match="insufficient privilege"):
            routes.reads("message", wait_seconds=0.5)
    finally:
        conn.execute("DROP ROLE app_without_grant")


def test_a_way_to_connect_that_raises_is_tried_again_and_shows_no_secret(conn: Conn) -> None:
    fails = [True]

    def reach() -> psycopg.Connection[Any]:
        if fails[0]:
            message = "password=hunter2"
            raise ValueError(message)
        return psycopg.connect(conn.info.dsn)

    with Routes("court", reach) as routes:
        with pytest.raises(RoutesVoid, match="ValueError") as caught:
            routes.reads("message", wait_seconds=0.5)
        fails[0] = False
        assert "hunter2" not in str(caught.value)
        assert routes.reads("message") == "dynamodb"


def test_a_default_of_a_higher_isolation_level_does_not_matter(conn: Conn) -> None:
    dsn = psycopg.conninfo.make_conninfo(conn.info.dsn, options="-c default_transaction_isolation=serializable")
    with Routes("court", dsn) as routes:
        assert routes.reads("message") == "dynamodb"


@pytest.mark.slow
def test_an_application_that_is_idle_holds_no_connection(conn: Conn) -> None:
    with Routes("court", conn.info.dsn, write_seconds=0.2, idle_seconds=1.5) as routes:
        assert routes.reads("message") == "dynamodb"
        assert questions(conn) == 1
        wait_until(lambda: questions(conn) == 0)
        set_state(conn, "writing")
        time.sleep(VALIDITY)
        assert routes.reads("message") == "postgres"


def test_a_forked_process_asks_over_a_connection_of_its_own(routes: Routes) -> None:
    assert routes.reads("message") == "dynamodb"
    child = os.fork()
    if child == 0:
        try:
            routes.forget()
            os._exit(0 if routes.reads("message", wait_seconds=20) == "dynamodb" else 1)
        except BaseException:  # noqa: BLE001 (nothing of pytest may run in the child)
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    routes.forget()
    assert routes.reads("message") == "dynamodb", "the parent's own is as it was"


def test_an_event_loop_goes_on_while_a_write_is_held(conn: Conn, routes: Routes) -> None:
    hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)

    async def one_write() -> str:
        async with routes.write("message") as permit:
            assert await routes.areads("message") == permit.store
            return permit.store

    async def scene() -> list[str]:
        writes = [asyncio.create_task(one_write()) for _ in range(5)]
        ticks = 0
        for _ in range(30):
            await asyncio.sleep(0.01)
            ticks += 1
        assert ticks == 30
        assert not any(write.done() for write in writes)
        given_up = asyncio.create_task(one_write())
        await asyncio.sleep(0.05)
        given_up.cancel()
        with conn.transaction():
            move(conn, source="court", entities=["message"], expected="draining", to="writing")
        with pytest.raises(asyncio.CancelledError):
            await given_up
        return await asyncio.gather(*writes)

    assert asyncio.run(scene()) == ["postgres"] * 5
    with pytest.raises(EntityNotRouted):
        asyncio.run(routes.areads("mesage"))


def test_importing_it_brings_neither_aws_nor_sqlalchemy(tmp_path: Path) -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    heavy = "{'boto3', 'botocore', 'sqlalchemy', 'pydantic', 'alembic', 'typer', 'rich', 'jinja2'}"
    script = f"import sys, ashore.app; print({heavy} & {{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_a_server_that_is_stopped_leaves_the_application_holding() -> None:
    with embedded_postgres() as server:
        with connect(server.dsn, application_name="test", autocommit=True) as conn:
            ensure_ledger(conn)
            loads.declare_entities(conn, "court", {"message": ["m"]})
            conn.execute("INSERT INTO ashore.crossing VALUES ('court', 1000, 1000)")
        with Routes("court", server.dsn, write_seconds=0.2) as routes:
            with routes.write("message") as permit:
                assert permit.store == "dynamodb"
                server.process.stop()
                wait_until(lambda: permit.seconds_left() <= 0)
            with pytest.raises(RoutesVoid) as caught, routes.write("message", wait_seconds=0.5):
                raise AssertionError
            assert caught.value.reason is not None
            assert routes.reads("message") == "dynamodb"


@pytest.mark.slow
def test_law_12_no_instance_writes_to_dynamodb_past_a_fence_and_its_validity_under_traffic(conn: Conn) -> None:
    """Five times to PostgreSQL and back, under twelve writers of three instances; a write takes effect at any time."""
    conn.execute("UPDATE ashore.crossing SET validity_ms = 500, longest_validity_ms = 500")
    effects: list[float] = []
    ended = threading.Event()
    closed: list[tuple[float, float]] = []

    def write_on_and_on(routes: Routes) -> None:
        while not ended.is_set():
            with suppress(WritesHeld, RoutesVoid), routes.write("message", wait_seconds=5) as permit:
                if permit.store == "dynamodb":
                    time.sleep(random.uniform(0, 0.6))
                    took_effect = time.monotonic()
                    if permit.seconds_left() > 0:
                        effects.append(took_effect)
                else:
                    time.sleep(0.01)

    with ExitStack() as stack:
        instances = [stack.enter_context(Routes("court", conn.info.dsn, write_seconds=0.05)) for _ in range(3)]
        pool = stack.enter_context(ThreadPoolExecutor(12))
        writing = [pool.submit(write_on_and_on, instances[number % 3]) for number in range(12)]
        try:
            for _ in range(5):
                time.sleep(0.5)
                hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)
                time.sleep(fence_seconds(conn, "court"))
                fenced_at = time.monotonic()
                time.sleep(0.2)
                with conn.transaction():
                    move(conn, source="court", entities=["message"], expected="draining", to="writing")
                time.sleep(0.3)
                hold(conn, source="court", entities=["message"], expected=["writing"], to="returning", seconds=60)
                closed.append((fenced_at, time.monotonic()))
                with conn.transaction():
                    move(conn, source="court", entities=["message"], expected="returning", to="syncing")
        finally:
            ended.set()
        for writer in writing:
            writer.result(30)
    assert len(effects) > 20
    assert [] == [at for at in effects for fenced_at, reopened_at in closed if fenced_at <= at <= reopened_at]
