"""An application's own DynamoDB client, kept within its permits: on moto, and on a server that does not answer."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from ashore.app import PermitTooShort, Routes, keep_to_permits, write_config
from ashore.ledger import loads
from ashore.ledger.crossing import hold
from ashore.ledger.schema import ensure_ledger
from ashore.local import LocalAws
from ashore.postgres.connect import Conn, connect


@pytest.fixture
def conn(postgres_dsn: str) -> Iterator[Conn]:
    with connect(postgres_dsn, application_name="test", autocommit=True) as made:
        ensure_ledger(made)
        loads.declare_entities(made, "court", {"message": ["m"]})
        loads.set_state(made, source="court", entities=["message"], state="syncing")
        made.execute("INSERT INTO ashore.crossing VALUES ('court', 3000, 3000)")
        yield made


def client_of(endpoint: str, seconds: float) -> Any:
    client = boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=write_config(seconds),
    )
    keep_to_permits(client)
    keep_to_permits(client)
    return client


@pytest.mark.parametrize(("seconds", "attempts"), [(0.5, 1), (1.0, 1), (2.0, 2), (4.0, 2), (5.0, 3), (30.0, 3)])
def test_timeouts_and_pauses_of_all_attempts_fit_into_the_time(seconds: float, attempts: int) -> None:
    config: Any = write_config(seconds, region_name="eu-west-1")
    each = config.connect_timeout + config.read_timeout
    assert config.retries == {"mode": "standard", "total_max_attempts": attempts}
    assert attempts * each + sum(2.0**number for number in range(attempts - 1)) <= seconds + 1e-9
    assert each >= 0.4
    assert config.region_name == "eu-west-1"


def test_a_time_that_no_attempt_fits_into_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 0\.4"):
        write_config(0.3)


def test_law_12_a_write_is_sent_only_while_its_permit_lasts(conn: Conn, moto: LocalAws) -> None:
    moto.client("dynamodb").create_table(
        TableName="court",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    client = client_of(moto.client("dynamodb").meta.endpoint_url, 1.0)

    def put(key: str) -> None:
        client.put_item(TableName="court", Item={"pk": {"S": key}})

    with Routes("court", conn.info.dsn, write_seconds=1.0) as routes:
        with routes.write("message") as permit:
            put("in time")
            hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)
            while permit.seconds_left() > 0.5:
                time.sleep(0.01)
            with pytest.raises(PermitTooShort):
                put("too late")
            with pytest.raises(PermitTooShort):
                client.transact_write_items(TransactItems=[{"Put": {"TableName": "court", "Item": {"pk": {"S": "x"}}}}])
            assert client.get_item(TableName="court", Key={"pk": {"S": "in time"}})["Item"]
        put("of an entity that does not cross")
    keys = {item["pk"]["S"] for item in client.scan(TableName="court")["Items"]}
    assert keys == {"in time", "of an entity that does not cross"}


def test_law_12_a_block_inside_that_writes_to_postgresql_prolongs_no_permit(conn: Conn, moto: LocalAws) -> None:
    loads.declare_entities(conn, "court", {"case": ["c"]})
    loads.set_state(conn, source="court", entities=["case"], state="writing")
    client = client_of(moto.client("dynamodb").meta.endpoint_url, 1.0)
    with Routes("court", conn.info.dsn, write_seconds=1.0) as routes, routes.write("message") as permit:
        hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)
        while permit.seconds_left() > 0.5:
            time.sleep(0.01)
        with routes.write("case") as inside:
            assert inside.store == "postgres"
            with pytest.raises(PermitTooShort):
                client.put_item(TableName="court", Item={"pk": {"S": "a message, too late"}})


class _AsksForPatience(http.server.BaseHTTPRequestHandler):
    """Answers every request with 500, and the wish to be asked again nearly three seconds later."""

    asked: list[float] = []  # noqa: RUF012 (one server a test)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(time.monotonic())
        self.send_response(500)
        self.send_header("x-amz-retry-after", "2700")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.slow
def test_law_12_a_retry_that_would_come_after_the_permit_is_not_sent(conn: Conn) -> None:
    """DynamoDB may ask for a longer pause than any setting of the client has."""
    _AsksForPatience.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _AsksForPatience) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = client_of(f"http://127.0.0.1:{server.server_port}", 1.8)
        with Routes("court", conn.info.dsn, write_seconds=1.8) as routes, routes.write("message") as permit:
            hold(conn, source="court", entities=["message"], expected=["syncing"], to="draining", seconds=60)
            ends_at = time.monotonic() + permit.seconds_left()
            with pytest.raises(PermitTooShort):
                client.put_item(TableName="court", Item={"pk": {"S": "x"}})
        server.shutdown()
    assert len(_AsksForPatience.asked) >= 1
    assert all(at < ends_at - 0.4 for at in _AsksForPatience.asked)
