"""Where two answers differ: names of fields, never values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any, Final, NamedTuple

_DEEPEST: Final = 4
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class Difference(NamedTuple):
    """A field, such as ``parties[].name``, and how it differs; the field is empty where the answers do as a whole.

    A key that is not spelled like a name is shown as ``*``: it may be data, such as a user's id.
    """

    field: str
    kind: str


def differences(expected: Any, actual: Any) -> set[Difference]:
    """Where the answer of PostgreSQL (`actual`) differs from that of DynamoDB (`expected`).

    Numbers are compared by value, whatever their types; a float counts as its shortest decimal. Lists are compared in
    order, sets without, mappings and objects field by field. A field that is missing is not one that is None.
    Kinds: `value`, `type`, `missing` (only DynamoDB has it), `extra` (only PostgreSQL has it), `length`.
    """
    return set(_found(expected, actual, "", 0))


def _found(expected: Any, actual: Any, where: str, depth: int) -> Iterator[Difference]:
    if expected is actual:
        return
    wanted, got = _fields(expected), _fields(actual)
    if wanted is not None and got is not None:
        for key in wanted.keys() | got.keys():
            name = _joined(where, key) if depth < _DEEPEST else where
            if key not in got:
                yield Difference(name, "missing")
            elif key not in wanted:
                yield Difference(name, "extra")
            else:
                yield from _found(wanted[key], got[key], name, depth + 1)
    elif _is_list(expected) and _is_list(actual):
        if len(expected) != len(actual):
            yield Difference(f"{where}[]", "length")
            return
        for one, other in zip(expected, actual, strict=True):
            yield from _found(one, other, f"{where}[]", depth)
    elif _plain(expected) != _plain(actual):
        yield Difference(where, "value" if _kind(expected) is _kind(actual) else "type")


def _fields(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    has_no_equality = getattr(type(value), "__eq__", None) is object.__eq__
    return dict(vars(value)) if has_no_equality and hasattr(value, "__dict__") else None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """What is compared, with its kind, so that True is not 1."""
    if _is_number(value):
        number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
        return ("number", "NaN" if number.is_nan() else number)
    if isinstance(value, AbstractSet):
        return ("set", frozenset(map(_plain, value)))
    if isinstance(value, bytes | bytearray | memoryview):
        return ("bytes", bytes(value))
    return (_kind(value), value)


def _kind(value: Any) -> object:
    if _is_number(value):
        return "number"
    if isinstance(value, AbstractSet):
        return "set"
    return "bytes" if isinstance(value, bytes | bytearray | memoryview) else type(value)


def _joined(where: str, key: Any) -> str:
    name = key if isinstance(key, str) and _NAME.fullmatch(key) else "*"
    return f"{where}.{name}" if where else name
