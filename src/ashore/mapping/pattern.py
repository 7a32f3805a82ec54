"""Text with placeholders: ``case|{docket_number}``. It is matched against key text, and rendered from columns.

A placeholder stands for one or more characters and takes as few of them as the rest of the pattern allows, the last
one all that are left. It may be held to a form, ``{order_id:uuid}``, or to some texts, ``{name=limits,banner}``: then
it takes the longest text that lets the rest follow. What the placeholders took, put back, always gives the text again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ashore.mapping import automaton
from ashore.mapping.forms import forms

_placeholder: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(:[a-z]*|=[^{}]*)?\}")

_figures: Final = tuple("0123456789")


@dataclass(frozen=True)
class Pattern:
    """A parsed pattern.

    `parts` alternates literal text (even places, may be empty) and column names (odd places); `held` has, for each
    placeholder, what it is held to: ``":uuid"``, ``"=limits,banner"``, or nothing.
    """

    text: str
    parts: tuple[str, ...]
    held: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Parse the text of a pattern.

        Raises:
            ValueError: Two placeholders touch (nothing would tell them apart), a brace stands alone, there is no such
                form, a placeholder repeats among more than two, or several are free beside one that is held to a form
                (matching that can take longer than a key is worth).
        """
        pieces = _placeholder.split(text)
        parts = tuple(piece or "" for place, piece in enumerate(pieces) if place % 3 < 2)
        held = tuple(piece or "" for piece in pieces[2::3])
        columns = parts[1::2]
        if any(brace in text for text in parts[::2] for brace in "{}"):
            message = "a placeholder is a column's name in braces, as in {docket_number} or {order_id:uuid}"
            raise ValueError(message)
        if any(not text for text in parts[2:-1:2]):
            message = "two placeholders touch: put text between them"
            raise ValueError(message)
        if len(set(columns)) < len(columns) > 2:
            message = "a placeholder that repeats can only stand beside itself, as in {docket_number}|{docket_number}"
            raise ValueError(message)
        _check_held(parts, held)
        return cls(text, parts, held if any(held) else ())

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The placeholders' names, in order; one may repeat."""
        return self.parts[1::2]

    @cached_property
    def _literals(self) -> tuple[str, ...]:
        return self.parts[::2]

    @cached_property
    def expression(self) -> str:
        """The pattern as a regular expression, its groups what the placeholders take."""
        written = re.escape(self.parts[0])
        for held, after in zip(self.held or [""] * len(self.columns), self.parts[2::2], strict=True):
            written += f"({_expression_of(held)}){re.escape(after)}"
        return written

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The expression, to be asked by `fullmatch` where placeholders are held to forms and none repeats."""
        return re.compile(self.expression, re.DOTALL)

    def match(self, text: str) -> dict[str, str] | None:
        """What each placeholder takes of `text`; None where the text is not of this pattern."""
        if not text.startswith(self.parts[0]):
            return None
        if len(self.columns) == 2 and self.columns[0] == self.columns[1]:
            return self._match_twice(text)
        if self.held:
            found = self.compiled.fullmatch(text)
            return None if found is None else dict(zip(self.columns, found.groups(), strict=True))
        taken = _between(self._literals, text, least=1)
        return None if taken is None else dict(zip(self.columns, taken, strict=True))

    def _match_twice(self, text: str) -> dict[str, str] | None:
        before, name, middle, _, after = self.parts
        length, odd = divmod(len(text) - len(before) - len(middle) - len(after), 2)
        value = text[len(before) : len(before) + length]
        if length <= 0 or odd or self.render({name: value}) != text:
            return None
        fits = not self.held or re.fullmatch(_expression_of(self.held[0]), value)
        return {name: value} if fits else None

    def render(self, texts: Mapping[str, str]) -> str:
        """The text with every placeholder filled in."""
        return "".join(texts[part] if place % 2 else part for place, part in enumerate(self.parts))


def _check_held(parts: Sequence[str], held: Sequence[str]) -> None:
    for one in held:
        if one.startswith(":") and one[1:] not in forms:
            message = f"there is no form {one[1:]!r}: the forms are {', '.join(forms)}"
            raise ValueError(message)
        if one.startswith("=") and not all(one[1:].split(",")):
            message = "a placeholder's texts stand behind = with commas between them, as in {name=limits,banner}"
            raise ValueError(message)
    if any(held) and len({*parts[1::2]}) < len(held) and len(set(held)) > 1:
        message = "a placeholder that repeats is held to the same at both places"
        raise ValueError(message)
    if any(held) and sum(not one for one in held) > 1:
        message = "beside a placeholder with a form, at most one can be without: give the others forms too"
        raise ValueError(message)
    for place, literal in enumerate(parts[2:-1:2]):
        after, before = held[place] == ":digits", held[place + 1] == ":digits"
        if (after and literal.startswith(_figures)) or (before and literal.endswith(_figures)):
            message = "digits touch a figure of the text beside them: nothing would tell them apart"
            raise ValueError(message)


def _expression_of(held: str) -> str:
    match held[:1]:
        case ":":
            return forms[held[1:]].expression
        case "=":
            longest_first = sorted(held[1:].split(","), key=len, reverse=True)
            return "|".join(map(re.escape, longest_first))
        case _:
            return ".+?"


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
    def expression(self) -> str:
        """The same as a regular expression."""
        return ".*".join(map(re.escape, self._literals))

    @cached_property
    def _literals(self) -> tuple[str, ...]:
        return tuple(self.text.split("*"))

    def matches(self, text: str) -> bool:
        """Whether the whole text is of this form."""
        return _between(self._literals, text, least=0) is not None


def common_text(one: Pattern | Glob, other: Pattern | Glob) -> str | None:
    """A shortest text that both could match, a placeholder without a form taken as any text; None where there is none.

    Whether a placeholder that repeats takes the same text in both places is not asked.
    """
    return automaton.common_text(one.expression, other.expression)
