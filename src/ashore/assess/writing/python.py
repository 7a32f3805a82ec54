"""Python's literals, names and comments, made of hostile text, and spelled as `ruff format` spells them."""

from __future__ import annotations

import builtins
import keyword
import re
import textwrap
from collections.abc import Collection
from typing import Final

import sqlalchemy as sa

WIDTH: Final = 120
"""The longest line in columns, as `ruff format --line-length` takes it."""

_NAME_CHARACTERS: Final = 40
_column: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*").fullmatch
_taken_in_columns: Final = frozenset(dir(sa.ColumnCollection)) | frozenset(dir(sa.Table("t", sa.MetaData()).c))


def text(value: str) -> str:
    """The literal of a text: in double quotes unless single ones save a backslash; nothing unprintable in it."""
    quote = "'" if value.count('"') > value.count("'") else '"'
    return quote + "".join(_character(one, quote) for one in value) + quote


def _character(one: str, quote: str) -> str:
    if one in {quote, "\\"}:
        return "\\" + one
    return one if one.isprintable() else repr(one)[1:-1]


def columns(line: str) -> int:
    """The most columns that a line takes on a screen: a character outside ASCII may take two."""
    return sum(1 if one.isascii() else 2 for one in line)


def column_of(table: str, name: str) -> str:
    """The expression of a table's column, by attribute where that is possible."""
    if _column(name) and not keyword.iskeyword(name) and name not in _taken_in_columns:
        return f"{table}.c.{name}"
    return f"{table}.c[{text(name)}]"


def printable(words: str) -> str:
    """Words in one line, with what cannot be printed escaped."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in words)


def comment(words: str, *, indent: int = 0) -> list[str]:
    """A comment's lines, without their indentation; none where there is nothing to say."""
    room = max(40, WIDTH - indent - 2)
    # Measured in characters, and a wide one takes two columns: comments may then be longer than the others.
    lines = textwrap.wrap(printable(words), room, break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in lines]


class Names:
    """Hands out names of variables: none twice, none that Python or the module needs."""

    def __init__(self, reserved: Collection[str]) -> None:
        self._used = {*reserved, *dir(builtins), *keyword.kwlist}

    def take(self, wanted: str, *, otherwise: str) -> str:
        """A new name like `wanted`. Where that is taken, with `otherwise` behind it, then with a number."""
        plain = re.sub(r"[^a-z0-9_]+", "_", wanted.lower()).strip("_")[:_NAME_CHARACTERS].rstrip("_")
        if not plain or not plain[0].isalpha():
            plain = f"{otherwise}_{plain}".rstrip("_")
        name = plain if plain not in self._used else f"{plain}_{otherwise}"
        number = 2
        while name in self._used:
            name = f"{plain}_{otherwise}_{number}"
            number += 1
        self._used.add(name)
        return name
