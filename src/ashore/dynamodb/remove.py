"""Deleting items of a live table that are still what was read, and no others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Literal

import msgspec

from ashore.dynamodb.budget import Backoff
from ashore.dynamodb.errors import RequestRefused, Unreachable
from ashore.dynamodb.faults import Request
from ashore.dynamodb.settings import Aws
from ashore.dynamodb.transport import Transport
from ashore.model.item import Item, same_item

MOST_COMPARED: Final = 120
"""Attributes that one condition names: each takes an operator and an AND, of which an expression holds 300.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (expression parameters)
"""
write_unit_bytes: Final = 1024
"""A write or a deletion takes one write unit for each KB of the item; one that its condition refuses takes them too.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""
_refused: Final = "ConditionalCheckFailedException"


class _Capacity(msgspec.Struct, rename="pascal"):
    capacity_units: float = 0.0


class _Removed(msgspec.Struct, rename="pascal"):
    attributes: dict[str, Any] | None = None
    consumed_capacity: _Capacity | None = None


class _Got(msgspec.Struct, rename="pascal"):
    item: dict[str, Any] | None = None


_decode_removed: Final = msgspec.json.Decoder(_Removed)
_decode_got: Final = msgspec.json.Decoder(_Got)
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition expression, its names and its values."""

    expression: str
    names: dict[str, str] = field(repr=False)
    values: dict[str, Any] = field(repr=False)


def unchanged(key: Sequence[str], item: Item, absent: Iterable[str]) -> Condition:
    """The condition that an item is still the one that was read.

    Args:
        key: The names of the key attributes; they stand first.
        item: Every attribute of it must have its value, up to `MOST_COMPARED` in all.
        absent: Attributes that must not be there, as far as there is room; those that `item` has are left out.
    """
    present = list(dict.fromkeys([*key, *sorted(item)]))[:MOST_COMPARED]
    missing = list(islice((name for name in absent if name not in item), MOST_COMPARED - len(present)))
    names = {f"#{number}": name for number, name in enumerate([*present, *missing])}
    values = {f":{number}": item[name] for number, name in enumerate(present)}
    terms = [f"#{number}=:{number}" for number, _ in enumerate(present)]
    terms += [f"attribute_not_exists(#{len(present) + number})" for number, _ in enumerate(missing)]
    return Condition(expression=" AND ".join(terms), names=names, values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What became of an item, and the write units that this took.

    `changed`: it is there, and no longer what was read. `gone`: it is not there any more.
    """

    outcome: Literal["deleted", "changed", "gone"]
    units: float


@dataclass(frozen=True, kw_only=True)
class ItemRemover:
    """Deletes items of a live table. Its methods may be called from several threads.

    What they raise: AccessDenied, TableNotFound, CredentialsRefused, RequestRefused; Unreachable and Throttled after
    `patience_seconds`. After Unreachable the item may have been deleted.
    """

    table: str
    key: tuple[str, ...]
    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None
    patience_seconds: float = 300.0

    @property
    def aws(self) -> Aws:
        """Which AWS."""
        return Aws(region=self.region, endpoint_url=self.endpoint_url, profile=self.profile)

    def remove(self, item: Item, absent: Iterable[str] = ()) -> Removal:
        """Delete an item if it is still what was read.

        An attribute that was added meanwhile, and that neither `item` nor `absent` names, cannot be told by a
        condition. It is found in what was deleted, which is then put back unless another item has taken its place.
        """
        key = {name: item[name] for name in self.key}
        condition = unchanged(self.key, item, absent)
        body = {
            "Key": key,
            "ConditionExpression": condition.expression,
            "ExpressionAttributeNames": condition.names,
            "ExpressionAttributeValues": condition.values,
            "ReturnValues": "ALL_OLD",
            "ReturnConsumedCapacity": "TOTAL",
        }
        try:
            removed = self._decoded(_decode_removed, self._call("DeleteItem", body), "DeleteItem")
        except RequestRefused as error:
            if error.reason != _refused:
                raise
            now = self._decoded(_decode_got, self._call("GetItem", {"Key": key, "ConsistentRead": True}), "GetItem")
            return Removal(outcome="gone" if now.item is None else "changed", units=_units_of(item))
        units = 0.0 if removed.consumed_capacity is None else removed.consumed_capacity.capacity_units
        if removed.attributes is None or same_item(removed.attributes, item):
            return Removal(outcome="deleted", units=units)
        return Removal(outcome="changed", units=units + self._put_back(removed.attributes))

    def _put_back(self, item: Item) -> float:
        names = {"#0": self.key[0]}
        body = {
            "Item": dict(item),
            "ConditionExpression": "attribute_not_exists(#0)",
            "ExpressionAttributeNames": names,
        }
        try:
            self._call("PutItem", body)
        except RequestRefused as error:
            if error.reason != _refused:
                raise
        return _units_of(item)

    def _call(self, operation: str, body: dict[str, Any]) -> bytes:
        request = Request(operation=operation, table=self.table, has_keys=True)
        return _transport(self).call(request, _encode({"TableName": self.table, **body})).body

    def _decoded(self, decoder: msgspec.json.Decoder[Any], answer: bytes, operation: str) -> Any:
        try:
            return decoder.decode(answer)
        except msgspec.DecodeError as error:
            raise Unreachable(operation, _transport(self).endpoint, 1, "an answer of another form") from error


def _units_of(item: Item) -> float:
    """About what a write of the item takes: the length of its JSON, which is more than its size."""
    return float(-(-len(_encode(dict(item))) // write_unit_bytes))


@lru_cache(maxsize=16)
def _transport(remover: ItemRemover) -> Transport:
    return Transport(remover.aws, Backoff(give_up_after=remover.patience_seconds))
