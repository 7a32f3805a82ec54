"""Values drawn from a seed: of the forms that applications write."""

from __future__ import annotations

from collections.abc import KeysView, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final, TypeVar
from uuid import UUID

_nouns: Final = """
account answer apple band basket bell boat bridge brush button camera candle carpet chair clock coat copper corner
cotton cup desk door engine fabric feather field finger flag floor flower forest fork garden glass glove hammer harbour
hat hill hook house island jar key kettle kitchen knife lamp leaf letter lid map market mirror morning mountain needle
notebook oven paper pear pencil picture pillow plate pocket quilt radio rail ring river roof rope saddle sail scarf
shelf shoe spoon station stone table thread ticket tower tray umbrella valley wagon window wool
"""
_qualities: Final = """
amber bright broad calm clean cold deep dry early even faint fine firm fresh gentle green grey heavy hollow large late
light little long loud low mild narrow new old open pale plain quick quiet rough round sharp short slow small smooth
soft steep still strong sweet tall thick thin warm wide
"""
_given: Final = "Ada Ben Chloé Dina Emre Farid Grace Hana Ivo Jun Kofi Lena Mia Noor Otto Priya Rosa Sven Tala Uma"
_family: Final = "Abara Berg Costa Diaz Eriksen Fischer Gupta Haddad Ito Jansen Kaya Lopez Meyer Novak Okafor Park"
_crockford: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

Choice = TypeVar("Choice")


class Draws:
    """Each call gives another value; the same seed gives the same values in the same order."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 (made-up items are no secret)
        self._nouns, self._qualities = _nouns.split(), _qualities.split()
        self._given, self._family = _given.split(), _family.split()

    def uuid(self) -> str:
        """A random uuid."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def ulid(self) -> str:
        """A ULID of some moment of 2021."""
        tail = "".join(self.random.choices(_crockford, k=20))
        return f"01F{self.random.choice(_crockford)}{self.random.choice(_crockford)}{tail}X"

    def at(self) -> datetime:
        """A moment between 2019 and 2022, in milliseconds."""
        return datetime(2019, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.random.randrange(10**11))

    def moment(self) -> str:
        """A moment as JavaScript writes it."""
        return self.at().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def day(self) -> str:
        """A date."""
        return (date(2019, 1, 1) + timedelta(days=self.random.randrange(1_000))).isoformat()

    def epoch(self) -> int:
        """Seconds since 1970, from before now and after."""
        return self.random.randrange(1_590_000_000, 2_000_000_000)

    def whole(self, below: int) -> int:
        """A whole number from 0."""
        return self.random.randrange(below)

    def digits(self, count: int) -> str:
        """So many figures, the first of which may be 0."""
        return f"{self.random.randrange(10**count):0{count}d}"

    def amount(self, below: int = 1_000) -> Decimal:
        """An amount with cents."""
        return Decimal(self.random.randrange(100, below * 100)).scaleb(-2)

    def measure(self, middle: float, spread: float) -> Decimal:
        """A measured value with up to four digits behind the point."""
        return Decimal(f"{self.random.gauss(middle, spread):.4f}").normalize()

    def truth(self, share: float = 0.5) -> bool:
        """True, in so many of one."""
        return self.random.random() < share

    def one_of(self, *choices: Choice) -> Choice:
        """One of the choices."""
        return self.random.choice(choices)

    def some_of(self, choices: Sequence[Choice], most: int) -> list[Choice]:
        """From one to `most` of the choices, none twice."""
        return self.random.sample(choices, min(len(choices), 1 + self.random.randrange(most)))

    def set_of(self, choices: Sequence[Choice], most: int) -> KeysView[Choice]:
        """A set in an order of its own, which is the same in every process."""
        return dict.fromkeys(self.some_of(choices, most)).keys()

    def title(self) -> str:
        """Two words."""
        return f"{self.random.choice(self._qualities)} {self.random.choice(self._nouns)}"

    def sentence(self, words: int = 9) -> str:
        """So many words and a full stop."""
        return " ".join(self.random.choice(self._nouns + self._qualities) for _ in range(words)).capitalize() + "."

    def slug(self) -> str:
        """Words with hyphens and a number."""
        return (
            f"{self.random.choice(self._qualities)}-{self.random.choice(self._nouns)}-{self.random.randrange(10_000)}"
        )

    def person(self) -> str:
        """A name."""
        return f"{self.random.choice(self._given)} {self.random.choice(self._family)}"

    def email(self) -> str:
        """An address that nobody has."""
        return f"{self.slug().replace('-', '.')}@example.org"

    def maybe(self, share: float, **attributes: Any) -> dict[str, Any]:
        """The attributes, in so many of one; otherwise none."""
        return attributes if self.random.random() < share else {}

    def shuffle(self, sequence: list[Any]) -> None:
        """Put a list into another order, in place."""
        self.random.shuffle(sequence)
