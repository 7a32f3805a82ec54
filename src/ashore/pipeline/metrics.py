"""The state of a source as Prometheus metrics: what `ashore status` shows. No label holds a value or a key."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ashore.pipeline.project import Project
from ashore.pipeline.status import Status, SyncStatus, WayBackStatus, status
from ashore.pipeline.status_feed import FeedStatus
from ashore.postgres.errors import PostgresError

_KEEP_SECONDS: Final = 2.0
"""For so long a reading of the ledger serves everyone who asks."""
_STATES: Final = ("running", "paused", "stopped")


@dataclass(slots=True, kw_only=True, eq=False)
class LedgerMetrics(Collector):
    """Reads the ledger when it is collected, from any thread; several at once share one reading.

    Where PostgreSQL does not answer there is `ashore_ledger_up` 0 and nothing else.
    """

    project: Project
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _read_at: float | None = None
    _families: tuple[Metric, ...] = ()

    def collect(self) -> Iterable[Metric]:
        """The metrics as of now."""
        with self._lock:
            if self._read_at is None or time.monotonic() - self._read_at > _KEEP_SECONDS:
                self._families = self._read()
                self._read_at = time.monotonic()
            return self._families

    def _read(self) -> tuple[Metric, ...]:
        source = self.project.plan.name
        try:
            found = status(self.project)
        except PostgresError:
            return (_one("ashore_ledger_up", "Whether the ledger can be read.", source, 0),)
        return (_one("ashore_ledger_up", "Whether the ledger can be read.", source, 1), *families(found))


def metrics_text(project: Project) -> str:
    """The metrics in Prometheus' text format, read now.

    Raises:
        PostgresError: The ledger cannot be read.
    """
    found = tuple(families(status(project)))

    class Once(Collector):
        def collect(self) -> Iterable[Metric]:
            return found

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry).decode()


def families(found: Status) -> Iterator[Metric]:
    """What a reading of the ledger says, as metrics; what is not known is not there."""
    source = found.source
    yield _by_entity("ashore_entity_state", "1 for the state that an entity is in.", found, "state")
    yield _by_entity("ashore_rejected_items", "Items that cannot be rows, and are kept.", found, "rejected")
    yield _by_entity("ashore_pending_changes", "Changes captured beside a load, to be merged.", found, "pending")
    yield _by_entity("ashore_parked_changes", "Changes that wait for another row's UNIQUE value.", found, "parked")
    if found.verified_at is not None:
        at = datetime.fromisoformat(found.verified_at).timestamp()
        yield _one("ashore_verified_timestamp_seconds", "When both stores were last found equal.", source, at)
    is_fresh = float(found.verification_is_fresh)
    yield _one("ashore_verification_fresh", "Whether that is less than a day ago, and still says it.", source, is_fresh)
    if found.sync is not None:
        yield from _sync(found, found.sync)
    if found.way_back is not None:
        yield from _way_back(source, found.way_back)
    if found.feed is not None:
        yield from _feed(source, found.feed)


def _sync(found: Status, sync: SyncStatus) -> Iterator[Metric]:
    source = found.source
    state = GaugeMetricFamily("ashore_sync_state", "1 for the state of the sync.", labels=["source", "state"])
    for name in _STATES:
        state.add_metric([source, name], float(name == sync.state))
    yield state
    if sync.lag_seconds is not None:
        yield _one("ashore_sync_lag_seconds", "Every change older than this has arrived.", source, sync.lag_seconds)
    if sync.unread_seconds is not None:
        text = "How old the oldest record may be that was not read; after 24 hours it is lost."
        yield _one("ashore_sync_unread_seconds", text, source, sync.unread_seconds)
    yield _one("ashore_sync_workers", "Workers that are alive.", source, sync.workers)
    yield _one("ashore_sync_repairs", "Keys that are to be read again from the table.", source, sync.repairs)
    yield _one("ashore_sync_gaps", "Gaps that are not repaired.", source, sync.gaps)
    text = "What captured changes take on disk, of all sources of the database."
    yield _one("ashore_pending_bytes", text, source, sync.pending_bytes)
    changes = CounterMetricFamily(
        "ashore_sync_changes", "Changes of the stream, by outcome.", labels=["source", "entity", "outcome"]
    )
    for entity, outcomes in ((one.entity, one.changes) for one in found.entities):
        for outcome, number in outcomes.items():
            changes.add_metric([source, entity, outcome], number)
    for outcome, number in sync.unmatched.items():
        changes.add_metric([source, "", outcome], number)
    yield changes
    labels = ["source", "shard"]
    lags = GaugeMetricFamily("ashore_sync_shard_lag_seconds", "The lag of an open shard.", labels=labels)
    records = CounterMetricFamily("ashore_sync_shard_records", "Records of an open shard.", labels=labels)
    owned = GaugeMetricFamily("ashore_sync_shard_owned", "Whether a worker reads an open shard.", labels=labels)
    for shard in sync.shards:
        if shard.lag_seconds is not None:
            lags.add_metric([source, shard.shard], shard.lag_seconds)
        records.add_metric([source, shard.shard], shard.records)
        owned.add_metric([source, shard.shard], float(shard.owner is not None))
    yield from (lags, records, owned)


def _way_back(source: str, found: WayBackStatus) -> Iterator[Metric]:
    yield _one("ashore_reverse_waiting_rows", "Rows that wait to be written back.", source, found.waiting)
    yield _one("ashore_reverse_behind_seconds", "How long the oldest of them waits.", source, found.behind_seconds)
    text = "About how many write units they take."
    yield _one("ashore_reverse_waiting_units", text, source, found.estimated_units)
    text = "What these cost on demand in us-east-1."
    yield _one("ashore_reverse_waiting_dollars", text, source, found.estimated_dollars)
    if found.units_per_second is not None:
        text = "The most write units a second that may be taken."
        yield _one("ashore_reverse_cap_units_per_second", text, source, found.units_per_second)
    yield _one("ashore_foreign_writes", "Writes of others that nobody has decided on.", source, found.foreign)
    for name, text, number in (
        ("ashore_reverse_write_units", "Write units that writing back took.", found.write_units),
        ("ashore_reverse_waited_seconds", "Seconds spent waiting for the cap.", found.waited_seconds),
    ):
        family = CounterMetricFamily(name, text, labels=["source"])
        family.add_metric([source], number)
        yield family


def _feed(source: str, feed: FeedStatus) -> Iterator[Metric]:
    text = "How long the oldest row waits for the index that was not refused."
    yield _one("ashore_feed_lag_seconds", text, source, feed.behind_seconds)
    yield _one("ashore_feed_waiting", "Entries that OpenSearch does not have yet.", source, feed.waiting)
    yield _one("ashore_feed_refused", "Entries whose documents are refused.", source, feed.refused_entries)
    yield _one("ashore_feed_owned", "Whether somebody feeds.", source, float(feed.is_fed))
    text = "Documents that another feed wrote since ours was begun."
    yield _one("ashore_feed_versions_of_others", text, source, feed.others)
    done = CounterMetricFamily("ashore_feed_documents", "What was done in the index.", labels=["source", "action"])
    done.add_metric([source, "index"], feed.indexed)
    done.add_metric([source, "delete"], feed.deleted)
    yield done


def _one(name: str, text: str, source: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["source"])
    family.add_metric([source], value)
    return family


def _by_entity(name: str, text: str, found: Status, field_name: str) -> Metric:
    has_state = field_name == "state"
    family = GaugeMetricFamily(name, text, labels=["source", "entity", *(["state"] if has_state else [])])
    for one in found.entities:
        value = getattr(one, field_name)
        family.add_metric([found.source, one.entity, *([value] if has_state else [])], 1.0 if has_state else value)
    return family
