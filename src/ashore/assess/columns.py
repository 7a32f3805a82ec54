"""From the census of an attribute to a column type that is safe for all that was seen, or the reason for none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from ashore.assess.census import AttributeCensus
from ashore.assess.forms import Form
from ashore.assess.proposal import ColumnKind

RARE: Final = 0.02
"""An attribute that fewer items have stays in `extra`, from `RARE_FROM` items on."""
RARE_FROM: Final = 200

_as_seconds: Final = (Decimal(1_262_304_000), Decimal(2_208_988_800))
"""2010 to 2040: numbers that all lie here are moments."""
_forms_of_dates: Final = {"date", "timestamp"}
_plain: Final[dict[str, tuple[ColumnKind, str]]] = {
    "BOOL": ("boolean", "all booleans"),
    "B": ("bytea", "all binary"),
    "M": ("jsonb", "maps: kept as they are, and can be queried"),
    "L": ("jsonb", "lists: kept as they are, and can be queried"),
    "SS": ("text[]", "sets of text"),
    "NS": ("numeric[]", "sets of numbers"),
    "BS": ("bytea[]", "sets of binary"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A column type and why; `kind` is None where the attribute stays in `extra`."""

    kind: ColumnKind | None
    because: str


def choose(one: AttributeCensus, *, items: int, is_ttl: bool = False) -> Choice:
    """The column for an attribute that `one` counts among so many items."""
    kinds = {kind for kind in one.kinds if kind != "NULL"}
    if not kinds:
        return Choice(None, "only NULL was seen")
    if items >= RARE_FROM and one.present < RARE * items:
        return Choice(None, f"rare: {one.present:,} of {items:,} items have it")
    if len(kinds) > 1:
        seen = ", ".join(f"{kind} {one.kinds[kind]:,}" for kind in sorted(kinds))
        return Choice(None, f"mixed types: {seen}")
    (kind,) = kinds
    if kind == "S":
        return _text(one)
    if kind == "N":
        return _number(one, is_ttl=is_ttl)
    return Choice(*_plain[kind])


def key_column(one: AttributeCensus, key_type: str) -> Choice:
    """The column for a placeholder of a key. It must give the key's text back by itself."""
    forms = set(one.forms)
    if key_type == "B":
        return Choice("bytea", "a binary key")
    if key_type == "N":
        whole = forms <= {"integer"}
        return Choice("bigint" if whole else "numeric", "a number in the key")
    if forms == {"uuid"}:
        return Choice("uuid", "all uuids")
    if forms == {"integer"}:
        return Choice("bigint", "all whole numbers without leading zeros")
    if forms == {"date"}:
        return Choice("date", "all dates")
    if forms == {"timestamp"} and one.shortest == one.longest == 24 and _all_canonical(one):
        return Choice("timestamptz", "all moments in UTC, to the millisecond")
    return Choice("text", _about(forms))


def _all_canonical(one: AttributeCensus) -> bool:
    return all(value[10] == "T" and value[19] == "." and value[23] == "Z" for value in one.sketch.values())


def _text(one: AttributeCensus) -> Choice:
    forms = set(one.forms)
    if one.nul:
        return Choice("text", f"U+0000 in {one.nul:,} values, which the residue keeps")
    if forms == {"uuid"}:
        return Choice("uuid", "all uuids")
    if forms == {"date"}:
        return Choice("date", "all dates")
    if "timestamp" in forms and forms <= _forms_of_dates:
        mixed = "; bare dates are midnight UTC, and the residue keeps how they were written" if len(forms) > 1 else ""
        return Choice("timestamptz", f"all moments with an offset from UTC{mixed}")
    if forms == {"local"}:
        return Choice("timestamp", "all moments without an offset from UTC")
    if one.json and one.json == one.kinds["S"]:
        return Choice("text", "JSON inside strings: consider jsonb once the application writes it")
    if forms == {"integer"}:
        return Choice("number_in_text", "whole numbers in strings, without leading zeros")
    return Choice("text", _about(forms))


def _about(forms: set[Form]) -> str:
    if "digits" in forms and forms <= {"digits", "integer"}:
        return "numbers in strings, some with leading zeros, which stay"
    if forms == {"integer"}:
        return "numbers in strings"
    if "uuid" in forms or "timestamp" in forms or "date" in forms:
        return "text; some values are " + ", ".join(sorted(forms - {"text"}))
    return "text"


def _number(one: AttributeCensus, *, is_ttl: bool) -> Choice:
    numbers = one.numbers
    if numbers is None or not numbers.whole:
        return Choice("numeric", "numbers with fractions, every digit kept")
    least, greatest = numbers.least, numbers.greatest
    first, last = _as_seconds
    several = one.sketch.distinct() >= 3 or is_ttl
    if several and first <= least and greatest <= last:
        return Choice("epoch_seconds", "whole numbers that are all moments, in seconds since 1970")
    if several and first * 1000 <= least and greatest <= last * 1000:
        return Choice("epoch_milliseconds", "whole numbers that are all moments, in milliseconds since 1970")
    largest = max(abs(least), abs(greatest))
    if largest < 10**8:
        return Choice("integer", "whole numbers")
    if largest < 10**17:
        return Choice("bigint", "whole numbers")
    return Choice("numeric", "whole numbers of many digits")


def is_required(one: AttributeCensus, *, items: int, complete: bool) -> bool:
    """Whether NOT NULL is safe: only where every item was read, and each has a value that the column can hold."""
    return complete and one.present == items and not one.kinds.get("NULL") and not one.nul


def explicit_null(one: AttributeCensus, *, items: int) -> bool:
    """Whether NULL is more often written out than left away."""
    return one.kinds.get("NULL", 0) > items - one.present


def forms_of(one: AttributeCensus) -> Counter[str]:
    """How often each form of text was seen."""
    return Counter({str(form): count for form, count in one.forms.items()})
