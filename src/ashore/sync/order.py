"""What a sync is asked to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ashore.mapping.plan import Plan
from ashore.model.attribute import TypedValue
from ashore.model.change import ChangeSource

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
    away_seconds: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOrder:
    """A sync: of what, into which database, and how.

    `fetch` reads items again for the repair queue. `clock` gives seconds since 1970.
    """

    dsn: str = field(repr=False)
    plan: Plan
    source: ChangeSource
    fetch: Fetch
    on_gap: OnGap = "stop"
    limits: SyncLimits = field(default_factory=SyncLimits)
    clock: Callable[[], float] = time.time
