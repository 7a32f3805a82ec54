"""What a source hands out: units of work, and chunks of raw items with the position after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Position = dict[str, Any]
"""Where to go on in a unit; JSON, so that the ledger can hold it in the transaction of the data it describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A part of a source that one worker reads from its beginning to its end: a scan segment, an export's file.

    `name` is unique in its source and the same in every run; `items` is how many are expected, if the source says.
    """

    name: str
    items: int | None = None
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some raw items, in the order in which they were read, and the position after the last of them.

    Each element of `items` is one item as a DynamoDB-JSON object, ``b'{"pk":{"S":"…"},…}'``.
    `last` says that the unit ends with this chunk (which may be empty).
    """

    items: Sequence[bytes]
    position: Position
    last: bool
    bytes_read: int = 0
    read_units: float = 0.0
    throttled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What reading a source once will take. `read_units` are DynamoDB read request units (0 for an export)."""

    items: int
    bytes: int
    read_units: float
    dollars: float
    note: str


class ItemSource(Protocol):
    """A table or an export: something whose items can be read once, in parallel, from where one left off.

    Implementations are small picklable values: each worker process gets its own copy and opens its own connections.
    """

    @property
    def origin(self) -> dict[str, Any]:
        """What this is, as JSON: a load resumes only from an equal origin."""

    def units(self) -> list[Unit]:
        """The units of work, the same in every run over the same source."""

    def estimate(self) -> Estimate:
        """Ask the source how large it is; reads no item."""

    def read(self, unit: Unit, after: Position | None) -> Iterator[Chunk]:
        """Read `unit` from after the position (from its beginning when None), lazily, one chunk in memory at a time."""
