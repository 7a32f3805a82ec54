"""The SQL of the documentation runs, by the roles that it says, on a court that is loaded and synced."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from tests.acceptance.docs_pages import Block, Page, pages

from ashore.dynamodb.scan import TableSource
from ashore.ledger.schema import ensure_ledger
from ashore.local import LocalAws
from ashore.local.court.items import court_items
from ashore.local.demo import declarations
from ashore.local.demo_table import for_boto3
from ashore.mapping.declared import PlanReference, load_plan
from ashore.pipeline.load import load, tables_of
from ashore.pipeline.sync import caught_up, run_worker, stream_source
from ashore.postgres.connect import connect
from ashore.sync.order import SyncLimits, SyncOrder
from ashore.sync.start import ensure_stream

KEY: Final = ("pk", "sk")


def runs(block: Block) -> bool:
    return block.words[:2] == ("sql", "run")


with_sql: Final = [page for page in pages() if any(map(runs, page.blocks))]


@pytest.fixture
def synced_court(postgres_dsn: str, moto: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A small court, synced; roles that a page makes are dropped afterwards."""
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    client = moto.client("dynamodb")
    client.create_table(
        TableName="court",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in KEY],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    for item in court_items(10, 7):
        client.put_item(TableName="court", Item=for_boto3({"M": item})["M"])
    reference = PlanReference(declarations=declarations)
    plan = load_plan(reference)
    source = TableSource(table="court", region=moto.region, endpoint_url=moto.endpoint_url)
    limits = SyncLimits(tend_seconds=0.1, poll_seconds=0.1, margin_seconds=0.2, empty_reads=3)
    order = SyncOrder(
        dsn=postgres_dsn, plan=plan, source=stream_source(source), fetch=source.get_items, limits=limits
    )  # fmt: skip
    roles = "SELECT rolname FROM pg_roles"
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:
        ensure_ledger(conn)
        names = {name: [str(table) for table in tables_of(conn, one).values()] for name, one in plan.entities.items()}
        ensure_stream(conn, plan, order.source, names)
        before = conn.execute(roles).fetchall()
        load(plan=plan, reference=reference, source=source, dsn=postgres_dsn, workers=1, is_captured=True)
        run_worker(order, threading.Event(), until=caught_up("court", time.time()))
        yield postgres_dsn
        for (role,) in set(conn.execute(roles).fetchall()) - set(before):
            conn.execute(f'DROP OWNED BY "{role}" CASCADE'.encode())
            conn.execute(f'DROP ROLE "{role}"'.encode())


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in with_sql])
def test_every_statement_of_a_page_is_taken_or_refused_as_it_says(page: Page, synced_court: str) -> None:
    for block in filter(runs, page.blocks):
        where = f"{page.name} line {block.line}"
        is_refused = "refused" in block.words
        for statement in block.text.splitlines() if is_refused else [block.text]:
            refused = _refused(synced_court, block.option("as"), statement)
            assert is_refused == refused, f"{where}: {statement}"


def test_what_the_reporting_copy_shows_its_readers_is_there(synced_court: str) -> None:
    with psycopg.connect(synced_court) as conn:
        rows = conn.execute("SELECT state, sync, as_of < now(), count(*) FROM ashore.freshness GROUP BY 1, 2, 3")
        assert [("syncing", "running", True, 10)] == rows.fetchall()


def _refused(dsn: str, role: str | None, statements: str) -> bool:
    """Run statements in a session of their own; whether one was refused for want of a privilege."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        if role is not None:
            conn.execute(f'SET SESSION AUTHORIZATION "{role}"'.encode())
            settings = conn.execute("SELECT unnest(rolconfig) FROM pg_roles WHERE rolname = %s", (role,)).fetchall()
            for (setting,) in settings:  # which a login would have set
                name, _, value = setting.partition("=")
                conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        try:
            for statement in _statements(statements):
                conn.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
    return False


def _statements(text: str) -> list[Any]:
    """Its statements, one by one: some cannot share a transaction with others."""
    return [statement for part in text.split(";") if (statement := part.strip())]
