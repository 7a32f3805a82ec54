"""Writing markers to a table: the only thing that Ashore writes to DynamoDB before a cutover, and only where it may."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from ashore.dynamodb.budget import Backoff, ReadBudget
from ashore.dynamodb.faults import Request
from ashore.dynamodb.settings import Aws
from ashore.dynamodb.transport import Transport
from ashore.model.item import Item

dollars_per_million_write_units: Final = 0.625
"""On demand, standard table class, us-east-1, since 2024-11-01; other regions cost up to about twice as much.

Source: https://aws.amazon.com/dynamodb/pricing/on-demand/
"""


def dollars_for(write_units: float) -> float:
    """What write units cost on demand in us-east-1."""
    return write_units / 1_000_000 * dollars_per_million_write_units


UNITS_A_MARKER: Final = 2.0
"""One to write it and one to remove it, up to 1 KB each; a secondary index of key attributes alone takes as much again.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""
_GIVE_UP_SECONDS: Final = 10.0
"""A marker that is late is of no use: whoever throttles it that long needs the capacity for something else."""


class _Capacity(msgspec.Struct, rename="pascal"):
    capacity_units: float = 0.0


class _Written(msgspec.Struct, rename="pascal"):
    consumed_capacity: _Capacity | None = None


_decode = msgspec.json.Decoder(_Written).decode


@dataclass(frozen=True, kw_only=True)
class MarkerWriter:
    """Writes markers to a live table and removes them; a `MarkerTable`.

    All threads of a process that write to one table hold `units_per_second` together. What its methods raise:
    Throttled, Unreachable (after ten seconds), AccessDenied, TableNotFound, CredentialsRefused, RequestRefused.
    """

    table: str
    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None
    units_per_second: float | None = None

    @property
    def aws(self) -> Aws:
        """Which AWS."""
        return Aws(region=self.region, endpoint_url=self.endpoint_url, profile=self.profile)

    @property
    def throttled(self) -> int:
        """How often this process's writes of markers to the table were throttled so far."""
        return _connected(self).transport.throttled.total()

    def put(self, key: Item) -> None:
        """Write an item that is nothing but its key."""
        self._call("PutItem", {"Item": key})

    def delete(self, key: Item) -> None:
        """Remove it; nothing happens where there is none."""
        self._call("DeleteItem", {"Key": key})

    def _call(self, operation: str, body: dict[str, Item]) -> None:
        connected = _connected(self)
        connected.budget.wait()
        asked = {"TableName": self.table, "ReturnConsumedCapacity": "TOTAL", **body}
        request = Request(operation=operation, table=self.table, has_keys=True)
        answer = connected.transport.call(request, msgspec.json.encode(asked))
        try:
            found = _decode(answer.body).consumed_capacity
        except msgspec.DecodeError:
            found = None
        connected.budget.consumed(1.0 if found is None else found.capacity_units, 1)


@dataclass(frozen=True, slots=True)
class _Connected:
    transport: Transport
    budget: ReadBudget


@lru_cache(maxsize=16)
def _connected(writer: MarkerWriter) -> _Connected:
    return _Connected(
        Transport(writer.aws, Backoff(give_up_after=_GIVE_UP_SECONDS)), ReadBudget(writer.units_per_second)
    )
