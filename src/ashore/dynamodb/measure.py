"""Measuring a stream with markers: which shards they reach, how late and in which order they come back.

Reads beside whoever reads the stream already: two readers of a shard are allowed.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from ashore.model.change import LATEST, TRIM_HORIZON, ChangeSource, Start
from ashore.model.item import Item
from ashore.model.marker import PREFIX, MarkerTable, marker_key, marker_text

_READERS: Final = 16
_LIST_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.05
_TELL_SECONDS: Final = 1.0
_MARKERS_A_SHARD: Final = 4
_FEWEST: Final = 40
"""Markers are written on, where every shard is reached, until there are enough for an order and a delay to be seen."""


Progress = Callable[[int, int, int], None]
"""Markers written, shards reached, shards read → whatever is to be told of it."""


class MeasuredTable(MarkerTable, Protocol):
    """Where markers are written, and how often that was throttled so far."""

    @property
    def throttled(self) -> int:
        """Throttled writes of this process."""


class MeasuredStream(ChangeSource, Protocol):
    """A stream, and how often each of its operations was throttled so far."""

    @property
    def throttled(self) -> Counter[str]:
        """Throttled calls of this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What to measure: at most `markers` are written, and waited for at most `patience_seconds`.

    `key` has name and type of the table's key attributes. `poll_seconds` is the pause between two reads of a quiet
    shard: delays are known no better.
    """

    table: MeasuredTable
    stream: MeasuredStream
    arn: str
    key: Sequence[tuple[str, str]]
    markers: int
    patience_seconds: float = 30.0
    poll_seconds: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was seen.

    Attributes:
        listed, open: Shards that were listed at all; those that took records when it began.
        came, ended: Shards that appeared, and shards that ended, while it was measured.
        written, returned: Markers.
        returned_twice: Markers that came back more than once.
        needed: So many of the first markers would have reached every shard; None where one was not reached.
        not_reached: Open shards that returned none, by name.
        out_of_order: Markers that came back from their shard after one that was written later.
        delays: Seconds from before a marker was written until it was back, sorted.
        throttled: Operation → how often DynamoDB throttled it.
        reads: Calls of GetRecords.
        seconds: How long it took.
    """

    listed: int
    open: int
    came: int
    ended: int
    written: int
    returned: int
    returned_twice: int
    needed: int | None
    not_reached: tuple[str, ...]
    out_of_order: int
    delays: tuple[float, ...]
    throttled: dict[str, int]
    reads: int
    seconds: float


def measure(wanted: Measure, progress: Progress = lambda *_: None) -> Measured:
    """Write markers one after the other, each removed at once, until every open shard returned one.

    Args:
        wanted: What to measure.
        progress: Is told now and then how far it is.

    Raises:
        AccessDenied: Nothing was written.
        SourceError: DynamoDB failed. A marker may have stayed where it failed between writing it and removing it.
    """
    measuring = _Measuring(wanted)
    with ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="ashore probe") as readers:
        measuring.begin()
        futures = [readers.submit(measuring.read_share, share) for share in range(_READERS)]
        try:
            measuring.write(futures, progress)
            measuring.wait(futures)
        finally:
            measuring.stop.set()
        for future in futures:
            future.result()
    return measuring.seen()


@dataclass(slots=True)
class _Shard:
    """A shard that is read; `returned` has number and delay of each marker that came back, in this order."""

    name: str
    iterator: str | None
    returned: list[tuple[int, float]] = field(default_factory=list)


