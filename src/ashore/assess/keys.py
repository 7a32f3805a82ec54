"""Keys as columns: what the placeholders are called, and the patterns that `Source.key` takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from ashore.assess.kinds import Group, Kind
from ashore.assess.naming import snake_case, unique_name
from ashore.assess.routing import placeholder_names
from ashore.assess.shapes import Parts

MOSTLY: Final = 0.95
"""The share of the items in which an attribute repeats a key; the residue keeps the others' own value."""

_written: Final = frozenset({"uuid", "ulid", "integer", "digits", "date", "timestamp", "local"})
_says_nothing: Final = frozenset(
    {"pk", "sk", "p_k", "s_k", "hash", "range", "hash_key", "range_key", "partition_key", "sort_key", "key"}
)
_suffix: Final = {"date": "date", "timestamp": "at", "local": "at"}


@dataclass
class KeyColumns:
    """The key columns of a kind, in order, and for each generation the column of each placeholder.

    `same_as` names attributes that repeat a key column in nearly every item, with that column.
    """

    names: list[str] = field(default_factory=list)
    of: dict[int, dict[str, str]] = field(default_factory=dict)
    same_as: dict[str, str] = field(default_factory=dict)

    def placeholder(self, group: Group, column: str) -> str:
        """The group's placeholder that fills a column."""
        return next(name for name, of in self.of[id(group)].items() if of == column)


def key_columns(
    kind: Kind,
    key_types: tuple[str, ...],
    roots: Mapping[str, str],
    inherited: Mapping[str, str] = MappingProxyType({}),
) -> KeyColumns:
    """Name a kind's key columns: after an attribute that repeats them, or the word before them.

    `roots` has, for words that an entity's whole key stands behind, what its key column is called; `inherited`, for
    placeholders that are part of another kind's key, what they are called there.
    """
    columns = KeyColumns()
    main = kind.main
    labels = _labels(main, inherited)
    for placeholder in main.distinct_placeholders:
        attribute = _repeating(main, placeholder, columns.same_as)
        label = labels[placeholder]
        if roots.get(label, "") not in {"", *columns.names}:
            wanted = roots[label]
        elif attribute is not None:
            wanted = snake_case(attribute)
        elif inherited.get(placeholder, "") not in {"", *columns.names}:
            wanted = inherited[placeholder]
        else:
            form = main.form_of(placeholder)
            ending = _suffix.get(form, "id" if key_types[placeholder[0] == "s"] == "S" or label else "key")
            wanted = f"{label}_{ending}" if label else _unlabelled(placeholder, ending, main.keys.names)
        name = unique_name(wanted, columns.names)
        columns.names.append(name)
        if attribute is not None:
            columns.same_as[attribute] = name
    for group in kind.generations:
        in_order = dict(zip(group.distinct_placeholders, columns.names, strict=True))
        columns.of[id(group)] = {name: in_order[group.repeated(name)] for name in placeholder_names(group.shape)}
    return columns


def _unlabelled(placeholder: str, ending: str, attributes: Sequence[str]) -> str:
    """After the key attribute, unless that only says that it is one."""
    name = snake_case(attributes[placeholder[0] == "s"])
    if name not in _says_nothing and placeholder[1:] == "0":
        return name
    return {"p": "partition", "s": "sort"}[placeholder[0]] + f"_{ending}"


def _labels(group: Group, inherited: Collection[str] = ()) -> dict[str, str]:
    """The word before each placeholder, in snake case; empty where there is none.

    A word before one that is inherited says what the next one is: ``document|{entry}|{document}``.
    """
    labels: dict[str, str] = {}
    for letter, parts in (("p", group.shape.partition), ("s", group.shape.sort or ())):
        place, word = 0, ""
        for part in parts:
            if part.form is None:
                word = snake_case(part.text) if any(letter_.isalpha() for letter_ in part.text) else word
            else:
                labels[f"{letter}{place}"] = word
                word = word if f"{letter}{place}" in inherited else ""
                place += 1
    return labels


def _repeating(group: Group, placeholder: str, taken: Mapping[str, str]) -> str | None:
    """The attribute, the shortest of several, that has the placeholder's text in all items that were looked at."""
    census = group.census
    found = [
        name
        for name, one in census.attributes.items()
        if name not in group.not_telling
        and name not in taken
        and one.present >= MOSTLY * census.items
        and set(one.kinds) == {"S"}
        and _share(group, name, placeholder) >= MOSTLY
    ]
    return min(found, key=lambda name: (len(name), name), default=None)


def _share(group: Group, attribute: str, placeholder: str) -> float:
    """In how many of the items that were kept the attribute is the placeholder's text."""
    pairs = [(item.get(attribute, {}).get("S"), group.placeholder_texts(item)[placeholder]) for item in group.exemplars]
    return sum(int(one == other) for one, other in pairs) / len(pairs)


def roots_of(kinds: Sequence[Kind], key_types: tuple[str, ...]) -> dict[str, str]:
    """For kinds whose key is one value: the word before it → the name of its column."""
    roots: dict[str, str] = {}
    for kind in kinds:
        if len(kind.main.distinct_placeholders) == 1 and not kind.main.only_keys:
            (placeholder,) = kind.main.distinct_placeholders
            label = _labels(kind.main)[placeholder]
            if label:
                roots.setdefault(label, key_columns(kind, key_types, {}).names[0])
    return roots


def pattern(parts: Parts, letter: str, columns: Mapping[str, str], *, forms: bool) -> str:
    """A key pattern; `forms` writes the forms of the placeholders into it."""
    written: list[str] = []
    place = 0
    for part in parts:
        if part.form is None:
            written.append(part.text)
            continue
        name = columns[f"{letter}{place}"]
        written.append(f"{{{name}:{part.form}}}" if forms and part.form in _written else f"{{{name}}}")
        place += 1
    return "".join(written)
