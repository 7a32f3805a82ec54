"""Lines of arithmetic that add up, as a bill shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ashore.cost.prices import Price

When = Literal["now", "after", "once"]
"""`now` and `after` the crossing: dollars a month; `once`: dollars for the crossing itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """`amount` dollars = `quantity` (in `unit`) × `unit_price`; `formula` says it with where `quantity` is from."""

    what: str
    quantity: float
    unit: str
    unit_price: float
    amount: float
    formula: str
    source: str
    price_date: str
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Lines that add up to `total` dollars, and what was left out or guessed."""

    title: str
    when: When
    lines: tuple[Sum, ...]
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        return math.fsum(line.amount for line in self.lines)


def line(what: str, quantity: float, price: Price, because: str) -> Sum:
    """A quantity of `price.unit`; `because` is how the quantity was found, such as ``1,000 units a second × 730 h``."""
    amount = quantity * price.dollars
    return Sum(
        what=what,
        quantity=quantity,
        unit=price.unit,
        unit_price=price.dollars,
        amount=amount,
        formula=f"{because} = {quantity:,.4g} {price.unit}; × ${price.dollars:g} = ${amount:,.2f}",
        source=price.source,
        price_date=price.as_of,
        confirmed=price.confirmed,
    )
