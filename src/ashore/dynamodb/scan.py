"""Items from a live table, by parallel Scan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import msgspec

from ashore.dynamodb.budget import Backoff, ReadBudget
from ashore.dynamodb.errors import SourceChanged, Throttled, Unreachable
from ashore.dynamodb.faults import Request
from ashore.dynamodb.settings import Aws
from ashore.dynamodb.table import TableInfo, describe_table
from ashore.dynamodb.transport import Transport
from ashore.model.attribute import TypedValue
from ashore.model.chunk import Chunk, Estimate, Position, Unit

bytes_a_segment: Final = 128 * 1024 * 1024
most_segments: Final = 1_000
keys_a_batch: Final = 100
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""


class _Capacity(msgspec.Struct, rename="pascal"):
    capacity_units: float = 0.0


class _Page(msgspec.Struct, rename="pascal"):
    items: list[msgspec.Raw]
    last_evaluated_key: dict[str, Any] | None = None
    consumed_capacity: _Capacity | None = None


class _Keys(msgspec.Struct, rename="pascal"):
    keys: list[dict[str, Any]] = []


class _Batch(msgspec.Struct, rename="pascal"):
    responses: dict[str, list[msgspec.Raw]]
    unprocessed_keys: dict[str, _Keys] = {}
    consumed_capacity: list[_Capacity] = []


_decode_page = msgspec.json.Decoder(_Page).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """A live table as a source of items, read consistently.

    `segments` is the number of units (None: by the table's size, and at least one a worker). `read_units_per_second`
    is for all `workers` together, each of which is a process and holds its share. `page_limit` caps the items of a
    page. One chunk is one page, and a position is ``{"key": LastEvaluatedKey}``, with null at the segment's end.

    Guarantees:
        - An item is handed out as the bytes that DynamoDB sent; nothing parses it on the way.
        - An item that is there from before the first to after the last page of its segment is handed out once.
          A Scan is not a snapshot: of items written meanwhile it may see the old or the new, of those that are
          deleted and put back both or neither.
    """

    table: str
    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None
    segments: int | None = None
    read_units_per_second: float | None = None
    workers: int = 1
    page_limit: int | None = None

    @property
    def aws(self) -> Aws:
        return Aws(region=self.region, endpoint_url=self.endpoint_url, profile=self.profile)

    @property
    def origin(self) -> dict[str, Any]:
        """The table's identity: a table that was deleted and made again is another one."""
        found = self.describe()
        return {"kind": "table", "table_arn": found.arn, "table_id": found.table_id}

    def describe(self) -> TableInfo:
        """What the table says of itself; asked once.

        Raises:
            AccessDenied, TableNotFound, CredentialsRefused, Unreachable, Throttled, RequestRefused
        """
        return self._described

    def units(self) -> list[Unit]:
        """One unit a segment. Their number follows the table's size: a load that goes on takes those it stored."""
        total = self.segments or self._fitting_segments()
        return [
            Unit(name=f"segment-{number:04d}-of-{total:04d}", about={"segment": number, "segments": total})
            for number in range(total)
        ]

    def estimate(self) -> Estimate:
        """What a consistent Scan of the table takes."""
        return describe_table(self.table, self.aws).estimate(consistent=True)

    def read(self, unit: Unit, after: Position | None) -> Iterator[Chunk]:
        """Read one segment, a page (at most 1 MB) at a time.

        Raises:
            Throttled, Unreachable: DynamoDB did not answer for minutes.
            AccessDenied, TableNotFound, CredentialsRefused, RequestRefused
            SourceChanged: The unit or the position is not of a table.
        """
        yield from pages_of(_connected(self), self, unit, after)

    def get_items(self, keys: Sequence[Mapping[str, TypedValue]], *, consistent: bool = True) -> list[bytes]:
        """Read the items with these keys, no two the same (in no order; those that are gone are left out).

        Raises:
            Throttled: DynamoDB left keys unprocessed for minutes.
            AccessDenied, TableNotFound, CredentialsRefused, Unreachable, RequestRefused
        """
        connected = _connected(self)
        items: list[bytes] = []
        for start in range(0, len(keys), keys_a_batch):
            items += _batch(connected, self.table, list(keys[start : start + keys_a_batch]), consistent=consistent)
        return items

    def probe(self) -> None:
        """Read at most one item and forget it: does Scan work? Does not try again for longer than some seconds.

        Raises:
            AccessDenied, TableNotFound, CredentialsRefused, Unreachable, Throttled, RequestRefused
        """
        body = msgspec.json.encode({"TableName": self.table, "ConsistentRead": True, "Limit": 1})
        Transport(self.aws, Backoff(give_up_after=5.0)).call(Request(operation="Scan", table=self.table), body)

    @cached_property
    def _described(self) -> TableInfo:
        return describe_table(self.table, self.aws)

    def _fitting_segments(self) -> int:
        by_size = math.ceil(self.describe().bytes / bytes_a_segment)
        return min(most_segments, max(1, self.workers, by_size))


@dataclass(frozen=True, slots=True)
class Connected:
    """What a process keeps open for a source."""

    transport: Transport
    budget: ReadBudget
    backoff: Backoff


@lru_cache(maxsize=16)
def _connected(source: TableSource) -> Connected:
    share = None if source.read_units_per_second is None else source.read_units_per_second / source.workers
    backoff = Backoff()
    return Connected(Transport(source.aws, backoff), ReadBudget(share), backoff)


def pages_of(connected: Connected, source: TableSource, unit: Unit, after: Position | None) -> Iterator[Chunk]:
    """The pages of one segment as chunks; `TableSource.read` with a given transport and budget."""
    request = Request(operation="Scan", table=source.table, has_keys=True)
    body = _scan_body(source, unit)
    if after is not None:
        key = _start_key(unit, after)
        if key is None:
            yield Chunk(items=[], position=after, last=True)
            return
        body["ExclusiveStartKey"] = key
    while True:
        limits = [limit for limit in (source.page_limit, connected.budget.page_limit()) if limit is not None]
        if limits:
            body["Limit"] = min(limits)
        else:
            body.pop("Limit", None)
        connected.budget.wait()
        answer = connected.transport.call(request, msgspec.json.encode(body))
        try:
            page = _decode_page(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreachable("Scan", connected.transport.endpoint, 1, "an answer that is not a page") from error
        units = page.consumed_capacity.capacity_units if page.consumed_capacity else 0.0
        connected.budget.consumed(units, len(page.items))
        key = page.last_evaluated_key or None
        yield Chunk(
            items=[bytes(item) for item in page.items],
            position={"key": key},
            last=key is None,
            bytes_read=len(answer.body),
            read_units=units,
            throttled=answer.throttled,
        )
        if key is None:
            return
        body["ExclusiveStartKey"] = key


def _start_key(unit: Unit, after: Position) -> dict[str, Any] | None:
    key = after.get("key", ())
    if key is None or isinstance(key, dict):
        return key
    raise SourceChanged(unit.name, "the stored position is not one of a table")


def _scan_body(source: TableSource, unit: Unit) -> dict[str, Any]:
    try:
        segment, segments = unit.about["segment"], unit.about["segments"]
    except KeyError as error:
        raise SourceChanged(unit.name, "it is not a segment of a table") from error
    return {
        "TableName": source.table,
        "ConsistentRead": True,
        "ReturnConsumedCapacity": "TOTAL",
        "Segment": segment,
        "TotalSegments": segments,
    }


def _batch(connected: Connected, table: str, keys: list[Mapping[str, TypedValue]], *, consistent: bool) -> list[bytes]:
    request = Request(operation="BatchGetItem", table=table, has_keys=True)
    wanted: Sequence[Mapping[str, TypedValue]] = keys
    items: list[bytes] = []
    rounds = 0
    began = connected.backoff.clock()
    while wanted:
        connected.budget.wait()
        body = {
            "RequestItems": {table: {"Keys": wanted, "ConsistentRead": consistent}},
            "ReturnConsumedCapacity": "TOTAL",
        }
        answer = connected.transport.call(request, msgspec.json.encode(body))
        try:
            batch = _decode_batch(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreachable("BatchGetItem", connected.transport.endpoint, 1, "an answer of another form") from error
        items += [bytes(item) for found in batch.responses.values() for item in found]
        connected.budget.consumed(sum(used.capacity_units for used in batch.consumed_capacity), 0)
        left = [key for unprocessed in batch.unprocessed_keys.values() for key in unprocessed.keys]
        if len(left) < len(wanted):
            began = connected.backoff.clock()
            rounds = 0
        wanted = left
        if wanted:
            rounds += 1
            seconds = connected.backoff.clock() - began
            if seconds >= connected.backoff.give_up_after:
                raise Throttled("BatchGetItem", table, rounds, seconds)
            connected.backoff.pause(rounds)
    return items
