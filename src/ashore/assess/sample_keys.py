"""Keys that a proposed pattern would match, made from the pattern alone: no item's own value is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from ashore.assess.proposal import ColumnKind, KeyPattern
from ashore.mapping.match import KeyTexts
from ashore.mapping.pattern import Pattern, common_text
from ashore.mapping.plan import Plan

_placeholder: Final = re.compile(r"\{(?P<name>\w+)(?::(?P<form>\w+)|=(?P<choices>[^{}]*))?\}")
_texts: Final[dict[str, str]] = {
    "uuid": "5ca1ab1e-0000-4000-8000-000000000000",
    "smallint": "7",
    "integer": "7",
    "bigint": "7",
    "numeric": "7",
    "digits": "007",
    "date": "2001-02-03",
    "timestamp": "2001-02-03T04:05:06.789Z",
    "timestamptz": "2001-02-03T04:05:06.789Z",
    "ulid": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "bytea": "AAEC",
}
"""A text of each form that a placeholder, and of each type that its column, may have. All others may hold anything."""


def sample_keys(key: KeyPattern, kinds: Mapping[str, ColumnKind]) -> Iterator[KeyTexts]:
    """One key of the pattern, or one for each choice where a placeholder has choices.

    A placeholder without a form gets a text of its column's type, and where that is text too, one that no literal
    of any pattern holds.
    """
    found = list(_placeholder.finditer(key.partition + (key.sort or "")))
    choices = {one["name"]: one["choices"].split(",") for one in found if one["choices"] is not None}
    for place in range(max([1, *map(len, choices.values())])):
        texts = {
            one["name"]: _texts.get(one["form"] or kinds.get(one["name"], "text")) or f"\ue000{one['name']}\ue001"
            for one in found
        }
        texts |= {name: some[place % len(some)] for name, some in choices.items()}
        yield _render(key.partition, texts), None if key.sort is None else _render(key.sort, texts)


def overlaps(plan: Plan, key: KeyPattern) -> list[str]:
    """The declared entities that take some keys of the pattern, as far as its literal text goes."""
    partition, sort = (_plain(one) for one in (key.partition, key.sort))
    found = []
    for name, entity in plan.entities.items():
        for form in entity.generations:
            in_partition = partition is not None and common_text(form.partition, partition) is not None
            in_sort = form.sort is None or sort is None or common_text(form.sort, sort) is not None
            if in_partition and in_sort and name not in found:
                found.append(name)
    return found


def _render(template: str, texts: Mapping[str, str]) -> str:
    return _placeholder.sub(lambda one: texts[one["name"]], template)


def _plain(template: str | None) -> Pattern | None:
    """The pattern without the forms of its placeholders."""
    return None if template is None else Pattern.parse(_placeholder.sub(r"{\g<name>}", template))
