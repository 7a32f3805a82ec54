"""What a benchmark loads: a declaration, and items made for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from ashore.bench.flat import flat_items
from ashore.bench.interleaved import court_profile_items
from ashore.mapping.declared import PlanReference

ProfileName = Literal["flat", "court"]
seed: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A name, the declaration, and so many items of it as DynamoDB JSON, lazily and always the same."""

    name: ProfileName
    reference: PlanReference
    items: Callable[[int], Iterator[bytes]]


def _flat(items: int) -> Iterator[bytes]:
    return flat_items(items, seed)


def _court(items: int) -> Iterator[bytes]:
    return court_profile_items(items, seed)


profiles: Final[dict[ProfileName, Profile]] = {
    "flat": Profile(name="flat", reference=PlanReference(declarations="ashore.bench.flat:flat"), items=_flat),
    "court": Profile(
        name="court", reference=PlanReference(declarations="ashore.local.court.declaration:court"), items=_court
    ),
}
