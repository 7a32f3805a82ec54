"""A bounded sample of a column's distinct values: those with the lowest hashes.

All sketches use one hash, so two of them hold the same part of what their columns have in common: whether one column's
values are keys of another one can be judged from both samples. Source of the idea: Bar-Yossef and others, Counting
Distinct Elements in a Data Stream (2002); Beyer and others, On Synopses for Distinct-Value Estimation (2007).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from ashore.assess.batches import Batch

KEPT: Final = 2_048
_space: Final = 1 << 32
_factor: Final = 0x9E3779B1
_addend: Final = 0x7F4A7C15


def hash_of(value: str) -> int:
    """A number below 2^32, the same in every process: crc32, its linear structure multiplied away."""
    return (crc32(value.encode("utf-8", "surrogatepass")) * _factor + _addend) % _space


def _encoded(texts: Sequence[str]) -> list[bytes]:
    try:
        return list(map(str.encode, texts))
    except UnicodeEncodeError:
        return [text.encode("utf-8", "surrogatepass") for text in texts]


@dataclass(slots=True)
class Sketch:
    """The `KEPT` distinct values with the lowest hashes, each with how often it was added.

    Attributes:
        count: Values added, repetitions included.
        kept: Value → how often it was added; exact, since a value that is kept now has been kept all along.
        below: Every value whose hash is lower is kept; 2^32 while all distinct values are.
    """

    count: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    below: int = _space

    def add(self, batch: Batch) -> None:
        """Add values; any order and any portions give the same sketch."""
        self.count += batch.total
        kept, below = self.kept, self.below
        if below < _space:
            hashes = map(crc32, _encoded(batch.texts))
            for text, times, at in zip(batch.texts, batch.times, hashes, strict=False):
                if (at * _factor + _addend) % _space < below:  # hash_of(text), without the call
                    kept[text] += times
        else:
            for text, times in batch.pairs():
                kept[text] += times
        if len(self.kept) > 2 * KEPT or (self.below == _space and len(self.kept) > KEPT):
            self._shrink()

    def merge(self, other: Sketch) -> None:
        """Add all that was added to another sketch."""
        self.count += other.count
        self.kept.update(other.kept)
        self._cut(min(self.below, other.below))

    def _shrink(self) -> None:
        if len(self.kept) > KEPT:
            self._cut(self.below)

    def _cut(self, below: int) -> None:
        """Keep what is below, and of that the lowest `KEPT`."""
        self.below = below
        if below == _space and len(self.kept) <= KEPT:
            return
        hashed = sorted((at, value) for value in self.kept if (at := hash_of(value)) < below)
        if len(hashed) > KEPT:
            self.below = hashed[KEPT][0]
        self.kept = Counter({value: self.kept[value] for at, value in hashed if at < self.below})

    @property
    def complete(self) -> bool:
        """Whether every distinct value is kept."""
        return self.below == _space

    def distinct(self) -> int:
        """How many distinct values were added: exact while complete, then an estimate good to a few per cent."""
        self._shrink()
        return len(self.kept) if self.complete else round(len(self.kept) * _space / self.below)

    def values(self) -> frozenset[str]:
        """The kept values."""
        self._shrink()
        return frozenset(self.kept)

    @property
    def unique(self) -> bool:
        """Whether none of the kept values was added twice: a proof while complete, likely otherwise."""
        self._shrink()
        return all(times == 1 for times in self.kept.values())

    def contained_in(self, other: Sketch) -> tuple[int, int]:
        """(distinct values of this one that can be looked up in the other, how many of them it has)."""
        self._shrink()
        other._shrink()
        below = min(self.below, other.below)
        looked_at = [value for value in self.kept if below == _space or hash_of(value) < below]
        return len(looked_at), sum(value in other.kept for value in looked_at)

    def is_within(self, other: Sketch) -> bool:
        """Whether every value of this one is one of the other's: a proof, for which both have to be complete enough.

        Of values that were dropped nothing is known, so that False may also mean that it cannot be told.
        """
        looked_at, found = self.contained_in(other)
        return self.complete and looked_at == found == len(self.kept)
