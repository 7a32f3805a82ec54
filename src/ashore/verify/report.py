"""What a verification found: a claim with a date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Kind = Literal["missing", "extra", "different"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One key on which the two stores do not agree.

    ``missing``: expected from the source, not in PostgreSQL. ``extra``: in PostgreSQL, not expected. ``different``:
    in both, with other values. `key` is masked. `columns` are those that differ.
    """

    kind: Kind
    entity: str
    table: str
    key: str
    columns: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class EntityReport:
    """One entity's part of a report.

    Attributes:
        counts: Items read from the source, by outcome ("rows", "copy", "rejected").
        expected, actual: Rows of the entity's own table, as the source says now and as PostgreSQL has them.
        missing, extra, different: Keys that do not agree, all tables of the entity together, after re-reading.
        settled: Keys that differed and agreed when both sides were read again.
        waived: Keys that do not agree, and that somebody waived as they are; not counted as different.
        undecided: Keys that changed while they were read again; neither equal nor different.
        shapes: Sets of attributes and types met; `witnessed_shapes` of them were witnessed.
        witnessed: Items rebuilt from rows and found equal to boto3's reading of them.
        refuted: Items rebuilt from rows and found different from boto3's reading of them.
    """

    entity: str
    counts: dict[str, int] = field(default_factory=dict)
    expected: int = 0
    actual: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    settled: int = 0
    waived: int = 0
    undecided: int = 0
    shapes: int = 0
    witnessed_shapes: int = 0
    witnessed: int = 0
    refuted: int = 0

    @property
    def differences(self) -> int:
        """Keys that do not agree, and items that the witness refutes."""
        return self.missing + self.extra + self.different + self.refuted

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"differences": self.differences}


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedReport:
    """Rejected items: what this reading rejects against what the ledger keeps. Both numbers should be 0."""

    expected: int
    actual: int
    not_kept: int
    no_longer_rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was compared, and what was found.

    `differences` holds the first of them; the entities' numbers are complete. `other` counts the items that are no
    rows of these entities, by rule or entity and outcome. `stream` says how it was known that the stream had passed the
    moments that differences waited for (`ashore.ledger.passing.Passing.as_json`); None where none did.
    """

    source: str
    origin: Mapping[str, Any]
    started_at: datetime
    ended_at: datetime
    live: bool
    items: int
    entities: tuple[EntityReport, ...]
    other: Mapping[str, int]
    rejected: RejectedReport
    differences: tuple[Difference, ...]
    scan_seconds: float
    compare_seconds: float
    read_units: float
    stream: Mapping[str, Any] | None = None

    @property
    def total_differences(self) -> int:
        """Everything that keeps the two stores from being called equal."""
        found = sum(entity.differences for entity in self.entities)
        return found + self.rejected.not_kept + self.rejected.no_longer_rejected

    @property
    def undecided(self) -> int:
        """Keys that changed while they were read again."""
        return sum(entity.undecided for entity in self.entities)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended_at - self.started_at).total_seconds()

    def as_json(self) -> dict[str, Any]:
        """Plain values, as the ledger keeps them and ``--json`` prints them. Holds no item value."""
        return {
            "source": self.source,
            "origin": dict(self.origin),
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "live": self.live,
            "items": self.items,
            "equal": self.total_differences == 0 and self.undecided == 0,
            "total_differences": self.total_differences,
            "undecided": self.undecided,
            "entities": [entity.as_json() for entity in self.entities],
            "other": dict(self.other),
            "rejected": {name: getattr(self.rejected, name) for name in self.rejected.__slots__},
            "differences": [
                {name: getattr(one, name) for name in one.__slots__} | {"columns": list(one.columns)}
                for one in self.differences
            ],
            "scan_seconds": round(self.scan_seconds, 3),
            "compare_seconds": round(self.compare_seconds, 3),
            "seconds": round(self.seconds, 3),
            "items_per_second": round(self.items / self.seconds) if self.seconds else 0,
            "read_units": self.read_units,
            "stream": None if self.stream is None else dict(self.stream),
        }
