"""What the documentation teaches an application is what happens, before its reads moved and after its writes did."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from tests.acceptance.docs_pages import read_page
from tests.acceptance.test_docs_python import APPLICATION, run_blocks

from ashore.ledger import loads
from ashore.ledger.schema import ensure_ledger
from ashore.ledger.shadow_reads import shadow_reads
from ashore.local import LocalAws, LocalPostgres
from ashore.postgres.connect import Conn, connect


@pytest.fixture
def court(postgres_server: LocalPostgres, moto: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Conn]:
    """The page's database and table, under the names that the page has for them."""
    for name, value in psycopg.conninfo.conninfo_to_dict(postgres_server.dsn).items():
        monkeypatch.setenv(f"PG{name.upper()}", str(value))
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    moto.client("dynamodb").create_table(
        TableName="efcms",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    )
    try:
        with connect(postgres_server.create_database("court"), application_name="test", autocommit=True) as conn:
            ensure_ledger(conn)
            loads.declare_entities(conn, "efcms", {"message": ["message"]})
            conn.execute("CREATE TABLE message (message_id text PRIMARY KEY, subject text NOT NULL)")
            yield conn
    finally:
        postgres_server.drop_database("court")


@pytest.mark.parametrize("state", ["syncing", "writing"])
def test_the_page_writes_and_reads_where_the_entity_is(court: Conn, moto: LocalAws, state: str) -> None:
    court.execute("UPDATE ashore.entity SET state = %s", (state,))
    assert run_blocks(read_page(APPLICATION)) > 0

    rows = [message_id for (message_id,) in court.execute("SELECT message_id FROM message ORDER BY 1")]
    items = sorted(item["pk"]["S"] for item in moto.client("dynamodb").scan(TableName="efcms")["Items"])
    assert (rows, items) == {
        "syncing": ([], ["message|m1", "message|m2"]),
        "writing": (["m1", "m2"], []),
    }[state]
    [found] = shadow_reads(court, "efcms")
    assert found.call == "read_from_dynamodb"
