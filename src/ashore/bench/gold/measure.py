"""Assess each labelled table, also without its type attribute and with other names, and score what is proposed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ashore.assess.proposal import Proposal
from ashore.bench.gold import plain, single
from ashore.bench.gold.score import Score, score
from ashore.bench.gold.table import GoldTable, Values
from ashore.model.chunk import Chunk, Estimate, Position, Unit
from ashore.pipeline.assess import assess

styles: Final[dict[str, Callable[[Values, int], GoldTable]]] = {
    style.__name__: style
    for style in (
        single.shop,
        single.clinic,
        single.school,
        single.library,
        single.chat,
        plain.bank,
        plain.parcels,
        plain.sensors,
        plain.meters,
        plain.files,
    )
}


@dataclass(frozen=True, slots=True)
class InMemory:
    """Items at hand as a source of one unit."""

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


def propose_for(table: GoldTable) -> Proposal:
    """What is proposed for a labelled table, all of it read."""
    raw = [msgspec.json.encode(item) for _, item in table.items]
    return assess(
        InMemory(raw),
        table_name=table.name.partition(",")[0],
        partition_key=table.key[0],
        sort_key=table.key[1] if len(table.key) > 1 else None,
        indexes=table.indexes,
    ).proposal


def measure(names: Sequence[str], *, size: int, seed: int) -> Iterator[Score]:
    """Score each style and its variants. A variant is scored by itself."""
    for name in names:
        table = styles[name](Values(seed), size)
        variants = [table, table.scrambled()]
        if table.type_attribute is not None:
            variants.append(table.without_type_attribute())
        for variant in variants:
            yield score(variant, propose_for(variant))
