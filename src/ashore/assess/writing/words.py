"""Counts, sizes and lists of names in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_UNITS: Final = ("bytes", "KB", "MB", "GB", "TB", "PB")


def counted(number: int, noun: str) -> str:
    """``1 item``, ``1,200 items``; nouns that take an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """Bytes in a unit that is easy to read: ``999 bytes``, ``1.5 KB``, in steps of 1,000."""
    amount, unit = float(number), 0
    while amount >= 999.95 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1_000, unit + 1
    return f"{number:,} bytes" if not unit else f"{amount:.1f} {_UNITS[unit]}"


def share(part: float) -> str:
    """A share in percent that never says 0 % or 100 % of what is neither."""
    percent = part * 100
    if 0 < percent < 0.01:
        return "less than 0.01 %"
    if 99.99 < percent < 100:
        return "more than 99.99 %"
    return f"{percent:.2f}".rstrip("0").rstrip(".") + " %"


def joined(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
