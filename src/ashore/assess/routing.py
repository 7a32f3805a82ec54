"""Which group an item is of, by its key texts: one regular expression for all shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from ashore.assess.shapes import Part, Parts, Shape
from ashore.mapping.forms import forms

Route = Callable[[str, str | None], tuple[int, tuple[str, ...]] | None]

_end: Final = "\x00"
"""Between the two texts; a key with this character in it is of no shape."""


def placeholder_names(shape: Shape) -> tuple[str, ...]:
    """What the census calls the placeholders: p0, p1 … of the partition key, s0 … of the sort key."""
    names: list[str] = []
    for letter, parts in (("p", shape.partition), ("s", shape.sort or ())):
        names += [f"{letter}{place}" for place in range(sum(part.form is not None for part in parts))]
    return tuple(names)


def router(shapes: Sequence[Shape]) -> Route:
    """A function from key texts to the place of their shape and what its placeholders take; None for no shape.

    The most particular shape comes first: more fixed text before less, a form before any text.
    """
    order = sorted(range(len(shapes)), key=lambda place: _particularity(shapes[place]), reverse=True)
    alternatives: list[str] = []
    groups: list[tuple[int, int, int]] = []
    first = 1
    for place in order:
        shape = shapes[place]
        count = shape.placeholders
        text = _expression(shape.partition) + ("" if shape.sort is None else _end + _expression(shape.sort))
        alternatives.append(f"{text}()")
        groups.append((place, first, first + count))
        first += count + 1
    matched = re.compile("|".join(alternatives), re.DOTALL).fullmatch
    by_last = {last: (place, start - 1, last - 1) for place, start, last in groups}

    def route(partition: str, sort: str | None) -> tuple[int, tuple[str, ...]] | None:
        found = matched(partition if sort is None else partition + _end + sort)
        if found is None or found.lastindex is None:
            return None
        place, start, end = by_last[found.lastindex]
        return place, found.groups()[start:end]

    return route


def _expression(parts: Parts) -> str:
    written = []
    for place, part in enumerate(parts):
        if part.form is None:
            written.append(re.escape(part.text))
        elif part.form in forms:
            written.append(f"({forms[part.form].expression})")
        else:
            after = parts[place + 1].text[0] if place + 1 < len(parts) and parts[place + 1].form is None else ""
            written.append(f"([^{re.escape(_end + after)}]+)")
    return "".join(written)


def _particularity(shape: Shape) -> tuple[int, int]:
    parts = shape.partition + (shape.sort or ())
    return sum(len(part.text) for part in parts), sum(_is_narrow(part) for part in parts)


def _is_narrow(part: Part) -> bool:
    return part.form is not None and part.form in forms
