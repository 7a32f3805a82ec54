"""SIGKILL of the command and of workers while writes are held, under an application's traffic, on real servers.

The application counts: every write is read, checked and written in the store that it was told. A count that is
acknowledged twice had two writers; one that is missing in the end was lost.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self

import boto3
import psycopg
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests import quick_processes, sync_world
from tests.faults import some_seed
from tests.sync_world import ENTITIES, PROCESS_LIMITS, plan, scanned

from ashore.app import PermitTooShort, Routes, WritesHeld, keep_to_permits, write_config
from ashore.cutover.errors import TookTooLong
from ashore.cutover.run import Order, cut_over, roll_back
from ashore.cutover.switch import Crossing, guard_up
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.stream import TableStream
from ashore.dynamodb.write_back import TableWriter
from ashore.ledger.crossing import crossing_states
from ashore.ledger.errors import StateMoved
from ashore.local import LocalAws
from ashore.pipeline.load import load
from ashore.pipeline.reverse import WriteBack
from ashore.pipeline.sync import caught_up, run_worker
from ashore.postgres.connect import Conn, connect
from ashore.sync.order import SyncOrder
from ashore.sync.start import ensure_stream

_KILLS: Final = int(os.environ.get("ASHORE_KILLS", "100" if os.environ.get("CI") == "true" else "8"))
_ACCOUNTS: Final = ("1", "2", "3")
_VALIDITY_MS: Final = 1_500
_WRITE_SECONDS: Final = 1.2
_SLOW_SECONDS: Final = 1.0
_MAX_PAUSE_SECONDS: Final = 6.0


@dataclass(frozen=True)
class Place:
    """Where both stores are; it is handed to other processes."""

    dsn: str
    endpoint: str
    region: str
    environment: dict[str, str]

    def order(self) -> SyncOrder:
        table = TableSource(table="world", region=self.region, endpoint_url=self.endpoint, segments=2, page_limit=5)
        stream = TableStream(table="world", region=self.region, endpoint_url=self.endpoint)
        return SyncOrder(dsn=self.dsn, plan=plan, source=stream, fetch=table.get_items, limits=PROCESS_LIMITS)

    def write_back(self) -> WriteBack:
        store = TableWriter(table="world", region=self.region, endpoint_url=self.endpoint)
        return WriteBack(store=store)


def work(place: Place) -> None:
    """The body of a worker process."""
    os.environ.update(place.environment)
    run_worker(place.order(), threading.Event(), write_back=place.write_back())


def move(place: Place) -> None:
    """The body of a process that moves the writes there and back, for as long as it lives."""
    with connect(place.dsn, application_name="test mover", autocommit=True) as conn:
        one = Crossing(plan=plan, entities=("account",), tables=sync_world.tables(conn))
        order = Order(max_pause_seconds=_MAX_PAUSE_SECONDS)
        while True:
            state = crossing_states(conn, "world")["account"].state
            try:
                (roll_back if state == "writing" else cut_over)(conn, one, order)
            except (StateMoved, TookTooLong):
                time.sleep(0.1)
            time.sleep(0.3)


def some_time_later() -> None:
    """An application thinks between its reads and its writes, now and then."""
    time.sleep(max(0.0, random.uniform(-2.0, _SLOW_SECONDS)))


@dataclass
class Application:
    """Several threads that count on a few accounts, in whichever store they are told to write."""

    place: Place
    client: Any
    routes: Routes
    acknowledged: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in _ACCOUNTS})
    unknown: Counter[str] = field(default_factory=Counter)
    stores: Counter[str] = field(default_factory=Counter)
    failures: list[BaseException] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def in_dynamodb(self, name: str) -> int | None:
        """Count one on; None where another thread was faster."""
        key = {"pk": {"S": f"account|{name}"}, "sk": {"S": "account"}}
        found = self.client.get_item(TableName="world", Key=key, ConsistentRead=True)["Item"]["balance"]["N"]
        some_time_later()
        try:
            self.client.update_item(
                TableName="world",
                Key=key,
                UpdateExpression="SET balance = :new",
                ConditionExpression="balance = :old",
                ExpressionAttributeValues={":old": {"N": found}, ":new": {"N": str(int(found) + 1)}},
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return None
        self.stores["dynamodb"] += 1
        return int(found) + 1

    def in_postgres(self, name: str) -> int | None:
        with psycopg.connect(self.place.dsn) as conn:
            [(found,)] = conn.execute("SELECT balance FROM world.account WHERE account_id = %s", (name,)).fetchall()
            some_time_later()
            changed = conn.execute(
                "UPDATE world.account SET balance = %s WHERE account_id = %s AND balance = %s", (found + 1, name, found)
            ).rowcount
        self.stores["postgres"] += changed
        return found + 1 if changed else None

    def run(self, seed: int) -> None:
        """Count until it is stopped; what fails otherwise than it may is kept."""
        rng = random.Random(seed)
        count: Callable[[str], int | None] = self.routes.writer(
            "account", dynamodb=self.in_dynamodb, postgres=self.in_postgres
        )
        try:
            while not self.stopped.is_set():
                name = rng.choice(_ACCOUNTS)
                try:
                    counted = count(name)
                except (PermitTooShort, WritesHeld):
                    continue
                except (BotoCoreError, ClientError):
                    self.unknown[name] += 1
                    continue
                if counted is not None:
                    self.acknowledged[name].append(counted)
                self.stopped.wait(rng.uniform(0.0, 0.05))
        except BaseException as error:  # noqa: BLE001 (the test tells)
            self.failures.append(error)

    @contextmanager
    def running(self, seed: int) -> Iterator[None]:
        threads = [threading.Thread(target=self.run, args=(seed + number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            for thread in threads:
                thread.join()


class Processes:
    """A command and two workers; what was killed or has ended is begun anew."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._bodies = {"command": move, "one": work, "two": work}
        self._running: dict[str, Any] = {}

    def keep_up(self) -> None:
        for name, body in self._bodies.items():
            if name not in self._running or not self._running[name].is_alive():
                self._running[name] = quick_processes.context.Process(target=body, args=(self._place,), daemon=False)
                self._running[name].start()

    def kill(self, name: str) -> int:
        """Kill one; return which process it was."""
        pid: int = self._running[name].pid
        self._running[name].kill()
        self._running[name].join()
        return pid

    def __enter__(self) -> Self:
        self.keep_up()
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._running:
            self.kill(name)


