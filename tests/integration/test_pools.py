"""Pools that fit: a function that was frozen, a database that is to go to sleep and to wake."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import asyncpg
import pytest
import sqlalchemy as sa
from psycopg_pool import ConnectionPool
from tests.acceptance.docs_pages import DOCS, read_page
from tests.rds_world import HOST, KEY, MINUTE, RdsWorld

from ashore.local.rds import Behaviour
from ashore.local.rds.doors import OpenDoor
from ashore.postgres import pools
from ashore.postgres.pools import Situation, asyncpg_pool_options, engine_options, psycopg_pool_options

FUNCTION: Final = """
import sys
import sqlalchemy as sa
from psycopg_pool import ConnectionPool
from ashore.postgres.iam import IamLogin
from ashore.postgres.pools import engine_options, psycopg_pool_options

login = IamLogin(sys.argv[1])
if sys.argv[2] == "psycopg":
    options = psycopg_pool_options("lambda", check=ConnectionPool.check_connection)
    pool = ConnectionPool(connection_class=login.connection_class, open=True, **options)
else:
    engine = sa.create_engine("postgresql+psycopg://", **engine_options("lambda"))
    login.attach(engine)

for line in sys.stdin:
    if sys.argv[2] == "psycopg":
        with pool.connection() as conn:
            [row] = conn.execute("SELECT current_user::text, pg_backend_pid()").fetchall()
    else:
        with engine.connect() as conn:
            row = conn.execute(sa.text("SELECT current_user::text, pg_backend_pid()")).one()
    print(*row, flush=True)
"""


@pytest.fixture(params=["psycopg", "sqlalchemy"])
def function(request: pytest.FixtureRequest, rds: RdsWorld) -> Iterator[tuple[subprocess.Popen[str], OpenDoor]]:
    """A process that asks the database once for each line that it gets."""
    door = rds.open()
    signing = {"AWS_ACCESS_KEY_ID": str(KEY.access_key), "AWS_SECRET_ACCESS_KEY": str(KEY.secret_key)}
    command = [sys.executable, "-c", FUNCTION, door.address("app", "court"), request.param]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **signing}
    ) as running:
        yield running, door
        running.kill()


def asked(running: subprocess.Popen[str]) -> list[str]:
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write("\n")
    running.stdin.flush()
    return running.stdout.readline().split()


def test_a_function_that_was_frozen_while_its_connections_died_answers_at_once(
    function: tuple[subprocess.Popen[str], OpenDoor],
) -> None:
    running, door = function
    before = asked(running)
    assert before == asked(running), "warm, it uses the connection that it has"
    running.send_signal(signal.SIGSTOP)
    door.drop_sessions()
    while door.door.sessions:
        time.sleep(0.01)
    running.send_signal(signal.SIGCONT)
    after = asked(running)

    assert ("app", "app") == (before[0], after[0])
    assert before[1] != after[1]


def wait_for_nobody(door: OpenDoor) -> None:
    deadline = time.monotonic() + 30
    while door.door.sessions and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not door.door.sessions


def test_nobody_keeps_a_database_awake_that_is_to_pause(rds: RdsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_IDLE_SECONDS", 0.2)
    door = rds.open(behaviour=Behaviour(pauses_after_seconds=300, resume_seconds=0.3))
    login = rds.login(door)
    options = psycopg_pool_options("pausing", check=ConnectionPool.check_connection)
    engine = sa.create_engine("postgresql+psycopg://", **engine_options("pausing"))
    login.attach(engine)
    with ConnectionPool(connection_class=login.connection_class, **options) as pool:
        for wakings in (0, 1, 2):
            with pool.connection() as conn:
                conn.execute("SELECT 1")
            wait_for_nobody(door)
            assert wakings == door.door.resumed
            rds.doors.clock.move(6 * MINUTE)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    wait_for_nobody(door)

    async def with_asyncpg() -> None:
        async with asyncpg.create_pool(connect=login.connect_asyncpg, **asyncpg_pool_options("pausing")) as pool:
            await pool.fetchval("SELECT 1")
            await asyncio.to_thread(wait_for_nobody, door)

    asyncio.run(with_asyncpg())
    assert [] == door.door.refusals


@pytest.mark.parametrize("situation", ["service", "lambda", "pausing"])
def test_no_pool_opens_more_than_it_says(situation: Situation, rds: RdsWorld) -> None:
    door = rds.open()
    options: dict[str, Any] = psycopg_pool_options(situation, check=ConnectionPool.check_connection)
    with ConnectionPool(connection_class=rds.login(door).connection_class, **options) as pool:
        held = [pool.getconn() for _ in range(options["max_size"])]
        assert options["max_size"] == len(door.door.sessions)
        for conn in held:
            pool.putconn(conn)


def test_the_pages_examples_run(rds: RdsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", str(KEY.access_key))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", str(KEY.secret_key))
    door = rds.open()
    shown = f"postgresql+iam://app@{HOST}/court"
    namespace: dict[str, Any] = {}
    page = read_page(DOCS / "how-to" / "pools-that-fit.md")
    for block in page.blocks:
        if block.words == ("python",):
            exec(block.text.replace(shown, door.address("app", "court")), namespace)  # noqa: S102 (our own page)
    assert 1 == namespace["handler"]({}, None)
    assert [] == door.door.refusals
