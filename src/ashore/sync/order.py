"""What a sync is asked to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ashore.mapping.plan import Plan
from ashore.model.attribute import TypedValue
from ashore.model.change import ChangeSource
from ashore.model.marker import MarkerTable

OnGap = Literal["stop", "repair"]
Fetch = Callable[[Sequence[Mapping[str, TypedValue]]], list[bytes]]
"""Keys of items → the raw items that are there now, read strongly consistently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncLimits:
    """How a worker paces itself.

    Attributes:
        lease_seconds: How long a shard stays with a worker that says nothing more.
        list_seconds: How often the shards are listed, by one of all workers (an ended shard makes it sooner).
        tend_seconds: How often a worker looks at its leases, at what merges, and at the repair queue.
        poll_seconds: The longest pause between two reads of a quiet shard.
        empty_reads: How many empty reads in a row say that a shard has no more for now.
        margin_seconds: What clocks may differ by, and a record may be late by.
        readers: How many reads may be under way at once.
        merge_changes: How many captured changes one transaction merges.
        repairs_at_once: How many keys of the repair queue one round reads.
        pending_disk_mb: How much room captured changes may take.
        marker_writes: How many markers may be written for one moment.
        marker_return_seconds: How long after a round its markers may take to come back, before more are written.
        marker_patience_seconds: How long after a moment was asked for markers are given up, in any case.
        marker_left_seconds: How old a round has to be before another worker removes its markers.
        away_seconds: How long PostgreSQL may be away before a worker ends.
    """

    lease_seconds: float = 30.0
    list_seconds: float = 15.0
    tend_seconds: float = 1.0
    poll_seconds: float = 1.0
    empty_reads: int = 4
    margin_seconds: float = 5.0
    readers: int = 16
    merge_changes: int = 5_000
    repairs_at_once: int = 100
    pending_disk_mb: int = 10_000
    marker_writes: int = 1_000
    marker_return_seconds: float = 2.0
    marker_patience_seconds: float = 40.0
    marker_left_seconds: float = 120.0
    away_seconds: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOrder:
    """A sync: of what, into which database, and how.

    `fetch` reads items again for the repair queue. `markers` is where markers may be written; None: nothing is
    written, and what is said of a moment is said by time. `clock` gives seconds since 1970.
    """

    dsn: str = field(repr=False)
    plan: Plan
    source: ChangeSource
    fetch: Fetch
    markers: MarkerTable | None = None
    on_gap: OnGap = "stop"
    limits: SyncLimits = field(default_factory=SyncLimits)
    clock: Callable[[], float] = time.time
