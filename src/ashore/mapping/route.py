"""A guess, from nothing but an item's key, at which entity it is of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ashore.mapping.match import AsCopy, AsRow, key_texts, may_take_markers
from ashore.mapping.pattern import Pattern
from ashore.mapping.plan import Generation, Plan, key_attributes
from ashore.mapping.wire import read_item
from ashore.model.marker import PREFIX


def peek(plan: Plan) -> Callable[[bytes], Any]:
    """A decoder of raw items that reads the key alone: ``.p`` and, where the source has a sort key, ``.q``."""
    keys = key_attributes(plan)
    fields: list[Any] = [
        (name, msgspec.defstruct("Key", [("text", str)], rename={"text": key.type}, gc=False))
        for name, key in zip("pq", keys, strict=False)
    ]
    rename = dict(zip("pq", (key.name for key in keys), strict=False))
    try:
        return msgspec.json.Decoder(msgspec.defstruct("Keys", fields, rename=rename, gc=False)).decode
    except ValueError:
        return _peek_odd_names(plan)


@dataclass(slots=True)
class _Key:
    text: str


@dataclass(slots=True)
class _Keys:
    p: _Key
    q: _Key


def _peek_odd_names(plan: Plan) -> Callable[[bytes], _Keys]:
    """As `peek`, for a key attribute with a quote, a backslash or a control character in its name."""

    def read(raw: bytes) -> _Keys:
        partition, sort = key_texts(plan, read_item(raw))
        return _Keys(_Key(partition), _Key(sort or ""))

    return read


def router(plan: Plan, matches: Sequence[AsRow | AsCopy]) -> Callable[[Any], int]:
    """A function from a peeked key to the place of the match that its literal text speaks for; -1 for none.

    It is a guess that the fast path checks: what does not match there takes the general path. Patterns that
    the tests judge whole are asked first, since the others' ends may fit them as well.
    """
    lines = ["def route(key):", "    p = key.p.text", *(["    q = key.q.text"] if plan.sort_key else [])]
    namespace: dict[str, Any] = {}
    forms = [(place, form_of(match)) for place, match in enumerate(matches)]
    if any(may_take_markers(form) for _, form in forms):
        lines += [f"    if p[:{len(PREFIX)}] == {PREFIX!r}:", "        return -1"]
    for place, form in sorted(forms, key=lambda one: _guesses(one[1])):
        tests = [test for name, pattern in (("p", form.partition), ("q", form.sort)) for test in _tests(name, pattern)]
        for name, pattern in (("p", form.partition), ("q", form.sort)):
            if pattern is not None and pattern.held:
                namespace[f"match_{name}{place}"] = pattern.match
                tests.append(f"match_{name}{place}({name}) is not None")
        lines += [f"    if {' and '.join(tests) or 'True'}:", f"        return {place}"]
    lines.append("    return -1")
    exec(compile("\n".join(lines), "<ashore router>", "exec"), namespace)  # noqa: S102 (texts are quoted by repr)
    route: Callable[[Any], int] = namespace["route"]
    return route


def form_of(match: AsRow | AsCopy) -> Generation:
    """The form of the keys that were matched."""
    copies = match.entity.copies
    generations = match.entity.generations if isinstance(match, AsRow) or copies is None else copies.generations
    return generations[match.generation]


def _guesses(form: Generation) -> int:
    """How many of the patterns are judged by their ends alone."""
    patterns = [pattern for pattern in (form.partition, form.sort) if pattern is not None]
    return sum(bool(pattern.columns) and not pattern.held for pattern in patterns)


def _tests(name: str, pattern: Pattern | None) -> list[str]:
    if pattern is None:
        return []
    before, after = pattern.parts[0], pattern.parts[-1]
    if not pattern.columns:
        return [f"{name} == {before!r}"]
    tests = [f"{name}[:{len(before)}] == {before!r}"] if before else []
    return tests + ([f"{name}[-{len(after)}:] == {after!r}"] if after else [])
