"""A table's stream: its shards, and the records in them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec

from ashore.dynamodb.budget import Backoff
from ashore.dynamodb.errors import NoImages, Unreachable
from ashore.dynamodb.faults import Request
from ashore.dynamodb.settings import Aws, dynamodb_client
from ashore.dynamodb.table import TableInfo, describe_table, description_of
from ashore.dynamodb.transport import Transport
from ashore.model.change import Change, ChangePage, Shard, Start, StreamInfo

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

Result = TypeVar("Result")

_DESCRIBES_A_SECOND: Final = 5.0
"""An account may call DescribeStream ten times a second.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""
_RECORDS_A_PAGE: Final = 1_000
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html"""

_EXPIRY: Final = {"type": "Service", "principalid": "dynamodb.amazonaws.com"}
"""Who removes an item by time to live. The service's model writes `Type`, the guide `type`: either is taken.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
"""

_nothing: Final = msgspec.Raw(b"")


class _Image(msgspec.Struct, gc=False):
    sequence: str = msgspec.field(name="SequenceNumber")
    keys: msgspec.Raw = msgspec.field(name="Keys")
    at: float = msgspec.field(name="ApproximateCreationDateTime")
    new: msgspec.Raw = msgspec.field(name="NewImage", default=_nothing)


class _Record(msgspec.Struct, gc=False):
    name: Literal["INSERT", "MODIFY", "REMOVE"] = msgspec.field(name="eventName")
    image: _Image = msgspec.field(name="dynamodb")
    identity: dict[str, Any] | None = msgspec.field(name="userIdentity", default=None)


class _Page(msgspec.Struct, gc=False):
    records: list[_Record] = msgspec.field(name="Records", default_factory=list)
    next: str | None = msgspec.field(name="NextShardIterator", default=None)


class _Range(msgspec.Struct):
    first: str | None = msgspec.field(name="StartingSequenceNumber", default=None)
    last: str | None = msgspec.field(name="EndingSequenceNumber", default=None)


class _Shard(msgspec.Struct):
    id: str = msgspec.field(name="ShardId")
    range: _Range = msgspec.field(name="SequenceNumberRange", default_factory=_Range)
    parent: str | None = msgspec.field(name="ParentShardId", default=None)


class _Description(msgspec.Struct):
    status: str = msgspec.field(name="StreamStatus", default="")
    shards: list[_Shard] = msgspec.field(name="Shards", default_factory=list)
    last: str | None = msgspec.field(name="LastEvaluatedShardId", default=None)


class _Described(msgspec.Struct):
    description: _Description = msgspec.field(name="StreamDescription")


class _Iterator(msgspec.Struct):
    iterator: str = msgspec.field(name="ShardIterator")


_decode_page = msgspec.json.Decoder(_Page).decode
_decode_described = msgspec.json.Decoder(_Described).decode
_decode_iterator = msgspec.json.Decoder(_Iterator).decode


@dataclass(frozen=True, kw_only=True)
class TableStream:
    """The stream of a live table; a `ChangeSource`.

    Guarantees:
        - Keys and images are handed out as the bytes that DynamoDB sent; nothing parses them on the way.
        - A record that has no image where it should have one is an error, never a removal.

    What its methods raise beside what they say: AccessDenied, TableNotFound, CredentialsRefused, Unreachable,
    Throttled, RequestRefused.
    """

    table: str
    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None

    @property
    def aws(self) -> Aws:
        """Which AWS."""
        return Aws(region=self.region, endpoint_url=self.endpoint_url, profile=self.profile)

    @property
    def origin(self) -> dict[str, Any]:
        """The table's identity, as `TableSource.origin` gives it."""
        return {"kind": "table", "table_arn": self._table.arn, "table_id": self._table.table_id}

    @property
    def throttled(self) -> Counter[str]:
        """How often each operation on streams of this place was throttled in this process so far."""
        return Counter(_transport(self.aws).throttled)

    def describe(self) -> StreamInfo | None:
        """The table's newest stream; None where it never had one."""
        found = description_of(self.table, dynamodb_client(self.aws))
        arn = found.get("LatestStreamArn")
        if arn is None:
            return None
        view, is_enabled = _specified(found)
        if is_enabled:
            described = self._decoded(_decode_described, self._describe(arn, None), "DescribeStream")
            is_enabled = described.description.status in {"ENABLED", "ENABLING"}
        return StreamInfo(arn=arn, table_arn=found["TableArn"], view=view, is_enabled=is_enabled)

    def shards(self, arn: str) -> Iterator[Sequence[Shard]]:
        """The shards of a stream, a page (at most 100) at a time, in no order."""
        after: str | None = None
        while True:
            listed, after = self._decoded(shards_of, self._describe(arn, after), "DescribeStream")
            yield listed
            if after is None:
                return

    def iterator(self, arn: str, shard: str, start: Start) -> str:
        """An iterator, good for 15 minutes.

        Raises:
            Trimmed: Records between `start` and the oldest kept one are gone.
            ShardGone: There is no such shard any more.
        """
        body: dict[str, Any] = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": start.kind}
        if start.sequence is not None:
            body["SequenceNumber"] = _text(start.sequence)
        answer = self._call(Request(operation="GetShardIterator", table=self.table, shard=shard), body)
        return f"{shard}\n{self._decoded(_decode_iterator, answer, 'GetShardIterator').iterator}"

    def read(self, iterator: str, *, limit: int | None = None) -> ChangePage:
        """The next records of a shard.

        Raises:
            IteratorExpired: The iterator is older than 15 minutes.
            Trimmed, ShardGone: As `iterator`.
            NoImages: The stream's records lack the items.
        """
        shard, _, opaque = iterator.partition("\n")
        body: dict[str, Any] = {"ShardIterator": opaque}
        if limit is not None:
            body["Limit"] = min(limit, _RECORDS_A_PAGE)
        answer = self._call(Request(operation="GetRecords", table=self.table, has_keys=True, shard=shard), body)
        changes, following = self._decoded(lambda found: changes_of(found, self.table), answer, "GetRecords")
        return ChangePage(
            changes=changes,
            next=None if following is None else f"{shard}\n{following}",
            bytes_read=len(answer),
        )

    def _describe(self, arn: str, after: str | None) -> bytes:
        body = {"StreamArn": arn} | ({} if after is None else {"ExclusiveStartShardId": after})
        _pace.wait()
        return self._call(Request(operation="DescribeStream", table=self.table), body)

    def _call(self, request: Request, body: dict[str, Any]) -> bytes:
        return _transport(self.aws).call(request, msgspec.json.encode(body)).body

    def _decoded(self, decode: Callable[[bytes], Result], answer: bytes, operation: str) -> Result:
        try:
            return decode(answer)
        except (msgspec.DecodeError, ValueError) as error:
            raise Unreachable(operation, _transport(self.aws).endpoint, 1, "an answer of another form") from error

    @cached_property
    def _table(self) -> TableInfo:
        return describe_table(self.table, self.aws)


