"""The `residue` column: JSON pointer → what the columns, `extra` and the declaration could not give back by themselves.

An entry is one of
- a typed value, ``{"SS": ["a", "b"]}``: the attribute is this, as long as converting it gives what is stored now;
- ``{}``: the attribute is absent, as long as the column is NULL or the declaration would rebuild it;
- ``[typed value, rendered]``: a derived attribute is this, as long as its template still renders the second.

jsonb cannot hold U+0000, so an entry that has it anywhere is stored as ``{"JSON64": base64 of its JSON}``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from ashore.mapping.document import Residue, decode, encode
from ashore.mapping.wire import holds_nul, is_base64, is_value


def to_column(residue: Residue) -> Residue | None:
    """The residue as jsonb can hold it; None where there is nothing to hold."""
    if not residue:
        return None
    return {path: _guarded(entry) for path, entry in residue.items()}


def from_column(stored: Mapping[str, Any] | None) -> Residue:
    """The residue that a column holds. What is no entry, whoever wrote it, says nothing."""
    if not isinstance(stored, Mapping):
        return {}
    opened = ((path, _opened(entry)) for path, entry in stored.items())
    return {path: entry for path, entry in opened if _is_entry(entry)}


def _guarded(entry: Any) -> Any:
    if holds_nul(entry):
        return {"JSON64": base64.b64encode(encode(entry)).decode()}
    return entry


def _opened(entry: Any) -> Any:
    if isinstance(entry, Mapping) and is_base64(entry.get("JSON64")):
        try:
            return decode(base64.b64decode(entry["JSON64"]))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
    return entry


def _is_entry(entry: Any) -> bool:
    if isinstance(entry, list):
        return len(entry) == 2 and all(one == {} or is_value(one) for one in entry)
    return entry == {} or is_value(entry)
