"""The markers of a source: their keys, and what they say when they come back from a shard.

A shard that returned a marker has returned everything that was written to it before the marker. That a shard is one
partition in the order of its commits is observed, not promised: AWS promises order for each item only.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from ashore.mapping.plan import Plan, key_attributes
from ashore.model import marker
from ashore.model.change import Change
from ashore.model.item import Item
from ashore.model.marker import RAW_PREFIX, marker_written_at

_CLOCK_STEP_SECONDS: Final = 1.0  # a record's time is cut to whole seconds
_decode: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


def can_mark(plan: Plan) -> bool:
    """Whether the table's keys can hold markers: its partition key is text."""
    return plan.partition_key.type == "S"


def marker_key(plan: Plan, of: str, number: int, written_at: datetime) -> Item:
    """The key of a marker; see `ashore.model.marker.marker_text`. Its partition key is its own, so is its partition."""
    attributes = [(key.name, key.type) for key in key_attributes(plan)]
    return marker.marker_key(attributes, marker.marker_text(of, number, written_at))


def is_marker(plan: Plan, key: bytes) -> bool:
    """Whether this is a marker's key."""
    return RAW_PREFIX in key and _written_at(plan, key) is not None


def marked_at(plan: Plan, changes: Sequence[Change]) -> float | None:
    """When the newest marker among these changes was written, in seconds since 1970; None without one.

    A key claims no more than the record's own time allows, whoever wrote it.
    """
    marked = [change for change in changes if RAW_PREFIX in change.key and change.item is not None]
    times = [(_written_at(plan, change.key), change.at + _CLOCK_STEP_SECONDS) for change in marked]
    return max((min(written, at) for written, at in times if written is not None), default=None)


def without_markers(plan: Plan, changes: Sequence[Change]) -> Sequence[Change]:
    """The changes of the application's own items."""
    if not any(RAW_PREFIX in change.key for change in changes):
        return changes
    return [change for change in changes if not is_marker(plan, change.key)]


def _written_at(plan: Plan, key: bytes) -> float | None:
    text = _decode(key).get(plan.partition_key.name, {}).get("S", "")
    return marker_written_at(text) if isinstance(text, str) else None
