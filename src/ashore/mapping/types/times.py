"""date, timestamp and timestamptz from ISO 8601 text, and timestamptz from epoch numbers.

The canonical spelling of a timestamp is JavaScript's ``toISOString``: ``2020-06-05T18:02:25.280Z``, with six
digits where milliseconds are not enough. Other spellings of the same moment (an offset, no fraction, a bare date,
which is midnight UTC as in JavaScript) fill the column too, and the residue keeps how they were spelled.
Source: https://tc39.es/ecma262/#sec-date-time-string-format
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from ashore.mapping import document
from ashore.mapping.reasons import UnfitError
from ashore.mapping.types.base import ColumnType, content, unfit
from ashore.model.attribute import TypedValue

_date: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_moment: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:[.,]([0-9]+))?(Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
).fullmatch
_epoch: Final = datetime(1970, 1, 1, tzinfo=UTC)
_most_fraction_digits: Final = 6


def _parse_date(text: str) -> date:
    if _date(text) is None:
        raise unfit("not_a_date")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise unfit("not_a_date") from None


def _fast_date(text: str) -> str | None:
    try:
        return text if _date(text) is not None and date.fromisoformat(text) else None
    except ValueError:
        return None


def _parse_moment(text: str, *, aware: bool) -> datetime:
    if aware and _date(text) is not None:
        parsed = _parse_date(text)
        return datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC)
    match = _moment(text)
    if match is None:
        raise unfit("not_a_timestamp")
    day, minute, second, fraction, offset = match.groups()
    if aware is (offset is None):
        raise unfit("not_a_timestamp", "has no offset from UTC" if aware else "has an offset from UTC")
    if fraction is not None and len(fraction.rstrip("0")) > _most_fraction_digits:
        raise unfit("too_precise", "more than six digits of a second")
    spelled = f"{day}T{minute}{second or ':00'}.{(fraction or '0')[:6]:0<6}{(offset or '').upper()}"
    try:
        moment = datetime.fromisoformat(spelled)
        return moment.astimezone(UTC) if aware else moment
    except (ValueError, OverflowError):
        raise unfit("not_a_timestamp") from None


def _spell(moment: datetime) -> str:
    places = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=places)


def _render_aware(moment: datetime) -> str:
    return _spell(moment.astimezone(UTC)) + "Z"


def _is_canonical(text: str) -> bool:
    # Positions 4, 7, 10, 13, 16 and 19 hold the punctuation; datetime.fromisoformat then checks the digits.
    if text[4:20:3] != "--T::." or text[11:13] == "24":
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _fast_aware(text: str) -> str | None:
    return text if len(text) == 24 and text[23] == "Z" and _is_canonical(text) else None  # noqa: PLR2004 (…T…​.280Z)


def _fast_naive(text: str) -> str | None:
    return text if len(text) == 23 and text[22].isdigit() and _is_canonical(text) else None  # noqa: PLR2004 (no Z)


date_: Final = ColumnType(
    name="date",
    wire="S",
    to_column=lambda value: _parse_date(content(value, "S")),
    to_attribute=lambda value: {"S": value.isoformat()},
    copy=date.isoformat,
    fast=_fast_date,
    parse=_parse_date,
    render=date.isoformat,
)

timestamptz: Final = ColumnType(
    name="timestamptz",
    wire="S",
    to_column=lambda value: _parse_moment(content(value, "S"), aware=True),
    to_attribute=lambda value: {"S": _render_aware(value)},
    copy=datetime.isoformat,
    fast=_fast_aware,
    parse=lambda text: _parse_moment(text, aware=True),
    render=_render_aware,
)

timestamp: Final = ColumnType(
    name="timestamp",
    wire="S",
    to_column=lambda value: _parse_moment(content(value, "S"), aware=False),
    to_attribute=lambda value: {"S": _spell(value)},
    copy=datetime.isoformat,
    fast=_fast_naive,
    parse=lambda text: _parse_moment(text, aware=False),
    render=_spell,
)


def epoch(unit: str) -> ColumnType:
    """timestamptz from a number of seconds ("s", what a DynamoDB TTL is) or milliseconds ("ms") since 1970."""
    microseconds = {"s": 1_000_000, "ms": 1_000}[unit]

    def to_column(value: TypedValue) -> datetime:
        exact = Decimal(document.number(content(value, "N")))
        if abs(exact) > 10**15:
            raise unfit("out_of_range")
        count = exact * microseconds
        if count != count.to_integral_value():
            raise unfit("too_precise", "more than six digits of a second")
        try:
            return _epoch + timedelta(microseconds=int(count))
        except OverflowError:
            raise unfit("out_of_range") from None

    def to_attribute(value: datetime) -> TypedValue:
        count = (value - _epoch) // timedelta(microseconds=1)
        return {"N": document.number_text(Decimal(count).scaleb(-6 if unit == "s" else -3))}

    def fast(text: str) -> str | None:
        if not (text.isdigit() and text.isascii() and len(text) <= 13):
            return None
        try:
            return to_column({"N": text}).isoformat()
        except UnfitError:
            return None

    return ColumnType(
        name=f"timestamptz, epoch {unit}", wire="N", to_column=to_column, to_attribute=to_attribute,
        copy=datetime.isoformat, fast=fast,
    )  # fmt: skip
