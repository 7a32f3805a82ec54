"""What a text is written as: a uuid, a whole number, a date, a moment, or just text."""

from __future__ import annotations

import re
from datetime import date
from typing import Final, Literal

Form = Literal["uuid", "ulid", "integer", "digits", "decimal", "date", "timestamp", "local", "text"]
"""Forms as in `ashore.mapping.forms`, which a key's placeholder may be held to, and two more for attributes: `decimal`,
and `text` for all else. Here a date is a day of the calendar."""

_uuid: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_ulid: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}").fullmatch
_integer: Final = re.compile(r"-?[1-9][0-9]{0,17}|0").fullmatch
_digits: Final = re.compile(r"[0-9]+").fullmatch
_decimal: Final = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+").fullmatch
_moment: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,6})?)?"
    r"(Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
).fullmatch
_date: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch


def form_of(text: str) -> Form:
    """The narrowest form that the text has. PostgreSQL's type of the same name holds every text of a form."""
    if not text or not text.isascii():
        return "text"
    first = text[0]
    if len(text) == 36 and _uuid(text):
        return "uuid"
    if first.isdigit() or first == "-":
        return _form_of_figures(text)
    return "text"


def _form_of_figures(text: str) -> Form:
    if _integer(text):
        return "integer"
    if _digits(text):
        return "digits"
    if len(text) == 10 and _date(text):
        return "date" if _is_day(text) else "text"
    if len(text) == 26 and _ulid(text):
        return "ulid"
    if _decimal(text):
        return "decimal"
    found = _moment(text)
    if found is None or not _is_day(found.group(1)) or not ("00" <= text[11:13] <= "23" and text[14:16] < "60"):
        return "text"
    if len(text) > 16 and text[16] == ":" and text[17:19] >= "60":
        return "text"
    return "local" if found.group(2) is None else "timestamp"


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
