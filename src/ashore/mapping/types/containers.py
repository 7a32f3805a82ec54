"""bytea, jsonb and arrays."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

from ashore.mapping import document
from ashore.mapping.reasons import UnfitError
from ashore.mapping.types.base import ColumnType, content, unfit
from ashore.model.attribute import NULL, TypedValue, kind, same


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise unfit("not_base64") from None


def _base64_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _copy_bytes(value: bytes) -> str:
    return "\\\\x" + value.hex()


def _fast_bytes(text: str) -> str | None:
    try:
        return _copy_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None


bytea: Final = ColumnType(
    name="bytea",
    wire="B",
    to_column=lambda value: _bytes_of(content(value, "B")),
    to_attribute=lambda value: {"B": _base64_of(bytes(value))},
    copy=_copy_bytes,
    fast=_fast_bytes,
)


def _copy_json(value: Any) -> str:
    return document.encode(value).decode().replace("\\", "\\\\")


jsonb: Final = ColumnType(
    name="jsonb",
    wire="M",
    to_column=lambda value: document.to_plain(value, "", {}),
    to_attribute=lambda value: document.to_typed(value, "", {}),
    copy=_copy_json,
    same=document.same_plain,
)
"""Any value, as plain JSON. The mapping gives nested residue its own paths; see `ashore.mapping.document`."""

_sets: Final = {"S": "SS", "N": "NS", "B": "BS"}


def array(element: ColumnType) -> ColumnType:  # noqa: C901 (closures over the element)
    """A one-dimensional array: naturally the set of its element's type; a list of such values is taken too.

    A set's elements are sorted. A list, an order or a repetition that a set does not have, stays in the residue.
    """
    wire = _sets[element.wire]

    def to_column(value: TypedValue) -> list[Any]:
        if wire in value:
            return sorted(element.to_column({element.wire: member}) for member in value[wire])
        if "L" in value and all(element.wire in member for member in value["L"]):
            return [element.to_column(member) for member in value["L"]]
        raise unfit("wrong_type", f"is {kind(value)}, the column takes {wire}")

    def member_of(value: Any) -> TypedValue:
        if value is None:
            return NULL
        # PostgreSQL does not hold an array to its declared dimensions.
        return {"L": [member_of(one) for one in value]} if isinstance(value, list) else element.to_attribute(value)

    def to_attribute(values: Sequence[Any]) -> TypedValue:
        members = [member_of(value) for value in values]
        contents = {member[element.wire] for member in members if element.wire in member}
        if not members or len(contents) < len(members):
            # DynamoDB has no empty set, none with a repetition, and none with a NULL or a list in it.
            return {"L": members}
        return {wire: [member[element.wire] for member in members]}

    def copy(values: list[Any]) -> str:
        quoted = ",".join(_quote(element.copy(member)) for member in values)
        return "{" + quoted + "}"

    def fast(members: list[str]) -> str | None:
        try:
            values = to_column({wire: members})
        except UnfitError:
            return None
        return copy(values) if same(to_attribute(values), {wire: members}) else None

    return ColumnType(
        name=f"{element.name}[]",
        wire=wire,
        to_column=to_column,
        to_attribute=to_attribute,
        copy=copy,
        fast=fast,
    )


def _quote(copied: str) -> str:
    r"""An element of an array literal, itself in COPY text.

    The array's own quoting needs a backslash before ``"`` and ``\``; COPY doubles each of these backslashes.
    Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
    """
    return '"' + copied.replace("\\\\", "\\\\\\\\").replace('"', '\\\\"') + '"'
