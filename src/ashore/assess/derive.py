"""Attributes that need no column: the same in every item, or told by columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ashore.assess.keys import KeyColumns
from ashore.assess.kinds import Group, Kind
from ashore.assess.profiles import SURE_FROM
from ashore.assess.proposal import Column, Derived
from ashore.assess.tokens import Token, tokens_of
from ashore.model.item import Item

HOLDS: Final = 0.95
"""The share of the items that were looked at for which a template has to be right."""


def constants_of(kinds: Sequence[Kind], index_attributes: frozenset[str]) -> list[dict[str, Any]]:
    """For each kind, the attributes that name the kind: one text in every item, another one in other kinds.

    A column that happens to hold one value so far is none of these.
    """
    single = [_single(kind) for kind in kinds]
    values: dict[str, Counter[str]] = {}
    for one in single:
        for name, value in one.items():
            values.setdefault(name, Counter())[value] += 1
    carried = Counter(name for kind in kinds for name in kind.census.attributes)
    found: list[dict[str, Any]] = []
    for kind, one in zip(kinds, single, strict=True):
        names = {
            name: value
            for name, value in one.items()
            if name in index_attributes
            or (len(values[name]) >= 2 and values[name].total() >= 0.5 * carried[name])
            or _like(value, kind)
        }
        found.append(names)
    return found


def _single(kind: Kind) -> dict[str, str]:
    census = kind.census
    return {
        name: next(iter(one.values))
        for name, one in census.attributes.items()
        if name not in kind.main.keys.names
        and census.items >= SURE_FROM
        and one.values is not None
        and len(one.values) == 1
        and set(one.kinds) == {"S"}
        and one.present >= 0.99 * census.items
        and not one.nul
    }


def _like(value: str, kind: Kind) -> bool:
    first, second = kind.main.shape.words
    word = "".join(letter for letter in value.casefold() if letter.isalnum())
    return bool(word) and word in {*first, *second}


def derived_of(
    kind: Kind, keys: KeyColumns, columns: Sequence[Column], free: Sequence[str], index_attributes: frozenset[str]
) -> list[Derived]:
    """Which of the `free` attributes a template of columns gives, by the items that were kept of each generation.

    Key columns may tell any attribute; other columns only those of secondary indexes, or such as have text around the
    value: two columns that are equal so far may be so by chance.
    """
    rows = [(item, _column_texts(group, keys, columns, item)) for group in kind.generations for item in group.exemplars]
    found = [
        Derived(attribute=name, template=f"{{{column}}}", maybe=False, holds=1.0)
        for name, column in keys.same_as.items()
    ]
    for name in free:
        if name in keys.same_as:
            continue
        one = kind.census.attributes[name]
        if set(one.kinds) != {"S"} or one.nul:
            continue
        others = [
            (item, {column: text for column, text in texts.items() if column not in _fills(columns, name)})
            for item, texts in rows
        ]
        derived = _derived(name, others, one.present / kind.census.items, set(keys.names))
        if derived is None:
            continue
        by_key = _placeholders(derived.template) <= set(keys.names)
        bare = derived.template.startswith("{") and derived.template.endswith("}") and derived.template.count("{") == 1
        if by_key or name in index_attributes or not bare:
            found.append(derived)
    told = {one.attribute for one in found}
    by_told = {column.name for column in columns if column.path is not None and column.path[0] in told}
    return [one for one in found if not _placeholders(one.template) & by_told]


def _fills(columns: Sequence[Column], attribute: str) -> set[str]:
    return {column.name for column in columns if column.path == (attribute,)}


def _column_texts(group: Group, keys: KeyColumns, columns: Sequence[Column], item: Item) -> dict[str, str]:
    texts = {keys.of[id(group)][name]: text for name, text in group.placeholder_texts(item).items()}
    for column in columns:
        if (
            column.path is not None
            and len(column.path) == 1
            and column.kind in {"text", "uuid", "date", "number_in_text"}
        ):
            text = item.get(column.path[0], {}).get("S")
            if text:
                texts[column.name] = text
    return texts


def _derived(
    name: str, rows: Sequence[tuple[Item, Mapping[str, str]]], present: float, keys: set[str]
) -> Derived | None:
    """The best template among those that the items suggest."""
    votes: Counter[str] = Counter()
    for item, texts in rows:
        text = item.get(name, {}).get("S")
        if text:
            votes.update(_templates(text, texts))
    with_attribute = sum(name in item for item, _ in rows)
    if with_attribute < 2:
        return None
    for template, right in sorted(
        votes.items(), key=lambda one: (-one[1], not _only(one[0], keys), len(one[0]), one[0])
    ):
        if right < HOLDS * with_attribute:
            return None
        placeholders = _placeholders(template)
        if present >= HOLDS and placeholders <= keys:
            return Derived(attribute=name, template=template, maybe=False, holds=right / with_attribute)
        told = sum(placeholders <= texts.keys() for _, texts in rows)
        if not placeholders <= keys and right >= HOLDS * told:
            return Derived(attribute=name, template=template, maybe=True, holds=right / with_attribute)
    return None


def _only(template: str, keys: set[str]) -> bool:
    return _placeholders(template) <= keys


def _placeholders(template: str) -> set[str]:
    return {piece.partition("}")[0] for piece in template.split("{")[1:]}


def _templates(text: str, texts: Mapping[str, str]) -> set[str]:
    """Templates that give the text: with each column whose text one of its segments is, one column a segment."""
    if "{" in text or "}" in text:
        return set()
    whole = {f"{{{column}}}" for column, value in texts.items() if value == text}
    if whole:
        return whole
    tokens, segments = tokens_of(text)
    found = [""]
    told = False
    left = list(segments)
    for token in tokens:
        if token.kind == "separator":
            found = [one + token.text for one in found]
            continue
        segment = left.pop(0)
        columns = _columns_of(segment, token, texts)
        if not columns:
            found = [one + segment for one in found]
            if token.kind == "typed":
                return set()
        else:
            told = True
            found = [one + column for one in found for column in columns][:64]
    return set(found) if told else set()


def _columns_of(segment: str, token: Token, texts: Mapping[str, str]) -> list[str]:
    columns = [f"{{{column}}}" for column, value in texts.items() if value == segment]
    if not columns and token.kind == "tail":
        tail = segment[len(token.text) :]
        columns = [f"{token.text}{{{column}}}" for column, value in texts.items() if value == tail]
    return sorted(columns)
