"""Text with placeholders: ``case|{docket_number}``. It is matched against key text, and rendered from columns.

A placeholder stands for one or more characters and takes as few of them as the rest of the pattern allows, the last
one all that are left. What the placeholders took, put back, always gives the text again.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_placeholder: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Pattern:
    """A parsed pattern. `parts` alternates literal text (even places, may be empty) and column names (odd places)."""

    text: str
    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Parse the text of a pattern.

        Raises:
            ValueError: Two placeholders touch (nothing would tell them apart), a brace stands alone, or a placeholder
                repeats among more than two (matching that can take longer than a key is worth).
        """
        parts = tuple(_placeholder.split(text))
        columns = parts[1::2]
        if any(brace in literal for literal in parts[::2] for brace in "{}"):
            message = "a placeholder is a column's name in braces, as in {docket_number}"
            raise ValueError(message)
        if any(not literal for literal in parts[2:-1:2]):
            message = "two placeholders touch: put text between them"
            raise ValueError(message)
        if len(set(columns)) < len(columns) > 2:
            message = "a placeholder that repeats can only stand beside itself, as in {docket_number}|{docket_number}"
            raise ValueError(message)
        return cls(text, parts)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The placeholders' names, in order; one may repeat."""
        return self.parts[1::2]

    @cached_property
    def _literals(self) -> tuple[str, ...]:
        return self.parts[::2]

    def match(self, text: str) -> dict[str, str] | None:
        """What each placeholder takes of `text`; None where the text is not of this pattern."""
        if not text.startswith(self.parts[0]):
            return None
        if len(self.columns) == 2 and self.columns[0] == self.columns[1]:
            return self._match_twice(text)
        taken = _between(self._literals, text, least=1)
        return None if taken is None else dict(zip(self.columns, taken, strict=True))

    def _match_twice(self, text: str) -> dict[str, str] | None:
        before, name, middle, _, after = self.parts
        length, odd = divmod(len(text) - len(before) - len(middle) - len(after), 2)
        value = text[len(before) : len(before) + length]
        return {name: value} if length > 0 and not odd and self.render({name: value}) == text else None

    def render(self, texts: Mapping[str, str]) -> str:
        """The text with every placeholder filled in."""
        return "".join(texts[part] if place % 2 else part for place, part in enumerate(self.parts))


def _between(literals: Sequence[str], text: str, *, least: int) -> list[str] | None:
    """What stands between the literals in `text`, each at least so long and as short as can be, the last one the rest.

    Taking each literal where it first occurs leaves most to those behind it, so nothing has to be tried twice: a
    hostile key costs no more than any other of its length.
    """
    first, *middle = literals
    if not middle:
        return [] if text == first else None
    last = middle.pop()
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last):
        return None
    taken = []
    start = len(first)
    for literal in middle:
        found = text.find(literal, start + least, end)
        if found < 0:
            return None
        taken.append(text[start:found])
        start = found + len(literal)
    if end - start < least:
        return None
    return [*taken, text[start:end]]


@dataclass(frozen=True)
class Glob:
    """Text with ``*`` for any characters, none included: what `not_yet` and `leave_out` take."""

    text: str

    @cached_property
    def _literals(self) -> tuple[str, ...]:
        return tuple(self.text.split("*"))

    def matches(self, text: str) -> bool:
        """Whether the whole text is of this form."""
        return _between(self._literals, text, least=0) is not None


Symbol = str | None
"""One character; `_ANY` for any number of any characters; `_ONE` for one of any kind."""

_ANY: Final = None
_ONE: Final = ""


def _symbols(pattern: Pattern | Glob) -> list[Symbol]:
    wild: list[Symbol] = [_ANY] if isinstance(pattern, Glob) else [_ONE, _ANY]
    literals = pattern.text.split("*") if isinstance(pattern, Glob) else pattern.parts[::2]
    return [symbol for place, part in enumerate(literals) for symbol in ([*wild, *part] if place else part)]


def common_text(one: Pattern | Glob, other: Pattern | Glob) -> str | None:
    """A shortest text that both could match, each placeholder taken as any text; None where there is none.

    Breadth first over pairs of places in the two patterns.
    """
    first, second = _symbols(one), _symbols(other)
    found: dict[tuple[int, int], str] = {}
    queue = deque(_reached(first, second, (0, 0), "", found))
    while queue:
        i, j = queue.popleft()
        text = found[i, j]
        if i == len(first) and j == len(second):
            return text
        if i == len(first) or j == len(second):
            continue
        a, b = first[i], second[j]
        if a and b and a != b:
            continue
        after = (i if a is _ANY else i + 1, j if b is _ANY else j + 1)
        queue += _reached(first, second, after, text + (a or b or "x"), found)
    return None


def _reached(
    first: list[Symbol], second: list[Symbol], place: tuple[int, int], text: str, found: dict[tuple[int, int], str]
) -> list[tuple[int, int]]:
    """The pairs of places not found before that `text` leads to: the one given, and those behind `_ANY` there."""
    reached = []
    places = [place]
    while places:
        i, j = places.pop()
        if (i, j) in found:
            continue
        found[i, j] = text
        reached.append((i, j))
        places += [(i + 1, j)] if i < len(first) and first[i] is _ANY else []
        places += [(i, j + 1)] if j < len(second) and second[j] is _ANY else []
    return reached
