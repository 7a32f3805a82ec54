"""Which entity of a proposal takes an item, and in what of it an attribute lands: told from the proposal alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ashore.assess.proposal import Child, Column, Copies, Derived, Entity, KeyPattern, Proposal
from ashore.mapping.pattern import Pattern
from ashore.model.item import Item

Key = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Routed:
    """An item's entity, what its key's placeholders take, and what it is a copy by, if it is one."""

    entity: Entity
    taken: Mapping[str, str]
    copies: Copies | None


@dataclass(frozen=True)
class Router:
    """Takes items by the key patterns of a proposal, the first that fits."""

    proposal: Proposal
    key: Key

    @cached_property
    def _ways(self) -> list[tuple[Pattern, Pattern | None, Entity, Copies | None]]:
        found: list[tuple[Pattern, Pattern | None, Entity, Copies | None]] = []
        for entity in self.proposal.entities:
            found += [(*_parsed(key), entity, None) for key in entity.keys]
            found += [(*_parsed(copies.key), entity, copies) for copies in entity.copies]
        return found

    def route(self, item: Item) -> Routed | None:
        """The entity that takes the item; None where none does."""
        texts = [str(item[name][kind]) for name, kind in self.key]
        for partition, sort, entity, copies in self._ways:
            taken = partition.match(texts[0])
            if taken is None:
                continue
            more = {} if sort is None else sort.match(texts[1])
            if more is not None and all(taken.get(name, text) == text for name, text in more.items()):
                return Routed(entity, {**taken, **more}, copies)
        return None


def _parsed(key: KeyPattern) -> tuple[Pattern, Pattern | None]:
    return Pattern.parse(key.partition), None if key.sort is None else Pattern.parse(key.sort)


Constant = tuple[str, object]
Place = Column | Derived | Child | Constant


def place_of(entity: Entity, attribute: str) -> Place | None:
    """What holds a whole attribute; None where it stays in `extra`, or only parts of it have columns."""
    if attribute in entity.constant:
        return ("constant", entity.constant[attribute])
    places: list[Place] = [one for one in entity.derived if one.attribute == attribute]
    places += [one for one in entity.children if one.attribute == attribute]
    places += [one for one in entity.columns if one.path == (attribute,)]
    return next(iter(places), None)


def columns_from(entity: Entity, attribute: str, key: Key) -> set[str]:
    """The columns that an attribute, of the key or not, gives its text or a part of it to."""
    found = {column.name for column in entity.columns if column.path is not None and column.path[0] == attribute}
    for derived in entity.derived:
        if derived.attribute == attribute:
            found |= set(Pattern.parse(derived.template).columns)
    for place, (name, _) in enumerate(key):
        if name == attribute:
            texts = [pattern.partition if place == 0 else pattern.sort or "" for pattern in entity.keys]
            found |= {column for text in texts for column in Pattern.parse(text).columns}
    return found
