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
from ashore.mapping.types.base import EXACT, ColumnType, content, unfit
from ashore.model.attribute import TypedValue

_date: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_moment: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:[.,]([0-9]+))?"
    r"(Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
).fullmatch
_epoch: Final = datetime(1970, 1, 1, tzinfo=UTC)
_most_fraction_digits: Final = 6
_from_iso: Final = datetime.fromisoformat


def _parse_date(text: str) -> date:
    if _date(text) is None:
        raise unfit("not_a_date")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise unfit("not_a_date") from None


def _fast_date(text: str) -> str | None:
    if _date(text) is None:
        return None
    try:
        date.fromisoformat(text)
    except ValueError:
        return None
    return text


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


def _fast_aware(text: str) -> str | None:
    # 2020-06-05T18:02:25.280Z: the punctuation here, the digits and their ranges by fromisoformat.
    if len(text) != 24 or text[4:20:3] != "--T::." or text[23] != "Z" or text[11:13] == "24":
        return None
    try:
        _from_iso(text)
    except ValueError:
        return None
    return text


def _fast_naive(text: str) -> str | None:
    # As `_fast_aware`, but fromisoformat would take "+05" in place of the fraction.
    if len(text) != 23 or text[4:20:3] != "--T::." or not text[20:].isdigit() or text[11:13] == "24":
        return None
    try:
        _from_iso(text)
    except ValueError:
        return None
    return text


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
    """Timestamptz from a number of seconds ("s", what a DynamoDB TTL is) or milliseconds ("ms") since 1970."""
    microseconds = {"s": 1_000_000, "ms": 1_000}[unit]

    def to_column(value: TypedValue) -> datetime:
        exact = Decimal(document.number(content(value, "N")))
        if not -(10**15) < exact < 10**15:
            raise unfit("out_of_range")
        count = EXACT.multiply(exact, microseconds)
        if count != int(count):
            raise unfit("too_precise", "more than six digits of a second")
        try:
            return _epoch + timedelta(microseconds=int(count))
        except OverflowError:
            raise unfit("out_of_range") from None

    def to_attribute(value: datetime) -> TypedValue:
        count = (value - _epoch) // timedelta(microseconds=1)
        return {"N": document.number_text(Decimal(count).scaleb(-6 if unit == "s" else -3))}

    def fast(text: str) -> str | None:
        if len(text) > 13 or not text.isdigit() or not text.isascii():
            return None
        try:
            return to_column({"N": text}).isoformat()
        except UnfitError:
            return None

    return ColumnType(
        name=f"timestamptz, epoch {unit}",
        wire="N",
        to_column=to_column,
        to_attribute=to_attribute,
        copy=datetime.isoformat,
        fast=fast,
    )
