"""Changes of items as a table's stream tells them, and the shards that they come in; what a source of them does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec


class Change(msgspec.Struct, frozen=True, gc=False):
    """One change of one key, as a stream record tells it. A struct, since there are many: made in 0.1 µs, not in 0.9.

    `sequence` is the record's sequence number: integers, to be compared as such, in order within a shard and along
    its lineage. `key` is the DynamoDB-JSON object of the key attributes, `item` that of the whole item after the
    change, None where the item was removed. `at` is the record's approximate time in seconds since 1970 (AWS gives
    whole seconds). `is_expiry` says that time to live removed the item, not the application.
    """

    sequence: int
    key: bytes
    item: bytes | None
    at: float
    is_expiry: bool = False

    def __repr__(self) -> str:
        """Without key and item, so that it may be logged."""
        return f"Change(sequence={self.sequence}, at={self.at}, is_expiry={self.is_expiry})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A shard as the stream lists it. `first` and `last` are sequence numbers; `last` is None while it is open."""

    id: str
    parent: str | None
    first: int | None
    last: int | None

    @property
    def is_closed(self) -> bool:
        """Whether no record will be added to it."""
        return self.last is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """A table's stream. `view` is NEW_AND_OLD_IMAGES, NEW_IMAGE, OLD_IMAGE or KEYS_ONLY."""

    arn: str
    table_arn: str
    view: str
    is_enabled: bool

    @property
    def has_images(self) -> bool:
        """Whether its records hold the item after the change."""
        return self.view in {"NEW_IMAGE", "NEW_AND_OLD_IMAGES"}


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin in a shard: at its oldest record, at a sequence number, or after one.

    LATEST, behind the newest record, is for measuring what is written afterwards. No sync begins there: what was
    written between two listings of the shards would be passed over.
    """

    kind: Literal["TRIM_HORIZON", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "LATEST"]
    sequence: int | None = None


TRIM_HORIZON = Start("TRIM_HORIZON")
LATEST = Start("LATEST")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """Some changes of one shard in order, and the iterator after them: None where the shard has ended.

    An empty page does not mean that nothing follows.
    """

    changes: Sequence[Change] = field(repr=False)
    next: str | None = field(repr=False)
    bytes_read: int = 0


class ChangeSource(Protocol):
    """A table's stream. Implementations are small picklable values; their methods may be called from several threads.

    What `iterator` and `read` raise is in `ashore.dynamodb.errors`: `Trimmed` (records between the place asked for and
    the oldest kept one are gone), `ShardGone` (there is no such shard any more), `IteratorExpired` (ask for a new one),
    and the errors of every call.
    """

    @property
    def origin(self) -> dict[str, Any]:
        """The table's identity as JSON, as `ItemSource.origin` of the same table."""

    def describe(self) -> StreamInfo | None:
        """The table's newest stream; None where it never had one."""

    def shards(self, arn: str) -> Iterator[Sequence[Shard]]:
        """The shards of a stream, a page at a time, so that what was listed is not lost with what was not."""

    def iterator(self, arn: str, shard: str, start: Start) -> str:
        """An iterator, good for some minutes."""

    def read(self, iterator: str, *, limit: int | None = None) -> ChangePage:
        """The next records: at most `limit`, 1,000 or 1 MB."""
