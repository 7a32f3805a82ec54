"""`ashore bench connect`: what a connection from afar costs, trip by trip, and what a token and a pool add to it.

A team measured 900 ms for one query from another region. Nearly all of it was a cold connection: each step that has to
wait for an answer takes the whole way there and back. Here the way is simulated, and the trips are counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import boto3
import psycopg
import sqlalchemy as sa
from botocore.credentials import ReadOnlyCredentials
from psycopg_pool import ConnectionPool

from ashore.bench.machine import machine, versions
from ashore.local.postgres import embedded_postgres
from ashore.local.rds import Behaviour, Identity, open_doors
from ashore.local.rds.doors import SUPERUSER, OpenDoor, prepare
from ashore.local.replicas import streaming_replica
from ashore.postgres.connect import connect
from ashore.postgres.iam import IamLogin, Tokens
from ashore.postgres.iam.signing import sign

ORIGIN_MS: Final = 900
"""What the team measured, from the west coast to the east."""

_QUERY: Final = "SELECT 1"
_CHECKOUTS: Final = 200
_PAIRS: Final = 40
"""Each is some 80 ms, in which a machine is seldom quiet twice; the median of so many says a hundredth."""

_HOST: Final = "bench.cluster-ashorelocal.us-east-1.rds.amazonaws.com"
_NEAR_HOST: Final = "bench.cluster-ro-ashorelocal.us-west-2.rds.amazonaws.com"
_KEY: Final = ReadOnlyCredentials("AKIALOCALLOCALLOCAL1", "made/up+for+this+machine+alone", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectFigures:
    """Medians; milliseconds, unless a name says otherwise.

    Attributes:
        origin_way_ms, origin_way_round_trips: As programs are often written: a SQLAlchemy engine without a pool, made
            for one request, with a token from boto3; connect, one query, close.
        cold_connect_ms, round_trips: A connection of psycopg by `IamLogin`, TLS negotiated directly, and one query.
        asked_for_tls_ms, asked_for_tls_round_trips: The same where TLS is asked for first, as before PostgreSQL 17.
        pooled_query_ms, pooled_query_round_trips: The query on a connection that a pool holds.
        replica_cold_connect_ms, replica_query_ms: At a streaming replica that is near.
        token_us: Microseconds to sign a token; `kept_token_us` to take one from the cache; `boto3_token_us` with
            boto3's client, which is there already.
        overhead_ratio: Checkout, query and return with the login's connections over the same with psycopg's own.
    """

    round_trip_ms: float
    rounds: int
    origin_ms: int
    origin_way_ms: float
    origin_way_round_trips: int
    asked_for_tls_ms: float
    asked_for_tls_round_trips: int
    cold_connect_ms: float
    round_trips: int
    pooled_query_ms: float
    pooled_query_round_trips: int
    replica_cold_connect_ms: float
    replica_query_ms: float
    token_us: float
    kept_token_us: float
    boto3_token_us: float
    overhead_ratio: float
    overhead_spread: float
    versions: Mapping[str, str]
    machine: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure_connect(*, round_trip_ms: float, rounds: int, tell: Callable[[str], None]) -> ConnectFigures:
    """Measure on servers of its own; `tell` hears what is being done."""
    before = machine()
    with (
        embedded_postgres(superuser=SUPERUSER) as server,
        streaming_replica(server, "near") as replica,
        open_doors() as doors,
    ):
        prepare(server)
        (replica.data / "pg_hba.conf").write_bytes((server.data / "pg_hba.conf").read_bytes())
        with connect(server.dsn, application_name="ashore bench", autocommit=True) as conn:
            conn.execute("CREATE ROLE app LOGIN")
            conn.execute("GRANT rds_iam TO app")
        doors.identities.append(Identity(key=_KEY))
        far = doors.open(server, host=_HOST, region="us-east-1", behaviour=Behaviour(round_trip_ms=round_trip_ms))
        beside = doors.open(server, host=_HOST, region="us-east-1")
        near = doors.open(replica, host=_NEAR_HOST, region="us-west-2")
        tell("connections from afar")
        origin = [_timed(far, lambda: _the_origins_way(far)) for _ in range(rounds)]
        asked = [_timed(far, lambda: _cold(far, "postgres")) for _ in range(rounds)]
        direct = [_timed(far, lambda: _cold(far, "direct")) for _ in range(rounds)]
        tell("a pool from afar")
        pooled = _pooled(far, rounds)
        tell("a replica near by")
        _until_there(near)
        cold_there = [_timed(near, lambda: _cold(near, "direct")) for _ in range(rounds)]
        queries_there = _pooled(near, rounds)
        tell("tokens")
        token_us, kept_us, boto3_us = _tokens()
        tell("the pool's own time")
        ratios = _overheads(beside)
        return ConnectFigures(
            round_trip_ms=round_trip_ms,
            rounds=rounds,
            origin_ms=ORIGIN_MS,
            origin_way_ms=_median_ms(origin),
            origin_way_round_trips=_trips(origin),
            asked_for_tls_ms=_median_ms(asked),
            asked_for_tls_round_trips=_trips(asked),
            cold_connect_ms=_median_ms(direct),
            round_trips=_trips(direct),
            pooled_query_ms=_median_ms(pooled),
            pooled_query_round_trips=_trips(pooled),
            replica_cold_connect_ms=_median_ms(cold_there),
            replica_query_ms=_median_ms(queries_there),
            token_us=round(token_us, 1),
            kept_token_us=round(kept_us, 1),
            boto3_token_us=round(boto3_us, 1),
            overhead_ratio=round(statistics.median(ratios), 3),
            overhead_spread=round(max(ratios) / min(ratios), 2),
            versions=versions(server),
            machine=before,
        )


def _login(door: OpenDoor, **more: str) -> IamLogin:
    return IamLogin(door.address("app", "postgres", **more), tokens=Tokens(credentials=lambda: _KEY))


def _cold(door: OpenDoor, negotiation: str) -> None:
    with _login(door, sslnegotiation=negotiation).connect(autocommit=True) as conn:
        conn.execute(_QUERY).fetchall()


def _the_origins_way(door: OpenDoor) -> None:
    client = boto3.client(
        "rds",
        region_name=door.endpoint.region,
        aws_access_key_id=_KEY.access_key,
        aws_secret_access_key=_KEY.secret_key,
    )
    token = client.generate_db_auth_token(DBHostname=door.endpoint.host, Port=door.endpoint.port, DBUsername="app")
    address = door.address("app", "postgres").replace("postgresql+iam://", "postgresql+psycopg://")
    engine = sa.create_engine(address, connect_args={"password": token}, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(_QUERY)).all()
    engine.dispose()


def _pooled(door: OpenDoor, rounds: int) -> list[tuple[float, int]]:
    with _pool(_login(door).connection_class, {}) as pool:
        with pool.connection() as conn:
            conn.execute(_QUERY)
        return [_timed(door, lambda: _use(pool)) for _ in range(rounds)]


def _use(pool: ConnectionPool[Any]) -> None:
    with pool.connection() as conn:
        conn.execute(_QUERY).fetchall()


def _pool(connection_class: type[psycopg.Connection[Any]], options: Mapping[str, Any]) -> ConnectionPool[Any]:
    return ConnectionPool(
        connection_class=connection_class,
        kwargs={**options, "autocommit": True},
        min_size=1,
        max_size=1,
        open=True,
    )


def _until_there(door: OpenDoor) -> None:
    """Wait until the replica has the role that logs in, and goes by the pg_hba.conf of its primary."""
    give_up_at = time.monotonic() + 30
    while True:
        try:
            _cold(door, "direct")
        except psycopg.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)
        else:
            return


def _tokens() -> tuple[float, float, float]:
    """Microseconds for a token that is signed, one that is kept, and one of boto3."""
    login = IamLogin(f"postgresql+iam://app@{_HOST}/postgres?sslrootcert=system")
    target, tokens = login.target(), Tokens(credentials=lambda: _KEY)
    tokens.token(target)
    client = boto3.client(
        "rds", region_name="us-east-1", aws_access_key_id=_KEY.access_key, aws_secret_access_key=_KEY.secret_key
    )
    return (
        _microseconds(lambda: sign(target, _KEY, time.time())),
        _microseconds(lambda: tokens.token(target)),
        _microseconds(lambda: client.generate_db_auth_token(DBHostname=_HOST, Port=5432, DBUsername="app")),
    )


def _microseconds(function: Callable[[], object], times: int = 300) -> float:
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1e6


def _overheads(door: OpenDoor) -> list[float]:
    """The login's connections over psycopg's own, in pairs that are measured one right after the other, in turn."""
    login = _login(door)
    bare = {**login.dialling.libpq(), "password": login.token().secret.reveal()}
    with _pool(login.connection_class, {}) as ours, _pool(psycopg.Connection, bare) as theirs:
        for pool in (ours, theirs):
            _many(pool)
        ratios = []
        for number in range(_PAIRS):
            first, second = (ours, theirs) if number % 2 else (theirs, ours)
            seconds = {id(first): _many(first), id(second): _many(second)}
            ratios.append(seconds[id(ours)] / seconds[id(theirs)])
        return ratios


def _many(pool: ConnectionPool[Any]) -> float:
    began = time.perf_counter()
    for _ in range(_CHECKOUTS):
        _use(pool)
    return time.perf_counter() - began


def _timed(door: OpenDoor, function: Callable[[], None]) -> tuple[float, int]:
    """Seconds, and how many round trips there were."""
    trips = sum(one.count for one in door.trips)
    began = time.perf_counter()
    function()
    seconds = time.perf_counter() - began
    return seconds, sum(one.count for one in door.trips) - trips


def _median_ms(measured: list[tuple[float, int]]) -> float:
    return round(statistics.median(seconds for seconds, _ in measured) * 1_000, 2)


def _trips(measured: list[tuple[float, int]]) -> int:
    return statistics.mode(trips for _, trips in measured)
