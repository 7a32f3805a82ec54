"""Columns that may refer to keys of one value: a sample tells of which ones, and of which keys, to hold every value."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ashore.assess.forms import form_of
from ashore.assess.key_tuples import Field, Sampled

MOSTLY: Final = 0.9
"""The share of a column's values that have to look like some of the keys."""

_most: Final = 64
_longest: Final = 200
_short: Final = 8
"""Digits of whole numbers that are as likely an amount as an id."""
_no_ids: Final = frozenset({"date", "timestamp", "local", "decimal"})
_run: Final = re.compile("[0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class _Target:
    """A key of one value, in the sample, and what its values look like."""

    field: Field
    values: frozenset[str]
    looks: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Reference:
    """A column of a shape that may refer to the keys of others; so many of its values are keys of one of them."""

    place: int
    column: Field
    hits: int
    parents: frozenset[int]


def wanted_values(sampled: Mapping[int, Sampled]) -> dict[int, set[Field]]:
    """For each shape, the fields of which every value is to be held: references, and the keys that they may refer to.

    A column may be a reference if one of its values is such a key in the sample, or nearly all look as the keys do: of
    a large table, a sample has few keys, and few of the references to them. What is such a key itself may be one only
    in the first case. Held are `_most` columns at most, those of which most values are keys first, and with each the
    attributes that are the same in the sample.
    """
    targets = {place: target for place, one in sampled.items() if (target := _target(one)) is not None}
    found = sorted(_references(sampled, targets), key=lambda one: (-one.hits, one.place, one.column))
    chosen: dict[int, set[Field]] = defaultdict(set)
    for one in found[:_most]:
        chosen[one.place].add(one.column)
        if one.place not in targets or targets[one.place].field != one.column:
            chosen[one.place].update(sampled[one.place].twins.get(one.column, ()))
        for parent in one.parents:
            chosen[parent].add(targets[parent].field)
    return chosen


def _references(sampled: Mapping[int, Sampled], targets: Mapping[int, _Target]) -> Iterator[_Reference]:
    holders: dict[str, list[int]] = defaultdict(list)
    for parent, target in targets.items():
        for text in target.values:
            holders[text].append(parent)
    for place, child in sampled.items():
        own = targets[place].field if place in targets else None
        for column in child.columns:
            values = child.values(column)
            hits = Counter(parent for text in values for parent in holders.get(text, ()))
            if column == own:
                del hits[place]
            parents = set(hits)
            if values and column != own:
                parents |= {parent for parent, target in targets.items() if _is_alike(column, values, target)}
            if parents:
                yield _Reference(place, column, max(hits[parent] for parent in parents), frozenset(parents))


def _target(one: Sampled) -> _Target | None:
    """The one value of a shape's key; or the last of several, where it is an id that no two of the items share."""
    if not one.key:
        return None
    field = one.key[-1]
    values = one.values(field)
    if len(one.key) > 1:
        is_id = {form_of(text) for text in values} in ({"uuid"}, {"ulid"})
        if not is_id or len(values) < max(2, len(one.columns[field])):
            return None
    return _Target(field, values, frozenset(look for text in values if (look := _look(text)) is not None))


def _is_alike(column: Field, values: frozenset[str], target: _Target) -> bool:
    if _look(min(values)) not in target.looks and _look(max(values)) not in target.looks:
        return False
    looks = Counter(map(_look, values))
    if not column.in_key and set(looks) == {"9"} and max(map(len, values)) <= _short:
        return False
    return sum(looks[look] for look in target.looks) >= MOSTLY * len(values)


def _look(text: str) -> str | None:
    """What an id looks like: its form, or its separators with letters, figures or both between; None for no id."""
    form = form_of(text)
    if form in {"uuid", "ulid"}:
        return form
    return None if form in _no_ids or len(text) > _longest else _run.sub(_kind, text)


def _kind(run: re.Match[str]) -> str:
    text = run.group()
    return "9" if text.isdigit() else "a" if text.isalpha() else "x"
