"""Raw items, read with care: whatever is not DynamoDB JSON is refused here, so that nothing behind has to doubt it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import msgspec

from ashore.mapping.reasons import UnfitError, shown
from ashore.model.item import Item

DEEPEST: Final = 100
"""Levels of nesting that are read. DynamoDB allows 32.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""
LONGEST_NUMBER: Final = 200
"""Characters of a number's text. DynamoDB's 38 digits and exponents of three digits are far below."""

_number: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?").fullmatch

_decode: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


def read_item(raw: bytes) -> Item:
    """Read one item's DynamoDB JSON.

    Raises:
        UnfitError: `unreadable`: no JSON (or not UTF-8, or nested deeper than `DEEPEST`), or an attribute that is no
            DynamoDB value.
    """
    try:
        item: Item = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnfitError("unreadable", detail=f"no DynamoDB JSON: {type(error).__name__}") from None
    for name, value in item.items():
        plain_text = len(value) == 1 and value.get("S").__class__ is str  # most are, and need no call
        if not plain_text and not is_value(value):
            raise UnfitError("unreadable", shown(name), "no DynamoDB value")
    return item


def is_value(value: Any, levels: int = DEEPEST) -> bool:  # noqa: C901 (a case for each type)
    """Whether this is a DynamoDB value: exactly one type, and content of that type."""
    if type(value) is not dict or len(value) != 1 or not levels:
        return False
    ((name, content),) = value.items()
    match name:
        case "S":
            return type(content) is str
        case "N":
            return is_number(content)
        case "B":
            return is_base64(content)
        case "BOOL":
            return type(content) is bool
        case "NULL":
            return content is True
        case "M":
            return type(content) is dict and all(is_value(member, levels - 1) for member in content.values())
        case "L":
            return type(content) is list and all(is_value(member, levels - 1) for member in content)
        case "SS":
            return type(content) is list and all(type(member) is str for member in content)
        case "NS":
            return type(content) is list and all(map(is_number, content))
        case "BS":
            return type(content) is list and all(map(is_base64, content))
        case _:
            return False


def is_number(text: Any) -> bool:
    """Whether this is the text of a number, of a length that only a number's own digits can give it."""
    return type(text) is str and len(text) <= LONGEST_NUMBER and _number(text) is not None


def is_base64(text: Any) -> bool:
    """Whether this is base64, padding included."""
    if type(text) is not str:
        return False
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def holds_nul(value: Any) -> bool:
    """Whether U+0000 is anywhere in a JSON value, names included."""
    match value:
        case str():
            return "\0" in value
        case dict():
            return any("\0" in name or holds_nul(member) for name, member in value.items())
        case list():
            return any(map(holds_nul, value))
        case _:
            return False
