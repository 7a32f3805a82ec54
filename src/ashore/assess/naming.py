"""Names: of tables after the fixed words of keys, of columns after attributes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from ashore.assess.kinds import Kind
from ashore.assess.proposal import Convention
from ashore.mapping.names import camel_case, pascal_case, same_name

LONGEST: Final = 48
"""PostgreSQL keeps 63 bytes of a name; indexes and constraints need some to add theirs.

Source: https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
"""

conventions: Final[Mapping[Convention, Callable[[str], str]]] = {
    "camel_case": camel_case,
    "pascal_case": pascal_case,
    "same_name": same_name,
}
_humps: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_taken: Final = frozenset({"extra", "residue"})


def snake_case(text: str) -> str:
    """A name in small letters, digits and underscores that begins with a letter; ``"x"`` where nothing is left."""
    name = re.sub(r"[^a-z0-9]+", "_", _humps.sub("_", text).casefold()).strip("_")[:LONGEST].rstrip("_")
    if not name:
        return "x"
    return name if name[0].isalpha() else f"n{name}"


def unique_name(wanted: str, taken: Collection[str]) -> str:
    """The name, or with a number behind it where it is taken."""
    if wanted not in taken and wanted not in _taken:
        return wanted
    number = 2
    while f"{wanted}_{number}" in taken:
        number += 1
    return f"{wanted}_{number}"


def convention_of(attributes: Iterable[str]) -> Convention:
    """The convention that fits most attributes' names; the plainest where they fit alike."""
    fits: dict[Convention, int] = dict.fromkeys(conventions, 0)
    for attribute in attributes:
        column = snake_case(attribute)
        for name, spell in conventions.items():
            fits[name] += spell(column) == attribute
    order: tuple[Convention, ...] = ("same_name", "camel_case", "pascal_case")
    return max(order, key=lambda name: fits[name])


def table_names(kinds: list[Kind], table: str) -> list[str]:
    """A name for each kind, no two the same."""
    words = [_words(kind) for kind in kinds]
    short = [_short(both) for both in words]
    winners: dict[str, Kind] = {}
    for kind, brief in zip(kinds, short, strict=True):
        winners[brief] = max(winners.get(brief, kind), kind, key=_claim)
    names: list[str] = []
    for kind, (first, second), brief in zip(kinds, words, short, strict=True):
        alone = "_".join(first)
        both = "_".join(dict.fromkeys([*first, *second]))
        wanted = brief or snake_case(table)
        if first and second and first != second and winners[brief] is not kind:
            says_both = brief in alone or not any(part.form for part in kind.main.shape.partition)
            wanted = alone if says_both and alone not in short else both
        names.append(unique_name(snake_case(wanted), names))
    return names


def _claim(kind: Kind) -> tuple[bool, bool, int]:
    """How good a kind's claim to a name is: a key that is one value, more than keys, more items."""
    return len(kind.main.distinct_placeholders) == 1, not kind.main.only_keys, kind.items


def singular(word: str) -> str:
    """``parties`` → ``party``, ``items`` → ``item``; other words as they are."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _words(kind: Kind) -> tuple[list[str], list[str]]:
    shape = kind.main.shape
    first = [snake_case(part.text) for part in shape.partition if part.form is None and _is_word(part.text)]
    second = [snake_case(part.text) for part in shape.sort or () if part.form is None and _is_word(part.text)]
    return first, second


def _is_word(text: str) -> bool:
    return any(letter.isalpha() for letter in text)


def _short(words: tuple[list[str], list[str]]) -> str:
    first, second = words
    if second and second != first and not (first and len(second) == 1 and second[0] in _vague):
        return second[-1]
    return "_".join(first)


def is_root(kind: Kind) -> bool:
    """Whether the items are the things that their keys name: a key that is one value, and nothing said of a part."""
    first, second = _words(kind)
    is_one = len(kind.main.distinct_placeholders) == 1 and not kind.main.only_keys
    return is_one and (not second or second == first or (len(second) == 1 and second[0] in _vague))


_vague: Final = frozenset(
    {"meta", "metadata", "profile", "info", "details", "detail", "data", "main", "root", "self", "a"}
)
"""Words of sort keys that say "the thing itself"."""
