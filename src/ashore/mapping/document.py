"""Nested values as plain JSON and back, exactly, with a residue for what plain JSON cannot say.

Plain JSON holds text, numbers (by value), booleans, null, arrays and objects. Sets become sorted arrays and binary
becomes base64 text; their DynamoDB-typed values go to the residue under their JSON pointer, and come back from there
as long as the plain value still is what they convert to.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from ashore.mapping.pointer import token
from ashore.mapping.reasons import UnfitError
from ashore.mapping.wire import LONGEST_NUMBER, is_base64, is_number
from ashore.model.attribute import TypedValue

Residue = dict[str, Any]

_plain_below: Final = 10**38

encode: Final = msgspec.json.Encoder(decimal_format="number").encode
"""Plain JSON (numbers as int or Decimal) → bytes, every digit kept."""

decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
"""JSON bytes or text → plain JSON with numbers as int or Decimal; never a float."""


def number(text: str) -> int | Decimal:
    """The exact value of a DynamoDB number.

    Raises:
        UnfitError: `not_a_number`.
    """
    if text.isdigit() and len(text) <= LONGEST_NUMBER and text.isascii():
        return int(text)
    if not is_number(text):
        raise UnfitError("not_a_number")
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    return int(value) if exponent == 0 else value


def number_text(value: int | Decimal) -> str:
    """A number's text: plain digits while no more than 38 are needed, which is what boto3 reads; no trailing zeros.

    Raises:
        UnfitError: `not_a_number`: it is NaN or an infinity, which PostgreSQL's numeric can hold.
    """
    if isinstance(value, int) and abs(value) < _plain_below:
        return str(value)
    sign, digits, exponent = Decimal(value).as_tuple()
    if isinstance(exponent, str):
        raise UnfitError("not_a_number")
    if not any(digits):
        return "0"
    while digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    plain = exponent >= -40 and len(digits) + exponent <= 38
    return format(Decimal((sign, digits, exponent)), "f" if plain else "E")


def to_plain(value: TypedValue, path: str, residue: Residue) -> Any:  # noqa: C901 (a case for each type)
    """A typed value as plain JSON; what plain JSON loses is added to `residue` under its pointer below `path`.

    Raises:
        UnfitError: U+0000 in a text or in a name, or a malformed value. `residue` may hold some entries by then.
    """
    for name, content in value.items():
        match name:
            case "S":
                if "\0" in content:
                    raise UnfitError("nul_in_text")
                return content
            case "N":
                return number(content)
            case "BOOL":
                return content
            case "NULL":
                return None
            case "M":
                plain = {}
                for key, member in content.items():
                    if "\0" in key:
                        raise UnfitError("nul_in_name")
                    plain[key] = to_plain(member, path + token(key), residue)
                return plain
            case "L":
                return [to_plain(member, f"{path}/{place}", residue) for place, member in enumerate(content)]
            case "SS":
                if any("\0" in member for member in content):
                    raise UnfitError("nul_in_text")
                residue[path] = value
                return sorted(content)
            case "NS":
                residue[path] = value
                return sorted(map(number, content))
            case "B":
                if not is_base64(content):
                    raise UnfitError("not_base64")
                residue[path] = value
                return content
            case "BS":
                if not all(map(is_base64, content)):
                    raise UnfitError("not_base64")
                residue[path] = value
                return sorted(content)
    raise UnfitError("unreadable")


def to_typed(plain: Any, path: str, residue: Mapping[str, Any]) -> TypedValue:
    """The typed value of plain JSON; a residue entry is used where converting it gives exactly what is there now."""
    entry = residue.get(path)
    if entry is not None and isinstance(entry, Mapping) and says(entry, plain):
        return entry
    match plain:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": plain}
        case str():
            return {"S": plain}
        case int() | Decimal():
            return {"N": number_text(plain)}
        case list():
            return {"L": [to_typed(member, f"{path}/{place}", residue) for place, member in enumerate(plain)]}
        case dict():
            return {"M": {key: to_typed(member, path + token(key), residue) for key, member in plain.items()}}
        case _:
            message = f"not a plain JSON value: {type(plain).__name__}"
            raise TypeError(message)


def says(entry: Mapping[str, Any], plain: Any) -> bool:
    """Whether a typed value converts to exactly this plain JSON."""
    try:
        return same_plain(to_plain(entry, "", {}), plain)
    except (UnfitError, TypeError, AttributeError):
        return False


def same_plain(one: Any, other: Any) -> bool:
    """Whether two plain JSON values are equal as jsonb sees them: numbers by value, true is not 1."""
    match one:
        case bool() | None | str():
            return type(one) is type(other) and one == other
        case int() | Decimal():
            return isinstance(other, int | Decimal) and not isinstance(other, bool) and one == other
        case list():
            return (
                isinstance(other, list)
                and len(one) == len(other)
                and all(same_plain(a, b) for a, b in zip(one, other, strict=True))
            )
        case dict():
            return (
                isinstance(other, dict)
                and one.keys() == other.keys()
                and all(same_plain(member, other[key]) for key, member in one.items())
            )
        case _:
            return False
