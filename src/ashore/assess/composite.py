"""Foreign keys of several columns, where tuples of values are another entity's keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ashore.assess.key_tuples import BETWEEN, Fields
from ashore.assess.keys import KeyColumns
from ashore.assess.kinds import CopyOf, Group, Kind
from ashore.assess.proof import why_not_enforced
from ashore.assess.proposal import Column, ColumnKind, ForeignKey
from ashore.assess.sketch import Sketch

FOUND: Final = 0.8
"""The share of the tuples looked at that must be keys of the other entity before they are taken for references."""
LEAST: Final = 5
"""Tuples that have to be looked at before they say anything."""
BY_CHANCE: Final = 0.9
"""Of the tuples that are found, the share that may be found too once a column's values are taken from other tuples.

From there on it says nothing that they are found, as with small numbers that begin anew in every partition.
"""
DEVIATIONS: Final = 2.0
"""How many standard deviations more have to be found than with values from other tuples."""

_moves: Final = 6
_wholes: Final[frozenset[ColumnKind]] = frozenset({"smallint", "integer", "bigint", "number_in_text"})


@dataclass(frozen=True, slots=True)
class Tuples:
    """What some columns of an entity hold together, each distinct tuple as `joined_texts` writes it.

    `is_all` says that they were counted in every item that can become a row.
    """

    columns: tuple[Column, ...]
    sketch: Sketch
    is_all: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An entity with its tuples. `key` are the columns of its whole key in order; `words` are fixed in its keys.

    `is_target`: its key has several columns, and others may refer to it.
    """

    entity: str
    items: int
    key: tuple[str, ...]
    words: frozenset[str]
    tuples: tuple[Tuples, ...]
    is_target: bool

    @property
    def own(self) -> Tuples | None:
        """The tuples of its whole key; None where they were not counted."""
        return next((one for one in self.tuples if one.names == self.key), None)


def tuples_of(kind: Kind, keys: KeyColumns, columns: Sequence[Column]) -> tuple[Tuples, ...]:
    """What was counted of a kind's tuples, in all generations together."""
    by_name = {column.name: column for column in columns}
    by_attribute = {
        column.path[0]: column.name for column in columns if column.path is not None and len(column.path) == 1
    }
    merged: dict[tuple[str, ...], list[Sketch]] = {}
    for group in kind.generations:
        counted: dict[tuple[str, ...], Sketch] = {}
        for fields, sketch in sorted(group.census.tuples.items(), key=lambda one: one[0]):
            names = _names(fields, group, keys, by_attribute)
            if names is not None:
                counted.setdefault(names, sketch)
        for names, sketch in counted.items():
            merged.setdefault(names, []).append(sketch)
    gains_rows = any(not _has_originals(copies, kind) for copies in kind.copies)
    found = []
    for names, sketches in sorted(merged.items()):
        whole = Sketch()
        for sketch in sketches:
            whole.merge(sketch)
        is_all = len(sketches) == len(kind.generations) and not gains_rows
        found.append(Tuples(tuple(by_name[name] for name in names), whole, is_all))
    return tuple(found)


def _has_originals(copies: CopyOf, kind: Kind) -> bool:
    """Whether each of the copies is proven to have an original: others become rows."""
    census = copies.group.census
    ours, theirs = census.attributes[copies.of], kind.census.attributes[copies.of]
    return ours.present == census.items and ours.sketch.is_within(theirs.sketch)


def _names(fields: Fields, group: Group, keys: KeyColumns, by_attribute: dict[str, str]) -> tuple[str, ...] | None:
    """The columns that the fields fill; None where one fills none, or two fill the same."""
    of = keys.of[id(group)]
    names = [of.get(one.name) if one.in_key else by_attribute.get(one.name) for one in fields]
    known = tuple(name for name in names if name is not None)
    return known if len(set(known)) == len(fields) else None