def changes_of(answer: bytes, table: str) -> tuple[list[Change], str | None]:
    """The changes of one answer of GetRecords, and the iterator after them.

    Raises:
        NoImages: A record lacks the item that was written.
        msgspec.DecodeError, ValueError: It is no such answer.
    """
    page = _decode_page(answer)
    return [_change(record, table) for record in page.records], page.next


def shards_of(answer: bytes) -> tuple[list[Shard], str | None]:
    """The shards of one answer of DescribeStream, and the last one's id where more follow.

    Raises:
        msgspec.DecodeError, ValueError: It is no such answer.
    """
    description = _decode_described(answer).description
    shards = [
        Shard(id=one.id, parent=one.parent, first=_number(one.range.first), last=_number(one.range.last))
        for one in description.shards
    ]
    return shards, description.last


def _change(record: _Record, table: str) -> Change:
    image = record.image
    if record.name == "REMOVE":
        who = {name.lower(): value for name, value in (record.identity or {}).items()}
        return Change(int(image.sequence), bytes(image.keys), None, image.at, who.items() >= _EXPIRY.items())
    item = bytes(image.new)
    if not item.startswith(b"{"):
        raise NoImages(table)
    return Change(int(image.sequence), bytes(image.keys), item, image.at)


class _Pace:
    """Lets a process begin so many calls a second and no more; safe to share between threads."""

    def __init__(self, a_second: float) -> None:
        self._pause = 1.0 / a_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._free_at)
            self._free_at = begin + self._pause
        time.sleep(begin - now)


_pace: Final = _Pace(_DESCRIBES_A_SECOND)


@lru_cache(maxsize=16)
def _transport(aws: Aws) -> Transport:
    return Transport(aws, Backoff(), of_streams=True)


def _specified(found: TableDescriptionTypeDef) -> tuple[str, bool]:
    specification = found.get("StreamSpecification")
    if specification is None:
        return "KEYS_ONLY", False
    return specification.get("StreamViewType", "KEYS_ONLY"), bool(specification.get("StreamEnabled"))


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _text(sequence: int) -> str:
    """A sequence number as DynamoDB writes it: at least 21 digits."""
    return f"{sequence:021d}"
