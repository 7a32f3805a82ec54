"""Escaping for Markdown as GitHub reads it. Source: https://github.github.com/gfm/."""

from __future__ import annotations

import re
from typing import Final

_BAR: Final = r"\|"
_MARKS: Final = re.compile(r"([\\`*_{}\[\]<>|~&$#!@])")
_AT_THE_START: Final = re.compile(r"^((?:\d+(?=[.)](?:\s|$)))?)([-+=.)])")


def plain_text(text: str) -> str:
    """Words of a sentence or a cell: nothing in them is markup, and no address becomes a link."""
    return _MARKS.sub(r"\\\1", text).replace("://", ":\\//").replace("www.", "www\\.")


def first_words(text: str) -> str:
    """Text that was escaped and begins a line: it begins no list, rule or code."""
    return _AT_THE_START.sub(r"\1\\\2", text.lstrip(" "))


def code_text(text: str, *, in_table: bool) -> str:
    """A name between backticks; what backticks cannot hold in the place is written as references in ``<code>``."""
    hard = "`" in text or text != text.strip() or not text or (in_table and "\\" in text)
    if hard:
        return f"<code>{_references(text)}</code>"
    return f"`{text.replace('|', _BAR) if in_table else text}`"


def _references(text: str) -> str:
    return "".join(one if one.isalnum() or one == " " else f"&#{ord(one)};" for one in text)
