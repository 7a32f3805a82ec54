"""Markers: items that Ashore writes to see them come back from the shards of a stream, and that mean nothing else.

A marker's partition key says which round it is of, its number there, and when the round began. Nothing else may have a
key of this form: such items are counted under a rule of their own wherever items are read, and become nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from ashore.model.item import Item

PREFIX: Final = "ashore-marker|"
RAW_PREFIX: Final = b'"ashore-marker|'
"""What the JSON of every marker's key contains: a quick test before a sure one."""

_form: Final = re.compile(r"ashore-marker\|[0-9A-Za-z-]{1,64}\|([0-9]{1,20})")
_epoch: Final = datetime(1970, 1, 1, tzinfo=UTC)


def marker_text(of: str, number: int, written_at: datetime) -> str:
    """The partition key of one marker.

    Args:
        of: What tells its round from all others: letters, digits and hyphens.
        number: Its number in the round.
        written_at: A moment before it is written.
    """
    return f"{PREFIX}{of}-{number}|{(written_at - _epoch) // timedelta(microseconds=1)}"


def marker_key(attributes: Sequence[tuple[str, str]], text: str) -> Item:
    """The key of the marker with this partition key.

    Args:
        attributes: Name and type of the partition key, which is text, and of the sort key, if there is one.
        text: As `marker_text` gives it.
    """
    contents = {"S": text, "N": "0", "B": base64.b64encode(text.encode()).decode()}
    return {name: {kind: contents[kind]} for name, kind in attributes}


def is_marker_text(text: str) -> bool:
    """Whether an item with this partition key is a marker."""
    return text.startswith(PREFIX) and _form.fullmatch(text) is not None


def marker_written_at(text: str) -> float | None:
    """The moment that a marker's partition key holds, in seconds since 1970; None for any other key."""
    found = _form.fullmatch(text)
    return None if found is None else int(found[1]) / 1e6


class MarkerTable(Protocol):
    """Where markers are written. Methods may be called from several threads; they raise `SourceError`."""

    def put(self, key: Item) -> None:
        """Write an item that is nothing but its key."""

    def delete(self, key: Item) -> None:
        """Remove it; nothing happens where there is none."""
