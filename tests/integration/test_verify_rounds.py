"""Verifying again and again while changes flow: planted differences are found, nothing else is; the budget is held."""

from __future__ import annotations

import dataclasses
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.integration.verify_world import a_case, a_court, load_court, plan, verify_court

from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.stream import TableStream
from ashore.ledger.schema import ensure_ledger
from ashore.local import LocalAws
from ashore.observe.events import Event, Progress
from ashore.pipeline.sync import run_worker
from ashore.pipeline.verify import RepairNeedsTable
from ashore.pipeline.verify_rounds import Rounds, verify_in_rounds
from ashore.postgres.connect import connect
from ashore.sync.order import SyncLimits, SyncOrder
from ashore.sync.start import ensure_stream
from ashore.verify.errors import VerificationStopped
from ashore.verify.report import VerifyReport

QUICK = SyncLimits(tend_seconds=0.05, list_seconds=1.0, poll_seconds=0.1, margin_seconds=1.0)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")


def make_table(client: Any, *, cases: int, **attributes: Any) -> None:
    names = ("pk", "sk")
    client.create_table(
        TableName="court",
        KeySchema=[
            {"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
        ],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    for item in a_court(cases):
        client.put_item(TableName="court", Item={**item, **attributes})


def source_of(aws: LocalAws) -> TableSource:
    return TableSource(table="court", region=aws.region, endpoint_url=aws.endpoint_url, segments=2)


@contextmanager
def synced(dsn: str, source: TableSource) -> Iterator[None]:
    """A copy that a worker keeps up to date meanwhile."""
    stream = TableStream(table="court", region=source.region, endpoint_url=source.endpoint_url)
    with connect(dsn, application_name="test", autocommit=True) as conn:
        ensure_ledger(conn)
        ensure_stream(conn, plan, stream, {name: [] for name in plan.entities})
    load_court(dsn, source, is_captured=True)
    stop = threading.Event()
    order = SyncOrder(dsn=dsn, plan=plan, source=stream, fetch=source.get_items, limits=QUICK)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            run_worker(order, stop)
        except BaseException as error:  # noqa: BLE001 (it is raised again below)
            failed.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        give_up_at = time.monotonic() + 60
        while rows(dsn, "SELECT DISTINCT state FROM ashore.entity WHERE entity <> ''") != [("syncing",)]:
            assert time.monotonic() < give_up_at
            assert not failed
            time.sleep(0.05)
        yield
    finally:
        stop.set()
        worker.join()
    assert not failed


def rows(dsn: str, statement: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        cursor = conn.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.mark.slow
def test_differences_are_found_while_changes_flow_and_nothing_else_and_a_repaired_one_is_gone_in_the_next_round(
    moto: LocalAws, postgres_dsn: str
) -> None:
    client = moto.client("dynamodb")
    make_table(client, cases=8)
    source = source_of(moto)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            client.put_item(TableName="court", Item=a_case(f"{100 + number % 4}-20", amount={"N": str(number)}))
            client.put_item(TableName="court", Item=a_case(f"{number}-21"))
            if number > 20:
                key = {"S": f"case|{number - 20}-21"}
                client.delete_item(TableName="court", Key={"pk": key, "sk": key})

    def once() -> VerifyReport:
        return verify_court(postgres_dsn, source, witness=0, repair=True, patience_seconds=20.0)

    reports: list[dict[str, Any]] = []

    def hear(_: int, report: VerifyReport) -> None:
        reports.append(report.as_json())
        if len(reports) == 1:  # what was found is repaired before the next round begins
            give_up_at = time.monotonic() + 60
            while rows(postgres_dsn, "SELECT 1 FROM ashore.repair r WHERE convert_from(key, 'UTF8') LIKE '%106-20%'"):
                assert time.monotonic() < give_up_at
                time.sleep(0.05)

    writer = threading.Thread(target=write)
    with synced(postgres_dsn, source):
        writer.start()
        try:
            rows(postgres_dsn, "UPDATE \"case\" SET caption = 'planted' WHERE docket_number = '106-20'")
            done = verify_in_rounds(once, threading.Event(), pause_seconds=0.0, most=2, on_report=hear)
        finally:
            stop.set()
            writer.join()

    first, second = reports
    assert [("different", "public.case", ["caption"])] == [
        (one["kind"], one["table"], one["columns"]) for one in first["differences"]
    ]
    assert (1, 0) == (first["total_differences"], second["total_differences"])
    assert (2, 1, True) == (done.rounds, done.apart, done.has_findings)
    kept = rows(postgres_dsn, "SELECT report -> 'total_differences' FROM ashore.verification ORDER BY id")
    assert [(1,), (0,)] == kept


def test_a_round_is_ended_between_two_chunks_and_leaves_nothing_behind(moto: LocalAws, postgres_dsn: str) -> None:
    make_table(moto.client("dynamodb"), cases=8)
    source = dataclasses.replace(source_of(moto), page_limit=2, segments=1)
    load_court(postgres_dsn, source)
    stop = threading.Event()
    chunks: list[Event] = []

    def hear(event: Event) -> None:
        if isinstance(event, Progress):
            chunks.append(event)
            stop.set()

    once = partial(verify_court, postgres_dsn, source, should_stop=stop.is_set, emit=hear)
    with pytest.raises(VerificationStopped):
        once()
    stop.clear()
    done = verify_in_rounds(once, stop, pause_seconds=0.0, on_report=lambda *_: None)

    assert Rounds() == done
    assert 0 < len(chunks) < 10
    assert [] == rows(postgres_dsn, "SELECT 1 FROM pg_namespace WHERE nspname = 'ashore_shadow'")
    assert [("discarded",)] == rows(postgres_dsn, "SELECT DISTINCT phase FROM ashore.load WHERE purpose = 'verify'")
    assert [] == rows(postgres_dsn, "SELECT 1 FROM ashore.verification")
    assert 0 == verify_court(postgres_dsn, source).total_differences


def test_a_repair_against_an_export_is_refused(postgres_dsn: str, tmp_path: Any) -> None:
    from tests.integration.verify_world import export_of  # noqa: PLC0415

    with pytest.raises(RepairNeedsTable):
        verify_court(postgres_dsn, export_of(tmp_path, a_court(1)), repair=True)


class Meter(ThreadingHTTPServer):
    """Stands between Ashore and a DynamoDB, and notes when how many read units were consumed, as DynamoDB says."""

    daemon_threads = True

    def __init__(self, to: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.to = urlsplit(to)
        self.consumed: list[tuple[float, float, str]] = []
        self.noting = threading.Lock()

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Meter

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked_at = time.monotonic()
        upstream = http.client.HTTPConnection(self.server.to.hostname or "", self.server.to.port)
        upstream.request("POST", self.path, body, dict(self.headers.items()))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        found = json.loads(content).get("ConsumedCapacity", []) if answer.status == 200 else []
        units = sum(one["CapacityUnits"] for one in (found if isinstance(found, list) else [found]))
        with self.server.noting:
            self.server.consumed.append((asked_at, units, self.headers["X-Amz-Target"].rpartition(".")[2]))
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.mark.needs_dynamodb_local
def test_a_verification_takes_no_more_read_units_a_second_than_it_may(
    dynamodb_local: LocalAws, postgres_dsn: str
) -> None:
    make_table(dynamodb_local.client("dynamodb"), cases=40, postalCode={"S": "x" * 9_000})
    load_court(postgres_dsn, source_of(dynamodb_local))
    rows(postgres_dsn, "UPDATE \"case\" SET caption = 'planted'")  # so that all are read again, by key
    rate, workers = 60.0, 2
    with Meter(dynamodb_local.endpoint_url or "") as meter:
        serving = threading.Thread(target=meter.serve_forever)
        serving.start()
        try:
            source = dataclasses.replace(
                source_of(dynamodb_local),
                endpoint_url=meter.endpoint_url,
                read_units_per_second=rate,
                workers=workers,
            )
            report = verify_court(postgres_dsn, source, workers=workers, witness=0)
        finally:
            meter.shutdown()
            serving.join()

    consumed = sorted(meter.consumed)
    assert {"Scan", "BatchGetItem"} <= {operation for _, _, operation in consumed}
    assert report.total_differences == 40
    began, largest = consumed[0][0], max(units for _, units, _ in consumed)
    total = sum(units for _, units, _ in consumed)
    assert total > 3 * (workers + 1) * largest or total > 4 * rate, "too little was read to tell"
    before = 0.0
    for at, units, _ in consumed:  # when a request goes out, all but the last of each process is paid for
        assert before <= rate * (at - began) + (workers + 1) * largest
        before += units
