"""Items by the million: prepared ones, with the parts that make each item one of its own filled in."""

from __future__ import annotations

from typing import Final

NUMBER: Final = b"@NUMBER@"
"""Stands for a docket number in a prepared item."""
ITEM: Final = b"@ITEM@"
"""Stands for the item's own id."""

_scatter: Final = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Odd, so that multiplying by it modulo 2^128 never gives one id twice, and scatters neighbours as random ids are."""
_mask: Final = (1 << 128) - 1


def item_id(number: int) -> bytes:
    """The UUID with this number, in DynamoDB's usual spelling; different numbers give different ones."""
    digits = b"%032x" % (((number + 1) * _scatter) & _mask)
    return b"%b-%b-%b-%b-%b" % (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
