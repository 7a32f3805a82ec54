"""Reading one shard: where to begin, what an empty page means, when to look again."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from ashore.dynamodb.errors import IteratorExpired, Trimmed
from ashore.ledger.streams import Progress, ShardRecord
from ashore.model.change import TRIM_HORIZON, ChangePage, Start
from ashore.sync.order import SyncOrder

_FIRST_PAUSE_SECONDS = 0.1
_PAUSES_SECONDS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Before another iterator is asked for: one may come late, or its process be held up, until it is too old."""
_CLOSE_SECONDS = 3.0
"""A shard whose newest record is younger is followed closely: reading it again at once would bring a record or two, a
hundred times a second, each time for a request and a transaction. AWS tells whole seconds."""
_SURELY_KEPT_SECONDS = 23 * 3600.0
"""What is younger is surely in the stream still, which keeps 24 hours: then its oldest record is the next one."""


@dataclass(frozen=True, slots=True)
class Read:
    """A page, and when its reading began in seconds since 1970."""

    page: ChangePage
    began_at: float


@dataclass(slots=True, kw_only=True)
class ShardReader:
    """Reads a leased shard page by page. `read` may run in another thread; everything else is the worker's."""

    order: SyncOrder
    arn: str
    shard: ShardRecord
    due_at: float = 0.0
    _iterator: str | None = None
    _read_to: int | None = None
    _quiet: deque[float] = field(default_factory=deque)
    _pause: float = _FIRST_PAUSE_SECONDS
    _noted_at: float = 0.0

    def read(self) -> Read:
        """The next page.

        Raises:
            Trimmed, ShardGone: Records are gone that were not read.
            IteratorExpired: So were all iterators for some seconds, new as they were.
            SourceError: As the source's calls.
        """
        for pause in _PAUSES_SECONDS:
            try:
                return self._page()
            except IteratorExpired:
                self._iterator = None
                time.sleep(pause)
        return self._page()

    def _page(self) -> Read:
        if self._iterator is None:
            self._iterator = self.begin()
        began_at = self.order.clock()
        page = self.order.source.read(self._iterator)
        self._iterator = page.next
        if page.changes:
            self._read_to = page.changes[-1].sequence
        return Read(page, began_at)

    def begin(self) -> str:
        """An iterator after what was read so far, or at the shard's beginning. Raises as `read`."""
        shard = self.shard
        position = shard.position if self._read_to is None else self._read_to
        if position is not None:
            start = Start("AFTER_SEQUENCE_NUMBER", position)
        elif shard.at_horizon and self.order.clock() - shard.known_at.timestamp() < _SURELY_KEPT_SECONDS:
            start = TRIM_HORIZON
        elif shard.at_horizon or shard.first is None:
            raise Trimmed(shard.shard)
        else:
            start = Start("AT_SEQUENCE_NUMBER", shard.first)
        return self.order.source.iterator(self.arn, shard.shard, start)

    def progress(self, read: Read, marked_at: float | None) -> Progress | None:
        """What this page says of the shard; None where it is not worth a transaction.

        By time, a shard has passed a moment when it has been found empty several times in a row since then, or when
        it brought a record of later, less the margin.
        """
        page, limits = read.page, self.order.limits
        passed_at = None
        if page.changes:
            self._quiet.clear()
            self._pause = _FIRST_PAUSE_SECONDS
            passed_at = page.changes[-1].at - limits.margin_seconds
        else:
            self._quiet.append(read.began_at)
            self._pause = min(2 * self._pause, limits.poll_seconds)
            if len(self._quiet) >= limits.empty_reads:
                passed_at = self._quiet[-limits.empty_reads] - limits.margin_seconds
                self._quiet.popleft()
        ended = page.next is None
        now = self.order.clock()
        self.due_at = now + self._pause_after(page, now)
        if not page.changes and not ended:
            if passed_at is None or now - self._noted_at < limits.tend_seconds:
                return None
            self._noted_at = now
        return Progress(
            position=page.changes[-1].sequence if page.changes else None,
            records=len(page.changes),
            newest_record_at=page.changes[-1].at if page.changes else None,
            passed_at=passed_at,
            marked_at=marked_at,
            ended=ended,
        )

    def _pause_after(self, page: ChangePage, now: float) -> float:
        if not page.changes:
            return self._pause
        is_behind = now - page.changes[-1].at > _CLOSE_SECONDS
        return 0.0 if is_behind else min(_FIRST_PAUSE_SECONDS, self.order.limits.poll_seconds)
