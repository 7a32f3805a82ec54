"""Which entity an item is of, by its key alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Literal

from ashore.mapping.declare import Rule
from ashore.mapping.pattern import Glob, common_text
from ashore.mapping.plan import EntityPlan, Generation, Plan, RulePlan, key_attributes
from ashore.mapping.reasons import UnfitError
from ashore.model.attribute import kind
from ashore.model.item import Item
from ashore.model.marker import PREFIX, is_marker_text

KeyTexts = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class AsRow:
    """The item is a row of `entity`, its key of this generation."""

    entity: EntityPlan
    generation: int


@dataclass(frozen=True, slots=True)
class AsCopy:
    """The item is a copy of one of `entity`'s."""

    entity: EntityPlan
    generation: int


@dataclass(frozen=True, slots=True)
class Ruled:
    """A rule speaks of the item: it does not become a row."""

    rule: RulePlan

    @property
    def count(self) -> tuple[str | None, str]:
        """Where `Encoded.counts` has it."""
        outcome: Literal["not_yet", "left_out"] = self.rule.rule.outcome
        return self.rule.rule.name, outcome


Match = AsRow | AsCopy | Ruled | None

_every_marker: Final = Glob(f"{PREFIX}*")
_marker: Final = Ruled(
    RulePlan(
        rule=Rule(
            name="ashore-marker",
            outcome="left_out",
            partition=_every_marker.text,
            sort="*",
            because="Ashore wrote it to see it come back from the stream",
        ),
        partition=_every_marker,
        sort=Glob("*"),
    )
)


def key_texts(plan: Plan | EntityPlan, item: Item) -> KeyTexts:
    """The wire content of the item's key attributes: text, a number's text or base64.

    Raises:
        UnfitError: `unreadable`, where the item lacks a key attribute or one has another type than declared.
    """
    texts: list[str] = []
    for key in key_attributes(plan):
        value = item.get(key.name, {})
        text = value.get(key.type)
        if not isinstance(text, str) or not text:
            detail = f"key attribute {key.name!r} is {kind(value)}, declared as {key.type}"
            raise UnfitError("unreadable", detail=detail)
        texts.append(text)
    return texts[0], None if plan.sort_key is None else texts[1]


def matcher(plan: Plan) -> Callable[[str, str | None], Match]:
    """A function from key texts to what the item is; entities before `leave_out` before `not_yet`.

    A marker is none of them, whatever the patterns say.
    """
    forms: list[tuple[Generation, AsRow | AsCopy]] = []
    for entity in plan.entities.values():
        forms += [(generation, AsRow(entity, place)) for place, generation in enumerate(entity.generations)]
        if entity.copies is not None:
            forms += [(generation, AsCopy(entity, place)) for place, generation in enumerate(entity.copies.generations)]

    def match(partition: str, sort: str | None) -> Match:
        if partition.startswith(PREFIX) and is_marker_text(partition):
            return _marker
        for generation, found in forms:
            if matches(generation, partition, sort) is not None:
                return found
        for rule in plan.rules:
            if rule.partition.matches(partition) and (sort is None or rule.sort.matches(sort)):
                return Ruled(rule)
        return None

    return match


def matches(generation: Generation, partition: str, sort: str | None) -> dict[str, str] | None:
    """What the placeholders of both patterns take; None where a text does not match, or the two disagree."""
    taken = generation.partition.match(partition)
    if taken is None or generation.sort is None or sort is None:
        return taken
    more = generation.sort.match(sort)
    if more is None or any(taken.get(name, text) != text for name, text in more.items()):
        return None
    return taken | more


def may_take_markers(generation: Generation) -> bool:
    """Whether this form could take a marker's key, so that the key has to be looked at before its items are."""
    return common_text(generation.partition, _every_marker) is not None


def selected(plan: Plan, names: Collection[str] | None) -> frozenset[str]:
    """The names of the chosen entities; all where None. Unknown names are the caller's to refuse."""
    return frozenset(plan.entities if names is None else names)
