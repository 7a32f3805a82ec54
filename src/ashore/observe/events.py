"""What a load or a sync tells of itself while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as the user meant it, and did not stop the work.

    `rows` is the number of rows that stand in the way of a key, None where it cannot be counted; `detail` holds
    no value.
    """

    kind: Literal["primary_key", "unique", "foreign_key", "index", "exclusion", "trigger", "row_count"]
    table: str
    name: str
    rows: int | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStarted:
    """A load, or a purge, began or goes on. `items_expected` is 0 where the source does not say."""

    source: str
    load: int
    attempt: int
    run: int
    resumed: bool
    entities: tuple[str, ...]
    units: int
    units_done: int
    items_expected: int
    items_done: int
    what: Literal["load", "purge"] = "load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A chunk was committed: what it added. `bytes` were read from the source, `read_units` consumed there.

    `native_items` were encoded by the native path; `refused` says, by kind, how many it left to Python.
    """

    items: int
    bytes: int
    read_units: float
    throttled: int
    rejected: int
    native_items: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsRejected:
    """Items of an entity (None: of no entity) were rejected and kept."""

    entity: str | None
    reason: str
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFinished:
    """A unit of work was read to its end."""

    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChanged:
    """The load went on to its next phase."""

    phase: Literal["rows", "keys", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step after the rows began: a key, an index, a check of a foreign key."""

    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """The step is done and committed."""

    step: str
    seconds: float
    finding: Finding | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The load is done."""

    source: str
    items: int
    rejected: int
    findings: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncBatch:
    """A page of a shard was committed. `counts` are changes by entity and outcome, of the newest of each key."""

    shard: str
    changes: int
    bytes: int
    counts: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncMerged:
    """Captured changes were merged into their tables."""

    changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStateChanged:
    """An entity went on to another state."""

    entity: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkersRefused:
    """No markers are written, though they were asked for: what is said of a moment is said by time. Told once."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReconnecting:
    """PostgreSQL is away, or ended the connection; the worker tries to connect again."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkersSpent:
    """So many markers were written for a moment; `shards` returned one, those `not_reached` pass it by time."""

    markers: int
    shards: int
    not_reached: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncTended:
    """A worker ended a round: about once a second, also while the sync is paused. `shards` are those that it reads."""

    state: Literal["running", "paused", "stopped"]
    shards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncLagging:
    """The stream was left unread for longer than is good, or (`alarm` None) no more. DynamoDB keeps it for 24 hours."""

    alarm: Literal["warning", "urgent"] | None
    hours: float


Event = (
    LoadStarted
    | Progress
    | ItemsRejected
    | UnitFinished
    | PhaseChanged
    | StepStarted
    | StepFinished
    | Finished
    | SyncBatch
    | SyncMerged
    | SyncStateChanged
    | MarkersRefused
    | MarkersSpent
    | SyncReconnecting
    | SyncTended
    | SyncLagging
)
Emit = Callable[[Event], None]


def silent(event: Event) -> None:
    """Listen to nothing."""


def as_json(event: Event) -> dict[str, Any]:
    """The event as plain values, its name under ``event``."""
    return {"event": type(event).__name__, **asdict(event)}
