"""Tuples of values that may be keys of several columns: a sample tells which ones of each shape's items to count."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from ashore.assess.routing import placeholder_names, router
from ashore.assess.shapes import Seen, Shape
from ashore.assess.sketch import hash_of
from ashore.assess.table_key import Keys
from ashore.model.attribute import TypedValue
from ashore.model.item import Item

BETWEEN: Final = "\0"
"""Between the texts of a tuple. PostgreSQL's text cannot hold it, so that no column has a value with it."""

_longest: Final = 4_096
"""Characters of a text that are kept: more than any key has, so that what is cut is no key's text."""
_most_options: Final = 4
_most_of_a_pair: Final = 3
_most: Final = 64
_most_attributes: Final = 100
_most_items: Final = 2_000


@dataclass(frozen=True, slots=True, order=True)
class Field:
    """A placeholder of a key, as the census calls it, or an attribute that is text, a number or binary."""

    name: str
    in_key: bool


Fields = tuple[Field, ...]
_Rows = set[tuple[str | None, ...]]


def joined_texts(
    fields: Fields, items: Sequence[Item], placeholders: Mapping[str, Sequence[str]], *, has_nul: bool = True
) -> list[str]:
    """The tuples of some items of one shape, as one text each; those of items that lack a part are left out.

    Args:
        fields: What a tuple consists of.
        items: N items.
        placeholders: What each placeholder takes of the items, N texts each.
        has_nul: Whether U+0000 may be in the items; a column has no value for a text with it.
    """
    columns = [placeholders[one.name] if one.in_key else _texts(items, one.name) for one in fields]
    if all(one.in_key for one in fields):
        return list(map(BETWEEN.join, zip(*columns, strict=True)))
    found = [BETWEEN.join(row) for row in zip(*columns, strict=True) if None not in row]
    return [text for text in found if text.count(BETWEEN) < len(fields)] if has_nul else found


def _texts(items: Sequence[Item], attribute: str) -> list[str | None]:
    return [None if (value := item.get(attribute)) is None else _scalar(value) for item in items]


def _scalar(value: TypedValue) -> str | None:
    for kind in ("S", "N", "B"):
        content = value.get(kind)
        if type(content) is str:
            return content[:_longest]
    return None


@dataclass(frozen=True, slots=True)
class Sampled:
    """The items of one shape: their tuples' parts, and the fields of the whole key without those that repeat others.

    `twins` are, for some of the columns, attributes that hold the same in every item.
    """

    columns: Mapping[Field, Sequence[str | None]]
    key: Fields
    twins: Mapping[Field, Sequence[Field]]
    known: dict[Fields, _Rows] = field(default_factory=dict)

    def values(self, column: Field) -> frozenset[str]:
        """The distinct values of a column."""
        return frozenset(text for text in self.columns[column] if text is not None)

    def tuples(self, fields: Fields) -> _Rows:
        """The distinct tuples of some fields, without those that lack a part."""
        if fields not in self.known:
            self.known[fields] = self._tuples(fields)
        return self.known[fields]

    def _tuples(self, fields: Fields) -> _Rows:
        return {row for row in zip(*(self.columns[one] for one in fields), strict=True) if None not in row}


@dataclass(frozen=True, slots=True)
class Wanted:
    """By the place of a shape, tuples of its items: those to count, and of these the ones to hold every value of."""

    counted: Mapping[int, set[Fields]]
    held: Mapping[int, set[Fields]]


def wanted_tuples(sampled: Mapping[int, Sampled]) -> Wanted:
    """Which tuples of each shape's items to count, by what some of the items hold.

    Wanted are tuples of which one at least is a whole key of several values in the sample, for each pair of shapes the
    few likeliest, `_most` in all; and, where there are any, the tuples of all whole keys of several values. Every value
    is to be held of those that are keys at least half as often as the likeliest of their pair, and of these keys.
    """
    parents = {place: one for place, one in sampled.items() if len(one.key) > 1}
    found: list[tuple[int, int, Fields, int, bool]] = []
    if parents:
        holders = _holders(parents)
        whole = {place: one.tuples(one.key) for place, one in parents.items()}
        for place, child in sampled.items():
            options = _options(child, holders)
            for parent, held in whole.items():
                lists = [options[parent, number] for number in range(len(parents[parent].key))]
                hits = _hits(child, lists, held, own=child.key if parent == place else ())
                found += [(-number, place, fields, parent, 2 * number >= hits[0][0]) for number, fields in hits]
    wanted = Wanted(defaultdict(set), defaultdict(set))
    for _, place, fields, parent, is_likely in sorted(found)[:_most]:
        wanted.counted[place].add(fields)
        if is_likely:
            wanted.held[place].add(fields)
            wanted.held[parent].add(parents[parent].key)
    if found:
        for place, one in parents.items():
            wanted.counted[place].add(one.key)
    return wanted