class _Measuring:
    """One measurement. Readers append to their own shards; everything else is the writer's."""

    def __init__(self, wanted: Measure) -> None:
        self._wanted = wanted
        self._began = time.monotonic()
        self._round = uuid.uuid4().hex
        self._own = f"{PREFIX}{self._round}-".encode()
        self._known: set[str] = set()
        self._shards: list[_Shard] = []
        self._open = 0
        self._written: list[float] = []
        self._reads = 0
        self._lock = threading.Lock()
        self._throttled = wanted.stream.throttled
        self._throttled_writes = wanted.table.throttled
        self.stop = threading.Event()

    def begin(self) -> None:
        """Stand behind the newest record of every open shard, and see that markers may be removed."""
        self._list(LATEST)
        self._open = len(self._shards)
        self._wanted.table.delete(self._key(0))

    def _list(self, start: Start) -> None:
        """Begin to read the shards that were not listed before: later ones at their oldest record."""
        for page in self._wanted.stream.shards(self._wanted.arn):
            for shard in page:
                if shard.id not in self._known and not (start is LATEST and shard.is_closed):
                    iterator = self._wanted.stream.iterator(self._wanted.arn, shard.id, start)
                    self._shards.append(_Shard(shard.id, iterator))
                self._known.add(shard.id)

    def _key(self, number: int) -> Item:
        return marker_key(self._wanted.key, marker_text(self._round, number, datetime.now(UTC)))

    def read_share(self, share: int) -> None:
        """Read every so manieth shard until all are to stop."""
        while not self.stop.is_set():
            for shard in self._shards[share::_READERS]:
                if shard.iterator is not None and not self.stop.is_set():
                    self._read(shard, shard.iterator)
            self.stop.wait(self._wanted.poll_seconds)

    def _read(self, shard: _Shard, iterator: str) -> None:
        page = self._wanted.stream.read(iterator)
        seen_at = time.monotonic()
        for change in page.changes:
            if self._own in change.key and change.item is not None:
                number = _number(change.key, self._own)
                shard.returned.append((number, seen_at - self._written[number - 1]))
        shard.iterator = page.next
        with self._lock:
            self._reads += 1

    def write(self, readers: Sequence[Future[None]], progress: Progress) -> None:
        """Write markers until all shards are reached and there are enough to tell something, or the budget is spent."""
        enough = max(_FEWEST, _MARKERS_A_SHARD * self._open)
        listed_at = told_at = time.monotonic()
        for number in range(1, self._wanted.markers + 1):
            not_reached = self._not_reached()
            if number > enough and not not_reached:
                return
            key = self._key(number)
            self._written.append(time.monotonic())
            try:
                self._wanted.table.put(key)
            finally:
                self._wanted.table.delete(key)
            now = time.monotonic()
            if now - listed_at > _LIST_SECONDS:
                listed_at = now
                self._list(TRIM_HORIZON)
            if now - told_at > _TELL_SECONDS:
                told_at = now
                progress(number, len(self._shards) - len(not_reached), len(self._shards))
            _raise_failed(readers)

    def wait(self, readers: Sequence[Future[None]]) -> None:
        """Wait until every marker is back, or patience ends."""
        give_up_at = time.monotonic() + self._wanted.patience_seconds
        listed_at = 0.0
        while time.monotonic() < give_up_at:
            returned = {number for shard in self._shards for number, _ in shard.returned}
            if len(returned) == len(self._written):
                return
            if time.monotonic() - listed_at > _LIST_SECONDS:
                listed_at = time.monotonic()
                self._list(TRIM_HORIZON)
            _raise_failed(readers)
            time.sleep(_LOOK_SECONDS)

    def _not_reached(self) -> list[str]:
        """Shards that are read still and returned none."""
        return [shard.name for shard in self._shards if shard.iterator is not None and not shard.returned]

    def seen(self) -> Measured:
        """What was seen; the readers have ended."""
        not_reached = self._not_reached()
        numbers = Counter(number for shard in self._shards for number, _ in shard.returned)
        firsts = [min(shard.returned)[0] for shard in self._shards if shard.returned]
        throttled = self._wanted.stream.throttled - self._throttled
        throttled["PutItem, DeleteItem"] = self._wanted.table.throttled - self._throttled_writes
        return Measured(
            listed=len(self._known),
            open=self._open,
            came=len(self._shards) - self._open,
            ended=sum(shard.iterator is None for shard in self._shards),
            written=len(self._written),
            returned=len(numbers),
            returned_twice=sum(times > 1 for times in numbers.values()),
            needed=max(firsts) if firsts and not not_reached else None,
            not_reached=tuple(sorted(not_reached)),
            out_of_order=sum(_out_of_order([number for number, _ in shard.returned]) for shard in self._shards),
            delays=tuple(sorted(delay for shard in self._shards for _, delay in shard.returned)),
            throttled={name: times for name, times in throttled.items() if times},
            reads=self._reads,
            seconds=time.monotonic() - self._began,
        )


def _number(key: bytes, own: bytes) -> int:
    """A marker's number, by its key's JSON."""
    return int(key.partition(own)[2].partition(b"|")[0])


def _out_of_order(numbers: Sequence[int]) -> int:
    """How many come after a greater one."""
    greatest = found = 0
    for number in numbers:
        found += number < greatest
        greatest = max(greatest, number)
    return found


def _raise_failed(readers: Sequence[Future[None]]) -> None:
    for reader in readers:
        if reader.done():
            reader.result()
