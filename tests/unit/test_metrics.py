"""The metrics are those of the reference, and say what a status says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

from prometheus_client import Metric
from tests.acceptance.docs_pages import DOCS, read_page

from ashore.observe.events import SyncBatch, SyncMerged, SyncTended
from ashore.observe.metrics import WorkerMetrics
from ashore.pipeline.metrics import LedgerMetrics, families
from ashore.pipeline.project import Project
from ashore.pipeline.status import EntityStatus, ShardStatus, Status, SyncStatus, WayBackStatus
from ashore.pipeline.status_feed import FeedStatus

AT = "2026-01-02T03:04:05+00:00"
EVERYTHING = Status(
    source="shop",
    at=AT,
    entities=(
        EntityStatus(entity="a", state="syncing", tables=("t",), rejected=3, parked=1, changes={"rows": 5}),
        EntityStatus(entity="b", state="merging", tables=("u",), rejected=0, pending=7, changes={"captured": 9}),
    ),
    load=None,
    sync=SyncStatus(
        state="paused",
        arn="arn",
        started_at=AT,
        lag_seconds=12.5,
        unread_seconds=13.0,
        alarm=None,
        changes_per_s=4.0,
        unmatched={"passed_by": 2},
        shards=(
            ShardStatus(shard="s1", owner="w", lag_seconds=12.5, records=20, last_record_at=AT),
            ShardStatus(shard="s2", owner=None, lag_seconds=None, records=0, last_record_at=None),
        ),
        workers=1,
        repairs=2,
        gaps=3,
        open_gaps=(),
        pending_bytes=4096,
        refused=(),
        waits=(),
    ),
    verified_at=AT,
    verification_is_fresh=True,
    way_back=WayBackStatus(
        waiting=40,
        behind_seconds=3.5,
        written=6,
        removed=1,
        write_units=8.0,
        refused=(),
        foreign=2,
        estimated_units=50.0,
        estimated_dollars=0.00003,
        units_per_second=5.0,
        estimated_seconds=10.0,
        waited_seconds=1.5,
    ),
    feed=FeedStatus(
        entities=(),
        waiting=11,
        behind_seconds=1.5,
        indexed=100,
        deleted=10,
        is_fed=True,
        refused=(),
        refused_entries=2,
        others=1,
    ),
)


def worker() -> WorkerMetrics:
    metrics = WorkerMetrics(source="shop")
    for event in (
        SyncBatch(shard="s1", changes=10, bytes=1_000, counts={}),
        SyncMerged(changes=4),
        SyncTended(state="running", shards=2),
    ):
        metrics.hear(event)
    return metrics


def described(found: Iterable[Metric]) -> Iterator[tuple[str, str, frozenset[str]]]:
    for family in found:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield name, family.type, frozenset(label for one in family.samples for label in one.labels) - {"source"}


def values(found: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    return {
        (one.name, *(text for label, text in sorted(one.labels.items()) if label != "source")): one.value
        for family in found
        for one in family.samples
    }


def test_the_reference_lists_every_metric_with_its_kind_and_labels() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(ashore_\w+)` \| (\w+) \|([^|]*)\|", page, re.MULTILINE)
    actual = {(name, kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    up = ("ashore_ledger_up", "gauge", frozenset[str]())
    assert {up, *described(families(EVERYTHING)), *described(worker().collect())} == actual
    assert len(rows) == len(actual)


def test_the_alerts_of_the_page_ask_for_metrics_that_exist() -> None:
    exist = {name for name, _, _ in [*described(families(EVERYTHING)), *described(worker().collect())]}
    page = read_page(DOCS / "how-to" / "reporting-copy.md")
    asked = [set(re.findall(r"ashore_\w+", block.text)) for block in page.blocks if block.words[1:] == ("alerts",)]
    assert 1 == len(asked)
    assert set() == asked[0] - exist


def test_each_metric_has_the_number_of_the_status() -> None:
    found = values(families(EVERYTHING))
    assert {
        ("ashore_entity_state", "a", "syncing"): 1,
        ("ashore_entity_state", "b", "merging"): 1,
        ("ashore_rejected_items", "a"): 3,
        ("ashore_rejected_items", "b"): 0,
        ("ashore_pending_changes", "a"): 0,
        ("ashore_pending_changes", "b"): 7,
        ("ashore_parked_changes", "a"): 1,
        ("ashore_parked_changes", "b"): 0,
        ("ashore_verified_timestamp_seconds",): 1767323045,
        ("ashore_verification_fresh",): 1,
        ("ashore_reverse_waiting_rows",): 40,
        ("ashore_reverse_behind_seconds",): 3.5,
        ("ashore_reverse_waiting_units",): 50,
        ("ashore_reverse_waiting_dollars",): 0.00003,
        ("ashore_reverse_cap_units_per_second",): 5,
        ("ashore_reverse_write_units_total",): 8,
        ("ashore_reverse_waited_seconds_total",): 1.5,
        ("ashore_foreign_writes",): 2,
        ("ashore_sync_state", "running"): 0,
        ("ashore_sync_state", "paused"): 1,
        ("ashore_sync_state", "stopped"): 0,
        ("ashore_sync_lag_seconds",): 12.5,
        ("ashore_sync_unread_seconds",): 13,
        ("ashore_sync_workers",): 1,
        ("ashore_sync_repairs",): 2,
        ("ashore_sync_gaps",): 3,
        ("ashore_pending_bytes",): 4096,
        ("ashore_sync_changes_total", "a", "rows"): 5,
        ("ashore_sync_changes_total", "b", "captured"): 9,
        ("ashore_sync_changes_total", "", "passed_by"): 2,
        ("ashore_sync_shard_lag_seconds", "s1"): 12.5,
        ("ashore_sync_shard_records_total", "s1"): 20,
        ("ashore_sync_shard_records_total", "s2"): 0,
        ("ashore_sync_shard_owned", "s1"): 1,
        ("ashore_sync_shard_owned", "s2"): 0,
        ("ashore_feed_lag_seconds",): 1.5,
        ("ashore_feed_waiting",): 11,
        ("ashore_feed_refused",): 2,
        ("ashore_feed_owned",): 1,
        ("ashore_feed_versions_of_others",): 1,
        ("ashore_feed_documents_total", "index"): 100,
        ("ashore_feed_documents_total", "delete"): 10,
    } == found


def test_a_worker_counts_what_it_did() -> None:
    found = values(worker().collect())
    assert 0 < found.pop(("ashore_worker_round_ended_timestamp_seconds",))
    assert {
        ("ashore_worker_changes_total",): 10,
        ("ashore_worker_read_bytes_total",): 1_000,
        ("ashore_worker_merged_changes_total",): 4,
        ("ashore_worker_rounds_total",): 1,
        ("ashore_worker_shards",): 2,
    } == found


def test_without_postgres_there_is_nothing_but_that_the_ledger_is_not_up(tmp_path: Any) -> None:
    plan: Any = type("Plan", (), {"name": "shop"})()
    nobody = f"postgresql:///nothing?host={tmp_path}"
    project = Project(settings=cast("Any", None), reference=cast("Any", None), plan=plan, dsn=nobody)
    assert {("ashore_ledger_up",): 0} == values(LedgerMetrics(project=project).collect())
