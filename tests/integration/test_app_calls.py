"""Two functions called as one, and the shadow reads beside them; on a real ledger, with a real guard."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from ashore.app import Routes, Shadow, differences
from ashore.ledger import loads
from ashore.ledger.schema import ensure_ledger
from ashore.ledger.shadow_reads import FieldDifference, ShadowReads, percentile_ms, shadow_reads, time_class
from ashore.postgres.connect import Conn, connect


@pytest.fixture
def conn(postgres_dsn: str) -> Iterator[Conn]:
    with connect(postgres_dsn, application_name="test", autocommit=True) as made:
        ensure_ledger(made)
        loads.declare_entities(made, "court", {"message": ["message"]})
        set_state(made, "reading")
        made.execute("CREATE TABLE message (id text PRIMARY KEY, subject text)")
        made.execute(
            "CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON message"
            " FOR EACH STATEMENT EXECUTE FUNCTION ashore.guard('court', 'message')"
        )
        yield made


@pytest.fixture
def routes(conn: Conn) -> Iterator[Routes]:
    with Routes("court", conn.info.dsn) as made:
        yield made


def set_state(conn: Conn, state: str) -> None:
    conn.execute("UPDATE ashore.entity SET state = %s, epoch = epoch + 1", (state,))


def shadow_of(conn: Conn, **settings: Any) -> Shadow:
    return Shadow("court", conn.info.dsn, **{"sample_rate": 1.0, "settle_seconds": 0.05, **settings})


def found_by(conn: Conn, shadow: Shadow, compared: int) -> ShadowReads:
    """What is in the ledger once so many calls were judged."""
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        shadow.write_down()
        found = shadow_reads(conn, "court")
        if found and outcomes(found[0]) >= compared:
            return found[0]
        time.sleep(0.01)
    raise AssertionError


def outcomes(found: ShadowReads) -> int:
    return found.equal + found.settled + found.different + found.failed + found.slow + found.dropped


def message(subject: str) -> Callable[[str], dict[str, Any]]:
    def read(message_id: str) -> dict[str, Any]:
        return {"id": message_id, "subject": subject}

    return read


def test_a_call_goes_where_the_reads_are(conn: Conn, routes: Routes) -> None:
    read = routes.reader("message", dynamodb=message("old"), postgres=message("new"))
    assert read("m1") == {"id": "m1", "subject": "new"}
    feeding = routes.reader("message", dynamodb=message("old"), postgres=message("new"), feeds_write=True)
    assert feeding("m1")["subject"] == "old"
    assert read.__name__ == "read"


def test_both_functions_are_coroutine_functions_or_neither(routes: Routes) -> None:
    async def aread(message_id: str) -> dict[str, Any]:
        return {"id": message_id}

    with pytest.raises(TypeError):
        routes.reader("message", dynamodb=message("x"), postgres=aread)


def test_a_write_that_the_guard_refuses_is_made_where_the_writes_are_now(conn: Conn, routes: Routes) -> None:
    """The writes went back to DynamoDB while the application still acted on an answer that said PostgreSQL."""
    written: list[str] = []

    def to_postgres(message_id: str) -> str:
        written.append("tried postgres")
        with psycopg.connect(conn.info.dsn) as other:
            other.execute("INSERT INTO message VALUES (%s, 'x')", (message_id,))
        return "postgres"

    def to_dynamodb(message_id: str) -> str:
        return f"dynamodb {message_id}"

    write = routes.writer("message", dynamodb=to_dynamodb, postgres=to_postgres)
    set_state(conn, "writing")
    assert write("m1") == "postgres"
    set_state(conn, "syncing")
    assert write("m2") == "dynamodb m2"
    assert written == ["tried postgres"] * 2
    assert conn.execute("SELECT id FROM message").fetchall() == [("m1",)]


def test_a_write_that_is_refused_for_another_reason_is_not_tried_for_ever(conn: Conn, routes: Routes) -> None:
    tried: list[int] = []

    def without_privilege() -> None:
        tried.append(1)
        with psycopg.connect(conn.info.dsn) as other:
            other.execute("SET ROLE pg_monitor")
            other.execute("INSERT INTO message VALUES ('m1', 'x')")

    set_state(conn, "writing")
    write = routes.writer("message", dynamodb=lambda: None, postgres=without_privilege)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        write()
    assert len(tried) == 1, "the writes are where they were"

    def broken() -> None:
        tried.append(1)
        message = "its own"
        raise LookupError(message)

    with pytest.raises(LookupError):
        routes.writer("message", dynamodb=broken, postgres=broken)()
    assert len(tried) == 2


def test_coroutine_functions_are_called_as_one_too(conn: Conn, routes: Routes) -> None:
    async def to_postgres(message_id: str) -> str:
        async with await psycopg.AsyncConnection.connect(conn.info.dsn) as other:
            await other.execute("INSERT INTO message VALUES (%s, 'x')", (message_id,))
        return "postgres"

    async def to_dynamodb(message_id: str) -> str:
        await asyncio.sleep(0)
        return f"dynamodb {message_id}"

    write = routes.writer("message", dynamodb=to_dynamodb, postgres=to_postgres)
    set_state(conn, "writing")
    assert asyncio.run(write("m1")) == "postgres"
    set_state(conn, "syncing")
    assert asyncio.run(write("m2")) == "dynamodb m2"


def test_shadow_reads_that_agree_and_that_do_not_are_in_the_ledger(conn: Conn, routes: Routes) -> None:
    with shadow_of(conn) as shadow:
        same = routes.reader("message", dynamodb=message("a"), postgres=message("a"), shadow=shadow)
        assert [same("m1")["subject"] for _ in range(3)] == ["a"] * 3
        found = found_by(conn, shadow, 3)
        assert (found.entity, found.call, found.equal, found.differences) == ("message", "read", 3, ())
        assert found.postgres_p99_ms is not None
        assert found.dynamodb_p50_ms is not None

        differing = routes.reader("message", dynamodb=message("secret"), postgres=message("b"), shadow=shadow)
        assert differing("m1")["subject"] == "b"
        found = found_by(conn, shadow, 4)
        assert (found.equal, found.different) == (3, 1)
        assert found.differences == (FieldDifference(field="subject", kind="value", count=1),)
    stored = conn.execute("SELECT d::text FROM ashore.shadow_difference d").fetchall()
    assert "secret" not in str(stored)


def test_a_difference_that_is_gone_when_both_are_read_again_is_none(conn: Conn, routes: Routes) -> None:
    answers = iter(["late", "now"])
    with shadow_of(conn) as shadow:
        read = routes.reader("message", dynamodb=lambda: "now", postgres=lambda: next(answers, "now"), shadow=shadow)
        assert read() == "late"
        found = found_by(conn, shadow, 1)
    assert (found.settled, found.different, found.differences) == (1, 0, ())


def test_whatever_the_other_side_does_the_caller_has_its_answer(conn: Conn, routes: Routes) -> None:
    def broken() -> str:
        message = "hunter2"
        raise LookupError(message)

    with shadow_of(conn, time_limit_seconds=0.05) as shadow:
        assert routes.reader("message", dynamodb=broken, postgres=lambda: "a", shadow=shadow)() == "a"
        found = found_by(conn, shadow, 1)
        assert (found.failed, found.differences[0].kind) == (1, "LookupError in dynamodb")

        has_answer = threading.Event()

        def slow() -> str:
            assert has_answer.wait(20), "the caller waited for the other side"
            time.sleep(0.1)
            return "b"

        slow.__name__ = "broken"
        assert routes.reader("message", dynamodb=slow, postgres=lambda: "a", shadow=shadow)() == "a"
        has_answer.set()
        assert found_by(conn, shadow, 2).slow == 1


def test_a_comparison_or_a_copy_that_raises_is_counted(conn: Conn, routes: Routes) -> None:
    def compare(_: Any, __: Any) -> set[Any]:
        raise ZeroDivisionError

    with shadow_of(conn, compare=compare) as shadow:
        read = routes.reader("message", dynamodb=message("a"), postgres=message("a"), shadow=shadow)
        read("m1")
        assert found_by(conn, shadow, 1).failed == 1
        lock = threading.Lock()
        locked = routes.reader("message", dynamodb=lambda: lock, postgres=lambda: lock, shadow=shadow)
        assert locked() is lock
        give_up_at = time.monotonic() + 20
        while len(shadow_reads(conn, "court")) < 2 and time.monotonic() < give_up_at:
            shadow.write_down()
        assert [found.failed for found in shadow_reads(conn, "court")] == [1, 1]


def test_the_caller_may_change_its_answer(conn: Conn, routes: Routes) -> None:
    go_on = threading.Event()

    def waits() -> dict[str, Any]:
        go_on.wait(20)
        return {"a": 1}

    with shadow_of(conn, time_limit_seconds=60) as shadow:
        answer = routes.reader("message", dynamodb=waits, postgres=lambda: {"a": 1}, shadow=shadow)()
        answer["a"] = 2
        go_on.set()
        assert found_by(conn, shadow, 1).equal == 1


def test_what_is_too_much_is_dropped_and_counted(conn: Conn, routes: Routes) -> None:
    go_on = threading.Event()

    def waits() -> str:
        go_on.wait(20)
        return "a"

    with shadow_of(conn, most_waiting=3, time_limit_seconds=60) as shadow:
        read = routes.reader("message", dynamodb=waits, postgres=lambda: "a", shadow=shadow)
        assert [read() for _ in range(20)] == ["a"] * 20
        go_on.set()
        found = found_by(conn, shadow, 20)
    assert 3 <= found.equal <= 4, "those that waited, and the one under way"
    assert found.equal + found.dropped == 20


def test_nothing_is_sampled_at_a_rate_of_none_and_about_half_at_a_half(conn: Conn) -> None:
    with shadow_of(conn, sample_rate=0.0) as shadow:
        assert not any(shadow.is_sampled() for _ in range(1_000))
        shadow.sample_rate = 0.5
        assert 300 < sum(shadow.is_sampled() for _ in range(1_000)) < 700


@pytest.mark.slow
def test_coroutine_functions_have_shadow_reads_too(conn: Conn, routes: Routes) -> None:
    async def dynamodb(message_id: str) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"id": message_id}

    async def hangs(_: str) -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    async def scene(shadow: Shadow) -> ShadowReads:
        read = routes.reader("message", dynamodb=dynamodb, postgres=dynamodb, shadow=shadow)
        assert await asyncio.gather(*(read(str(number)) for number in range(5))) == [
            {"id": str(number)} for number in range(5)
        ]
        hangs.__name__ = "dynamodb"
        hanging = routes.reader("message", dynamodb=hangs, postgres=dynamodb, shadow=shadow)
        assert await hanging("x") == {"id": "x"}
        give_up_at = time.monotonic() + 20
        while time.monotonic() < give_up_at:
            await asyncio.sleep(0.02)
            await asyncio.to_thread(shadow.write_down)
            found = await asyncio.to_thread(shadow_reads, conn, "court")
            if found and outcomes(found[0]) == 6:
                return found[0]
        raise AssertionError

    with shadow_of(conn, time_limit_seconds=2.0) as shadow:
        found = asyncio.run(scene(shadow))
    assert (found.equal, found.slow) == (5, 1)


def test_what_could_not_be_written_down_is_kept(conn: Conn, routes: Routes) -> None:
    addresses = ["host=/nowhere", conn.info.dsn]
    with Shadow("court", lambda: psycopg.connect(addresses[0]), sample_rate=1.0) as shadow:
        read = routes.reader("message", dynamodb=message("a"), postgres=message("a"), shadow=shadow)
        read("m1")
        give_up_at = time.monotonic() + 20
        while not shadow.tally._calls or "equal" not in shadow.tally._calls["message", "read"].outcomes:
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        with pytest.raises(psycopg.OperationalError):
            shadow.write_down()
        del addresses[0]
        assert found_by(conn, shadow, 1).equal == 1


def test_counts_of_several_instances_are_added_up_by_the_function_alone(conn: Conn, routes: Routes) -> None:
    conn.execute("DROP ROLE IF EXISTS app_of_shadows")
    conn.execute("CREATE ROLE app_of_shadows LOGIN")
    try:
        conn.execute("GRANT USAGE ON SCHEMA ashore TO app_of_shadows")
        conn.execute("GRANT EXECUTE ON FUNCTION ashore.note_shadow_reads(text, jsonb) TO app_of_shadows")
        dsn = psycopg.conninfo.make_conninfo(conn.info.dsn, user="app_of_shadows")
        for _ in range(2):
            with Shadow("court", dsn, sample_rate=1.0, settle_seconds=0.01) as shadow:
                read = routes.reader("message", dynamodb=message("a"), postgres=message("b"), shadow=shadow)
                read("m1")
                give_up_at = time.monotonic() + 20
                while not shadow.tally._calls or "different" not in shadow.tally._calls["message", "read"].outcomes:
                    assert time.monotonic() < give_up_at
                    time.sleep(0.01)
        [found] = shadow_reads(conn, "court")
        assert (found.different, found.differences[0].count) == (2, 2)
    finally:
        conn.execute("DROP OWNED BY app_of_shadows")
        conn.execute("DROP ROLE app_of_shadows")


def test_times_are_told_within_a_quarter() -> None:
    for milliseconds in (0.2, 1.0, 7.0, 350.0, 60_000.0):
        times = [0] * 64
        times[time_class(milliseconds / 1000)] = 10
        shown = percentile_ms(times, 0.5)
        assert shown is not None
        assert milliseconds <= shown <= milliseconds * 1.26
    assert percentile_ms([0] * 64, 0.5) is None
    assert time_class(10_000) == 63
    assert set() == differences(None, None)
