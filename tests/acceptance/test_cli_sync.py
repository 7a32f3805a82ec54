"""`ashore load --sync` and `ashore sync` as a user runs them, against real servers."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from ashore.local.export_writer import WrittenKey, write_changes_export, write_export


@dataclass
class Run:
    """What became of a command."""

    returncode: int | None = None
    said: str = ""
    wrong: str = ""


@contextmanager
def running(project: Any, *arguments: str) -> Iterator[Run]:
    """A worker, from when it has its shards; ended by SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ashore", "sync", "run", *arguments],
        cwd=project.folder,
        env=project.given(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = Run()
    try:
        give_up_at = time.monotonic() + 60
        while project.rows("SELECT count(*) FROM ashore.shard WHERE owner IS NOT NULL") == [(0,)]:
            assert time.monotonic() < give_up_at
            time.sleep(0.1)
        yield run
    finally:
        process.send_signal(signal.SIGTERM)
        run.said, run.wrong = process.communicate(timeout=60)
        run.returncode = process.returncode


@pytest.fixture
def streamed(shop_table: Any, moto: Any, make: Any) -> Any:
    """The project, and its table with a stream and some items."""
    client = moto.client("dynamodb")
    client.update_table(
        TableName="shop", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )
    for item in make.many(10):
        client.put_item(TableName="shop", Item=item)
    return shop_table


def test_a_copy_is_loaded_beside_the_stream_kept_up_to_date_proved_and_ended(
    streamed: Any, make: Any, moto: Any
) -> None:
    client = moto.client("dynamodb")

    loaded = streamed.json("load", "--sync")
    assert loaded["items"] == 32
    assert {one["state"] for one in streamed.json("status")["entities"]} == {"merging"}
    client.delete_item(TableName="shop", Key={"pk": make.S("customer|c3"), "sk": make.S("customer|c3")})
    client.put_item(TableName="shop", Item=make.customer("c4", credit={"N": "99"}))
    client.put_item(TableName="shop", Item=make.customer("new"))
    streamed.json("sync", "run", "--once")

    assert streamed.rows("SELECT count(*) FROM customer") == [(10,)]
    assert streamed.rows("SELECT credit FROM customer WHERE customer_id = 'c4'") == [(99,)]
    verified = streamed.json("verify", "--witness-all")
    assert (verified["equal"], verified["items"]) == (True, 32)
    status = streamed.json("status")
    assert {one["state"] for one in status["entities"]} == {"syncing"}
    assert status["sync"]["lag_seconds"] < 120
    assert status["verification_is_fresh"] is True
    shown = streamed.run("status").stdout
    assert "Stream, running" in shown
    assert "fresh" in shown

    assert streamed.json("sync", "pause")["state"] == "paused"
    waits = streamed.run("sync", "run", "--once")
    assert (waits.returncode, "ASH810" in waits.stderr) == (3, True)
    assert streamed.json("sync", "resume")["state"] == "running"
    assert streamed.json("sync", "stop")["loaded"] == ["customer", "purchase"]
    refused = streamed.run("sync", "pause")
    assert refused.returncode == 3
    assert "ASH806" in refused.stderr


def test_sigterm_hands_the_shards_over_and_another_goes_on(streamed: Any, make: Any, moto: Any) -> None:
    streamed.json("load", "--sync")

    with running(streamed) as process:
        pass

    assert (process.returncode, process.wrong) == (0, "")
    assert "handed over" in process.said
    assert streamed.rows("SELECT count(*) FROM ashore.shard WHERE owner IS NOT NULL") == [(0,)]
    moto.client("dynamodb").put_item(TableName="shop", Item=make.customer("late"))
    streamed.json("sync", "run", "--once")
    assert streamed.rows("SELECT count(*) FROM customer WHERE customer_id = 'late'") == [(1,)]


def test_a_worker_serves_metrics_and_its_health_and_leaves_the_port_when_it_ends(streamed: Any) -> None:
    streamed.json("load", "--sync")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with running(streamed, "--listen", str(port)) as process:
        metrics, health = (_get(f"http://127.0.0.1:{port}/{path}") for path in ("metrics", "healthz"))
        streamed.json("sync", "pause")
        give_up_at = time.monotonic() + 60
        while (paused := _get(f"http://127.0.0.1:{port}/healthz")) != (200, "paused\n"):
            assert time.monotonic() < give_up_at
            time.sleep(0.1)
        taken = streamed.run("sync", "run", "--listen", str(port))

    assert (200, "running\n") == health
    assert 200 == metrics[0]
    assert 'ashore_entity_state{entity="customer",source="shop"' in metrics[1]
    assert "ashore_worker_rounds_total" in metrics[1]
    assert (200, "paused\n") == paused
    assert (2, True) == (taken.returncode, "ASH840" in taken.stderr)
    assert (0, "") == (process.returncode, process.wrong)
    assert f"serves http://127.0.0.1:{port}/metrics and http://127.0.0.1:{port}/healthz" in process.said
    with pytest.raises(URLError):
        _get(f"http://127.0.0.1:{port}/healthz")
    printed = streamed.run("status", "--prometheus")
    assert (0, "") == (printed.returncode, printed.stderr)
    assert 'ashore_sync_state{source="shop",state="paused"} 1.0' in printed.stdout
    assert 2 == streamed.run("status", "--prometheus", "--json").returncode


def _get(url: str) -> tuple[int, str]:
    with urlopen(url, timeout=30) as answer:  # noqa: S310 (a URL of this machine)
        return answer.status, answer.read().decode()


def test_status_is_watched_until_ctrl_c(streamed: Any) -> None:
    streamed.json("load", "--sync")
    process = subprocess.Popen(
        [sys.executable, "-m", "ashore", "status", "--watch", "--json"],
        cwd=streamed.folder,
        env=streamed.given(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    process.send_signal(signal.SIGINT)
    _, wrong = process.communicate(timeout=60)

    assert (0, "") == (process.returncode, wrong)
    assert [None] == [shard["records_per_s"] for shard in first["sync"]["shards"]]
    assert [0.0] == [shard["records_per_s"] for shard in second["sync"]["shards"]]
    assert first["at"] < second["at"]


def test_a_difference_is_repaired_from_the_table(streamed: Any) -> None:
    streamed.json("load", "--sync")
    streamed.json("sync", "run", "--once")
    streamed.rows("UPDATE customer SET credit = 1 WHERE customer_id = 'c3'")
    streamed.rows("DELETE FROM customer WHERE customer_id = 'c4'")
    streamed.rows("INSERT INTO customer (customer_id, full_name) VALUES ('ghost', 'nobody')")

    with running(streamed):
        found = streamed.json("verify", "--repair", exit_code=1)
        give_up_at = time.monotonic() + 60
        while streamed.rows("SELECT count(*) FROM ashore.repair") != [(0,)]:
            assert time.monotonic() < give_up_at
            time.sleep(0.1)
        verified = streamed.json("verify")

    [customers, _] = found["entities"]
    assert (customers["different"], customers["missing"], customers["extra"]) == (1, 1, 1)
    assert verified["equal"] is True


def test_a_gap_is_named_with_what_closes_it_and_is_repaired_from_an_export(streamed: Any, make: Any, moto: Any) -> None:
    about = moto.client("dynamodb").describe_table(TableName="shop")["Table"]
    streamed.json("load", "--sync")
    streamed.json("sync", "run", "--once")
    assert "no record" in streamed.run("sync", "repair").stdout
    streamed.rows("DELETE FROM customer WHERE customer_id = 'c3'")  # as if its making had been lost
    streamed.rows(
        "INSERT INTO ashore.gap (source, shard, kind, known_at, decision)"
        " SELECT source, shard, 'trimmed', passed_at, 'repair' FROM ashore.shard"
    )

    listed = streamed.run("sync", "repair")
    assert (listed.returncode, listed.stdout.count("--export-type INCREMENTAL_EXPORT")) == (1, 1)
    assert about["TableArn"] in listed.stdout
    status = streamed.json("status")["sync"]
    assert (status["gaps"], status["open_gaps"][0]["is_asked"]) == (len(status["open_gaps"]), False)
    assert "closed by `ashore sync repair --export" in streamed.run("status").stdout
    now = datetime.now(UTC)
    key = {name: make.S("customer|c3") for name in ("pk", "sk")}

    def export(name: str, window: tuple[datetime, datetime]) -> str:
        changes = [WrittenKey(key=key, new=key, at=now)]
        home = write_changes_export(streamed.folder / name, changes, window=window, table_arn=about["TableArn"])
        return str(home)

    late = export("late", (now, now + timedelta(hours=1)))
    refused = streamed.run("sync", "repair", "--export", late)
    assert (refused.returncode, "ASH830" in refused.stderr) == (3, True)
    path = export("whole", (now - timedelta(hours=1), now + timedelta(hours=1)))
    dry = streamed.json("sync", "repair", "--export", path, "--dry-run")
    assert (dry["keys"], streamed.rows("SELECT count(*) FROM ashore.repair")) == ({"customer": 1}, [(0,)])
    assert "will close" in streamed.run("sync", "repair", "--export", path).stdout
    assert streamed.json("status")["verification_is_fresh"] is False
    streamed.json("sync", "run", "--once")

    assert streamed.rows("SELECT count(*) FROM customer WHERE customer_id = 'c3'") == [(1,)]
    assert streamed.json("status")["sync"]["gaps"] == 0
    assert streamed.json("sync", "repair")["gaps"] == []


def test_a_gap_is_repaired_by_reading_the_whole_table(streamed: Any) -> None:
    streamed.json("load", "--sync")
    streamed.json("sync", "run", "--once")
    streamed.rows("UPDATE customer SET credit = 1 WHERE customer_id = 'c3'")
    streamed.rows("INSERT INTO ashore.gap (source, kind, decision) VALUES ('shop', 'unlisted_parent', 'repair')")

    with running(streamed):
        scanned = streamed.json("sync", "repair", "--scan")
        give_up_at = time.monotonic() + 60
        while streamed.json("status")["sync"]["gaps"]:
            assert time.monotonic() < give_up_at

    assert scanned["total_differences"] == 2  # the comparison found it, and the witness
    assert streamed.rows("SELECT credit::float FROM customer WHERE customer_id = 'c3'") == [(12.5,)]


def test_verifying_again_and_again_ends_cleanly_and_its_exit_code_tells_of_findings(streamed: Any) -> None:
    streamed.json("load")
    streamed.rows("UPDATE customer SET credit = 1 WHERE customer_id = 'c3'")
    process = subprocess.Popen(
        [sys.executable, "-m", "ashore", "verify", "--continuous", "--pause", "0", "--json"],
        cwd=streamed.folder,
        env=streamed.given(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        streamed.rows("UPDATE customer SET credit = 12.5 WHERE customer_id = 'c3'")
        while not (later := json.loads(process.stdout.readline()))["equal"]:
            pass
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert (first["round"], first["total_differences"], later["total_differences"]) == (1, 2, 0)
    assert process.returncode == 1, "a round had differences, though a later one has none"
    assert streamed.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'ashore_shadow'") == []
    assert streamed.rows("SELECT count(*) FROM ashore.load WHERE phase IN ('rows', 'keys')") == [(0,)]
    assert streamed.rows("SELECT count(*) FROM ashore.verification") >= [(later["round"],)]
    clean = streamed.run("verify", "--continuous", "--rounds", "1")
    assert (clean.returncode, "round 1: equal" in clean.stdout) == (0, True)


def test_a_table_without_a_stream_is_refused_and_nothing_is_begun(shop_table: Any) -> None:
    for arguments in (("load", "--sync"), ("sync", "run")):
        refused = shop_table.run(*arguments)
        assert refused.returncode == 3
        assert "ASH801" in refused.stderr
        assert "NEW_AND_OLD_IMAGES" in refused.stderr
    assert shop_table.json("status")["sync"] is None


def test_an_export_beside_a_stream_is_refused_unless_the_stream_still_has_all_that_it_lacks(
    streamed: Any, make: Any, moto: Any
) -> None:
    def refused(export: str) -> str:
        done = streamed.run("load", "--sync", "--export", export)
        assert done.returncode == 3
        return next(word for word in str(done.stderr).replace(":", " ").split() if word.startswith("ASH"))

    arn = moto.client("dynamodb").describe_table(TableName="shop")["Table"]["TableArn"]
    items = [json.dumps(item).encode() for item in make.many(10)]
    write_export(streamed.folder / "other", items, files=2)
    assert refused("other") == "ASH805"
    streamed.json("sync", "begin")
    assert refused("other") == "ASH809"
    early = datetime.now(UTC) - timedelta(minutes=5)
    write_export(streamed.folder / "early", items, files=2, table_arn=arn, export_time=early)
    assert refused("early") == "ASH631"
    late = datetime.now(UTC) + timedelta(minutes=2)
    write_export(streamed.folder / "late", items, files=2, table_arn=arn, export_time=late)
    streamed.json("sync", "resume")
    assert refused("late") == "ASH632"
    streamed.json("sync", "pause")
    late = datetime.now(UTC) + timedelta(minutes=2)
    write_export(streamed.folder / "later", items, files=2, table_arn=arn, export_time=late)

    assert streamed.json("load", "--sync", "--export", "later")["items"] == 32
    streamed.json("sync", "resume")
    streamed.json("sync", "run", "--once")
    assert streamed.json("verify")["equal"] is True


def test_the_policy_for_a_sync_reads_the_stream_and_writes_nothing_but_markers(streamed: Any) -> None:
    statements = streamed.json("policy", "--sync")["Statement"]
    actions = [one for statement in statements for one in statement["Action"]]
    assert {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"} < set(actions)
    assert not [one for one in actions if any(word in one for word in ("Put", "Delete", "Update", "Write"))]
    marked = streamed.json("policy", "--sync", "--markers")["Statement"]
    assert (statements, ["dynamodb:DeleteItem", "dynamodb:PutItem"]) == (marked[:-1], marked[-1]["Action"])
