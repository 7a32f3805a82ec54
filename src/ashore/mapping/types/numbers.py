"""smallint, integer, bigint, numeric and boolean. No float anywhere: a number keeps all its 38 digits."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from ashore.mapping import document
from ashore.mapping.types.base import EXACT, ColumnType, content, unfit
from ashore.model.attribute import TypedValue

_whole_number: Final = re.compile(r"-?[1-9][0-9]{0,18}|0").fullmatch
_plain_number: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?").fullmatch


def _number_of(value: TypedValue) -> int | Decimal:
    return document.number(content(value, "N"))


def _as_number(value: int | Decimal) -> TypedValue:
    return {"N": document.number_text(value)}


def integer(name: str, bits: int) -> ColumnType:
    """A whole number of so many bits, sign included."""
    least, greatest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    short = len(str(greatest)) - 1

    def checked(value: int | Decimal) -> int:
        # Compared before it is made an int: 1E125 as an int has 126 digits, and nothing to gain from them.
        if not least <= value <= greatest:
            raise unfit("out_of_range")
        if value != int(value):
            raise unfit("too_precise")
        return int(value)

    def fast(text: str) -> str | None:
        if text.isdigit() and len(text) <= short and text.isascii():
            return text
        if _plain_number(text) is None or "." in text or not least <= int(text) <= greatest:
            return None
        return text

    return ColumnType(
        name=name,
        wire="N",
        to_column=lambda value: checked(_number_of(value)),
        to_attribute=_as_number,
        copy=str,
        fast=fast,
        parse=lambda text: checked(document.number(text)),
        render=str,
    )


def in_text(whole: ColumnType) -> ColumnType | str:
    """A column of whole numbers, an `integer` one, whose attribute is text without leading zeros; else why not."""
    if whole.name not in {"smallint", "integer", "bigint"}:
        return "a number in text needs a smallint, integer or bigint column"

    def to_column(value: TypedValue) -> int:
        text = content(value, "S")
        if _whole_number(text) is None:
            raise unfit("not_a_number")
        number: int = whole.to_column({"N": text})
        return number

    def fast(text: str) -> str | None:
        return None if _whole_number(text) is None or whole.fast is None else whole.fast(text)

    return ColumnType(
        name=f"{whole.name} in text",
        wire="S",
        to_column=to_column,
        to_attribute=lambda value: {"S": str(value)},
        copy=str,
        fast=fast,
        render=str,
    )


def numeric(precision: int | None, scale: int | None) -> ColumnType:
    """A decimal number, unbounded or of `precision` digits in all, `scale` of them after the point."""
    places = 0 if scale is None else scale
    whole = None if precision is None else precision - places

    def checked(value: int | Decimal) -> Decimal:
        exact = Decimal(value)
        if whole is None:
            return exact
        _, digits, exponent = exact.normalize(EXACT).as_tuple()
        if not any(digits):
            return exact
        if not isinstance(exponent, int) or -exponent > places:
            raise unfit("too_precise", f"the column keeps {places} digits after the point")
        if len(digits) + exponent > whole:
            raise unfit("out_of_range", f"the column keeps {whole} digits before the point")
        return exact

    def fast(text: str) -> str | None:
        if _plain_number(text) is None:
            return None
        if whole is not None:
            before, _, after = text.lstrip("-").partition(".")
            if len(before) > whole or len(after) > places:
                return None
        return text

    return ColumnType(
        name="numeric" if precision is None else f"numeric({precision}, {places})",
        wire="N",
        to_column=lambda value: checked(_number_of(value)),
        to_attribute=_as_number,
        copy=str,
        fast=fast,
        digits=None if whole is None else (whole, places),
        parse=lambda text: checked(document.number(text)),
        render=document.number_text,
    )


def _fast_boolean(value: bool) -> str:  # noqa: FBT001 (it is the value)
    return "t" if value else "f"


boolean: Final = ColumnType(
    name="boolean",
    wire="BOOL",
    to_column=lambda value: content(value, "BOOL"),
    to_attribute=lambda value: {"BOOL": value},
    copy=_fast_boolean,
    fast=_fast_boolean,
)