def composite_foreign_keys(one: Holder, holders: Sequence[Holder], *, complete: bool) -> list[ForeignKey]:
    """References of an entity's columns to keys of several columns: for the same columns one, the best found.

    Of two entities that could refer to each other by their whole keys, only the one with fewer items does, or, of as
    many, the later one: and only where its keys hold all the words of the other's.
    """
    best: dict[frozenset[str], tuple[tuple[float, int, int], ForeignKey]] = {}
    for place, target in enumerate(holders):
        for tuples in one.tuples:
            key = _foreign_key(one, tuples, target, is_later=_is_later(one, target, holders), complete=complete)
            if key is None:
                continue
            rank = (1 - key.missing / key.looked_at, target.items, -place)
            there = best.get(frozenset(key.columns))
            if there is None or there[0] < rank:
                best[frozenset(key.columns)] = rank, key
    return [key for _, key in best.values()]


def _is_later(one: Holder, target: Holder, holders: Sequence[Holder]) -> bool:
    if not one.is_target:
        return True
    places = [holder.entity for holder in holders]
    own, other = places.index(one.entity), places.index(target.entity)
    return (target.items, -other) > (one.items, -own)


def _foreign_key(one: Holder, tuples: Tuples, target: Holder, *, is_later: bool, complete: bool) -> ForeignKey | None:
    own = target.own
    if not target.is_target or own is None or own is tuples or len(own.columns) != len(tuples.columns):
        return None
    pairs = list(zip(tuples.columns, own.columns, strict=True))
    if not all(_are_comparable(*pair) for pair in pairs):
        return None
    if set(tuples.names) == set(one.key) and not (is_later and target.words <= one.words):
        return None
    found = hits(tuples.sketch, own.sketch)
    if found is None:
        return None
    counted = tuples.sketch.missing_from(own.sketch) if complete else None
    looked_at, missing = counted or (found[0], found[0] - found[1])
    because = why_not_enforced(
        complete=complete,
        counted=counted,
        as_they_stand=True,
        all_rows=tuples.is_all,
        one_type=all(_have_one_type(*pair) for pair in pairs),
    )
    return ForeignKey(
        columns=tuples.names,
        target=target.entity,
        target_columns=own.names,
        looked_at=looked_at,
        missing=missing,
        enforced=not because,
        because=because,
    )


def hits(one: Sketch, other: Sketch) -> tuple[int, int] | None:
    """(distinct tuples that can be looked up in the other, how many of them it has); None where they say nothing."""
    looked_at, found = one.contained_in(other)
    if looked_at < LEAST or found < FOUND * looked_at or _is_chance(one, other, looked_at):
        return None
    return looked_at, found


def _have_one_type(one: Column, other: Column) -> bool:
    """Whether PostgreSQL can hold a foreign key between them, for which whole numbers may be of several sizes."""
    return one.kind == other.kind or {one.kind, other.kind} <= _wholes


def _are_comparable(one: Column, other: Column) -> bool:
    """Whether the same text in both is the same value."""
    return _have_one_type(one, other) or {one.kind, other.kind} <= {"text", "uuid"}


def _is_chance(one: Sketch, other: Sketch, looked_at: int) -> bool:
    """Whether about as many tuples would be found with the values of one column taken from other tuples.

    Compared are only tuples that change by that: a value and another one then stand for each other equally often.
    """
    rows = [tuple(text.split(BETWEEN)) for text in sorted(one.values())]
    moved = [list(_moved(rows, column)) for column in range(len(rows[0]))]
    held = other.holds({text for pairs in moved for pair in pairs for text in pair})
    for pairs in moved:
        compared = [(held[text], held[moved]) for text, moved in pairs if text in held and moved in held]
        found, expected = sum(text for text, _ in compared), sum(moved for _, moved in compared)
        if not compared or expected > BY_CHANCE * found:
            return True
        chance = expected / len(compared)
        if found / len(compared) - chance < DEVIATIONS * math.sqrt(chance * (1 - chance) / looked_at):
            return True
    return False


def _moved(rows: Sequence[tuple[str, ...]], column: int) -> Iterator[tuple[str, str]]:
    """The tuples, several times, each with what it becomes with a column's value of another one, where that differs."""
    for move in range(1, _moves + 1):
        by = move * len(rows) // (_moves + 1)
        for place, row in enumerate(rows):
            taken = rows[(place + by) % len(rows)][column]
            if taken != row[column]:
                yield BETWEEN.join(row), BETWEEN.join((*row[:column], taken, *row[column + 1 :]))
