"""Forms of text that a placeholder of a key pattern may be held to, as in ``{order_id:uuid}``.

A form is a language of its own, whatever the column's type: keys are told apart by their text alone. Calendars are
not consulted: 2020-13-45 has the form of a date, and it is the column's type that does not take it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_day: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_time: Final = "[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,6})?)?"
_offset: Final = "(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)"


@dataclass(frozen=True, slots=True)
class Form:
    """A form: its regular expression, of what `automaton` reads, which prefers the longest text."""

    expression: str


forms: Final[Mapping[str, Form]] = {
    "uuid": Form("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    "ulid": Form("[0-7][0-9A-HJKMNP-TV-Z]{25}"),
    "integer": Form("(?:-?[1-9][0-9]{0,17}|0)"),
    "digits": Form("[0-9]+"),
    "date": Form(_day),
    "timestamp": Form(_day + _time + _offset),
    "local": Form(_day + _time),
}
"""By name. `uuid` is in small letters, which is how a uuid column gives it back; `integer` has no leading zero,
`digits` may; `timestamp` is ISO 8601 with an offset from UTC, `local` without one."""
