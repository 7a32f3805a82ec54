"""Items: attribute name → typed value, as they stand in an export, a Scan answer or a stream record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ashore.model.attribute import ABSENT, TypedValue, same

Item = Mapping[str, TypedValue]


def same_item(one: Item, other: Item) -> bool:
    """Whether two items hold the same attributes with the same values."""
    return one == other or not differing_attributes(one, other)


def differing_attributes(expected: Item, actual: Item) -> list[str]:
    """The names of the attributes that differ or that only one item has, sorted."""
    names = sorted(expected.keys() | actual.keys())
    return [name for name in names if not same(expected.get(name, ABSENT), actual.get(name, ABSENT))]


def mask(text: Any) -> str:
    """A stand-in for a value that must not be shown: equal values give equal stand-ins, within one project."""
    digest = hashlib.blake2b(str(text).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"‹{digest}›"
