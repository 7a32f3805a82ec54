"""Writing items back to the table: one request an item, none of which is under way for longer than is stated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
import urllib3

from ashore.dynamodb.budget import Backoff
from ashore.dynamodb.errors import Unreachable
from ashore.dynamodb.faults import Request
from ashore.dynamodb.settings import Aws
from ashore.dynamodb.transport import Transport
from ashore.model.item import Item

Result = TypeVar("Result")

REQUEST_SECONDS: Final = 15.0
"""The longest that one call of `put` or `remove` takes, all its tries included."""
_backoff: Final = Backoff(longest=1.0, give_up_after=5.0)
_time_out: Final = urllib3.Timeout(total=5.0)


class _Consumed(msgspec.Struct):
    units: float = msgspec.field(name="CapacityUnits", default=0.0)


class _Written(msgspec.Struct):
    consumed: _Consumed = msgspec.field(name="ConsumedCapacity", default_factory=_Consumed)


class _Got(msgspec.Struct):
    item: dict[str, Any] | None = msgspec.field(name="Item", default=None)


_decode_written: Final = msgspec.json.Decoder(_Written)
_decode_got: Final = msgspec.json.Decoder(_Got)
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, kw_only=True)
class TableWriter:
    """Puts and deletes items of a live table. Its methods may be called from several threads.

    What they raise: AccessDenied, TableNotFound, CredentialsRefused, Unreachable, Throttled; and RequestRefused where
    DynamoDB cannot hold the item (its size, its key, a number). After Unreachable a write may have been done.

    A call ends within `REQUEST_SECONDS`. That DynamoDB does nothing of a request after its connection was given up is
    relied upon.
    """

    table: str
    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None

    @property
    def aws(self) -> Aws:
        """Which AWS."""
        return Aws(region=self.region, endpoint_url=self.endpoint_url, profile=self.profile)

    def put(self, item: Item) -> float:
        """Write an item in place of whatever is there; return the write units that this took."""
        return self._write("PutItem", {"Item": dict(item)})

    def remove(self, key: Item) -> float:
        """Delete the item with this key, if it is there; return the write units that this took."""
        return self._write("DeleteItem", {"Key": dict(key)})

    def get(self, key: Item) -> Item | None:
        """The item with this key as it is now, read consistently."""
        answer = self._call("GetItem", {"Key": dict(key), "ConsistentRead": True})
        return self._decoded(_decode_got.decode, answer, "GetItem").item

    def _write(self, operation: str, body: dict[str, Any]) -> float:
        answer = self._call(operation, {**body, "ReturnConsumedCapacity": "TOTAL"})
        return self._decoded(_decode_written.decode, answer, operation).consumed.units

    def _call(self, operation: str, body: dict[str, Any]) -> bytes:
        request = Request(operation=operation, table=self.table, has_keys=True)
        return _transport(self.aws).call(request, _encode({"TableName": self.table, **body})).body

    def _decoded(self, decode: Callable[[bytes], Result], answer: bytes, operation: str) -> Result:
        try:
            return decode(answer)
        except msgspec.DecodeError as error:
            raise Unreachable(operation, _transport(self.aws).endpoint, 1, "an answer of another form") from error


@lru_cache(maxsize=16)
def _transport(aws: Aws) -> Transport:
    return Transport(aws, _backoff, time_out=_time_out)
