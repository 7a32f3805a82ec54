"""Key texts taken apart: separators, texts of a known form, and words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from ashore.assess.forms import Form, form_of

_moment: Final = re.compile(
    r"(?<![0-9A-Za-z])[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,6})?)?"
    r"(?:Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?(?![0-9A-Za-z])"
)
_separator: Final = re.compile(r"[|#/:~;]+")
_tail: Final = re.compile(
    r"(?P<head>[^0-9]*[A-Za-z][^0-9]*[-_.])"
    r"(?P<tail>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]+)"
).fullmatch
_uuid_tail: Final = re.compile(
    r"(?P<head>.*[A-Za-z].*[-_.])(?P<tail>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
).fullmatch

typed: Final[frozenset[Form]] = frozenset({"uuid", "ulid", "integer", "digits", "date", "timestamp", "local"})
"""The forms that a placeholder may have in a pattern."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a key text.

    `separator`: its text. `typed`: a segment of a form. `word`: a segment of no form, its text. `tail`: a segment that
    is a word, a hyphen or the like, and a text of a form: ``counter-2019``; `text` is all before the latter.
    """

    kind: Literal["separator", "typed", "word", "tail"]
    text: str = ""
    form: Form = "text"


@lru_cache(maxsize=65_536)
def tokens_of(text: str) -> tuple[tuple[Token, ...], tuple[str, ...]]:
    """The tokens of a key text, and the text of each segment (every token that is no separator)."""
    tokens: list[Token] = []
    segments: list[str] = []
    at = 0
    for start, end in [*(found.span() for found in _moment.finditer(text)), (len(text), len(text))]:
        _split(text[at:start], tokens, segments)
        if end > start:
            form = form_of(text[start:end])
            tokens.append(Token("typed", form=form) if form in typed else Token("word", text[start:end]))
            segments.append(text[start:end])
        at = end
    return _joined(tuple(tokens), tuple(segments), text)


def _split(text: str, tokens: list[Token], segments: list[str]) -> None:
    at = 0
    for found in [*_separator.finditer(text), None]:
        end = len(text) if found is None else found.start()
        if end > at:
            tokens.append(_segment(text[at:end]))
            segments.append(text[at:end])
        if found is not None:
            tokens.append(Token("separator", found.group()))
            at = found.end()


def _joined(
    tokens: tuple[Token, ...], segments: tuple[str, ...], text: str
) -> tuple[tuple[Token, ...], tuple[str, ...]]:
    """Two segments that touch (a moment behind a word and a hyphen) are one tail if they can be, else a word."""
    for place in range(len(tokens) - 1):
        one, other = tokens[place], tokens[place + 1]
        if one.kind == "separator" or other.kind == "separator":
            continue
        if len(tokens) == 2 and one.kind == "word" and other.kind == "typed" and one.text[-1] in "-_.":
            return (Token("tail", one.text, other.form),), ("".join(segments),)
        return (Token("word", text),), (text,)
    return tokens, segments


def _segment(text: str) -> Token:
    form = form_of(text)
    if form in typed:
        return Token("typed", form=form)
    found = _tail(text) or _uuid_tail(text)
    if found is not None:
        tail = form_of(found.group("tail"))
        if tail in typed:
            return Token("tail", found.group("head"), tail)
    return Token("word", text)