@pytest.fixture
def place(postgres_dsn: str, moto: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A table that is synced, with the accounts that are counted on, and all of it behind its guard."""
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    client = moto.client("dynamodb")
    sync_world.make_table(client)
    for name in _ACCOUNTS:
        item = {"pk": {"S": f"account|{name}"}, "sk": {"S": "account"}, "balance": {"N": "0"}}
        client.put_item(TableName="world", Item=item)
    made = Place(postgres_dsn, moto.endpoint_url, moto.region, dict(moto.environment))
    sync_world.fresh(postgres_dsn)
    order = made.order()
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:
        ensure_stream(conn, plan, order.source, {name: [] for name in ENTITIES})
        conn.execute(
            "INSERT INTO ashore.crossing (source, validity_ms, longest_validity_ms) VALUES ('world', %s, %s)",
            (_VALIDITY_MS, _VALIDITY_MS),
        )
    source = TableSource(table="world", region=moto.region, endpoint_url=moto.endpoint_url, segments=2, page_limit=5)
    load(plan=plan, reference=sync_world.reference, source=source, dsn=postgres_dsn, workers=1, is_captured=True)
    run_worker(order, threading.Event(), until=caught_up("world", time.time()))
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:
        conn.execute("ALTER TABLE world.account DROP CONSTRAINT account_balance")  # they count beyond
        guard_up(conn, Crossing(plan=plan, entities=("account",), tables=sync_world.tables(conn)), [])
    return made


@pytest.mark.slow
@pytest.mark.histories
@pytest.mark.timeout(1_500)
def test_killed_while_writes_are_held_no_acknowledged_write_is_lost_and_one_store_is_written_at_a_time(
    place: Place, moto: LocalAws
) -> None:
    seed = some_seed("cutover kills")
    rng = random.Random(seed)
    client = boto3.client(
        "dynamodb", endpoint_url=moto.endpoint_url, region_name=moto.region, config=write_config(_WRITE_SECONDS)
    )
    keep_to_permits(client)
    sys.path[:0] = [str(Path.cwd())]
    killed: Counter[tuple[str, str]] = Counter()
    with (
        connect(place.dsn, application_name="test", autocommit=True) as eyes,
        Routes("world", place.dsn, write_seconds=_WRITE_SECONDS) as routes,
    ):
        application = Application(place, client, routes)
        with Processes(place) as processes, application.running(seed):
            held = ""
            while killed.total() < _KILLS or not all(_moves(eyes)):
                assert application.failures == []
                processes.keep_up()
                was, held = held, crossing_states(eyes, "world")["account"].state
                if held not in {"draining", "returning"}:
                    time.sleep(0.02)
                elif held != was and rng.random() < 0.7:
                    time.sleep(rng.uniform(0.0, 2.5))
                    at = crossing_states(eyes, "world")["account"].state
                    victim = rng.choice(["command", "command", "one", "two"])
                    _end_lease(eyes, processes.kill(victim))
                    killed[at, "command" if victim == "command" else "worker"] += 1
        there, back = _moves(eyes)
        [(foreign,)] = eyes.execute("SELECT count(*) FROM ashore.foreign_write").fetchall()
        finish(eyes, place)
    print(f"{dict(killed)}, {there} there, {back} back, {dict(application.stores)}, {application.unknown}")  # noqa: T201
    assert application.failures == []
    assert foreign <= application.unknown.total(), "a request whose answer never came may have been done late"
    with psycopg.connect(place.dsn) as plain:
        found: dict[str, int] = dict(plain.execute("SELECT account_id, balance FROM world.account").fetchall())
    for name, counted in application.acknowledged.items():
        assert len(set(counted)) == len(counted), "nobody counted on in one store while another did in the other"
        assert len(counted) <= found[name] <= len(counted) + application.unknown[name], "every count is there"
    sync_world.assert_equal(place.dsn, SimpleNamespace(items=scanned(moto.client("dynamodb"))))


def _end_lease(conn: Conn, pid: int) -> None:
    """Let another write back a moment after the death of the one that did: a lease lasts a minute, too long for a test.

    By then moto has done what it was asked for. Nobody who lives is overtaken.
    """
    time.sleep(1.0)
    conn.execute(
        "UPDATE ashore.reverse SET lease_until = clock_timestamp() WHERE split_part(owner, '-', -2) = %s", (str(pid),)
    )


def _moves(conn: Conn) -> tuple[int, int]:
    """How often the writes moved to PostgreSQL, and back."""
    counted: dict[str, int] = dict(conn.execute("SELECT command, count(*) FROM ashore.audit GROUP BY 1").fetchall())
    return counted.get("writing", 0), counted.get("syncing", 0)


def finish(conn: Conn, place: Place) -> None:
    """Let what is held go back, and everything that was written arrive in the other store."""
    conn.execute("UPDATE ashore.entity SET deadline = clock_timestamp() WHERE deadline IS NOT NULL")
    conn.execute("SELECT ashore.return_overdue('world')")
    through = caught_up("world", time.time())

    def is_done(mine: Conn) -> bool:
        [(left,)] = conn.execute("SELECT count(*) FROM ashore.outbox").fetchall()
        return left == 0 and through(mine)

    run_worker(place.order(), threading.Event(), until=is_done, write_back=place.write_back())
