"""Raw items that stand in one buffer: no object is made for an item until somebody asks for it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import overload


class PackedItems(Sequence[bytes]):
    """Items in `data`, each from one of `starts` to one of `ends` (of type "I", as many as there are items)."""

    __slots__ = ("data", "ends", "starts")

    def __init__(self, data: bytes, starts: array[int], ends: array[int]) -> None:
        self.data = data
        self.starts = starts
        self.ends = ends

    @classmethod
    def of(cls, items: Sequence[bytes]) -> PackedItems:
        """The same items, copied behind one another; those that are packed as they are."""
        if isinstance(items, PackedItems):
            return items
        ends = array("I", accumulate(map(len, items)))
        return cls(b"".join(items), array("I", [0]) + ends[:-1] if items else ends, ends)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> PackedItems: ...

    def __getitem__(self, place: int | slice) -> bytes | PackedItems:
        if isinstance(place, slice):
            return PackedItems(self.data, self.starts[place], self.ends[place])
        return self.data[self.starts[place] : self.ends[place]]

    def __iter__(self) -> Iterator[bytes]:
        data = self.data
        return (data[start:end] for start, end in zip(self.starts, self.ends, strict=True))

    def __repr__(self) -> str:
        return f"PackedItems({len(self)} items, {len(self.data)} bytes)"
