"""What a PostgreSQL type means to a DynamoDB attribute: one `ColumnType` for each supported type."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Inexact, InvalidOperation, Rounded
from typing import Any, Final

from ashore.mapping.reasons import Reason, UnfitError
from ashore.model.attribute import TypedValue, kind

COPY_NULL: Final = r"\N"

EXACT: Final = Context(prec=500, Emin=-9_999, Emax=9_999, traps=[Inexact, Rounded, InvalidOperation])
"""Arithmetic with more digits than any number that is read has: nothing is ever rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    r"""The conversions between one PostgreSQL type and the DynamoDB values that it can hold.

    Values in between are what psycopg gives for the type: str, int, Decimal, bool, bytes, date, datetime (aware, UTC),
    UUID, list, and plain JSON for jsonb. None of the functions is ever given NULL.

    Attributes:
        name: The PostgreSQL type, as messages and the documentation call it.
        wire: The DynamoDB type that it naturally is; `to_attribute` gives values of this type.
        to_column: Typed value → column value. Raises `UnfitError`.
        to_attribute: Column value → typed value in the canonical spelling.
        copy: Column value → escaped COPY text.
        fast: Content of a `wire` value → COPY text that needs no escape, or None where the value is not in the
            canonical spelling or does not fit; `to_column` then decides. None for types without such a function:
            the text of the value is its COPY text as it stands, once escaped (`text`), or needs `to_plain` (`jsonb`).
        longest: The greatest length in characters, for types without `fast`.
        labels: What an enum's values are.
        digits: How many digits a number has at most before and after the point, where that is bounded.
        parse: Key text → column value, for types that a key pattern may hold. Raises `UnfitError`.
        render: Column value → key text; the only spelling that `parse` should meet.
        same: Whether two column values are one to PostgreSQL.
    """

    name: str
    wire: str
    to_column: Callable[[TypedValue], Any]
    to_attribute: Callable[[Any], TypedValue]
    copy: Callable[[Any], str]
    fast: Callable[[Any], str | None] | None = None
    longest: int | None = None
    labels: tuple[str, ...] = ()
    digits: tuple[int, int] | None = None
    parse: Callable[[str], Any] | None = None
    render: Callable[[Any], str] | None = None
    same: Callable[[Any, Any], bool] = operator.eq


def content(value: TypedValue, wire: str) -> Any:
    """The content of a typed value that has to be of the type `wire`.

    Raises:
        UnfitError: `wrong_type`.
    """
    if wire not in value:
        raise UnfitError("wrong_type", detail=f"is {kind(value)}, the column takes {wire}")
    return value[wire]


def unfit(reason: Reason, detail: str = "") -> UnfitError:
    """An `UnfitError` that is not yet blamed on an attribute."""
    return UnfitError(reason, detail=detail)


def escape(text: str) -> str:
    r"""Text as PostgreSQL's COPY text format wants it.

    Source: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
    """
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if not text.isprintable():
        text = text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return text
