"""Random DynamoDB values, and the column types that they fit."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import sqlalchemy as sa
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

Strategy = st.SearchStrategy[Any]

AWKWARD_TEXTS = [
    "",
    "\\N",
    "\\.",
    "\\",
    "\t",
    "\n",
    "\r\n",
    "'",
    '"',
    '{"a":1}',
    "{}",
    "{a,b}",
    "NULL",
    "a\\nb",
    "\x01\x1f\x7f",
    "\u0085\u2028\u2029",
    "\ufffe\uffff",
    "🂡 astral",
    "ﬀ é é",
    "\\u0000",
    "%s {x} $1",
    " padded ",
    "\\x00",
    "−1",
    "０",
]
ODD_NAMES = ["a/b", "a~b", "~2", "~0~1", "a.b", 'q"x', "back\\slash", "tab\tx", "é🂡", "extra", "residue", "0", " ", "A"]


def texts(*, nul: bool = True) -> Strategy:
    """Any text that DynamoDB can hold."""
    awkward = [*AWKWARD_TEXTS, "a\0b"] if nul else AWKWARD_TEXTS
    plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="" if nul else "\0"), max_size=12)
    return st.one_of(st.sampled_from(awkward), plain, st.text("ab |", max_size=6))


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """The text of a number that DynamoDB can hold: 38 digits, 1E-130 to 9.9E125, either sign."""
    special = [
        "0",
        "-0",
        "1.0",
        "007",
        "1E2",
        "1e-7",
        "9.99E125",
        "-1E-130",
        "0.10",
        "+5",
        "9" * 38,
        "32768",
        "-2147483648",
    ]
    if draw(st.booleans()):
        return draw(st.sampled_from(special))
    digits = draw(st.text("0123456789", min_size=1, max_size=38))
    exponent = draw(st.one_of(st.integers(-3, 3), st.integers(-90, 80)))
    number = Decimal(digits).scaleb(exponent, context=_wide)
    sign = draw(st.sampled_from(["", "-"]))
    plain = format(number, "f")  # boto3, which is asked as a witness, takes 38 digits, zeros included
    return sign + (plain if len(plain) <= 38 and draw(st.booleans()) else str(number))


_wide = Context(prec=400)


def binaries() -> Strategy:
    """base64 of some bytes."""
    return st.binary(max_size=6).map(lambda content: base64.b64encode(content).decode())


def sets(members: Strategy, key: Callable[[Any], Any] = str) -> Strategy:
    """The members of a DynamoDB set: at least one, no two of them the same."""
    return st.lists(members, min_size=1, max_size=4, unique_by=key)


def names(*, nul: bool = False) -> Strategy:
    """An attribute's name."""
    odd = [*ODD_NAMES, "n\0l"] if nul else ODD_NAMES
    return st.one_of(st.sampled_from(odd), st.text("abxyz", min_size=1, max_size=2))


def scalars(*, nul: bool = True) -> Strategy:
    """Typed values that hold no others."""
    return st.one_of(
        texts(nul=nul).map(lambda text: {"S": text}),
        numbers().map(lambda text: {"N": text}),
        binaries().map(lambda text: {"B": text}),
        st.booleans().map(lambda truth: {"BOOL": truth}),
        st.just({"NULL": True}),
        sets(texts(nul=nul)).map(lambda members: {"SS": members}),
        sets(numbers(), Decimal).map(lambda members: {"NS": members}),
        sets(binaries()).map(lambda members: {"BS": members}),
    )


def values(*, nul: bool = True) -> Strategy:
    """Any typed value."""
    return st.recursive(
        scalars(nul=nul),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda members: {"L": members}),
            st.dictionaries(names(nul=nul), inner, max_size=3).map(lambda members: {"M": members}),
        ),
        max_leaves=6,
    )


def wire(kind: str, content: Strategy) -> Strategy:
    """Typed values of one DynamoDB type."""
    return content.map(lambda one: {kind: one})


@dataclass(frozen=True)
class Kind:
    """A column type and the values that fit it: in their canonical spelling, and otherwise."""

    name: str
    type: Callable[[], Any]
    canonical: Strategy
    odd: Strategy
    epoch: str = ""
    renders: bool = False


def moments(form: str, *, zone: str = "Z") -> Strategy:
    return (
        st.datetimes()
        .map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
        .map(lambda at: at.isoformat(timespec=form) + zone)
    )


