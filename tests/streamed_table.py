"""A DynamoDB table with a stream, in memory: shards that split, roll, hide, trim and vanish as AWS's do.

It reads as `TableSource` and as `TableStream` do. Everything random comes from one seed; nothing sleeps.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ashore.dynamodb.errors import IteratorExpired, ShardGone, SourceError, Trimmed
from ashore.model.change import Change, ChangePage, Shard, Start, StreamInfo
from ashore.model.chunk import Chunk, Estimate, Position, Unit

Item = Mapping[str, Any]
FIRST_SEQUENCE = 9_999_990  # a few more, and the text of the numbers no longer sorts as they do
_PARTITIONS = 8


@dataclass
class MemoryShard:
    """A shard: the hashes of keys that it takes, and its records, the oldest of which may be trimmed."""

    id: str
    parent: str | None
    takes: frozenset[int]
    first: int
    last: int | None = None
    records: list[Change] = field(default_factory=list)
    trimmed_to: int = 0
    is_listed: bool = True
    is_gone: bool = False


class MemoryTable:
    """A table of one partition key and one sort key, both text.

    A write that changes nothing makes no record. Sequence numbers grow, and their texts get longer.
    """

    def __init__(self, seed: int, *, table_id: str = "one", shards: int = 2) -> None:
        self.random = random.Random(seed)
        self.items: dict[tuple[str, str], bytes] = {}
        self.lock = threading.RLock()
        self.table_id = table_id
        self.empties = 0
        self._empty_left: Counter[str] = Counter()
        self._era = 0
        self._age = 0
        self._failures: list[SourceError] = []
        self._sequence = FIRST_SEQUENCE
        self._names = 0
        self.arn = ""
        self.is_enabled = True
        self.shards_by_id: dict[str, MemoryShard] = {}
        self.replace_stream(shards)

    # What an application does.

    def put(self, item: Item) -> bool:
        """Write an item; False where it was there just so."""
        return self._write(self._key(item), json.dumps(item, separators=(",", ":")).encode())

    def delete(self, partition: str, sort: str, *, is_expiry: bool = False) -> bool:
        """Delete an item; False where there was none."""
        return self._write((partition, sort), None, is_expiry=is_expiry)

    def _write(self, key: tuple[str, str], item: bytes | None, *, is_expiry: bool = False) -> bool:
        with self.lock:
            if self.items.get(key) == item:
                return False
            if item is None:
                del self.items[key]
            else:
                self.items[key] = item
            self._sequence += self.random.randint(1, 4)
            named = json.dumps({"pk": {"S": key[0]}, "sk": {"S": key[1]}}).encode()
            change = Change(self._sequence, named, item, float(int(time.time())), is_expiry)
            self._shard_of(key).records.append(change)
            return True

    def _shard_of(self, key: tuple[str, str]) -> MemoryShard:
        place = hashlib.blake2b("|".join(key).encode(), digest_size=1).digest()[0] % _PARTITIONS
        return next(one for one in self.open_shards() if place in one.takes)

    # What AWS does to the stream.

    def open_shards(self) -> list[MemoryShard]:
        """The shards that take records."""
        return [one for one in self.shards_by_id.values() if one.last is None]

    def replace_stream(self, shards: int = 2) -> None:
        """Switch the stream off and on: a new one, without the records of the old."""
        with self.lock:
            self._era += 1
            self.arn = f"arn:memory:{self.table_id}/stream/{self._era}"
            self.shards_by_id = {}
            for number in range(shards):
                self._add(None, frozenset(place for place in range(_PARTITIONS) if place % shards == number))

    def _add(self, parent: str | None, takes: frozenset[int], *, is_listed: bool = True) -> MemoryShard:
        self._names += 1
        made = MemoryShard(f"shard-{self._names:04d}", parent, takes, self._sequence + 1, is_listed=is_listed)
        self.shards_by_id[made.id] = made
        return made

    def close(self, shard: MemoryShard, *, children: int, is_listed: bool = True) -> None:
        """End a shard: with one child it rolled over, with two its partition was split."""
        with self.lock:
            takes = sorted(shard.takes)
            children = min(children, len(takes))
            self._sequence += 1
            shard.last = self._sequence
            for number in range(children):
                self._add(shard.id, frozenset(takes[number::children]), is_listed=is_listed)

    def add_unreachable(self) -> MemoryShard:
        """An open shard of a partition that takes no new key: one hot item has it to itself."""
        with self.lock:
            return self._add(None, frozenset())

    def list_all(self) -> None:
        """Let the listing show every shard that there is."""
        for one in self.shards_by_id.values():
            one.is_listed = True

    def trim(self, shard: MemoryShard, records: int) -> None:
        """Drop the oldest records of a shard."""
        with self.lock:
            gone, shard.records = shard.records[:records], shard.records[records:]
            if gone:
                shard.trimmed_to = gone[-1].sequence

    def vanish(self, shard: MemoryShard) -> None:
        """Drop a closed shard whole."""
        with self.lock:
            shard.is_gone = True

    def expire_iterators(self) -> None:
        """Let every iterator that was handed out be too old."""
        self._age += 1

    def fail_next(self, *errors: SourceError) -> None:
        """Let the next calls fail so."""
        self._failures += errors

    def forget_failures(self) -> None:
        """Let no more calls fail."""
        self._failures.clear()

    # What `TableStream` does.

    @property
    def origin(self) -> dict[str, Any]:
        return {"kind": "table", "table_arn": f"arn:memory:{self.table_id}", "table_id": self.table_id}

    def describe(self) -> StreamInfo | None:
        return StreamInfo(
            arn=self.arn, table_arn=f"arn:memory:{self.table_id}", view="NEW_IMAGE", is_enabled=self.is_enabled
        )

    def shards(self, arn: str) -> Iterator[Sequence[Shard]]:
        self._fail()
        with self.lock:
            listed = [
                one for one in self.shards_by_id.values() if one.is_listed and not one.is_gone and arn == self.arn
            ]
            self.random.shuffle(listed)
        for start in range(0, len(listed) or 1, 3):
            yield [
                Shard(id=one.id, parent=one.parent, first=one.first, last=one.last) for one in listed[start : start + 3]
            ]

    def iterator(self, arn: str, shard: str, start: Start) -> str:
        self._fail()
        with self.lock:
            found = self._found(arn, shard)
            after = found.trimmed_to
            match start.kind:
                case "AT_SEQUENCE_NUMBER":
                    after = (start.sequence or 0) - 1
                    if found.trimmed_to > after:
                        raise Trimmed(shard)
                case "AFTER_SEQUENCE_NUMBER":
                    after = start.sequence or 0
                    if found.trimmed_to > after:
                        raise Trimmed(shard)
                case "LATEST":
                    after = self._sequence
            return self._iterator(shard, after)

    def _iterator(self, shard: str, after: int) -> str:
        return json.dumps([self.arn, shard, after, self._age])

    def _found(self, arn: str, shard: str) -> MemoryShard:
        found = self.shards_by_id.get(shard) if arn == self.arn else None
        if found is None or found.is_gone:
            raise ShardGone(shard)
        return found

    def read(self, iterator: str, *, limit: int | None = None) -> ChangePage:
        self._fail()
        with self.lock:
            arn, shard, after, era = json.loads(iterator)
            if era != self._age:
                raise IteratorExpired
            found = self._found(arn, shard)
            if after < found.trimmed_to:
                raise Trimmed(shard)
            if self.empties and self._empty_left[shard] == 0 and self.random.random() < 0.3:
                self._empty_left[shard] = self.random.randint(1, self.empties)
            elif self._empty_left[shard]:
                self._empty_left[shard] -= 1
                if self._empty_left[shard]:
                    return ChangePage(changes=[], next=iterator)
            ahead = [record for record in found.records if record.sequence > after]
            changes = ahead[: min(limit or 1000, self.random.randint(1, 5))]
            if changes:
                after = changes[-1].sequence
            is_over = found.last is not None and len(changes) == len(ahead)
            return ChangePage(changes=changes, next=None if is_over else self._iterator(shard, after))

    def _fail(self) -> None:
        if self._failures:
            raise self._failures.pop(0)

    # What `TableSource` does.

    def get_items(self, keys: Sequence[Mapping[str, Any]], *, consistent: bool = True) -> list[bytes]:  # noqa: ARG002
        with self.lock:
            found = [self.items.get(self._key(key)) for key in keys]
        return [item for item in found if item is not None]

    @staticmethod
    def _key(item: Mapping[str, Any]) -> tuple[str, str]:
        return item["pk"]["S"], item["sk"]["S"]

    def units(self) -> list[Unit]:
        return [Unit(name=f"segment-{number}", about={"segment": number}) for number in range(2)]

    def estimate(self) -> Estimate:
        return Estimate(items=len(self.items), bytes=0, read_units=0, dollars=0, note="in memory")

    def read_segment(self, unit: Unit, after: Position | None, *, page: int = 3) -> Iterator[Chunk]:
        """One segment, a page of a few items at a time: each page as the table is when it is asked for."""
        last = tuple(after["key"]) if after else ("", "")
        while True:
            with self.lock:
                mine = sorted(key for key in self.items if self._segment(key) == unit.about["segment"] and key > last)
                keys = mine[:page]
                items = [self.items[key] for key in keys]
            last = keys[-1] if keys else last
            is_last = len(mine) <= page
            yield Chunk(items=items, position={"key": list(last)}, last=is_last)
            if is_last:
                return

    @staticmethod
    def _segment(key: tuple[str, str]) -> int:
        return hashlib.blake2b(key[0].encode(), digest_size=1).digest()[0] % 2
