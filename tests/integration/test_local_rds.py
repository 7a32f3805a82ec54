"""Endpoints on this machine: far away, full, asleep; and replicas behind them."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from tests.acceptance.docs_pages import DOCS, read_page
from tests.rds_world import MINUTE, RdsWorld

from ashore.local.rds import Behaviour
from ashore.local.rds.cluster import LocalCluster, local_cluster
from ashore.postgres.iam import IamLogin, Tokens


def test_a_session_at_a_distance_takes_its_round_trips(rds: RdsWorld) -> None:
    door = rds.open(behaviour=Behaviour(round_trip_ms=50))
    seconds, trips = [], []
    for negotiation in ("postgres", "direct"):
        login = rds.login(door, sslnegotiation=negotiation)
        login.token()
        began = time.monotonic()
        with login.connect(autocommit=True) as conn:
            conn.execute("SELECT 1")
            seconds.append(time.monotonic() - began)
            trips.append(door.trips[-1].count)
            began = time.monotonic()
            conn.execute("SELECT 1")
            assert 0.05 <= time.monotonic() - began

    assert [6, 5] == trips, "TCP, (may we have TLS?), TLS, startup, token, query"
    assert 6 * 0.05 <= seconds[0]
    assert 5 * 0.05 <= seconds[1]


def test_a_distance_takes_no_bandwidth_away(rds: RdsWorld) -> None:
    with rds.login(rds.open(behaviour=Behaviour(round_trip_ms=50))).connect() as conn:
        began = time.monotonic()
        rows = conn.execute("SELECT repeat('x', 1000) FROM generate_series(1, 5000)").fetchall()
    assert 5_000 == len(rows)
    assert time.monotonic() - began < 5, "5 MB are 80 chunks, which would take 2 s and more one after another"


def test_more_logins_a_second_than_there_may_be_are_refused(rds: RdsWorld) -> None:
    door = rds.open(behaviour=Behaviour(new_connections_per_second=3))
    rds.doors.clock.stop()
    login = rds.login(door)
    for _ in range(3):
        login.connect().close()
    with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
        login.connect()
    assert {"there are too many logins at once"} == {one.reason for one in door.door.refusals}
    rds.doors.clock.move(1)
    login.connect().close()


def test_a_paused_database_keeps_its_first_connection_waiting(rds: RdsWorld) -> None:
    door = rds.open(behaviour=Behaviour(pauses_after_seconds=300, resume_seconds=0.5))
    login = rds.login(door)
    login.connect().close()
    assert 0 == door.door.resumed
    while door.door.sessions:
        time.sleep(0.01)

    rds.doors.clock.move(6 * MINUTE)
    began = time.monotonic()
    login.connect().close()
    assert 0.5 <= time.monotonic() - began
    assert 1 == door.door.resumed


def test_an_open_session_keeps_a_database_from_pausing(rds: RdsWorld) -> None:
    door = rds.open(behaviour=Behaviour(pauses_after_seconds=300, resume_seconds=0.5))
    login = rds.login(door)
    with login.connect():
        rds.doors.clock.move(6 * MINUTE)
        login.connect().close()
    assert 0 == door.door.resumed


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        struct.pack("!II", 8, 80877103) + b"plain text where TLS should begin",
        struct.pack("!II", 2**31, 196608),
        struct.pack("!II", 9, 196608) + b"\0",
    ],
    ids=["nothing", "http", "no TLS", "no TLS after asking for it", "an endless packet", "no user"],
)
def test_what_is_no_client_of_postgresql_does_no_harm(sent: bytes, rds: RdsWorld) -> None:
    door = rds.open()
    with socket.create_connection(("127.0.0.1", door.port)) as client:
        client.sendall(sent)
        with suppress(OSError):  # the door may have closed it by now
            client.shutdown(socket.SHUT_WR)
        client.settimeout(30)
        with suppress(ConnectionResetError):
            while client.recv(4_096):
                pass
    rds.login(door).connect().close()


def test_what_was_sent_in_the_clear_is_not_taken_for_encrypted(rds: RdsWorld) -> None:
    """As a man in the middle would do it: a startup packet right behind the request for TLS, before the handshake."""
    door = rds.open()
    body = struct.pack("!I", 196608) + b"user\0app\0database\0court\0\0"
    startup = struct.pack("!I", len(body) + 4) + body
    with socket.create_connection(("127.0.0.1", door.port)) as client:
        client.settimeout(30)
        client.sendall(struct.pack("!II", 8, 80877103) + startup)
        assert b"S" == client.recv(1)
        context = ssl.create_default_context(cafile=str(door.authority))
        with pytest.raises((ssl.SSLError, OSError)):
            context.wrap_socket(client, server_hostname=door.endpoint.host).recv(1)
    assert ([], 0) == (door.door.refusals, door.door.logins)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster(database="court", delay_seconds=3_600) as running:
        yield running


def login(cluster: LocalCluster, name: str) -> IamLogin:
    key = cluster.keeper.identities[0].key
    return IamLogin(cluster.address(name), tokens=Tokens(credentials=lambda: key))


def test_replicas_follow_the_primary_and_the_delayed_one_stays_behind(cluster: LocalCluster) -> None:
    with login(cluster, "primary").connect() as conn:
        conn.execute("CREATE TABLE seen AS SELECT 1 AS number")
        conn.commit()
        [lsn] = conn.execute("SELECT pg_current_wal_flush_lsn()::text").fetchall()[0]
    for name in ("east", "west"):
        with login(cluster, name).connect(autocommit=True) as conn:
            deadline = time.monotonic() + 30
            while not conn.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (lsn,)).fetchall()[0][0]:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert [(1, True)] == conn.execute("SELECT number, pg_is_in_recovery() FROM seen").fetchall()
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                conn.execute("INSERT INTO seen VALUES (2)")
    with login(cluster, "delayed").connect() as conn:
        assert [(None,)] == conn.execute("SELECT to_regclass('seen')").fetchall()


def test_each_endpoint_takes_tokens_for_itself_alone(cluster: LocalCluster) -> None:
    token = login(cluster, "east").token().secret.reveal()
    with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
        psycopg.connect(cluster.address("west").replace("+iam", ""), password=token)


@pytest.mark.slow
def test_local_up_prints_addresses_that_work_and_ends_with_what_it_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ashore", "--json", "local", "up", "--database", "court", "--far-ms", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            lines.append(line)
            if line == "}\n":
                break
        told = json.loads("".join(lines))
        script = "import sys; from ashore.postgres.connect import connect; "
        script += "print(*[connect(a, application_name='x').execute('SELECT 1').fetchall() for a in sys.argv[1:]])"
        addresses = [one["address"] for one in told["endpoints"]]
        environment = {**os.environ, **told["environment"]}
        done = subprocess.run(
            [sys.executable, "-c", script, *addresses], env=environment, capture_output=True, text=True, check=False
        )
        running.send_signal(signal.SIGTERM)
        assert 0 == running.wait(60)
    assert ("[(1,)] [(1,)] [(1,)] [(1,)]\n", "") == (done.stdout, done.stderr)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", told["endpoints"][0]["port"]))


@pytest.mark.slow
def test_the_pages_example_opens_an_endpoint() -> None:
    page = read_page(DOCS / "how-to" / "endpoints-on-your-machine.md")
    [block] = [block for block in page.blocks if block.words == ("python",)]
    namespace: dict[str, object] = {}
    exec(block.text, namespace)  # noqa: S102 (our own page)
    assert str(namespace["address"]).startswith(
        "postgresql+iam://app@court.cluster-abc123.us-east-1.rds.amazonaws.com:"
    )