UUIDS = st.uuids().map(str)
_mixed = st.sampled_from
KINDS = [
    Kind("text", sa.Text, wire("S", texts(nul=False)), wire("S", texts()), renders=True),
    Kind(
        "varchar(5)",
        lambda: sa.String(5),
        wire("S", st.text("a🂡\\\t", max_size=5)),
        wire("S", st.text("ab", max_size=7)),
        renders=True,
    ),
    Kind(
        "enum",
        lambda: sa.Enum("a", "b\\c", "d'e\tf", "Z", name="mood"),
        wire("S", _mixed(["a", "b\\c", "d'e\tf", "Z"])),
        wire("S", _mixed(["z", ""])),
    ),
    Kind("uuid", sa.Uuid, wire("S", UUIDS), wire("S", UUIDS.map(str.upper)), renders=True),
    Kind(
        "smallint",
        sa.SmallInteger,
        wire("N", st.integers(-(2**15), 2**15 - 1).map(str)),
        wire("N", numbers()),
        renders=True,
    ),
    Kind(
        "integer", sa.Integer, wire("N", st.integers(-(2**31), 2**31 - 1).map(str)), wire("N", numbers()), renders=True
    ),
    Kind(
        "bigint",
        sa.BigInteger,
        wire("N", st.integers(-(2**63), 2**63 - 1).map(str)),
        wire("N", numbers()),
        renders=True,
    ),
    Kind(
        "numeric",
        sa.Numeric,
        wire("N", st.decimals(places=2, allow_nan=False, min_value=-999, max_value=999).map(str)),
        wire("N", numbers()),
        renders=True,
    ),
    Kind(
        "numeric(6, 2)",
        lambda: sa.Numeric(6, 2),
        wire("N", _mixed(["0", "9999.99", "-1.5"])),
        wire("N", _mixed(["10000", "1.005", "1.500", "1E3", "-0.00"])),
    ),
    Kind("boolean", sa.Boolean, wire("BOOL", st.booleans()), wire("S", st.just("true"))),
    Kind(
        "date",
        sa.Date,
        wire("S", st.dates().map(str)),
        wire("S", _mixed(["2020-02-30", "2020-2-3", "20200203"])),
        renders=True,
    ),
    Kind(
        "timestamptz",
        lambda: sa.DateTime(timezone=True),
        wire("S", moments("milliseconds")),
        wire(
            "S",
            st.one_of(
                moments("microseconds"),
                moments("seconds"),
                moments("minutes"),
                moments("milliseconds", zone="+05:30"),
                _mixed(
                    [
                        "2020-06-05",
                        "2020-06-05T24:00:00.000Z",
                        "2020-06-05 18:02:25.28z",
                        "2020-06-05T18:02:25.2800001Z",
                        "2020-06-05T18:02:25.280",
                        "x",
                        "2020-06-05T18:02:60.000Z",
                    ]
                ),
            ),
        ),
        renders=True,
    ),
    Kind(
        "timestamp",
        sa.DateTime,
        wire("S", moments("milliseconds", zone="")),
        wire(
            "S",
            st.one_of(
                moments("seconds", zone=""),
                _mixed(["2020-06-05T18:02:25.+05", "2020-06-05T18:02:25.28", "2020-06-05", "2020-06-05T18:02:25.280Z"]),
            ),
        ),
        renders=True,
    ),
    Kind(
        "epoch s",
        lambda: sa.DateTime(timezone=True),
        wire("N", st.integers(0, 4 * 10**9).map(str)),
        wire("N", _mixed(["1.5", "-1", "1E20", "1.0000001", "007", "999999999999999"])),
        epoch="s",
    ),
    Kind(
        "epoch ms",
        lambda: sa.DateTime(timezone=True),
        wire("N", st.integers(0, 4 * 10**12).map(str)),
        wire("N", _mixed(["1.5", "-1", "1E20", "0.0001"])),
        epoch="ms",
    ),
    Kind("bytea", sa.LargeBinary, wire("B", binaries()), wire("S", st.just("AA=="))),
    Kind("jsonb", JSONB, values(nul=False), values()),
    Kind(
        "text[]",
        lambda: ARRAY(sa.Text),
        wire("SS", sets(texts(nul=False))),
        wire("L", st.lists(wire("S", texts(nul=False)), max_size=3)),
    ),
    Kind(
        "integer[]",
        lambda: ARRAY(sa.Integer),
        wire("NS", sets(st.integers(-9, 9).map(str))),
        wire("L", st.lists(wire("N", numbers()), max_size=3)),
    ),
    Kind("numeric[]", lambda: ARRAY(sa.Numeric), wire("NS", sets(numbers(), Decimal)), wire("SS", sets(texts()))),
    Kind(
        "bytea[]",
        lambda: ARRAY(sa.LargeBinary),
        wire("BS", sets(binaries())),
        wire("L", st.lists(wire("B", binaries()), max_size=3)),
    ),
]
KIND = {kind.name: kind for kind in KINDS}


def fitting(kind: Kind) -> Strategy:
    """Mostly what fits, sometimes what does not."""
    return st.one_of(kind.canonical, kind.canonical, kind.canonical, kind.odd, values(), st.just({"NULL": True}))


def raw(item: Mapping[str, Any], *, style: int = 0) -> bytes:
    """An item as JSON, as one of several writers would write it."""
    if style == 1:
        return json.dumps(item, separators=(",", ":"), ensure_ascii=True).encode()
    if style == 2:
        return json.dumps(item, indent="\t", ensure_ascii=False).encode("utf-8", "surrogatepass")
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


_deserializer: Any = TypeDeserializer()


def as_boto3(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item as boto3 reads it: an independent view of what two items have in common."""
    return {name: _deserializer.deserialize(_for_boto3(value)) for name, value in item.items()}


def _for_boto3(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {"B": base64.b64decode(content)}
        case "BS":
            return {"BS": [base64.b64decode(member) for member in content]}
        case "L":
            return {"L": [_for_boto3(member) for member in content]}
        case "M":
            return {"M": {name: _for_boto3(member) for name, member in content.items()}}
        case _:
            return {kind: content}
