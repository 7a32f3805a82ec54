"""A labelled table, and the values that its items are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from ashore.model.item import Item
from ashore.model.item import mask as scramble

_words: Final = [
    "amber",
    "basil",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "harbor",
    "island",
    "jasper",
    "kelp",
    "lagoon",
    "meadow",
    "north",
    "ocean",
    "pebble",
    "quartz",
    "river",
    "summit",
    "timber",
    "umber",
    "valley",
    "willow",
    "yarrow",
    "zephyr",
]


@dataclass(kw_only=True)
class GoldTable:
    """A table with labels.

    `items` are (label, item); a copy has the label of its original. `types` are by (label, attribute) the kinds of
    columns that are right; `parents` are (child, parent) labels. `indexes` are attributes of secondary indexes by name.
    """

    name: str
    key: tuple[tuple[str, str], ...] = (("pk", "S"), ("sk", "S"))
    indexes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    type_attribute: str | None = None
    items: list[tuple[str, Item]] = field(default_factory=list)
    types: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    parents: set[tuple[str, str]] = field(default_factory=set)

    def add(self, label: str, /, **attributes: Any) -> None:
        """Add an item; attributes are typed values, text stands for itself, whole numbers for numbers."""
        self.items.append((label, {name: typed(value) for name, value in attributes.items()}))

    def right(self, label: str, **kinds: str) -> None:
        """Say which kinds of columns are right, with ``|`` between them."""
        self.types |= {(label, name): set(kind.split("|")) for name, kind in kinds.items()}

    def without_type_attribute(self) -> GoldTable:
        """The same table, if it has one, without the attribute that tells kinds apart."""
        if self.type_attribute is None:
            return self
        items: list[tuple[str, Item]] = [
            (label, {name: value for name, value in item.items() if name != self.type_attribute})
            for label, item in self.items
        ]
        return replace(self, name=f"{self.name}, no type", items=items, type_attribute=None)

    def scrambled(self) -> GoldTable:
        """The same table with other names for all attributes but those of the key."""
        keys = {name for name, _ in self.key}

        def other(name: str) -> str:
            return name if name in keys else "a" + scramble(name)[1:-1]

        return replace(
            self,
            name=f"{self.name}, scrambled",
            items=[(label, {other(name): value for name, value in item.items()}) for label, item in self.items],
            types={(label, other(name)): kinds for (label, name), kinds in self.types.items()},
            indexes={name: tuple(map(other, names)) for name, names in self.indexes.items()},
            type_attribute=None if self.type_attribute is None else other(self.type_attribute),
        )


def typed(value: Any) -> Mapping[str, Any]:
    """A typed value of text, a truth, a number, None, or the typed value that it is."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case list():
            return {"L": [typed(one) for one in value]}
        case _:
            found: Mapping[str, Any] = value
            return found


class Values:
    """Values drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 (made-up items are no secret)
        self._ulids = 0

    def uuid(self) -> str:
        """A random uuid."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def ulid(self) -> str:
        """A text of a ULID's form."""
        return "01" + "".join(self.random.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=24))

    def moment(self) -> str:
        """A moment as JavaScript writes it."""
        start = datetime(2019, 1, 1, tzinfo=UTC)
        at = start + timedelta(milliseconds=self.random.randrange(10**11))
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def day(self) -> str:
        """A date."""
        return (date(2020, 1, 1) + timedelta(days=self.random.randrange(1_500))).isoformat()

    def epoch(self) -> int:
        """A moment in seconds since 1970."""
        return self.random.randrange(1_577_836_800, 1_700_000_000)

    def text(self, count: int = 3) -> str:
        """Some words."""
        return " ".join(self.random.choices(_words, k=count))

    def name(self) -> str:
        """A slug."""
        return f"{self.random.choice(_words)}-{self.random.choice(_words)}-{self.random.randrange(1000)}"

    def whole(self, below: int = 100) -> int:
        """A number."""
        return self.random.randrange(below)

    def money(self) -> float:
        """An amount with two digits after the point."""
        return self.random.randrange(100, 99_999) / 100

    def truth(self) -> bool:
        """True or false."""
        return self.random.random() < 0.5

    def one_of(self, *values: Any) -> Any:
        """One of the values."""
        return self.random.choice(values)

    def maybe(self, share: float = 0.5) -> bool:
        """Whether an optional attribute is there."""
        return self.random.random() < share
