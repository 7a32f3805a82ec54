"""`ashore bench assess --gold`: labelled tables assessed as they are, without their type attribute, and renamed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ashore.assess.proposal import Proposal
from ashore.bench.assess_score import Answer, Score, same_grouping, score
from ashore.local.styles import LabelledTable, make
from ashore.model.chunk import Chunk, Estimate, Position, Unit
from ashore.pipeline.assess import assess


@dataclass(frozen=True, slots=True)
class InMemory:
    """Items at hand, as a source of one unit."""

    raw: Sequence[bytes]

    @property
    def origin(self) -> dict[str, Any]:
        """What this is."""
        return {"kind": "memory"}

    def units(self) -> list[Unit]:
        """One."""
        return [Unit(name="all", items=len(self.raw))]

    def estimate(self) -> Estimate:
        """What there is."""
        size = sum(map(len, self.raw))
        return Estimate(items=len(self.raw), bytes=size, read_units=0.0, dollars=0.0, note="in memory")

    def read(self, unit: Unit, after: Position | None) -> Iterator[Chunk]:  # noqa: ARG002 (there is one unit)
        """All in one chunk."""
        yield Chunk(items=self.raw, position={}, last=True)


def propose_for(table: LabelledTable) -> Proposal:
    """What is proposed for a labelled table, all of it read."""
    return assess(
        InMemory(table.raw()),
        table_name=table.name,
        partition_key=table.key[0],
        sort_key=table.key[1] if len(table.key) > 1 else None,
        indexes=table.indexes,
        ttl=table.ttl,
    ).proposal


def measure(names: Sequence[str], *, size: int, seed: int) -> Iterator[Score]:
    """Score each style, and its variants beside it."""
    for name in names:
        yield from measure_table(make(name, size=size, seed=seed))


def measure_table(table: LabelledTable) -> Iterator[Score]:
    """Score a table as it is, without its type attribute if it has one, and with other names for its attributes."""
    as_is = Answer.of(table, propose_for(table))
    yield score(as_is, variant="as it is")
    if table.type_attribute is not None:
        yield _beside(as_is, table.without_type_attribute(), "without type attribute")
    yield _beside(as_is, table.renamed(scrambled), "scrambled")


def scrambled(name: str) -> str:
    """A name that says nothing, always the same for a name."""
    return "q" + hashlib.blake2b(name.encode(), digest_size=4).hexdigest()


def _beside(as_is: Answer, table: LabelledTable, variant: str) -> Score:
    answer = Answer.of(table, propose_for(table))
    return replace(score(answer, variant=variant), disagrees=tuple(_disagreements(as_is, answer)))


def _disagreements(one: Answer, other: Answer) -> Iterator[str]:
    if not same_grouping(one.groups(), other.groups()):
        yield "grouping"
    placed = {**other.placed()}
    for (label, attribute), kind in one.placed().items():
        there = placed.get((label, attribute)) or placed.get((label, scrambled(attribute)))
        if there != kind:
            yield f"{label}.{attribute}: {kind}, then {there}"
