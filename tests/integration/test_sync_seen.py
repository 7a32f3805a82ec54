"""What a sync shows: how fresh the rows are, what it counted, whether it is well."""

from __future__ import annotations

import random
import secrets
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests import sync_world
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.ledger.schema import ensure_ledger
from ashore.ledger.streams import prune
from ashore.observe.events import Event, SyncLagging
from ashore.pipeline.metrics import metrics_text
from ashore.pipeline.project import Project
from ashore.pipeline.serve import serving
from ashore.pipeline.status import status, with_rates
from ashore.postgres.connect import connect
from ashore.sync.stop import stop

NOW = datetime.now(UTC)


def at(minutes: int | None) -> datetime | None:
    """So many minutes ago."""
    return None if minutes is None else NOW - timedelta(minutes=minutes)


def rows(dsn: str, statement: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        cursor = conn.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def synced(postgres_dsn: str) -> tuple[str, MemoryTable]:
    """A world that was loaded and is synced, and has two accounts."""
    table = MemoryTable(1)
    sync_world.fresh(postgres_dsn)
    table.put(account(1))
    sync_world.begin(postgres_dsn, table)
    SteppedLoad(postgres_dsn, table, ENTITIES).finish()
    table.put(account(2))
    sync_world.settle(postgres_dsn, table)
    return postgres_dsn, table


def account(number: int, balance: int = 1) -> dict[str, Any]:
    return {"pk": {"S": f"account|{number}"}, "sk": {"S": "account"}, "balance": {"N": str(balance)}}


def project(dsn: str) -> Project:
    """The world as a project; of its settings the budget for markers is looked at, and nothing else."""
    return Project(
        settings=cast("Any", SimpleNamespace(marker_writes=1_000)),
        reference=sync_world.reference,
        plan=sync_world.plan,
        dsn=dsn,
    )


Shard = tuple[str, str | None, str, int | None]
"""Name, parent, state, and the minutes that have gone since the moment that it has passed."""


@pytest.mark.parametrize(
    ("shards", "expected"),
    [
        pytest.param([("a", None, "open", 1), ("b", None, "open", 7)], 7, id="the slowest shard counts"),
        pytest.param([("a", None, "open", 1), ("b", None, "open", None)], None, id="not known of an unread shard"),
        pytest.param([("a", None, "open", 1), ("b", None, "ended", 9)], 9, id="an end without children is no progress"),
        pytest.param([("a", None, "ended", 9), ("b", "a", "open", 2)], 2, id="an end with children is done with"),
        pytest.param([("a", None, "ended", 9), ("b", "a", "open", None)], 9, id="an unread child begins at its parent"),
        pytest.param(
            [("a", None, "ended", 9), ("b", "a", "ended", None), ("c", "b", "open", None)], 9, id="or its grandparent"
        ),
        pytest.param([("b", "gone", "open", None)], None, id="not known where the parent is not"),
        pytest.param(
            [("a", None, "skipped", None), ("b", "a", "open", None)], None, id="not known of a skipped parent"
        ),
        pytest.param([("a", None, "open", 1), ("b", None, "lost", 30)], 30, id="a lost shard holds it up"),
        pytest.param([("a", None, "open", 1), ("b", None, "skipped", 30)], 1, id="until it is repaired"),
        pytest.param([], None, id="not known of no shard"),
    ],
)
def test_everything_older_than_as_of_has_arrived(
    postgres_dsn: str, shards: Sequence[Shard], expected: int | None
) -> None:
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:
        ensure_ledger(conn)
        conn.execute("INSERT INTO ashore.stream (source, arn, origin, state) VALUES ('world', 'arn', '{}', 'running')")
        for name, parent, state, passed in shards:
            conn.execute(
                "INSERT INTO ashore.shard (source, shard, parent, state, at_horizon, passed_at)"
                " VALUES ('world', %s, %s, %s, false, %s)",
                (name, parent, state, at(passed)),
            )
        found = conn.execute("SELECT source, state, as_of FROM ashore.stream_freshness").fetchall()

    assert [("world", "running", at(expected))] == found


@pytest.mark.slow
def test_whatever_the_shards_do_every_write_before_as_of_has_arrived(postgres_dsn: str) -> None:
    seed = secrets.randbelow(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    rng = random.Random(seed)
    table = MemoryTable(seed)
    table.empties = 2
    sync_world.fresh(postgres_dsn)
    sync_world.begin(postgres_dsn, table)
    worker = sync_world.worker(postgres_dsn, table)
    written: dict[int, tuple[str, float]] = {}
    known = 0
    try:
        for _ in range(250):
            match rng.choices(("put", "round", "close", "list"), (8, 12, 1, 1))[0]:
                case "put" if table.put(sync_world.random_item(rng)):
                    [(newest, shard)] = [
                        (one.records[-1].sequence, one.id)
                        for one in table.open_shards()
                        if one.records and one.records[-1].sequence == table._sequence
                    ]
                    written[newest] = (shard, time.time())
                case "round":
                    worker.round()
                case "close":
                    table.close(
                        rng.choice(table.open_shards()), children=rng.randint(1, 2), is_listed=rng.random() < 0.5
                    )
                case "list":
                    table.list_all()
            [(as_of,)] = worker.conn.execute("SELECT extract(epoch FROM as_of) FROM ashore.stream_freshness").fetchall()
            if as_of is not None:
                known += 1
                positions = sync_world.positions(postgres_dsn)
                assert [] == [
                    sequence
                    for sequence, (shard, at) in written.items()
                    if at < as_of and positions.get(shard, -1) < sequence
                ]
    finally:
        worker.leave()
        worker.conn.close()
    assert known > 30, "most of the time it is known"


def test_readers_of_reports_see_how_fresh_each_entity_is_and_nothing_else(synced: tuple[str, MemoryTable]) -> None:
    dsn, table = synced
    table.put(account(3, balance=5000))
    before = datetime.now(UTC)
    sync_world.settle(dsn, table)
    role = f"reader_{time.time_ns()}"
    rows(dsn, f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA ashore TO {role}; GRANT SELECT ON ashore.freshness TO {role}")
    try:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(f"SET ROLE {role}".encode())
            found = conn.execute("SELECT * FROM ashore.freshness ORDER BY entity").fetchall()
            for table_name in ("rejected_item", "pending_change", "shard", "entity", "stream_freshness"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(f"SELECT * FROM ashore.{table_name}".encode())
    finally:
        rows(dsn, f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert [("world", name, "syncing", "running") for name in sorted(ENTITIES)] == [one[:4] for one in found]
    assert all(before - timedelta(seconds=1) <= one[4] <= datetime.now(UTC) for one in found)
    assert [1, 0, 0, 0] == [one[5] for one in found], "one account is rejected: it is not in the tables"


def test_a_copy_says_which_moment_it_stayed_at_and_says_nothing_while_it_is_loaded_anew(
    synced: tuple[str, MemoryTable],
) -> None:
    dsn, table = synced
    [(as_of,)] = rows(dsn, "SELECT DISTINCT as_of FROM ashore.freshness")
    with connect(dsn, application_name="test", autocommit=True) as conn:
        stop(conn, "world")
    assert [("loaded", None, as_of)] == rows(dsn, "SELECT DISTINCT state, sync, as_of FROM ashore.freshness")

    sync_world.begin(dsn, table)
    assert [(as_of,)] == rows(dsn, "SELECT DISTINCT as_of FROM ashore.freshness"), "another stream says nothing of it"
    load = SteppedLoad(dsn, table, ENTITIES, restart=True)
    assert [("loading", None)] == rows(dsn, "SELECT DISTINCT state, as_of FROM ashore.freshness")
    load.finish()
    assert [("merging", None)] == rows(dsn, "SELECT DISTINCT state, as_of FROM ashore.freshness")


def test_nothing_is_claimed_while_a_gap_is_not_repaired(synced: tuple[str, MemoryTable]) -> None:
    dsn, _ = synced
    rows(dsn, "INSERT INTO ashore.gap (source, kind, decision) VALUES ('world', 'trimmed', 'repair')")
    assert [(None,)] == rows(dsn, "SELECT DISTINCT as_of FROM ashore.freshness")
    rows(dsn, "UPDATE ashore.gap SET repaired_at = now()")
    [(as_of,)] = rows(dsn, "SELECT DISTINCT as_of FROM ashore.freshness")
    assert as_of is not None


def test_changes_are_counted_by_entity_and_outcome_and_stay_counted_when_their_shard_is_forgotten(
    synced: tuple[str, MemoryTable],
) -> None:
    dsn, table = synced
    counted = {
        ("account", "captured"): 2,
        ("account", "rows"): 2 + 3,
        ("account", "removed"): 1,
        ("account", "rejected"): 1,
        ("", "rejected"): 1,
    }
    for number in (3, 4, 5):
        table.put(account(number))
        sync_world.settle(dsn, table)
    table.delete("account|3", "account")
    table.put(account(9, balance=5000))
    table.put({"pk": {"S": "nobody's"}, "sk": {"S": "z"}})
    table.put({"pk": {"S": "setting|1"}, "sk": {"S": "z"}})
    sync_world.settle(dsn, table)

    def found() -> dict[tuple[str, str], int]:
        counts = rows(dsn, "SELECT entity, outcome, sum(changes)::int FROM ashore.sync_count GROUP BY 1, 2")
        return {(entity, outcome): changes for entity, outcome, changes in counts if outcome in {"captured"} | _WRITTEN}

    assert counted == found()
    rows(dsn, "UPDATE ashore.shard SET state = 'ended', ended_at = now() - interval '2 days'")
    with connect(dsn, application_name="test", autocommit=True) as conn:
        prune(conn, "world", datetime.now(UTC))
    assert [] == rows(dsn, "SELECT shard FROM ashore.shard")
    assert counted == found()
    assert [("",)] == rows(dsn, "SELECT DISTINCT shard FROM ashore.sync_count")


_WRITTEN = {"rows", "removed", "rejected"}


def test_status_and_metrics_say_the_same(synced: tuple[str, MemoryTable]) -> None:
    dsn, table = synced
    before = status(project(dsn))
    table.put(account(7, balance=5000))
    table.put(account(8))
    sync_world.settle(dsn, table)

    found = status(project(dsn))
    text = metrics_text(project(dsn))

    metrics = {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "source")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found.sync is not None
    assert {("ashore_entity_state", one.entity, one.state) for one in found.entities} <= metrics.keys()
    assert 1 == metrics["ashore_rejected_items", "account"]
    assert [one.rejected for one in found.entities if one.entity == "account"] == [1]
    assert found.entities[0].changes["rows"] == metrics["ashore_sync_changes_total", "account", "rows"]
    assert {one.shard: float(one.records) for one in found.sync.shards} == {
        name[1]: value for name, value in metrics.items() if name[0] == "ashore_sync_shard_records_total"
    }
    assert 0 <= metrics["ashore_sync_lag_seconds",] < 600
    assert 0 == metrics["ashore_sync_gaps",] == metrics["ashore_sync_workers",] == metrics["ashore_sync_repairs",]
    assert 0 < metrics["ashore_pending_bytes",] == found.sync.pending_bytes
    assert "account|7" not in text, "no key is in a metric"
    with_rate = with_rates(before, found).sync
    assert with_rate is not None
    assert sum(one.records_per_s or 0 for one in with_rate.shards) > 0


def test_a_sync_that_nobody_reads_for_hours_rings_the_alarm_also_while_it_is_paused(
    synced: tuple[str, MemoryTable],
) -> None:
    dsn, table = synced
    heard: list[Event] = []
    worker = sync_world.worker(dsn, table)
    worker.emit = heard.append
    try:
        rows(dsn, "UPDATE ashore.stream SET state = 'paused'")
        rows(dsn, "UPDATE ashore.shard SET passed_at = now() - interval '13 hours'")
        for _ in range(50):
            worker.tend()
    finally:
        worker.leave()
        worker.conn.close()

    assert [SyncLagging(alarm="warning", hours=13.0)] == [one for one in heard if isinstance(one, SyncLagging)]
    found = status(project(dsn)).sync
    assert found is not None
    assert "warning: not read for 13 hours, and DynamoDB keeps the stream for 24" == found.alarm


@pytest.fixture
def working(synced: tuple[str, MemoryTable]) -> Iterator[tuple[str, str]]:
    """A worker that runs in a thread, and is served: its database, and the URL."""
    dsn, table = synced
    worker = sync_world.worker(dsn, table, tend_seconds=0.05)
    over = threading.Event()
    with serving(project(dsn), "127.0.0.1", 0, patience_seconds=2.0) as served:
        worker.emit = served.hear
        thread = threading.Thread(target=worker.run, args=(over,))
        thread.start()
        try:
            yield dsn, served.url
        finally:
            over.set()
            thread.join()
            worker.conn.close()


def test_a_worker_is_well_also_when_it_is_paused_and_not_when_it_is_stuck(working: tuple[str, str]) -> None:
    dsn, url = working
    assert (200, "running\n") == eventually(url, 200, "running")
    rows(dsn, "UPDATE ashore.stream SET state = 'paused'")
    assert (200, "paused\n") == eventually(url, 200, "paused")
    rows(dsn, "UPDATE ashore.stream SET state = 'running'")
    assert (200, "running\n") == eventually(url, 200, "running")

    with psycopg.connect(dsn) as locks:
        locks.execute("LOCK TABLE ashore.sync_worker")
        status_code, reason = eventually(url, 503, "")
        assert (503, True) == (status_code, reason.startswith("the worker has not ended a round for "))
        locks.rollback()
    assert (200, "running\n") == eventually(url, 200, "running")


def test_metrics_are_the_ledgers_and_the_workers_own(working: tuple[str, str]) -> None:
    dsn, url = working
    eventually(url, 200, "running")
    status_code, text = ask(f"{url}/metrics")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert 200 == status_code
    assert {"ashore_ledger_up", "ashore_sync_lag_seconds", "ashore_worker_rounds", "process_cpu_seconds"} <= names

    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("ALTER TABLE ashore.verification RENAME TO hidden")
        try:
            time.sleep(2.1)  # for so long a reading is kept
            _, text = ask(f"{url}/metrics")
        finally:
            other.execute("ALTER TABLE ashore.hidden RENAME TO verification")
    assert 'ashore_ledger_up{source="world"} 0.0' in text
    assert "ashore_worker_rounds_total" in text
    assert "ashore_sync_lag_seconds" not in text


def eventually(url: str, code: int, reason: str) -> tuple[int, str]:
    """The health, once it is this or a long time is over."""
    give_up_at = time.monotonic() + 60
    while True:
        found = ask(f"{url}/healthz")
        if (found[0] == code and reason in found[1]) or time.monotonic() > give_up_at:
            return found
        time.sleep(0.05)


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 (a URL of this machine)
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
