"""Foreign keys, where values are another entity's keys; and indexes, for what DynamoDB's keys and indexes carried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ashore.assess.census import AttributeCensus
from ashore.assess.naming import LONGEST
from ashore.assess.proof import why_not_enforced
from ashore.assess.proposal import Column, Derived, ForeignKey, Index
from ashore.assess.tokens import tokens_of

FOUND: Final = 0.5
"""The share of the values looked at that must be keys of the other entity before it is taken for a reference."""
_comparable: Final = {"uuid": "text", "text": "text", "date": "none", "bigint": "number", "integer": "number"}
_least_numbers: Final = 5


@dataclass(frozen=True, slots=True)
class Values:
    """A column with the census of its values."""

    column: Column
    census: AttributeCensus


@dataclass(frozen=True, slots=True)
class Target:
    """An entity that can be referred to: its one key column and the values of it.

    `is_root`: of several with the same keys, the one that others refer to.
    """

    entity: str
    values: Values
    is_root: bool


@dataclass(frozen=True, slots=True)
class _Hits:
    """How many of the values looked at are keys; `as_they_stand`, or what is behind one label in all of them."""

    looked_at: int
    found: int
    as_they_stand: bool = True

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.found / self.looked_at if self.looked_at else 0.0


_none: Final = _Hits(0, 0)


def foreign_keys(
    entity: str, columns: Sequence[Values], targets: Sequence[Target], *, complete: bool
) -> list[ForeignKey]:
    """References of an entity's columns to the targets: at most one for a column, the best found.

    `complete` says that every value of the columns was counted.
    """
    found = []
    own = next((target for target in targets if target.entity == entity), None)
    for one in columns:
        ranked = sorted(
            (
                ((hits.share, target.is_root, target.values.column.name == one.column.name, -place), hits)
                for place, target in enumerate(targets)
                if _may_refer(one, target, own)
                for hits in [_hits(one, target)]
                if hits.share >= FOUND
            ),
            key=lambda two: two[0],
            reverse=True,
        )
        best = [(targets[-rank[-1]], hits) for rank, hits in ranked if rank[0] == ranked[0][0][0]]
        judged = [_judged(one, target, hits, complete=complete) for target, hits in best[:1]]
        if judged and not judged[0].enforced:
            judged += [_judged(one, target, hits, complete=complete) for target, hits in best[1:]]
        found += sorted(judged, key=lambda key: not key.enforced)[:1]
    return found


def _judged(one: Values, target: Target, hits: _Hits, *, complete: bool) -> ForeignKey:
    counted = one.census.sketch.missing_from(target.values.census.sketch) if hits.as_they_stand else None
    looked_at, missing = counted or (hits.looked_at, hits.looked_at - hits.found)
    because = why_not_enforced(
        complete=complete,
        counted=counted,
        as_they_stand=hits.as_they_stand,
        all_rows=True,
        one_type=one.column.kind == target.values.column.kind,
    )
    return ForeignKey(
        columns=(one.column.name,),
        target=target.entity,
        target_columns=(target.values.column.name,),
        looked_at=looked_at,
        missing=missing,
        enforced=not because,
        because=because,
    )


def _may_refer(one: Values, target: Target, own: Target | None) -> bool:
    """A key never refers to itself, and that of a root to nothing that has the same key."""
    if own is None or one.column.name != own.values.column.name:
        return True
    return target.entity != own.entity and target.is_root and not own.is_root


def _hits(one: Values, target: Target) -> _Hits:
    mine, theirs = _comparable.get(one.column.kind), _comparable.get(target.values.column.kind)
    if mine is None or mine == "none" or mine != theirs:
        return _none
    hits = _Hits(*one.census.sketch.contained_in(target.values.census.sketch))
    if hits.looked_at and not hits.found:
        hits = _hits_behind_a_label(one.census, target.values.census)
    if not hits.looked_at:
        return _none
    distinct, keys = one.census.sketch.distinct(), target.values.census.sketch.distinct()
    named_alike = one.column.name == target.values.column.name
    is_number = set(one.census.forms) <= {"integer", "digits"}
    if is_number and not named_alike and (distinct < _least_numbers or distinct < 0.2 * keys):
        return _none
    if not is_number and set(one.census.forms) != {"uuid"} and not named_alike and distinct < 2:
        return _none
    return hits


def _hits_behind_a_label(one: AttributeCensus, keys: AttributeCensus) -> _Hits:
    """As `Sketch.contained_in`, for texts such as ``DOCTOR#7`` whose end, behind one and the same label, is a key."""
    if not keys.sketch.complete:
        return _none
    ends = set()
    labels = set()
    for text in one.sketch.values():
        tokens, segments = tokens_of(text)
        if [token.kind for token in tokens[:2]] != ["word", "separator"]:
            return _none
        labels.add(segments[0] + tokens[1].text)
        ends.add(text[len(segments[0]) + len(tokens[1].text) :])
    if len(labels) != 1:
        return _none
    return _Hits(len(ends), len(ends & keys.sketch.values()), as_they_stand=False)


def indexes(
    entity: str,
    columns: Sequence[Column],
    key: Sequence[str],
    references: Sequence[ForeignKey],
    secondary: Mapping[str, Sequence[str]],
    derived: Sequence[Derived],
) -> list[Index]:
    """An index for each reference that the primary key does not serve, and for each secondary index of the table.

    Args:
        entity: The table's name.
        columns: Its columns.
        key: The primary key.
        references: Foreign keys.
        secondary: Secondary indexes: name → attributes of their key.
        derived: Derived attributes; an index on one is on the columns of its template.
    """
    by_attribute = {column.path[0]: [column.name] for column in columns if column.path and len(column.path) == 1}
    for one in derived:
        by_attribute.setdefault(one.attribute, _columns_of(one.template))
    indexable = {column.name for column in columns if not column.kind.endswith("[]") and column.kind != "jsonb"}
    wanted: dict[tuple[str, ...], str] = {}
    for reference in references:
        wanted.setdefault(reference.columns, f"finds the rows of a {reference.target}")
    for name, attributes in secondary.items():
        lists = [by_attribute.get(attribute, []) for attribute in attributes]
        if lists and lists[0]:
            together = tuple(dict.fromkeys(column for names in lists for column in names if column in indexable))
            if together:
                wanted[together] = f"the secondary index {name}"
    kept = {
        names: because
        for names, because in wanted.items()
        if tuple(key[: len(names)]) != names
        and not any(other != names and other[: len(names)] == names for other in wanted)
    }
    return [
        Index(name=_name(entity, names), columns=names, unique=False, because=because)
        for names, because in kept.items()
    ]


def _columns_of(template: str) -> list[str]:
    return list(dict.fromkeys(piece.partition("}")[0] for piece in template.split("{")[1:]))


def _name(entity: str, columns: Sequence[str]) -> str:
    return f"{entity}_by_{'_'.join(columns)}"[: LONGEST + 12]
