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

from ashore.mapping.document import Residue, decode, encode


def to_column(residue: Residue) -> Residue | None:
    """The residue as jsonb can hold it; None where there is nothing to hold."""
    if not residue:
        return None
    return {path: _guarded(entry) for path, entry in residue.items()}


def from_column(stored: Mapping[str, Any] | None) -> Residue:
    """The residue that a column holds. A stored value that is no object, whoever wrote it, holds nothing."""
    if not isinstance(stored, Mapping):
        return {}
    return {path: _opened(entry) for path, entry in stored.items()}


def _guarded(entry: Any) -> Any:
    text = encode(entry)
    if rb"\u0000" in text and _has_nul(entry):
        return {"JSON64": base64.b64encode(text).decode()}
    return entry


def _opened(entry: Any) -> Any:
    if isinstance(entry, Mapping) and isinstance(entry.get("JSON64"), str):
        return decode(base64.b64decode(entry["JSON64"]))
    return entry


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case Mapping():
            return any("\0" in key or _has_nul(member) for key, member in value.items())
        case list() | tuple():
            return any(map(_has_nul, value))
        case _:
            return False
