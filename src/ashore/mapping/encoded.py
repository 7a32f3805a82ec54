"""What becomes of a chunk: the seam between reading items and writing rows.

`Encoder.encode` is the hot path. Whatever is on its other side (generated Python today) takes raw items and
returns COPY bytes by table, counts by outcome, and the items that it could not place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An item that cannot be rows, kept whole.

    `reason` is one of the words of `ashore.mapping.reasons`; `attribute` is the path of the attribute that is to
    blame, if one is. `raw` is the item's DynamoDB JSON as it was read. `detail` never holds a value, and the `repr`
    leaves key and item out, so that it may be logged. `waits_for` is the digest of the row key that it shares with
    another item, or of the original that it lacks: what has to change for it to become a row.
    """

    entity: str | None
    attribute: str | None
    reason: str
    detail: str
    key: str = field(repr=False)
    raw: bytes = field(repr=False)
    waits_for: str | None = None


Shape = frozenset[tuple[str, str]]
"""The attributes of an item and their types: what makes two items of one entity differ in form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An item that stands for its shape; a witness compares it with what its rows give back."""

    entity: str
    shape: Shape
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BinaryRows:
    """Rows of one table in COPY's binary format, without what stands before the first and after the last."""

    count: int
    data: bytes = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Encoded:
    """What a chunk of raw items became.

    Every item of the chunk is counted once in `counts`: under ``(entity, "rows")``, ``(entity, "copy")``,
    ``(entity or None, "rejected")``, ``(entity, "other")`` (declared but not of this load), ``(None, "not_yet")``
    or ``(rule name, "left_out")``. `copy_data` maps a target table's full name to COPY text lines (each ends in a
    newline) for the columns that `Encoder.columns` names. `binary` has further rows for the same columns, from an
    encoder that was asked for them; `row_counts` has the number of both together. `samples` are the first items of each
    shape, as many as the encoder was asked for. `native_items` are the items that became binary rows; `refused` counts,
    by kind, those that the native encoder left to the Python one, whatever became of them.
    """

    copy_data: dict[str, bytes] = field(default_factory=dict, repr=False)
    binary: dict[str, BinaryRows] = field(default_factory=dict, repr=False)
    row_counts: dict[str, int] = field(default_factory=dict)
    counts: dict[tuple[str | None, str], int] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    native_items: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def tables(self) -> list[str]:
        """The tables that there are rows for, in either format."""
        return list(dict.fromkeys((*self.binary, *self.copy_data)))


class Encoder(Protocol):
    """Turns chunks of raw items into COPY data for PostgreSQL's text format with its default options, or for binary."""

    columns: dict[str, tuple[str, ...]]
    """Full table name → the columns of its COPY data, in order."""

    def encode(self, items: Sequence[bytes]) -> Encoded:
        """Encode a chunk; never raises for bad items, each of which ends in `Encoded.rejected`."""

    def encode_as_text(self, items: Sequence[bytes]) -> Encoded:
        """The same without binary rows: for items of which PostgreSQL refused some, so that text has the last word."""
