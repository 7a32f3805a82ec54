"""Typed values, names and dates that the court's items are made of; all choices come from a seeded `Random`."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any, Final

from ashore.model.attribute import TypedValue

Typed = dict[str, Any]

opened: Final = datetime(2025, 1, 2, 14, 0, tzinfo=UTC)
"""Nothing happens at the court before."""
_eastern: Final = timezone(timedelta(hours=-5))

given_names: Final = (
    "Ada",
    "Béla",
    "Carmen",
    "Dmitri",
    "Edith",
    "Farah",
    "Goro",
    "Hannah",
    "Ines",
    "Jón",
    "Kofi",
    "Lucía",
)
family_names: Final = (
    "Abara",
    "Brandt",
    "Çelik",
    "Doyle",
    "Eriksen",
    "Fontaine",
    "García",
    "Hoang",
    "Ito",
    "Jansen",
    "Łuczak",
)
cities: Final = (
    ("Boston", "MA", "02110"),
    ("Newark", "NJ", "07102"),
    ("San Juan", "PR", "00901"),
    ("Denver", "CO", "80202"),
    ("Seattle", "WA", "98101"),
    ("Hartford", "CT", "06103"),
)
sections: Final = ("docket", "petitions", "calendar", "admissions")


def S(text: str) -> Typed:  # noqa: N802 (DynamoDB's own names of types)
    """A string."""
    return {"S": text}


def N(number: int | str) -> Typed:  # noqa: N802
    """A number, in DynamoDB's spelling."""
    return {"N": str(number)}


def B(content: bytes) -> Typed:  # noqa: N802
    """Binary, in base64 as it is on the wire."""
    return {"B": base64.b64encode(content).decode()}


def M(members: Mapping[str, TypedValue]) -> Typed:  # noqa: N802
    """A map."""
    return {"M": dict(members)}


def L(members: Sequence[TypedValue]) -> Typed:  # noqa: N802
    """A list."""
    return {"L": list(members)}


yes: Final[Typed] = {"BOOL": True}
no: Final[Typed] = {"BOOL": False}
null: Final[Typed] = {"NULL": True}


def new_id(random: Random) -> str:
    """A UUID of version 4."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def moment(when: datetime) -> str:
    """As JavaScript's ``toISOString`` spells it."""
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def mixed_moment(random: Random, when: datetime) -> str:
    """One of the three forms in which the court has dates: mostly ``…Z``, some with an offset, some bare dates."""
    form = random.random()
    if form < 0.97:
        return moment(when)
    return when.astimezone(_eastern).isoformat(timespec="milliseconds") if form < 0.98 else when.date().isoformat()


def later(random: Random, when: datetime, days: float) -> datetime:
    """A moment up to so many days later, to the millisecond."""
    return when + timedelta(milliseconds=random.randrange(int(days * 86_400_000)) + 1)


def person(random: Random) -> str:
    """A full name."""
    return f"{random.choice(given_names)} {random.choice(family_names)}"


def digits38(random: Random) -> str:
    """A number of all the 38 digits that DynamoDB keeps, two of them behind the point."""
    return str(Decimal(random.randrange(10**37, 10**38) | 1).scaleb(-2)) if random.random() < 0.5 else f"1{'0' * 36}7"
