"""Items of the court's table: the same for the same seed, coherent, and as awkward as those of a real one."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ashore.local.court import case_items
from ashore.local.court.awkward import awkward_items
from ashore.local.court.people import make_bench
from ashore.local.court.values import N, S, null, yes
from ashore.model.item import Item

items_a_case = 15
"""About as many items a case brings with it, copies and lookups included."""


def court_items(cases: int, seed: int) -> Iterator[Item]:
    """The items of a court with so many cases, each key once, lazily and in no order that means anything.

    Besides the cases: users, trial sessions, counters, settings, and about ten items that cannot become rows
    (`awkward_items`), as many however large the court is.

    Args:
        cases: At least 10.
        seed: The same seed and number give the same items.
    """
    random = Random(seed)  # noqa: S311 (made-up items are no secret)
    bench = make_bench(random)
    yield from bench.items
    yield from _settings(cases)
    known: list[str] = []
    for number in range(101, 101 + cases):
        made = case_items.make_case(random, bench, number, known)
        known.append(made.docket_number)
        yield from made.items
    yield from awkward_items(random, bench, known)


def _settings(cases: int) -> Iterator[Item]:
    for year, last in ((24, 31_407), (25, 100 + cases)):
        key = S(f"docketNumberCounter-20{year}")
        yield {"pk": key, "sk": key, "id": N(last)}
    for name, value in (("maintenance-mode", {"BOOL": False}), ("document-search-limiter", N(7))):
        yield {"pk": S(name), "sk": S(name), "current": value, "note": null, "isOn": yes}
