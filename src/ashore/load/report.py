"""What a load did: counted in, counted out, found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ashore.observe.events import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCount:
    """Items of an entity (or rule; None: of neither) that had one outcome."""

    entity: str | None
    outcome: str
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedCount:
    """Items of an entity (None: of none) that were rejected for one reason."""

    entity: str | None
    reason: str
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What became of every item of the source.

    `items`, `counts`, `rejected`, `rows` and `read_units` are of the whole load; `seconds`, `row_seconds` (from the
    first open to the last commit of rows), `items_per_s` and `mb_per_s` (bytes read, 10^6) of this run.
    `key_build_seconds` is the time of all steps after the rows, in whatever run. `native_items` were encoded by the
    native path in this run, and `refused` says, by kind, how many it left to Python; neither where it is not installed.
    """

    source: str
    load: int
    attempt: int
    run: int
    entities: tuple[str, ...]
    items: int
    counts: tuple[OutcomeCount, ...]
    rejected: tuple[RejectedCount, ...]
    rows: Mapping[str, int]
    findings: tuple[Finding, ...]
    seconds: float
    row_seconds: float
    items_per_s: float
    mb_per_s: float
    key_build_seconds: float
    read_units: float
    native_items: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)
