"""Text with placeholders: ``case|{docket_number}``. It is matched against key text, and rendered from columns.

A placeholder stands for one or more characters and takes as few of them as the rest of the pattern allows, the last
one all that are left. What the placeholders took, put back, always gives the text again.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
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
            ValueError: Two placeholders touch (nothing would tell them apart), or a brace stands alone.
        """
        parts = tuple(_placeholder.split(text))
        if any(brace in literal for literal in parts[::2] for brace in "{}"):
            message = "a placeholder is a column's name in braces, as in {docket_number}"
            raise ValueError(message)
        if any(not literal for literal in parts[2:-1:2]):
            message = "two placeholders touch: put text between them"
            raise ValueError(message)
        return cls(text, parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The placeholders' names, in order; one may repeat."""
        return self.parts[1::2]

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        seen: set[str] = set()
        pieces = []
        for place, part in enumerate(self.parts):
            if place % 2 == 0:
                pieces.append(re.escape(part))
            elif part in seen:
                pieces.append(f"(?P={part})")
            else:
                seen.add(part)
                pieces.append(f"(?P<{part}>.+?)")
        return re.compile("".join(pieces), re.DOTALL)

    def match(self, text: str) -> dict[str, str] | None:
        """What each placeholder takes of `text`; None where the text is not of this pattern."""
        match = self._regex.fullmatch(text)
        return match.groupdict() if match else None

    def render(self, texts: Mapping[str, str]) -> str:
        """The text with every placeholder filled in."""
        return "".join(texts[part] if place % 2 else part for place, part in enumerate(self.parts))


@dataclass(frozen=True)
class Glob:
    """Text with ``*`` for any characters, none included: what `not_yet` and `leave_out` take."""

    text: str

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(".*".join(map(re.escape, self.text.split("*"))), re.DOTALL)

    def matches(self, text: str) -> bool:
        """Whether the whole text is of this form."""
        return self._regex.fullmatch(text) is not None


_some: Final = None
"""In a list of symbols: one or more characters of any kind."""


def _symbols(pattern: Pattern | Glob) -> list[str | None]:
    if isinstance(pattern, Glob):
        # A star may be empty; treating it as one or more would miss overlaps, so callers try without it as well.
        literals = pattern.text.split("*")
        return [symbol for place, part in enumerate(literals) for symbol in ([_some] if place else []) + list(part)]
    return [
        symbol for place, part in enumerate(pattern.parts) for symbol in ([_some] if place % 2 else list(part))
    ]  # fmt: skip


def common_text(one: Pattern | Glob, other: Pattern | Glob) -> str | None:
    """A shortest text that both could match, placeholders taken as any text; None where there is none."""
    for first in _without_stars(one):
        for second in _without_stars(other):
            found = _meet(first, second)
            if found is not None:
                return found
    return None


def _without_stars(pattern: Pattern | Glob) -> list[list[str | None]]:
    symbols = _symbols(pattern)
    if isinstance(pattern, Pattern):
        return [symbols]
    stars = [place for place, symbol in enumerate(symbols) if symbol is _some]
    variants = []
    for chosen in range(1 << len(stars)):
        dropped = {place for bit, place in enumerate(stars) if chosen >> bit & 1}
        variants.append([symbol for place, symbol in enumerate(symbols) if place not in dropped])
    return variants


def _meet(one: list[str | None], other: list[str | None]) -> str | None:
    """Breadth first over pairs of places; a place that stands for some characters may be stayed at or left."""
    start = (0, 0)
    found: dict[tuple[int, int], str] = {start: ""}
    queue = deque([start])
    while queue:
        place = queue.popleft()
        i, j = place
        text = found[place]
        if i == len(one) and j == len(other):
            return text
        if i == len(one) or j == len(other):
            continue
        a, b = one[i], other[j]
        if a is not _some and b is not _some and a != b:
            continue
        symbol = a or b or "x"
        steps = {(i + 1, j + 1)}
        if a is _some:
            steps.add((i, j + 1))
        if b is _some:
            steps.add((i + 1, j))
        for step in steps:
            if step not in found:
                found[step] = text + symbol
                queue.append(step)
    return None
