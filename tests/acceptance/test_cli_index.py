"""`ashore index` as a user runs it: PostgreSQL and the command are real, OpenSearch is the tests' own server."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final

import psycopg
import pytest
from tests.acceptance.test_cli_sync import running, streamed
from tests.search_server import SearchServer

__all__ = ["streamed"]

SEARCH: Final = """

from ashore import Search

def _id(key):
    return key["sk"]

def _document(item):
    return {"credit": item.get("credit"), "name": item["customerId"]}

customers.search = Search(index="customers", id=_id, document=_document)
"""
OLD_FEED: Final = ("--old-feed-off", "its event source mapping was disabled")


@pytest.fixture
def search() -> Iterator[SearchServer]:
    with SearchServer() as one:
        yield one


def declare_search(shop: Any, search: SearchServer, more: str = "") -> None:
    shop.write("shop.py", (shop.folder / "shop.py").read_text(encoding="utf-8") + SEARCH)
    configuration = (shop.folder / "ashore.toml").read_text(encoding="utf-8")
    shop.write("ashore.toml", f'{configuration}opensearch = "{search.url}"\n{more}')


@pytest.fixture
def written(shop: Any, search: SearchServer, make: Any) -> Any:
    """The project with ten customers that are written in PostgreSQL, with no way back."""
    declare_search(shop, search)
    shop.json("load", "--export", shop.export(make.many(10)))
    write(shop, "UPDATE ashore.entity SET state = 'writing'")
    return shop


def write(project: Any, statement: str) -> None:
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        conn.execute(statement.encode())


def documents_of(project: Any) -> dict[str, Any]:
    rows = project.rows("SELECT customer_id, credit FROM customer")
    return {f"customer|{name}": {"credit": None if credit is None else float(credit), "name": name}
            for name, credit in rows}  # fmt: skip


def eventually(what: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 60
    while not what():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


@contextmanager
def feeding(project: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ashore", "index", "run"],
        cwd=project.folder,
        env=project.given(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_an_index_is_begun_rebuilt_fed_and_ended(written: Any, search: SearchServer) -> None:
    missing = written.run("index", "begin", *OLD_FEED, "--yes")
    assert missing.returncode == 3
    assert "index customers: is not there" in missing.stderr
    search.create("customers")
    refused = written.run("index", "begin", "--yes")
    assert (refused.returncode, "old feed: nothing was said" in refused.stderr) == (3, True)
    planned = written.json("index", "begin", *OLD_FEED, "--dry-run")
    assert (planned["is_open"], planned["indexes"]) == (True, {"customer": "customers"})
    assert written.rows("SELECT count(*) FROM ashore.feed") == [(0,)]
    not_fed = written.run("index", "rebuild")
    assert (not_fed.returncode, "ASH865" in not_fed.stderr) == (3, True)

    assert written.json("index", "begin", *OLD_FEED)["begun"] == ["customer"]
    assert written.json("index", "begin", *OLD_FEED)["begun"] == []
    assert "not rebuilt since the feed was begun" in written.run("status").stdout
    [planned] = written.json("index", "rebuild", "--dry-run")
    assert (planned["rows"], planned["index"], planned["takes_over_from"]) == (10, "customers", None)
    [rebuilt] = written.json("index", "rebuild")
    assert (rebuilt["rows"], rebuilt["refused"], rebuilt["is_complete"]) == (10, 0, True)
    assert documents_of(written) == search.documents("customers")

    write(written, "UPDATE customer SET credit = 77 WHERE customer_id = 'c1'")
    write(written, "DELETE FROM customer WHERE customer_id = 'c2'")
    write(written, "INSERT INTO customer (customer_id, full_name) VALUES ('born', 'in PostgreSQL')")
    fed = written.json("index", "run", "--until-empty")
    assert (fed["waiting"], fed["refused"]) == (0, 0)
    assert documents_of(written) == search.documents("customers")
    feed = written.json("status")["feed"]
    assert (feed["waiting"], feed["indexed"], feed["deleted"], feed["others"]) == (0, 12, 1, 0)
    assert feed["entities"][0]["is_complete"]
    metrics = written.run("status", "--prometheus").stdout
    assert 'ashore_feed_documents_total{action="index",source="shop"} 12.0' in metrics
    assert 'ashore_feed_lag_seconds{source="shop"} 0.0' in metrics

    assert written.json("index", "end")["ended"] == ["customer"]
    write(written, "UPDATE customer SET credit = 78 WHERE customer_id = 'c1'")
    assert written.rows("SELECT count(*) FROM ashore.outbox") == [(0,)]
    assert written.json("status")["feed"] is None
    assert [command for (command,) in written.rows("SELECT command FROM ashore.audit ORDER BY id")][-3:] == [
        "index begin",
        "index rebuild",
        "index end",
    ]


def test_what_is_refused_is_named_and_tried_again(written: Any, search: SearchServer) -> None:
    search.create("customers", name="long")
    written.json("index", "begin", *OLD_FEED)
    [rebuilt] = written.json("index", "rebuild", exit_code=1)
    assert (rebuilt["rows"], rebuilt["refused"], rebuilt["is_complete"]) == (10, 10, False)
    feed = written.json("status")["feed"]
    assert feed["refused_entries"] == 10
    assert feed["refused"][0].endswith("400 mapper_parsing_exception (field name)")
    assert re.fullmatch(r"customer ‹[0-9a-f]{8}›: .*", feed["refused"][0]), "keys are masked"

    search.indexes["customers"].mappings.clear()
    assert written.json("index", "retry")["entries"] == 10
    [rebuilt] = written.json("index", "rebuild")
    assert rebuilt["is_complete"]
    assert documents_of(written) == search.documents("customers")


def test_a_rebuild_into_an_index_that_is_declared_instead_takes_over_when_it_is_complete(
    written: Any, search: SearchServer
) -> None:
    search.create("customers")
    written.json("index", "begin", *OLD_FEED)
    written.json("index", "rebuild")
    before = search.documents("customers")
    text = (written.folder / "shop.py").read_text(encoding="utf-8")
    written.write("shop.py", text.replace('index="customers"', 'index="customers-2"'))
    search.create("customers-2")
    [planned] = written.json("index", "rebuild", "--dry-run")
    assert (planned["index"], planned["takes_over_from"]) == ("customers-2", "customers")
    [rebuilt] = written.json("index", "rebuild")
    assert (rebuilt["index"], rebuilt["is_complete"]) == ("customers-2", True)
    write(written, "UPDATE customer SET credit = 77 WHERE customer_id = 'c1'")
    written.json("index", "run", "--until-empty")
    assert documents_of(written) == search.documents("customers-2")
    assert before == search.documents("customers"), "it is not fed any more"


def test_a_login_is_sent_and_not_shown(written: Any, search: SearchServer) -> None:
    search.create("customers")
    search.login = "ashore:swordfish-1968"
    configuration = (written.folder / "ashore.toml").read_text(encoding="utf-8")
    written.write("ashore.toml", f'{configuration}opensearch_login_env = "SEARCH_LOGIN"\n')
    unset = written.run("index", "begin", *OLD_FEED, "--yes")
    assert (unset.returncode, "ASH861" in unset.stderr, "SEARCH_LOGIN" in unset.stderr) == (2, True, True)
    wrong = written.run("index", "begin", *OLD_FEED, "--yes", environ={"SEARCH_LOGIN": "ashore:wrong-1968"})
    assert (wrong.returncode, "ASH863" in wrong.stderr) == (2, True)
    right = written.run("index", "begin", *OLD_FEED, "--yes", environ={"SEARCH_LOGIN": "ashore:swordfish-1968"})
    assert right.returncode == 0
    for done in (unset, wrong, right):
        assert "1968" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_feeders_are_killed_again_and_again_while_the_application_writes(written: Any, search: SearchServer) -> None:
    seed = 20
    random = Random(seed)
    search.create("customers")
    written.json("index", "begin", *OLD_FEED)
    with psycopg.connect(written.dsn, autocommit=True) as conn:

        def some_writes() -> None:
            for _ in range(random.randint(1, 20)):
                name = f"k{random.randint(1, 40)}"
                if random.random() < 0.3:
                    conn.execute("DELETE FROM customer WHERE customer_id = %s", (name,))
                else:
                    conn.execute(
                        "INSERT INTO customer (customer_id, full_name, credit) VALUES (%(name)s, 'x', %(credit)s)"
                        " ON CONFLICT (customer_id) DO UPDATE SET credit = excluded.credit",
                        {"name": name, "credit": random.randint(1, 1_000)},
                    )

        for _ in range(4):
            with feeding(written) as one, feeding(written):
                before, give_up_at = search.bulk_requests, time.monotonic() + 60
                while search.bulk_requests < before + 3:
                    assert time.monotonic() < give_up_at
                    some_writes()
                    time.sleep(0.05)
                search.faults += random.choices(["reset after", "429", "some items 429"], k=2)
                give_up_at = time.monotonic() + random.uniform(0.1, 1.5)
                while time.monotonic() < give_up_at:
                    some_writes()
                    time.sleep(0.02)
                one.kill()
            # whoever was killed is waited for a minute otherwise
            conn.execute("UPDATE ashore.feeder SET lease_until = clock_timestamp() WHERE owner IS NOT NULL")
    search.faults.clear()
    [rebuilt] = written.json("index", "rebuild")
    assert rebuilt["is_complete"]
    assert documents_of(written) == search.documents("customers"), f"seed {seed}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_feed_follows_the_crossing(streamed: Any, search: SearchServer, moto: Any) -> None:
    """Refused before the cutover; in the way of the way back; demanded by, and still there after, retiring."""
    declare_search(streamed, search)
    search.create("customers")
    restore_point = ("--restore-point", "a snapshot of today")
    moto.client("dynamodb").update_continuous_backups(
        TableName="shop", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    streamed.json("load", "--sync")
    with running(streamed):
        eventually(lambda: {one["state"] for one in streamed.json("status")["entities"]} == {"syncing"})
        refused = streamed.run("index", "begin", *OLD_FEED, "--yes")
        assert (refused.returncode, "state: customer is syncing" in refused.stderr) == (3, True)
        streamed.json("verify")
        streamed.json("cutover", "writes", "customer", "--rehearse")
        streamed.json("cutover", "writes", "customer", *restore_point)

        streamed.json("index", "begin", *OLD_FEED)
        streamed.json("index", "rebuild")
        write(streamed, "UPDATE customer SET credit = 77 WHERE customer_id = 'c1'")
        write(streamed, "DELETE FROM customer WHERE customer_id = 'c2'")
        streamed.json("index", "run", "--until-empty")
        assert documents_of(streamed) == search.documents("customers")
        eventually(lambda: streamed.json("status")["way_back"]["waiting"] == 0)
        assert streamed.rows("SELECT count(*) FROM ashore.outbox") == [(0,)]

        blocked = streamed.run("rollback", "customer", "--yes")
        assert (blocked.returncode, "Ashore feeds an index with customer" in blocked.stderr) == (3, True)
        streamed.json("index", "end")
        assert streamed.json("rollback", "customer")["state"] == "syncing"
        streamed.json("verify")
        streamed.json("cutover", "writes", "customer", *restore_point)

        blocked = streamed.run("retire", "customer", "--yes")
        assert (blocked.returncode, "nobody would feed customer" in blocked.stderr) == (3, True)
        streamed.json("index", "begin", *OLD_FEED)
        streamed.json("retire", "customer")
    write(streamed, "UPDATE customer SET credit = 78 WHERE customer_id = 'c1'")
    write(streamed, "DELETE FROM customer WHERE customer_id = 'c3'")
    assert streamed.json("status")["way_back"]["waiting"] == 0
    streamed.json("index", "run", "--until-empty")
    assert documents_of(streamed) == search.documents("customers")
    assert streamed.rows("SELECT count(*) FROM ashore.outbox") == [(0,)]
