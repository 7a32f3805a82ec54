"""Text that nobody vouches for, made fit to be read: no character of it hides, turns or breaks what is around it."""

from __future__ import annotations

import unicodedata
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shown(text: str) -> str:
    r"""The text with what cannot be seen, such as controls and marks of direction, as ``\n`` or ``<U+202E>``."""
    if text and not text.strip(" "):
        return "<U+0020>" * len(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def shortened(text: str, most: int) -> str:
    """At most that many characters, the last of them ``…`` where some are left out."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _visible(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if unicodedata.category(character) in _HIDDEN:
        return f"<U+{ord(character):04X}>"
    return character
