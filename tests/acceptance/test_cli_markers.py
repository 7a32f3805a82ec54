"""`ashore probe`, and a sync that writes markers, as a user runs them against an emulator."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

MARKED = {"ASHORE_MARKERS": "true"}


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


def items_of(moto: Any) -> int:
    return int(moto.client("dynamodb").scan(TableName="shop")["Count"])


def records_of(moto: Any) -> int:
    """How many records the stream has."""
    arn = moto.client("dynamodb").describe_table(TableName="shop")["Table"]["LatestStreamArn"]
    streams = moto.client("dynamodbstreams")
    [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    start = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = streams.get_shard_iterator(**start)["ShardIterator"]
    return len(streams.get_records(ShardIterator=iterator, Limit=1000)["Records"])


def test_a_probe_says_what_it_will_do_does_it_and_keeps_a_dated_report(streamed: Any, moto: Any) -> None:
    planned = streamed.json("probe", "--dry-run")
    assert (1, 1000, 2000) == (planned["shards"], planned["markers"], planned["write_units"])
    before = records_of(moto)

    refused = streamed.run("probe")
    assert (2, True) == (refused.returncode, "--yes" in refused.stderr)
    assert before == records_of(moto), "nothing was written so far"

    done = streamed.run("probe", "--yes", "--out", "seen", "--marker-write-units", "1000")
    assert 0 == done.returncode, done.stderr
    assert "writes at most 1,000 markers" in done.stdout
    seen = json.loads((streamed.folder / "seen.json").read_text(encoding="utf-8"))
    assert (1, 1, [], 0) == (seen["open"], seen["reached"], seen["not_reached"], seen["out_of_order"])
    assert seen["written"] == seen["returned"] == 40
    assert 0 <= seen["delay"]["p50"] <= seen["delay"]["p99"] <= seen["delay"]["max"]
    assert (streamed.folder / "seen.md").read_text(encoding="utf-8").strip() in done.stdout
    assert [(seen,)] == streamed.rows("SELECT detail FROM ashore.audit WHERE command = 'probe'")
    assert (32, before + 80) == (items_of(moto), records_of(moto))


def test_a_probe_needs_no_declaration_and_no_database(streamed: Any) -> None:
    for name in ("shop.py", "ashore.toml"):
        (streamed.folder / name).unlink()
    report = streamed.json("probe", "--table", "shop", "--yes")
    assert (40, False, []) == (report["returned"], report["kept_in_ledger"], report["findings"])


def test_a_table_whose_partition_key_is_a_number_is_not_probed(streamed: Any, moto: Any) -> None:
    moto.client("dynamodb").create_table(
        TableName="numbers",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    refused = streamed.run("probe", "--table", "numbers", "--yes")
    assert (3, True) == (refused.returncode, "ASH821" in refused.stderr)
    without = streamed.run("probe", "--export", "x", "--yes")
    assert 2 == without.returncode


def test_a_sync_with_markers_leaves_none_and_every_claim_says_that_it_is_by_markers(
    streamed: Any, make: Any, moto: Any
) -> None:
    assert 32 == streamed.json("load", "--sync", environ=MARKED)["items"]
    streamed.json("sync", "run", "--once", environ=MARKED)

    [(claim,)] = streamed.rows("SELECT detail FROM ashore.audit WHERE command = 'syncing'")
    assert ("by markers", 1, []) == (claim["passed"], claim["shards_by_markers"], claim["by_time"])
    assert 32 == items_of(moto)
    assert 32 < records_of(moto)
    status = streamed.json("status")["sync"]
    assert ("on", 1000, [], None) == tuple(
        status["marking"][name] for name in ("state", "budget", "not_reached", "waits_for")
    )
    assert status["shards"][0]["last_marker_at"] is not None
    assert [(0,)] == streamed.rows("SELECT count(*) FROM ashore.rejected_item")

    stayed = make.S("ashore-marker|0b1c-1|1770091506789012")
    moto.client("dynamodb").put_item(TableName="shop", Item={"pk": stayed, "sk": stayed})
    streamed.rows("UPDATE customer SET credit = 1 WHERE customer_id = 'c3'")
    worker = subprocess.Popen(
        [sys.executable, "-m", "ashore", "sync", "run", "--for", "1"],
        cwd=streamed.folder,
        env=streamed.given(MARKED),
        stdout=subprocess.DEVNULL,
    )
    try:
        verified = streamed.json("verify", exit_code=1)
    finally:
        worker.terminate()
        worker.wait(timeout=60)
    assert ("by markers", 1) == (verified["stream"]["passed"], verified["entities"][0]["different"])
    assert 1 == verified["other"]["left_out ashore-marker"]
    assert 33 == items_of(moto), "those of others are left alone"
