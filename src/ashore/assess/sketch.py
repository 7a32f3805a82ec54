"""A bounded sample of a column's distinct values: those with the lowest hashes.

All sketches use one hash, so two of them hold the same part of what their columns have in common: whether one column's
values are keys of another one can be judged from both samples. Source of the idea: Bar-Yossef and others, Counting
Distinct Elements in a Data Stream (2002); Beyer and others, On Synopses for Distinct-Value Estimation (2007).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from ashore.assess.batches import Batch
from ashore.assess.value_sets import ValueSet, hashes_in, hashes_of, missing

KEPT: Final = 2_048
_space: Final = 1 << 32
_factor: Final = 0x9E3779B1
_addend: Final = 0x7F4A7C15


def hash_of(value: str) -> int:
    """A number below 2^32, the same in every process: crc32, its linear structure multiplied away."""
    return (crc32(value.encode("utf-8", "surrogatepass")) * _factor + _addend) % _space


def _encoded(texts: Collection[str]) -> list[bytes]:
    try:
        return list(map(str.encode, texts))
    except UnicodeEncodeError:
        return [text.encode("utf-8", "surrogatepass") for text in texts]


def _hashes(texts: Collection[str]) -> list[int]:
    """`hash_of` each, without so many calls."""
    return [(at * _factor + _addend) % _space for at in map(crc32, _encoded(texts))]


@dataclass(slots=True)
class Sketch:
    """The `KEPT` distinct values with the lowest hashes, each with how often it was added.

    Attributes:
        count: Values added, repetitions included.
        kept: Value → how often it was added; exact, since a value that is kept now has been kept all along.
        below: Every value whose hash is lower is kept; 2^32 while all distinct values are.
        every: Takes all values, where they are wanted, once not all are kept; until then it is empty.
    """

    count: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    below: int = _space
    every: ValueSet | None = None

    def add(self, batch: Batch) -> None:
        """Add values; any order and any portions give the same sketch."""
        self.count += batch.total
        kept, below = self.kept, self.below
        if below < _space:
            encoded = _encoded(batch.texts)
            for text, times, at in zip(batch.texts, batch.times, map(crc32, encoded), strict=False):
                if (at * _factor + _addend) % _space < below:  # hash_of(text), without the call
                    kept[text] += times
            if self.every is not None:
                self.every.add(encoded)
        else:
            for text, times in batch.pairs():
                kept[text] += times
            if len(kept) > KEPT and self.every is not None:
                self.every.add(_encoded(kept))
        if len(self.kept) > 2 * KEPT or (self.below == _space and len(self.kept) > KEPT):
            self._shrink()

    def merge(self, other: Sketch) -> None:
        """Add all that was added to another sketch."""
        self._merge_every(other)
        self.count += other.count
        self.kept.update(other.kept)
        self._cut(min(self.below, other.below))

    def _merge_every(self, other: Sketch) -> None:
        if not self.knows_all or not other.knows_all:
            self.every = None
        elif self.every is not None or other.every is not None:
            every = self.every = ValueSet() if self.every is None else self.every
            if self.complete and other.complete and len(self.kept.keys() | other.kept.keys()) <= KEPT:
                return
            if self.complete:
                every.add(_encoded(self.kept))
            every.merge(other._all())

    @property
    def knows_all(self) -> bool:
        """Whether every value is kept here, or in `every`."""
        return self.complete or self.every is not None

    def _all(self) -> ValueSet:
        if self.every is None or self.complete:
            values = ValueSet()
            values.add(_encoded(self.kept))
            return values
        return self.every

    def _shrink(self) -> None:
        if len(self.kept) > KEPT:
            self._cut(self.below)

    def _cut(self, below: int) -> None:
        """Keep what is below, and of that the lowest `KEPT`."""
        self.below = below
        if below == _space and len(self.kept) <= KEPT:
            return
        hashed = sorted([(at, value) for value, at in zip(self.kept, _hashes(self.kept), strict=True) if at < below])
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

    def holds(self, texts: Collection[str]) -> dict[str, bool]:
        """Whether each of the texts was added; those of which that is not known are left out."""
        if self.every is None or self.complete:
            return {text: text in self.kept for text in texts if self.complete or hash_of(text) < self.below}
        hashes = hashes_of(_encoded(texts))
        there = hashes_in(self.every, hashes)
        return {text: at in there for text, at in zip(texts, hashes, strict=True)}

    def contained_in(self, other: Sketch) -> tuple[int, int]:
        """(distinct values of this one that can be looked up in the other, how many of them it has)."""
        self._shrink()
        other._shrink()
        below = min(self.below, other.below)
        looked_at = [value for value in self.kept if below == _space or hash_of(value) < below]
        return len(looked_at), sum(value in other.kept for value in looked_at)

    def missing_from(self, other: Sketch) -> tuple[int, int] | None:
        """(distinct values of this one, how many of them the other one has not), of all that were added to both.

        None where that is not known: values were dropped.
        """
        looked_at, found = self.contained_in(other)
        if self.complete and looked_at == len(self.kept):
            return looked_at, looked_at - found
        if self.knows_all and other.knows_all:
            return missing(self._all(), other._all())
        return None

    def is_within(self, other: Sketch) -> bool:
        """Whether every value of this one is one of the other's: a proof. False may also mean that it is not known."""
        found = self.missing_from(other)
        return found is not None and not found[1]
