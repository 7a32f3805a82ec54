"""Logging in with tokens, by every driver, at an endpoint that lets in whom RDS would."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import asyncpg
import boto3
import psycopg
import pytest
import sqlalchemy as sa
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy.ext.asyncio import create_async_engine
from tests.rds_world import HOST, KEY, MINUTE, REGION, RdsWorld, of_a_role

from ashore.local.rds import Identity
from ashore.local.rds.doors import OpenDoor
from ashore.postgres.connect import connect
from ashore.postgres.iam import IamLogin, Tokens
from ashore.postgres.iam_errors import TokenRefused

QUERY = "SELECT current_user::text"
Pool = Callable[[IamLogin, Callable[[], None]], Coroutine[Any, Any, list[str]]]


async def by_psycopg(login: IamLogin, between: Callable[[], None]) -> list[str]:
    found = []
    check = ConnectionPool.check_connection
    with ConnectionPool(connection_class=login.connection_class, min_size=1, max_size=2, check=check) as pool:
        for _ in range(3):
            with ExitStack() as stack:
                both = [stack.enter_context(pool.connection()) for _ in range(2)]
                found += [conn.execute(QUERY).fetchall()[0][0] for conn in both]
            between()
    return found


async def by_psycopg_async(login: IamLogin, between: Callable[[], None]) -> list[str]:
    found = []
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        connection_class=login.async_connection_class,
        min_size=1,
        max_size=2,
        open=False,
        check=AsyncConnectionPool.check_connection,
    )
    async with pool:
        for _ in range(3):
            async with AsyncExitStack() as stack:
                both = [await stack.enter_async_context(pool.connection()) for _ in range(2)]
                for conn in both:
                    found += [row[0] for row in await (await conn.execute(QUERY)).fetchall()]
            between()
    return found


async def by_sqlalchemy(login: IamLogin, between: Callable[[], None]) -> list[str]:
    engine = sa.create_engine("postgresql+psycopg://", pool_size=1, max_overflow=1, pool_pre_ping=True)
    login.attach(engine)
    found = []
    for _ in range(3):
        with ExitStack() as stack:
            both = [stack.enter_context(engine.connect()) for _ in range(2)]
            found += [conn.scalars(sa.text(QUERY)).one() for conn in both]
        between()
    engine.dispose()
    return found


async def by_sqlalchemy_async(
    login: IamLogin, between: Callable[[], None], driver: str = "postgresql+psycopg://"
) -> list[str]:
    engine = create_async_engine(driver, pool_size=1, max_overflow=1, pool_pre_ping=True)
    login.attach(engine)
    found = []
    for _ in range(3):
        async with AsyncExitStack() as stack:
            both = [await stack.enter_async_context(engine.connect()) for _ in range(2)]
            found += [(await conn.scalars(sa.text(QUERY))).one() for conn in both]
        between()
    await engine.dispose()
    return found


async def by_sqlalchemy_asyncpg(login: IamLogin, between: Callable[[], None]) -> list[str]:
    return await by_sqlalchemy_async(login, between, "postgresql+asyncpg://")


async def by_asyncpg(login: IamLogin, between: Callable[[], None]) -> list[str]:
    found = []
    async with asyncpg.create_pool(connect=login.connect_asyncpg, min_size=1, max_size=2) as pool:
        for _ in range(3):
            async with AsyncExitStack() as stack:
                both = [await stack.enter_async_context(pool.acquire()) for _ in range(2)]
                found += [await conn.fetchval(QUERY) for conn in both]
            between()
            await asyncio.sleep(0.2)  # asyncpg takes note of a cut connection when its loop runs
    return found


POOLS = [by_psycopg, by_psycopg_async, by_sqlalchemy, by_sqlalchemy_async, by_sqlalchemy_asyncpg, by_asyncpg]
every_pool = pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.__name__)


@every_pool
def test_a_small_pool_lives_through_the_expiry_of_its_tokens(pool: Pool, rds: RdsWorld) -> None:
    door = rds.open()

    def quarter_of_an_hour_and_a_failover() -> None:
        rds.doors.clock.move(16 * MINUTE)
        door.drop_sessions()

    found = asyncio.run(pool(rds.login(door), quarter_of_an_hour_and_a_failover))

    assert ["app"] * 6 == found
    assert [] == door.door.refusals
    assert door.door.logins >= 6, "each connection was a new one"


@every_pool
def test_a_connection_beyond_the_kept_ones_gets_a_good_token_when_the_first_has_expired(
    pool: Pool, rds: RdsWorld
) -> None:
    door = rds.open()
    found = asyncio.run(pool(rds.login(door), lambda: rds.doors.clock.move(16 * MINUTE)))

    assert ["app"] * 6 == found
    assert [] == door.door.refusals


@every_pool
def test_no_token_is_in_a_debug_log(pool: Pool, rds: RdsWorld, caplog: pytest.LogCaptureFixture) -> None:
    key = of_a_role(1_000)
    rds.doors.identities.append(Identity(key=key))
    tokens = rds.tokens(key)
    login = rds.login(rds.open(), tokens=tokens)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("sqlalchemy").setLevel(logging.DEBUG)
        asyncio.run(pool(login, lambda: None))
        logging.getLogger("sqlalchemy").setLevel(logging.NOTSET)
        logging.getLogger("app").debug("made %s with %r", login.token(), login)

    secret = login.token().secret.reveal()
    assert "app" in caplog.text
    for part in (secret, secret.rpartition("=")[2], str(key.token), str(key.secret_key)):
        assert part not in caplog.text


@every_pool
@pytest.mark.parametrize("size", [2_000, 20_000], ids=["2 kB", "20 kB"])
def test_the_long_tokens_of_roles_arrive_whole(pool: Pool, size: int, rds: RdsWorld) -> None:
    key = of_a_role(size)
    rds.doors.identities.append(Identity(key=key))
    found = asyncio.run(pool(rds.login(rds.open(), tokens=rds.tokens(key)), lambda: None))

    assert ["app"] * 6 == found


def test_a_token_frozen_in_a_pools_creator_is_refused_once_it_has_expired(rds: RdsWorld) -> None:
    """The mistake that this package is there for; it also shows that the endpoint would notice."""
    door = rds.open()
    frozen = rds.login(door).token().secret.reveal()
    address = door.address("app", "court").replace("+iam", "")
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address, password=frozen))
    with engine.connect():
        rds.doors.clock.move(16 * MINUTE)
        with pytest.raises(sa.exc.OperationalError, match='FATAL:  PAM authentication failed for user "app"'):
            engine.connect()
    engine.dispose()

    assert ["it expired"] == [one.reason[:10] for one in door.door.refusals]


class WokenClock:
    """The clock of a machine that was asleep: so late when it is first asked, right from then on."""

    def __init__(self, rds: RdsWorld) -> None:
        self.late = 0.0
        self._clock = rds.doors.clock

    def __call__(self) -> float:
        late, self.late = self.late, 0.0
        return self._clock() - late


@every_pool
def test_a_kept_token_that_is_refused_is_replaced_once(pool: Pool, rds: RdsWorld) -> None:
    door = rds.open()
    clock = WokenClock(rds)
    login = rds.login(door, tokens=Tokens(credentials=lambda: KEY, clock=clock))
    login.token()
    rds.doors.clock.move(16 * MINUTE)
    clock.late = 16 * MINUTE

    assert ["app"] * 6 == asyncio.run(pool(login, lambda: None))
    assert ["it expired"] == [one.reason[:10] for one in door.door.refusals]


@pytest.mark.parametrize(("is_kept", "attempts"), [(False, 1), (True, 2)], ids=["fresh", "kept"])
def test_a_login_that_is_not_to_be_is_tried_once_or_twice_and_no_more(
    is_kept: bool, attempts: int, rds: RdsWorld
) -> None:
    door = rds.open()
    login = rds.login(door)
    if is_kept:
        login.token()
    rds.doors.identities.clear()
    with pytest.raises(psycopg.OperationalError, match='PAM authentication failed for user "app"'):
        login.connect()
    assert ["its access key is unknown"] * attempts == [one.reason for one in door.door.refusals]

    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="PAM authentication failed") as caught:
        asyncio.run(login.connect_asyncpg())
    assert "28000" == caught.value.sqlstate


def test_a_server_that_is_full_is_not_asked_again_with_another_token(rds: RdsWorld) -> None:
    door = rds.open()
    login = rds.login(door)
    with psycopg.connect(rds.server.dsn, autocommit=True) as conn:
        conn.execute("ALTER ROLE app CONNECTION LIMIT 1")
    try:
        with login.connect(), pytest.raises(psycopg.OperationalError, match="too many connections"):
            login.connect()
    finally:
        with psycopg.connect(rds.server.dsn, autocommit=True) as conn:
            conn.execute("ALTER ROLE app CONNECTION LIMIT -1")
    assert 2 == door.door.logins


def test_what_boto3_signs_is_let_in_too(any_rds: RdsWorld) -> None:
    door = any_rds.open()
    client = boto3.client(
        "rds", region_name=REGION, aws_access_key_id=KEY.access_key, aws_secret_access_key=KEY.secret_key
    )
    token = client.generate_db_auth_token(DBHostname=HOST, Port=door.port, DBUsername="app")
    with psycopg.connect(door.address("app", "court").replace("+iam", ""), password=token) as conn:
        assert [("app",)] == conn.execute(QUERY).fetchall()
        in_use = conn.execute("SELECT pg_catalog.version()").fetchall()[0][0]
    assert f"PostgreSQL {any_rds.server.major}." in in_use


@pytest.mark.parametrize(
    ("user", "host", "port", "region", "reason"),
    [
        ("other", HOST, 0, REGION, "it is for another role"),
        ("app", HOST.replace("court", "library"), 0, REGION, "it is for library."),
        ("app", HOST, 1, REGION, "it is for court."),
        ("app", HOST, 0, "us-west-2", "it is for region us-west-2"),
    ],
    ids=["another role", "another host", "another port", "another region"],
)
def test_a_token_for_something_else_is_refused_in_the_words_of_rds(
    user: str, host: str, port: int, region: str, reason: str, any_rds: RdsWorld
) -> None:
    door = any_rds.open()
    client = boto3.client(
        "rds", region_name=region, aws_access_key_id=KEY.access_key, aws_secret_access_key=KEY.secret_key
    )
    token = client.generate_db_auth_token(DBHostname=host, Port=door.port + port, DBUsername=user)
    said = refused(door, password=token)

    assert 'FATAL:  PAM authentication failed for user "app"' in said
    assert door.door.refusals[0].reason.startswith(reason)
    assert 0 == door.door.logins


def test_an_expired_token_is_refused_at_its_last_second_and_taken_before_it(rds: RdsWorld) -> None:
    door = rds.open()
    token = rds.login(door).token().secret.reveal()
    rds.doors.clock.move(898)
    psycopg.connect(door.address("app", "court").replace("+iam", ""), password=token).close()
    rds.doors.clock.move(2)

    assert "PAM authentication failed" in refused(door, password=token)


def test_a_connection_without_tls_is_refused_in_the_words_of_rds_and_ours_is_never_tried(any_rds: RdsWorld) -> None:
    door = any_rds.open()
    token = any_rds.login(door).token().secret.reveal()
    said = refused(door, password=token, sslmode="disable", sslrootcert="")

    where = 'host "127.0.0.1", user "app", database "court", no encryption'
    assert f"FATAL:  no pg_hba.conf entry for {where}" in said


def test_a_token_is_never_sent_to_a_server_that_cannot_prove_its_name(rds: RdsWorld) -> None:
    door = rds.open()
    elsewhere = door.address("app", "court").replace("//app@court.", "//app@library.")
    login = IamLogin(elsewhere, tokens=rds.tokens())
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        login.connect()
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        asyncio.run(login.connect_asyncpg())

    assert ([], 0) == (door.door.refusals, door.door.logins)


def test_no_option_takes_tls_away(rds: RdsWorld) -> None:
    door = rds.open()
    login = rds.login(door)
    login.connect(sslmode="disable").close()
    login.connection_class.connect("sslmode=disable").close()

    async def with_asyncpg() -> None:
        conn = await login.connect_asyncpg(ssl=False)
        await conn.close()

    asyncio.run(with_asyncpg())
    assert (3, []) == (door.door.logins, door.door.refusals)


def test_a_superuser_without_rds_iam_is_asked_for_a_password(any_rds: RdsWorld) -> None:
    door = any_rds.open()
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "boss"'):
        any_rds.login(door, "boss").connect()
    address = door.address("boss", "court").replace("+iam", "")
    with psycopg.connect(address, password="boss-password") as conn:
        assert [("boss",)] == conn.execute(QUERY).fetchall()


def test_a_member_of_rds_iam_cannot_use_the_password_that_it_has(any_rds: RdsWorld) -> None:
    door = any_rds.open()
    said = refused(door, user="both", password="both-password")

    assert 'PAM authentication failed for user "both"' in said
    assert "it is no token" == door.door.refusals[0].reason


def test_a_policy_on_the_clusters_name_allows_nothing(rds: RdsWorld) -> None:
    door = rds.open()
    allowed = "arn:aws:rds-db:us-east-1:123456789012:dbuser:{}/app"
    rds.doors.identities[:] = [Identity(key=KEY, may_connect=[allowed.format("court")])]
    with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
        rds.login(door).connect()
    assert door.door.refusals[0].reason.startswith("no policy allows rds-db:connect on ")

    rds.doors.identities[:] = [Identity(key=KEY, may_connect=[allowed.format("cluster-ASHORELOCAL")])]
    rds.login(door).connect().close()


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_tls_is_negotiated_either_way(negotiation: str, any_rds: RdsWorld) -> None:
    login = any_rds.login(any_rds.open(), sslnegotiation=negotiation)
    with login.connect() as conn:
        assert [("app",)] == conn.execute(QUERY).fetchall()

    async def with_asyncpg() -> str:
        conn = await login.connect_asyncpg()
        try:
            return str(await conn.fetchval(QUERY))
        finally:
            await conn.close()

    assert "app" == asyncio.run(with_asyncpg())


def test_behind_a_tunnel_the_real_endpoint_is_signed_for_and_verified(rds: RdsWorld) -> None:
    door = rds.open(signed_port=5432)
    tunnel = f"postgresql+iam://app@localhost:{door.port}/court?sslrootcert={door.authority}&sign_for={HOST}"
    login = IamLogin(tunnel, tokens=rds.tokens())
    assert login.token().secret.reveal().startswith(f"{HOST}:5432/?")
    for pool in POOLS:
        assert ["app"] * 6 == asyncio.run(pool(login, lambda: None)), pool.__name__
    assert [] == door.door.refusals

    wrong_name = tunnel.replace("sign_for=court", "sign_for=library")
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        IamLogin(wrong_name, tokens=rds.tokens()).connect()


def test_ashores_own_connections_take_tokens(rds: RdsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", str(KEY.access_key))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", str(KEY.secret_key))
    door = rds.open()
    with connect(door.address("app", "court"), application_name="ashore test", autocommit=True) as conn:
        assert [("app", "ashore test")] == conn.execute(
            "SELECT current_user::text, current_setting('application_name')"
        ).fetchall()

    rds.doors.identities.clear()
    with pytest.raises(TokenRefused, match="refused the token of role app") as caught:
        connect(door.address("app", "court"), application_name="ashore test")
    assert "X-Amz" not in str(caught.value)


def test_a_cancel_request_reaches_the_session(rds: RdsWorld) -> None:
    sleeping = "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
    with rds.login(rds.open()).connect() as conn, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(conn.execute, "SELECT pg_sleep(60)")
        with psycopg.connect(rds.server.dsn, autocommit=True) as watching:
            while not watching.execute(sleeping).fetchall():
                time.sleep(0.02)
        conn.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            waiting.result()


def test_much_data_passes_both_ways(rds: RdsWorld) -> None:
    text = "ä" * 3_000_000
    with rds.login(rds.open()).connect() as conn:
        assert [(text,)] == conn.execute("SELECT %s::text", (text,)).fetchall()


def refused(door: OpenDoor, *, user: str = "app", **options: Any) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(door.address(user, "court").replace("+iam", ""), **options)
    return str(caught.value)
