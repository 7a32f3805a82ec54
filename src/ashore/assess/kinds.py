"""Groups of one shape become kinds: generations of one key, records and their copies, rows that hold only keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ashore.assess.census import AttributeCensus, Census
from ashore.assess.profiles import Profile, contradict, likeness
from ashore.assess.routing import Route, placeholder_names, router
from ashore.assess.shapes import Shape
from ashore.assess.table_key import Keys
from ashore.model.attribute import ABSENT, same
from ashore.model.item import Item

SAME_KIND: Final = 0.85
MOSTLY: Final = 0.75


@dataclass
class Group:
    """Items whose keys have one shape, and what they hold.

    `equal` are pairs of placeholders that take the same text in every item.
    """

    shape: Shape
    census: Census
    equal: frozenset[tuple[str, str]]
    keys: Keys

    @property
    def not_telling(self) -> frozenset[str]:
        """The attributes of keys and indexes, which say nothing of an item's kind."""
        return self.keys.not_telling

    @cached_property
    def _route(self) -> Route:
        return router([self.shape])

    def placeholder_texts(self, item: Item) -> dict[str, str]:
        """What each placeholder takes of an item of this group."""
        texts = self.keys.texts(item)
        found = None if texts is None else self._route(*texts)
        return {} if found is None else dict(zip(placeholder_names(self.shape), found[1], strict=True))

    @cached_property
    def profile(self) -> Profile:
        """Attribute names and constants, as `Profile.of` would count them over all items."""
        profile = Profile(items=self.census.items)
        for name, one in self.census.attributes.items():
            if name not in self.not_telling:
                profile.names[name] = one.present
                values = one.values
                if values is not None and len(values) == 1 and set(one.kinds) == {"S"}:
                    profile.single[name] = next(iter(values))
        return profile

    @cached_property
    def exemplars(self) -> list[Item]:
        """Some whole items."""
        return self.census.exemplars()

    @cached_property
    def distinct_placeholders(self) -> tuple[str, ...]:
        """The census's names of the placeholders, without those that always repeat an earlier one."""
        names = placeholder_names(self.shape)
        kept: list[str] = []
        for name in names:
            if not any(self._repeats(name, other) for other in kept):
                kept.append(name)
        return tuple(kept)

    def repeated(self, name: str) -> str:
        """The placeholder that `name` always repeats, or itself."""
        return next(
            (other for other in self.distinct_placeholders if other == name or self._repeats(name, other)), name
        )

    def _repeats(self, name: str, other: str) -> bool:
        return (other, name) in self.equal

    def form_of(self, placeholder: str) -> str:
        """The form in the shape."""
        parts = [part for part in self.shape.partition + (self.shape.sort or ()) if part.form]
        return str(parts[placeholder_names(self.shape).index(placeholder)].form)

    @property
    def only_keys(self) -> bool:
        """Whether its items hold nothing but keys and what repeats them."""
        placeholders = [one.sketch.values() for one in self.census.placeholders.values()]
        return all(
            any(one.sketch.values() <= values for values in placeholders)
            for name, one in self.census.attributes.items()
            if name not in self.not_telling
        )


@dataclass(frozen=True, slots=True)
class CopyOf:
    """A group that holds copies: by which attribute, and what the pairs that were at hand showed."""

    group: Group
    of: str
    compared: int
    differing: int
    orphaned: int


@dataclass
class Kind:
    """An entity to be: its generations, the largest first, and its copies."""

    generations: list[Group]
    copies: list[CopyOf] = field(default_factory=list)

    @property
    def main(self) -> Group:
        """The largest generation."""
        return self.generations[0]

    @cached_property
    def census(self) -> Census:
        """All generations together."""
        if len(self.generations) == 1:
            return self.main.census
        census = Census()
        for group in self.generations:
            census.merge(group.census)
        return census

    @cached_property
    def census_with_copies(self) -> Census:
        """Copies too: one without an original becomes a row, and has to fit."""
        if not self.copies:
            return self.census
        census = Census()
        census.merge(self.census)
        for copies in self.copies:
            census.merge(copies.group.census)
        return census

    @property
    def items(self) -> int:
        """Without the copies."""
        return sum(group.census.items for group in self.generations)


def kinds_of(groups: Sequence[Group]) -> list[Kind]:
    """Arrange the groups of a table into kinds; the order is by size, then by shape."""
    largest_first = sorted(groups, key=lambda group: (-group.census.items, repr(group.shape)))
    originals: dict[int, CopyOf] = {}
    of_group: dict[int, Group] = {}
    for group in largest_first:
        found = _original(
            group, [other for other in largest_first if other is not group and id(other) not in originals]
        )
        if found is not None:
            original, copies = found
            originals[id(group)] = copies
            of_group[id(group)] = original
    _agree(originals, of_group)
    kinds: list[Kind] = []
    for group in largest_first:
        if id(group) in originals:
            continue
        for kind in kinds:
            if _is_generation(kind.main, group):
                kind.generations.append(group)
                break
        else:
            kinds.append(Kind([group]))
    for group in largest_first:
        if id(group) in originals:
            kind = next(one for one in kinds if of_group[id(group)] in one.generations)
            kind.copies.append(originals[id(group)])
    return kinds


