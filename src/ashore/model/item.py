"""Items: attribute name → typed value, as they stand in an export, a Scan answer or a stream record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any, Final

from ashore.model.attribute import ABSENT, TypedValue, canonical, same

Item = Mapping[str, TypedValue]
_exactly: Final = Context(prec=64)
"""DynamoDB's numbers have 38 digits at most.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""


def same_item(one: Item, other: Item) -> bool:
    """Whether two items hold the same attributes with the same values."""
    return one == other or not differing_attributes(one, other)


def differing_attributes(expected: Item, actual: Item) -> list[str]:
    """The names of the attributes that differ or that only one item has, sorted."""
    names = sorted(expected.keys() | actual.keys())
    return [name for name in names if not same(expected.get(name, ABSENT), actual.get(name, ABSENT))]


def item_digest(item: Item) -> bytes:
    """16 bytes that are equal for two items exactly when `same_item` says so, up to collisions."""
    members = sorted((name, _stable(canonical(value))) for name, value in item.items() if value)
    return hashlib.blake2b(repr(members).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _stable(found: Any) -> Any:
    """A canonical form without sets, whose order differs from process to process, and with one spelling a number."""
    match found:
        case frozenset():
            return ["set", *sorted((_stable(member) for member in found), key=repr)]
        case tuple():
            return [_stable(member) for member in found]
        case Decimal():
            sign, digits, exponent = found.normalize(_exactly).as_tuple()
            return ["number", 0 if digits == (0,) else sign, digits, 0 if digits == (0,) else exponent]
        case _:
            return found


def mask(text: Any) -> str:
    """A stand-in for a value that must not be shown: equal values give equal stand-ins, within one project."""
    digest = hashlib.blake2b(str(text).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"‹{digest}›"
