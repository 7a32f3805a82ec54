"""Which attributes are the table's key, where nothing says so: an export does not name it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar, Final

from ashore.errors import AshoreError
from ashore.mapping.reasons import UnfitError
from ashore.mapping.wire import read_item
from ashore.model.attribute import kind
from ashore.model.item import Item

_usual: Final = (("pk", "sk"), ("partitionkey", "sortkey"), ("hashkey", "rangekey"), ("hash", "range"))
_of_an_index: Final = re.compile(r"(?i)(?:gsi|lsi|idx|index)[_-]?[0-9a-z]*(?:[_-]?(?:pk|sk|hash|range|key))?").fullmatch
_most_candidates: Final = 8


@dataclass(eq=False, kw_only=True)
class KeyUnknown(AshoreError):
    """The key of a table could not be told from its items."""

    attributes: tuple[str, ...]

    code: ClassVar[str] = "ASH721"
    exit_code: ClassVar[int] = 2

    def what(self) -> str:
        shown = ", ".join(repr(name) for name in self.attributes[:_most_candidates]) or "none"
        return f"an export does not say what the table's key is, and its items leave it open (candidates: {shown})"

    def hint(self) -> str:
        return "name the key: --key pk --key sk; or --key deviceId --key readAt:N where a key attribute is a number"


def key_of(raw: Iterable[bytes]) -> tuple[tuple[str, str], ...]:
    """The key attributes with their types, from a sample of raw items.

    They are in every item, of one type of text, number or binary, and no two items share their values. Attributes that
    go by one of the usual names come first; otherwise exactly one attribute, or one pair, must be left.

    Raises:
        KeyUnknown: None fits, or several do.
    """
    items = list(_read(raw))
    candidates = _candidates(items)
    by_name = {re.sub("[^a-z]", "", name.casefold()): name for name in candidates}
    for first, second in _usual:
        if first in by_name and second in by_name:
            pair = (by_name[first], by_name[second])
            if _is_key(items, pair):
                return tuple((name, candidates[name]) for name in pair)
    single = [name for name in candidates if _is_key(items, (name,))]
    if len(single) == 1 and len(items) > 1:
        return ((single[0], candidates[single[0]]),)
    if not single:
        pairs = {frozenset(pair): pair for pair in permutations(candidates, 2) if _is_key(items, pair)}
        if len(pairs) == 1:
            (pair,) = pairs.values()
            fewer_first = sorted(pair, key=lambda name: (_distinct(items, name), name))
            return tuple((name, candidates[name]) for name in fewer_first)
    raise KeyUnknown(attributes=tuple(single or candidates))


def index_like(names: Iterable[str]) -> frozenset[str]:
    """The names that secondary indexes' key attributes usually have, such as gsi1pk: a guess."""
    return frozenset(name for name in names if _of_an_index(name))


def _read(raw: Iterable[bytes]) -> Iterable[Item]:
    for one in raw:
        try:
            yield read_item(one)
        except UnfitError:
            continue


def _candidates(items: Sequence[Item]) -> dict[str, str]:
    if not items:
        return {}
    found = {name: kind(value) for name, value in items[0].items() if kind(value) in {"S", "N", "B"}}
    for item in items:
        found = {name: of for name, of in found.items() if kind(item.get(name, {})) == of}
    return dict(sorted(found.items()))


def _is_key(items: Sequence[Item], names: Sequence[str]) -> bool:
    keys = {tuple(str(item[name]) for name in names) for item in items}
    return len(keys) == len(items)


def _distinct(items: Sequence[Item], name: str) -> int:
    return len({str(item[name]) for item in items})
