"""What the key columns of all kinds are called: a part of a key that is another kind's key is called as it is there."""

from __future__ import annotations

from collections.abc import Sequence

from ashore.assess.composite import hits
from ashore.assess.key_tuples import Field, Fields
from ashore.assess.keys import KeyColumns, key_columns, roots_of
from ashore.assess.kinds import Kind


def columns_of_keys(kinds: Sequence[Kind], key_types: tuple[str, ...]) -> list[KeyColumns]:
    """The key columns of each kind. Kinds whose keys have fewer values are named first."""
    roots = roots_of(kinds, key_types)
    named: list[tuple[Kind, KeyColumns]] = []
    for kind in sorted(kinds, key=lambda one: len(one.main.distinct_placeholders)):
        named.append((kind, key_columns(kind, key_types, roots, _inherited(kind, named))))
    by_kind = {id(kind): columns for kind, columns in named}
    return [by_kind[id(kind)] for kind in kinds]


def _inherited(kind: Kind, named: Sequence[tuple[Kind, KeyColumns]]) -> dict[str, str]:
    """For placeholders that together are another kind's key of several values, the names of its columns."""
    names: dict[str, str] = {}
    parts = [
        fields
        for fields in kind.main.census.tuples
        if all(one.in_key for one in fields) and len(fields) < len(kind.main.distinct_placeholders)
    ]
    for fields in sorted(parts, key=lambda one: (-len(one), one)):
        found = [
            (share, parent.items, -place, columns)
            for place, (parent, columns) in enumerate(named)
            if not parent.main.only_keys and (share := _share(kind, fields, parent))
        ]
        if found:
            *_, columns = max(found, key=lambda one: one[:3])
            for field, name in zip(fields, columns.names, strict=True):
                names.setdefault(field.name, name)
    return names


def _share(kind: Kind, fields: Fields, parent: Kind) -> float:
    """The share of the tuples that are keys of the other kind; 0 where they say nothing of it."""
    own = tuple(Field(name, in_key=True) for name in parent.main.distinct_placeholders)
    theirs = parent.main.census.tuples.get(own)
    if theirs is None or len(own) != len(fields):
        return 0.0
    found = hits(kind.main.census.tuples[fields], theirs)
    return 0.0 if found is None else found[1] / found[0]