def sampled_of(shapes: Sequence[Shape], seen: Iterable[Seen], keys: Keys) -> dict[int, Sampled]:
    """The items of each shape, by its place."""
    route = router(shapes)
    grouped: dict[int, list[tuple[Seen, tuple[str, ...]]]] = defaultdict(list)
    for one in seen:
        found = route(*one.key)
        if found is not None:
            grouped[found[0]].append((one, found[1]))
    return {
        place: _columns(placeholder_names(shapes[place]), _fewer(rows), keys.names)
        for place, rows in sorted(grouped.items())
    }


def _fewer(rows: list[tuple[Seen, tuple[str, ...]]]) -> list[tuple[Seen, tuple[str, ...]]]:
    """At most `_most_items`, whatever their order: those of whole partitions, the same ones in every shape."""
    if len(rows) <= _most_items:
        return rows
    return sorted(rows, key=lambda row: (hash_of(row[0].key[0]), row[0].key[0], row[0].key[1] or ""))[:_most_items]


def _columns(names: Sequence[str], rows: Sequence[tuple[Seen, tuple[str, ...]]], key: Sequence[str]) -> Sampled:
    items = [seen.item for seen, _ in rows]
    first: dict[tuple[str | None, ...], Field] = {}
    twins: dict[Field, list[Field]] = defaultdict(list)
    for name, texts in zip(names, zip(*(taken for _, taken in rows), strict=True), strict=True):
        first.setdefault(texts, Field(name, in_key=True))
    whole = tuple(first.values())
    attributes = Counter(name for item in items for name in item if name not in key)
    for name, _ in sorted(attributes.items(), key=lambda one: (-one[1], one[0]))[:_most_attributes]:
        values = tuple(_texts(items, name))
        if any(value is not None for value in values):
            column = Field(name, in_key=False)
            if first.setdefault(values, column) is not column:
                twins[first[values]].append(column)
    return Sampled({column: values for values, column in first.items()}, whole, twins)


def _holders(parents: Mapping[int, Sampled]) -> dict[str, list[tuple[int, int]]]:
    """Value → the shapes, each with the place in the key, where it is part of a key."""
    holders: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for parent, one in parents.items():
        for number, part in enumerate(one.key):
            for text in {text for text in one.columns[part] if text is not None}:
                holders[text].append((parent, number))
    return holders


def _options(child: Sampled, holders: Mapping[str, list[tuple[int, int]]]) -> dict[tuple[int, int], list[Field]]:
    """For each part of each key, the fields of which a value is such a part: those with the greatest share first."""
    shares: dict[tuple[int, int], list[tuple[float, bool, str]]] = defaultdict(list)
    for column, texts in child.columns.items():
        values = {text for text in texts if text is not None}
        found = Counter(part for text in values for part in holders.get(text, ()))
        for part, number in found.items():
            shares[part].append((-number / len(values), not column.in_key, column.name))
    options: dict[tuple[int, int], list[Field]] = defaultdict(list)
    for part, ranked in shares.items():
        options[part] = [Field(name, in_key=not is_other) for _, is_other, name in sorted(ranked)[:_most_options]]
    return options


def _hits(child: Sampled, options: Sequence[Sequence[Field]], held: _Rows, own: Fields) -> list[tuple[int, Fields]]:
    """How many tuples of which fields are held, the most first; of as many, those of the key come first."""
    ranked = []
    for fields in product(*options):
        if fields != own and len(set(fields)) == len(fields):
            number = len(child.tuples(fields) & held)
            if number:
                ranked.append((-number, sum(not one.in_key for one in fields), fields))
    return [(-number, fields) for number, _, fields in sorted(ranked)[:_most_of_a_pair]]
