"""Raw items that stand in buffers: no object is made for an item until somebody asks for it."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import overload


@dataclass(frozen=True, slots=True)
class Pack:
    """Items in `data`, each from one of `starts` to one of `ends` (of type "I", as many as there are items)."""

    data: bytes
    starts: array[int]
    ends: array[int]

    @classmethod
    def of(cls, items: Sequence[bytes]) -> Pack:
        """The same items, copied behind one another."""
        ends = array("I", accumulate(map(len, items)))
        return cls(b"".join(items), array("I", [0]) + ends[:-1] if items else ends, ends)

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[bytes]:
        data = self.data
        return (data[start:end] for start, end in zip(self.starts, self.ends, strict=True))


class PackedItems(Sequence[bytes]):
    """The items of some packs, one after the other."""

    __slots__ = ("_ends", "packs")

    def __init__(self, packs: Sequence[Pack]) -> None:
        self.packs = packs
        self._ends = list(accumulate(map(len, packs)))

    @classmethod
    def of(cls, items: Sequence[bytes]) -> PackedItems:
        """The same items; those that are packed as they are."""
        return items if isinstance(items, PackedItems) else cls([Pack.of(items)])

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...

    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        at = range(len(self))[place]
        number = bisect_right(self._ends, at)
        pack = self.packs[number]
        inside = at - self._ends[number] + len(pack)
        return pack.data[pack.starts[inside] : pack.ends[inside]]

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self.packs)

    def __repr__(self) -> str:
        return f"PackedItems({len(self)} items)"
