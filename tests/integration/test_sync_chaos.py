"""Servers and networks that fail at random instants under a load, two workers and a writer, all in one run."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final, Self

import psycopg
import pytest
from tests import sync_world
from tests.conftest import SERVER_SETTINGS
from tests.faults import CutConnections, Fault, FaultyDynamoDb, some_seed
from tests.sync_world import ENTITIES, Writer, records_of, scanned

from ashore import local
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.stream import TableStream
from ashore.errors import AshoreError
from ashore.ledger import repairs
from ashore.observe.events import Event, SyncReconnecting
from ashore.pipeline.load import load
from ashore.pipeline.sync import caught_up, run_worker
from ashore.pipeline.verify import verify
from ashore.postgres.connect import connect
from ashore.postgres.errors import CannotConnect
from ashore.sync.order import SyncLimits, SyncOrder
from ashore.sync.start import ensure_stream

FAULTS: Final = int(os.environ.get("ASHORE_FAULTS", "60" if os.environ.get("CI") == "true" else "15"))
_LIMITS: Final = SyncLimits(
    lease_seconds=2.0, list_seconds=0.5, tend_seconds=0.1, poll_seconds=0.1, empty_reads=3, margin_seconds=0.2
)


_READS: Final = ("Scan", "BatchGetItem", "GetShardIterator")


class Services:
    """Two workers in threads, and loads one after the other until one is through; what ended them is kept."""

    def __init__(self, order: SyncOrder, load: Callable[[], None]) -> None:
        self.order = order
        self.stop = threading.Event()
        self.is_loaded = threading.Event()
        self.died: list[BaseException] = []
        self.restarts: Counter[str] = Counter()
        self.reconnects = 0
        self._load = load
        self._threads = [threading.Thread(target=self._work) for _ in range(2)]
        self._threads.append(threading.Thread(target=self._load_until_done))

    def _work(self) -> None:
        try:
            run_worker(self.order, self.stop, emit=self._heard)
        except BaseException as error:  # noqa: BLE001 (the test tells)
            self.died.append(error)

    def _heard(self, event: Event) -> None:
        if isinstance(event, SyncReconnecting):
            self.reconnects += 1

    def _load_until_done(self) -> None:
        while not self.stop.is_set() and not self.is_loaded.is_set():
            try:
                self._load()
                self.is_loaded.set()
            except AshoreError as error:  # its user runs the same command again
                self.restarts[type(error).__name__] += 1
                self.stop.wait(0.1)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)


@dataclass
class Place:
    """Everything that one run needs: a server of its own, since it is to fail, and both stores behind what fails."""

    server: local.LocalPostgres
    sockets: CutConnections
    requests: FaultyDynamoDb
    aws: local.LocalAws
    dsn: str

    def order(self, *, is_faulty: bool = True, **limits: Any) -> SyncOrder:
        endpoint = self.requests.endpoint_url if is_faulty else self.aws.endpoint_url
        table = TableSource(table="world", region=self.aws.region, endpoint_url=endpoint)
        stream = TableStream(table="world", region=self.aws.region, endpoint_url=endpoint)
        dsn = f"postgresql:///{self.dsn.rpartition('/')[2].partition('?')[0]}?host={self.sockets.folder}&port=5432"
        return SyncOrder(
            dsn=f"{dsn}&user=postgres" if is_faulty else self.dsn,
            plan=sync_world.plan,
            source=stream,
            fetch=table.get_items,
            limits=replace(_LIMITS, **limits),
        )

    def load(self) -> None:
        source = TableSource(
            table="world",
            region=self.aws.region,
            endpoint_url=self.requests.endpoint_url,
            segments=2,
            page_limit=5,
        )
        load(
            plan=sync_world.plan,
            reference=sync_world.reference,
            source=source,
            dsn=self.order().dsn,
            workers=1,
            is_captured=True,
        )


@pytest.fixture(scope="module")
def failing_server() -> Iterator[local.LocalPostgres]:
    with local.embedded_postgres(settings=SERVER_SETTINGS) as server:
        yield server


@pytest.fixture
def place(
    failing_server: local.LocalPostgres, dynamodb: local.LocalAws, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    for name, value in dynamodb.environment.items():
        monkeypatch.setenv(name, value)
    sync_world.make_table(dynamodb.client("dynamodb"))
    dsn = failing_server.create_database("chaos")
    sync_world.fresh(dsn)
    with (
        CutConnections(failing_server.socket_folder, failing_server.port) as sockets,
        FaultyDynamoDb(dynamodb.endpoint_url) as requests,
    ):
        made = Place(failing_server, sockets, requests, dynamodb, dsn)
        with connect(dsn, application_name="test", autocommit=True) as conn:
            ensure_stream(conn, sync_world.plan, made.order(is_faulty=False).source, {name: [] for name in ENTITIES})
        yield made
    failing_server.drop_database("chaos")


def make_fault(place: Place, rng: random.Random) -> str:
    """Let something go wrong now, or in a moment; return what."""
    kind = rng.choices(["fast", "immediate", "kill", "terminate", "cut", "requests", "expired"], [1, 1, 1, 5, 5, 4, 2])[
        0
    ]
    match kind:
        case "fast" | "immediate" | "kill":
            place.server.restart(kind)
        case "terminate":
            with psycopg.connect(place.dsn, autocommit=True) as conn:
                conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        case "cut":
            place.sockets.cut(after_bytes=rng.randint(0, 40_000))
        case "requests":
            faults: list[Fault] = ["throttled", "internal", "reset", "cut"]
            place.requests.fail_next(*(rng.choice(faults) for _ in range(rng.randint(1, 6))))
        case _:
            place.requests.fail_next("expired", "expired")
    return kind


@pytest.mark.slow
@pytest.mark.histories
@pytest.mark.timeout(900)
def test_servers_and_connections_that_fail_at_random_instants_cost_nothing(place: Place) -> None:
    seed = some_seed("chaos")
    rng = random.Random(seed)
    client = place.aws.client("dynamodb")
    made: Counter[str] = Counter()
    faults = FAULTS if place.aws.name == "moto" else FAULTS // 3
    with Writer(client, seed) as writer, Services(place.order(), place.load) as services:
        while sum(made.values()) < faults or not services.is_loaded.is_set():
            time.sleep(rng.uniform(0.05, 0.6))
            if sum(made.values()) < faults:
                made[make_fault(place, rng)] += 1
        assert services.died == []
    print(f"{dict(made)}, {services.reconnects} reconnections, {dict(services.restarts)}, {writer.sent} writes")  # noqa: T201
    assert services.died == [], "a worker outlives all of this"
    assert services.reconnects > 0

    order = place.order(is_faulty=False)
    run_worker(order, threading.Event(), until=caught_up("world", time.time()))
    run_worker(order, threading.Event(), until=caught_up("world", time.time()))
    sync_world.assert_equal(place.dsn, SimpleNamespace(items=scanned(client)))
    with psycopg.connect(place.dsn) as plain:
        [(records,)] = plain.execute("SELECT sum(records)::bigint FROM ashore.shard").fetchall()
        assert plain.execute("SELECT count(*) FROM ashore.gap").fetchall() == [(0,)]
    assert records == records_of(order), "each record of the stream was counted once"


def test_a_worker_whose_server_stays_away_ends_and_says_so(place: Place) -> None:
    order = place.order(away_seconds=0.5)
    rounds = 0

    def cuts(conn: Any) -> bool:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            place.sockets.refuse()
        return False

    with pytest.raises(CannotConnect):
        run_worker(order, threading.Event(), until=cuts)


def test_h11_items_are_read_strongly_consistently_and_no_shard_from_its_end_and_h12_and_h13_differences_are_found(
    place: Place,
) -> None:
    client = place.aws.client("dynamodb")
    exact = "12345678901234567890123456789012345678"
    session = {"pk": {"S": "session|1"}, "sk": {"S": "session"}, "ttl": {"N": "1"}, "amount": {"N": exact}}
    client.put_item(TableName="world", Item=session)
    place.load()
    order = place.order()
    with connect(place.dsn, application_name="test", autocommit=True) as conn:
        key = b'{"pk":{"S":"session|1"},"sk":{"S":"session"}}'
        repairs.ask_repair(conn, "world", [(repairs.key_hash(key), key, None)], reason="verify")
    run_worker(order, threading.Event(), until=caught_up("world", time.time()))

    asked = {operation: [body for name, body in place.requests.requests if name == operation] for operation in _READS}
    for scan in asked["Scan"]:
        assert scan["ConsistentRead"] is True
    for batch in asked["BatchGetItem"]:
        assert [one["ConsistentRead"] for one in batch["RequestItems"].values()] == [True]
    starts = {one["ShardIteratorType"] for one in asked["GetShardIterator"]}
    assert "TRIM_HORIZON" in starts
    assert starts <= {"TRIM_HORIZON", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"}
    assert all(asked.values()), "each of these was asked for"

    assert (0, 0, 0) == _found(place)
    with psycopg.connect(place.dsn, autocommit=True) as conn:
        conn.execute("SET lock_timeout = '10s'")
        conn.execute("INSERT INTO world.session (session_id) VALUES ('resurrected')")
        conn.execute("UPDATE world.session SET extra = jsonb_set(extra, '{amount}', %s)", (f"{exact[:-1]}9",))
    assert (0, 1, 1) == _found(place)


def _found(place: Place) -> tuple[int, int, int]:
    """Sessions that are missing, that are extra, and that differ."""
    order = place.order(is_faulty=False)
    source = TableSource(table="world", region=place.aws.region, endpoint_url=place.aws.endpoint_url)
    stop = threading.Event()
    worker = threading.Thread(target=run_worker, args=(order, stop))
    worker.start()  # a difference is one once the stream has passed it
    try:
        report = verify(
            plan=sync_world.plan, reference=sync_world.reference, source=source, dsn=order.dsn, workers=1, witness=1
        )
    finally:
        stop.set()
        worker.join()
    found = next(one.as_json() for one in report.entities if one.entity == "session")
    return found["missing"], found["extra"], found["different"]
