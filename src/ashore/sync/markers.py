"""Markers: items that Ashore writes to see them come back from the shards, and that mean nothing else.

A shard that returned a marker has returned everything that was written to it before the marker.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ashore.mapping.plan import Plan, key_attributes
from ashore.model.change import Change
from ashore.model.item import Item

PREFIX: Final = "ashore-marker|"
_CLOCK_STEP_SECONDS: Final = 1.0  # a record's time is cut to whole seconds
_raw_prefix: Final = b'"ashore-marker|'
_decode: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


def can_mark(plan: Plan) -> bool:
    """Whether the table's keys can hold markers: all of them text."""
    return all(key.type == "S" for key in key_attributes(plan))


def marker_key(plan: Plan, written_at: float) -> Item:
    """The key of a new marker, in a partition of its own; it holds when it was written, in microseconds."""
    text = f"{PREFIX}{uuid.uuid4()}|{round(written_at * 1e6)}"
    return {key.name: {"S": text} for key in key_attributes(plan)}


def is_marker(plan: Plan, key: bytes) -> bool:
    """Whether this is a marker's key."""
    return _raw_prefix in key and _written_at(plan, key) is not None


def marked_at(plan: Plan, changes: Sequence[Change]) -> float | None:
    """When the newest marker among these changes was written, in seconds since 1970; None without one.

    A key claims no more than the record's own time allows, whoever wrote it.
    """
    marked = [change for change in changes if _raw_prefix in change.key and change.item is not None]
    times = [(_written_at(plan, change.key), change.at + _CLOCK_STEP_SECONDS) for change in marked]
    return max((min(written, at) for written, at in times if written is not None), default=None)


def without_markers(plan: Plan, changes: Sequence[Change]) -> Sequence[Change]:
    """The changes of the application's own items."""
    if not any(_raw_prefix in change.key for change in changes):
        return changes
    return [change for change in changes if not is_marker(plan, change.key)]


def _written_at(plan: Plan, key: bytes) -> float | None:
    text = _decode(key).get(plan.partition_key.name, {}).get("S", "")
    if not isinstance(text, str) or not text.startswith(PREFIX):
        return None
    written = text.rpartition("|")[2]
    return int(written) / 1e6 if written.isdecimal() and len(written) <= 20 else None