def _agree(originals: dict[int, CopyOf], of_group: dict[int, Group]) -> None:
    """All copies of a record name it by one attribute: those that go by another than most are taken anew, or let go."""
    by_original: dict[int, Counter[str]] = {}
    for place, copies in originals.items():
        by_original.setdefault(id(of_group[place]), Counter())[copies.of] += copies.group.census.items
    for place, copies in list(originals.items()):
        original = of_group[place]
        of = max(by_original[id(original)].items(), key=lambda one: (one[1], one[0]))[0]
        if copies.of == of:
            continue
        again = _compared(copies.group, original, of) if of in copies.group.census.attributes else None
        if again is None:
            del originals[place]
        else:
            originals[place] = again


def _is_generation(main: Group, other: Group) -> bool:
    if len(main.distinct_placeholders) != len(other.distinct_placeholders):
        return False
    if contradict(main.profile, other.profile):
        return False
    close = likeness(main.profile, other.profile)
    (first, second), (other_first, other_second) = main.shape.words, other.shape.words
    if (first, second) == (other_first, other_second):
        return close >= 0.5 or (main.only_keys and other.only_keys)
    alike = close >= SAME_KIND and len(main.profile.names) >= 3
    if not alike:
        return False
    if len(main.distinct_placeholders) == 1:
        return _same_words(first, other_first)
    return _same_words(first, other_first) and _same_words(second, other_second)


def _same_words(one: Collection[str], other: Collection[str]) -> bool:
    """Whether each word begins with the other one, as in CASE and C, or one generation has no words at all."""
    if not one or not other:
        return True
    return len(one) == len(other) and all(a.startswith(b) or b.startswith(a) for a, b in zip(one, other, strict=True))


def _original(group: Group, others: Sequence[Group]) -> tuple[Group, CopyOf] | None:
    """The group whose records these are copies of, if there is one."""
    names = group.profile.names
    if len(names) < 3:
        return None
    candidates: list[tuple[tuple[int, float, int], Group, CopyOf]] = []
    for other in others:
        if len(other.distinct_placeholders) > len(group.distinct_placeholders) or contradict(
            group.profile, other.profile
        ):
            continue
        if _covered(names, other.profile.names) < MOSTLY or _covered(other.profile.names, names) < 0.5:
            continue
        for of in _links(group, other):
            found = _compared(group, other, of)
            if found is not None:
                rank = (-len(other.distinct_placeholders), _own_key(other, of), other.census.items)
                candidates.append((rank, other, found))
    if not candidates:
        return None
    _, original, copies = max(candidates, key=lambda one: (one[0], one[2].of))
    return original, copies


def _covered(one: Counter[str], other: Counter[str]) -> float:
    total = sum(one.values())
    return sum(count for name, count in one.items() if name in other) / total if total else 0.0


def _links(group: Group, other: Group) -> Iterator[str]:
    """Attributes that tell a copy its original: one value to a record there, and mostly found there."""
    for name, mine in group.census.attributes.items():
        theirs = other.census.attributes.get(name)
        if theirs is None or not _is_identifier(mine) or not _is_identifier(theirs):
            continue
        if mine.present < 0.9 * group.census.items or theirs.present < 0.9 * other.census.items:
            continue
        if not is_unique(theirs) or theirs.sketch.distinct() < 2 <= other.census.items:
            continue
        there, back = _share(mine, theirs), _share(theirs, mine)
        rank, other_rank = (_own_key(group, name), group.census.items), (_own_key(other, name), other.census.items)
        if there >= 0.3 and (
            there > back or (there == back and other_rank > rank) or other_rank[0] >= 0.99 > 2 * rank[0]
        ):
            yield name


def _share(one: AttributeCensus, other: AttributeCensus) -> float:
    """The share of one attribute's values that the other one has too."""
    looked_at, found = one.sketch.contained_in(other.sketch)
    return found / looked_at if looked_at else 0.0


def _is_identifier(one: AttributeCensus) -> bool:
    return set(one.kinds) <= {"S"} or set(one.kinds) <= {"N"}


def is_unique(one: AttributeCensus) -> bool:
    """Whether no value was seen twice: proven while the sketch is complete, very likely otherwise."""
    return one.sketch.unique


def _own_key(group: Group, attribute: str) -> float:
    """How surely an attribute repeats the group's own key."""
    values = group.census.attributes[attribute].sketch.values()
    return max(
        (len(values & one.sketch.values()) / max(1, len(values)) for one in group.census.placeholders.values()),
        default=0.0,
    )


def _compared(group: Group, other: Group, of: str) -> CopyOf | None:
    originals = {str(next(iter(item[of].values()))): item for item in other.exemplars if of in item}
    compared = differing = alike = 0
    ignored = group.not_telling
    for item in group.exemplars:
        original = originals.get(str(next(iter(item[of].values())))) if of in item else None
        if original is None:
            continue
        compared += 1
        shared = (item.keys() & original.keys()) - ignored
        equal = sum(same(item[name], original[name]) for name in shared)
        alike += equal >= 0.5 * len(shared)
        names = (item.keys() | original.keys()) - ignored
        differing += any(not same(item.get(name, ABSENT), original.get(name, ABSENT)) for name in names)
    if compared and alike < 0.5 * compared:
        return None
    if not compared and likeness(group.profile, other.profile) < SAME_KIND:
        return None
    looked_at, found = group.census.attributes[of].sketch.contained_in(other.census.attributes[of].sketch)
    orphaned = round((looked_at - found) / looked_at * group.census.items) if looked_at else 0
    return CopyOf(group, of, compared, differing, orphaned)
