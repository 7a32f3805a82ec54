"""What a worker counts of its own work, as Prometheus metrics."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ashore.observe import events


@dataclass(slots=True, kw_only=True, eq=False)
class WorkerMetrics(Collector):
    """Listens to one worker, and is collected from other threads."""

    source: str
    _changes: int = 0
    _bytes: int = 0
    _merged: int = 0
    _rounds: int = 0
    _shards: int = 0
    _round_ended_at: float = 0.0

    def hear(self, event: events.Event) -> None:
        """Take note of an event."""
        match event:
            case events.SyncBatch(changes=changes, bytes=size):
                self._changes += changes
                self._bytes += size
            case events.SyncMerged(changes=changes):
                self._merged += changes
            case events.SyncTended(shards=shards):
                self._rounds += 1
                self._shards = shards
                self._round_ended_at = time.time()
            case _:
                return

    def collect(self) -> Iterable[Metric]:
        """This worker's counters, from its start on."""
        counters = (
            ("ashore_worker_changes", "Records of the stream that this worker committed.", self._changes),
            ("ashore_worker_read_bytes", "Bytes of the stream's records that this worker read.", self._bytes),
            ("ashore_worker_merged_changes", "Captured changes that this worker merged.", self._merged),
            ("ashore_worker_rounds", "Rounds that this worker ended, about one a second.", self._rounds),
        )
        for name, help_text, number in counters:
            counter = CounterMetricFamily(name, help_text, labels=["source"])
            counter.add_metric([self.source], number)
            yield counter
        gauges = (
            ("ashore_worker_shards", "Shards that this worker reads.", float(self._shards)),
            ("ashore_worker_round_ended_timestamp_seconds", "When it last ended a round.", self._round_ended_at),
        )
        for name, help_text, value in gauges:
            gauge = GaugeMetricFamily(name, help_text, labels=["source"])
            gauge.add_metric([self.source], value)
            yield gauge
