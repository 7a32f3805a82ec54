"""Whether to cross at all: a few rules over plain numbers, each of which says its reason.

The thresholds are this project's judgement, not measurements; docs/reference/costs.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Word = Literal["cross", "stay", "undecided"]

most_writes_per_s: Final = 20_000
"""Sustained writes beyond what one PostgreSQL writer should be planned for."""
few_patterns: Final = 3
"""With so few ways to reach items and nothing that joins, a key-value store is the simpler place."""
opaque: Final = 0.8
"""The share of bytes in binary, compressed or never-queried values from which columns win little."""
worthwhile: Final = 0.3
"""The share of the bill that has to be saved, or lost, before cost is a reason."""
cheap: Final = 50.0
"""Dollars a month below which cost is no reason either way."""
relational: Final = 2
"""Foreign keys, mappings and copies from which items are called relational."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is known of a table and its use. None: not known, and no reason either way.

    Attributes:
        entities: Kinds of records found.
        access_patterns: Ways to reach items: key patterns and global indexes.
        foreign_keys: References between entities whose values are other entities' keys.
        mappings: Entities that hold only keys: joins, written by hand.
        copies: Kinds of records that are kept a second time under other keys.
        writes_per_s: Sustained, on average.
        write_peak_per_s: In the busiest hour.
        writing_regions: Regions that write; 1 for a table that is not global. None for a global table of which
            nobody has said where it is written.
        opaque_share: The share of bytes in values that no column can hold apart.
        reports: Whether people need questions answered that the keys do not.
        dollars_now: A month of DynamoDB.
        dollars_after: A month of PostgreSQL, on the high side.
    """

    entities: int
    access_patterns: int
    foreign_keys: int = 0
    mappings: int = 0
    copies: int = 0
    writes_per_s: float | None = None
    write_peak_per_s: float | None = None
    writing_regions: int | None = 1
    opaque_share: float | None = None
    reports: bool | None = None
    dollars_now: float | None = None
    dollars_after: float | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence, and what it speaks for. A `decisive` one to stay outweighs every other."""

    speaks_for: Word
    text: str
    decisive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer, and all reasons: those for it first."""

    word: Word
    reasons: tuple[Reason, ...]


def verdict(work: Workload) -> Verdict:
    """Stay if a decisive reason says so; cross or stay if all reasons agree; otherwise undecided."""
    reasons = list(_reasons(work))
    sides = {reason.speaks_for for reason in reasons} - {"undecided"}
    if any(reason.decisive for reason in reasons):
        word: Word = "stay"
    elif any(reason.speaks_for == "undecided" for reason in reasons) or len(sides) != 1:
        word = "undecided"
    else:
        (word,) = sides
    if not reasons:
        reasons.append(Reason("undecided", "nothing that was found speaks for either side"))
    reasons.sort(key=lambda reason: (reason.speaks_for != word, not reason.decisive))
    return Verdict(word=word, reasons=tuple(reasons))


def _reasons(work: Workload) -> Iterator[Reason]:
    yield from _reasons_of_shape(work)
    yield from _reasons_of_writing(work)
    if work.reports:
        yield Reason("cross", "people ask questions that the keys do not answer: SQL answers them")
    yield from _reasons_of_cost(work)


def _reasons_of_shape(work: Workload) -> Iterator[Reason]:
    ties = work.foreign_keys + work.mappings + work.copies
    if ties >= relational:
        yield Reason(
            "cross",
            f"the items are relational: {work.foreign_keys} references, {work.mappings} mappings kept by hand,"
            f" {work.copies} kinds of copies",
        )
    elif work.access_patterns <= few_patterns:
        yield Reason(
            "stay",
            f"items are reached in {work.access_patterns} ways and hardly refer to each other:"
            " this is what DynamoDB is good at",
        )
    if work.opaque_share is not None and work.opaque_share >= opaque:
        yield Reason("stay", f"{work.opaque_share:.0%} of the bytes are opaque values: columns win little")


def _reasons_of_writing(work: Workload) -> Iterator[Reason]:
    if work.writes_per_s is not None and work.writes_per_s > most_writes_per_s:
        yield Reason(
            "stay",
            f"{work.writes_per_s:,.0f} writes a second all day are more than one PostgreSQL writer"
            f" should be planned for ({most_writes_per_s:,})",
            decisive=True,
        )
    elif work.write_peak_per_s is not None and work.write_peak_per_s > most_writes_per_s:
        yield Reason(
            "undecided",
            f"the busiest hour has {work.write_peak_per_s:,.0f} writes a second: measure before you decide",
        )
    if work.writing_regions is None:
        yield Reason("undecided", "the table is global: does the application write in more than one region?")
    elif work.writing_regions > 1:
        yield Reason(
            "stay",
            f"{work.writing_regions} regions write at once; PostgreSQL has one writer, in one of them",
            decisive=True,
        )


def _reasons_of_cost(work: Workload) -> Iterator[Reason]:
    now, after = work.dollars_now, work.dollars_after
    if now is None or after is None or max(now, after) < cheap:
        return
    compared = f"${after:,.0f} a month in place of ${now:,.0f}"
    if after <= now * (1 - worthwhile):
        yield Reason("cross", f"it costs less: {compared}")
    elif after * (1 - worthwhile) >= now:
        yield Reason("stay", f"it costs more: {compared}")
