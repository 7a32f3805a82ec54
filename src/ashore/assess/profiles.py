"""How alike two groups of items are, by the names of their attributes and by what is constant in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ashore.model.item import Item

SURE_FROM: Final = 3
"""Items from which on an attribute with one value is taken for a constant one."""

_varies: Final = object()


@dataclass(slots=True)
class Profile:
    """Attribute names with how many items have them, and the scalar values that never varied."""

    items: int = 0
    names: Counter[str] = field(default_factory=Counter)
    single: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Iterable[Item], without: Collection[str]) -> Profile:
        """The profile of some items; `without` are the attributes that do not count: those of keys and indexes."""
        profile = cls()
        for item in items:
            profile.items += 1
            for name, value in item.items():
                if name not in without:
                    profile.names[name] += 1
                    profile._see(name, value)
        return profile

    def _see(self, name: str, value: Mapping[str, Any]) -> None:
        content = value.get("S")
        if self.single.setdefault(name, content) != content or content is None:
            self.single[name] = _varies

    def constants(self) -> dict[str, str]:
        """Text attributes that nearly every item has, with one value; empty for too few items to say."""
        if self.items < SURE_FROM:
            return {}
        often = 0.9 * self.items
        return {
            name: value
            for name, value in self.single.items()
            if value is not _varies and value is not None and self.names[name] >= often
        }


def likeness(one: Profile, other: Profile) -> float:
    """From 0, no attribute in common, to 1: every attribute as often in both. 0 where either has none."""
    if not one.names or not other.names:
        return 0.0
    names = one.names.keys() | other.names.keys()
    shares = [(one.names[name] / one.items, other.names[name] / other.items) for name in names]
    return sum(min(pair) for pair in shares) / sum(max(pair) for pair in shares)


def contradict(one: Profile, other: Profile) -> bool:
    """Whether an attribute is constant in both, with different values: two kinds, however alike their attributes."""
    others = other.constants()
    return any(others.get(name, value) != value for name, value in one.constants().items())
