"""What a report says: the proposal, and what others found out about the table, its price and its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec

from ashore.assess.proposal import Proposal

Word = Literal["cross", "stay", "undecided"]
When = Literal["now", "after", "once"]
"""`now` and `after` the crossing are prices of a month, `once` is the price of crossing."""

Use = Literal["reads", "writes", "names"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether to cross, and the sentences that say why."""

    word: Word
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """A line of arithmetic, ready to be read: ``Storage | 12 GB | $0.25 | $3.00 | 12 × 0.25``.

    `source` says where the price or the quantity is from, `price_date` when the price held; empty where there is none.
    """

    label: str
    quantity: str
    unit_price: str
    amount: str
    formula: str
    source: str = ""
    price_date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSection:
    """Lines that add up to `total`. Several sections may say `after`, one for each target that was looked at."""

    title: str
    when: When
    lines: tuple[CostLine, ...]
    total: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeUse:
    """A file that reads or writes an entity or an index, or only names it. `lines` count from 1."""

    file: str
    lines: tuple[int, ...]
    use: Use


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """Entities, two or more, that seem to be written together: `places` are files with the lines of the calls."""

    entities: tuple[str, ...]
    places: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeMap:
    """What a search of source code found: by entity and by secondary index the files that use it, and transactions.

    Every entity, and every index that was looked for, has an entry, an empty one where no file was found.
    """

    entities: Mapping[str, tuple[CodeUse, ...]]
    indexes: Mapping[str, tuple[CodeUse, ...]] = field(default_factory=dict)
    transactions: tuple[Transaction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """All that a report is made of; the same assessment gives the same bytes.

    `facts` are pairs of a label and a plain text on the table, such as ``("Stream", "off")``. `code` is None
    where no source code was searched. Whoever makes an assessment masks the values in
    it, and says with `show_values` that they are not. `read_at` has a time zone.
    """

    proposal: Proposal
    verdict: Verdict
    version: str
    read_at: datetime
    facts: tuple[tuple[str, str], ...] = ()
    costs: tuple[CostSection, ...] = ()
    code: CodeMap | None = None
    show_values: bool = False


def as_json(assessment: Assessment) -> dict[str, Any]:
    """The assessment as plain values, names as they are in the table."""
    plain: dict[str, Any] = msgspec.to_builtins(assessment, str_keys=True)
    return plain
