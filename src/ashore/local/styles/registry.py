"""The styles by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ashore.local.styles.chancery import chancery
from ashore.local.styles.commerce import savings, webshop
from ashore.local.styles.draws import Draws
from ashore.local.styles.graphs import college, hospital
from ashore.local.styles.labelled import LabelledTable
from ashore.local.styles.prefixless import artefacts, fleet, mailbox, permits, seats
from ashore.local.styles.time_and_place import arcade, freight, telemetry
from ashore.local.styles.tribunal import tribunal

_makers: Final = (
    webshop,
    tribunal,
    mailbox,
    fleet,
    permits,
    college,
    hospital,
    telemetry,
    freight,
    arcade,
    seats,
    artefacts,
    savings,
    chancery,
)

styles: Final[Mapping[str, Callable[[Draws, int], LabelledTable]]] = MappingProxyType(
    {maker.__name__: maker for maker in _makers}
)


def make(name: str, *, size: int, seed: int) -> LabelledTable:
    """A table of about so many items (from half to twice as many), in no order; the same for the same arguments."""
    draws = Draws(seed)
    table = styles[name](draws, size)
    draws.shuffle(table.items)
    return table
