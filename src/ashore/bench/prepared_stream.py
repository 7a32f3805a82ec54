"""A stream whose answers are prepared: what a client could read at best."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from ashore.dynamodb.stream import changes_of
from ashore.model.change import ChangePage, Shard, Start, StreamInfo

_A_PAGE: Final = 850
"""Records of 1.15 KB in a page: GetRecords gives 1 MB or 1,000."""
_SHARDS: Final = 2
_ARN: Final = "arn:bench/stream"
_attempts: Final = re.compile(r'("attempts":\{"N":")\d+')


@dataclass(frozen=True, slots=True)
class PreparedStream:
    """A `ChangeSource` of answers of GetRecords that were prepared: what a client could read at best."""

    pages: Mapping[str, Sequence[bytes]]

    @property
    def origin(self) -> dict[str, Any]:
        """Of no real table."""
        return {"kind": "table", "table_arn": "arn:bench", "table_id": None}

    def describe(self) -> StreamInfo:
        """Of no real stream."""
        return StreamInfo(arn=_ARN, table_arn="arn:bench", view="NEW_IMAGE", is_enabled=True)

    def shards(self, arn: str) -> Iterator[Sequence[Shard]]:  # noqa: ARG002 (as `ChangeSource` has it)
        """All of them, in one page."""
        yield [Shard(id=shard, parent=None, first=1, last=None) for shard in self.pages]

    def iterator(self, arn: str, shard: str, start: Start) -> str:  # noqa: ARG002
        """The shard's beginning."""
        return f"{shard}\n0"

    def read(self, iterator: str, *, limit: int | None = None) -> ChangePage:  # noqa: ARG002
        """The next prepared page, parsed as a real one."""
        shard, _, at = iterator.partition("\n")
        place = int(at)
        if place >= len(self.pages[shard]):
            return ChangePage(changes=[], next=iterator)
        answer = self.pages[shard][place]
        changes, _ = changes_of(answer, "bench")
        return ChangePage(changes=changes, next=f"{shard}\n{place + 1}", bytes_read=len(answer))


def pages_of(base: Sequence[bytes], rows: int, changes: int, random: Random) -> dict[str, list[bytes]]:
    """Answers of GetRecords by shard; all changes of a key are in one shard."""
    pages: dict[str, list[bytes]] = {f"shard-{number}": [] for number in range(_SHARDS)}
    waiting: dict[str, list[str]] = {shard: [] for shard in pages}
    fresh = rows
    for sequence in range(1, changes + 1):
        draw = random.random()
        if draw < 0.05:
            place, fresh = fresh, fresh + 1
            if fresh >= len(base):
                place, fresh = random.randrange(rows), fresh - 1
        else:
            place = random.randrange(rows)
        item = base[place].decode()
        key = item[: item.index(',"entityName"')] + "}"
        is_removed = draw > 0.95
        image = f'"Keys":{key},"SequenceNumber":"{sequence:021d}","ApproximateCreationDateTime":1700000000'
        if not is_removed:
            changed = _attempts.sub(rf"\g<1>{sequence % 1_000}", item, count=1)
            image += f',"NewImage":{changed}'
        name = "REMOVE" if is_removed else "MODIFY"
        shard = f"shard-{place % _SHARDS}"
        waiting[shard].append(f'{{"eventID":"e","eventName":"{name}","dynamodb":{{{image}}}}}')
        if len(waiting[shard]) == _A_PAGE:
            pages[shard].append(_answer(waiting[shard]))
            waiting[shard] = []
    for shard, records in waiting.items():
        if records:
            pages[shard].append(_answer(records))
    return pages


def _answer(records: Sequence[str]) -> bytes:
    return f'{{"NextShardIterator":"next","Records":[{",".join(records)}]}}'.encode()
