"""How near a proposal comes to a table's labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from ashore.assess.proposal import Column, Entity, KeyPattern, Proposal
from ashore.bench.gold.table import GoldTable
from ashore.mapping.pattern import Pattern
from ashore.model.attribute import kind
from ashore.model.item import Item

GROUPING: Final = 0.98
SCALARS: Final = 0.95
EXTRA: Final = 0.05
_scalar: Final = frozenset({"S", "N", "BOOL", "B"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Figures from 0 to 1, and what is wrong by name.

    `grouping` is the F1 of pairs of items that are of one kind; `typed` the share of top-level scalar values that a
    column, the key, a constant or a derived attribute holds; `extra` the share of bytes in `extra`.
    """

    table: str
    items: int
    grouping: float
    typed: float
    extra: float
    wrong_types: tuple[str, ...]
    missing_parents: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Whether it is good enough."""
        good = self.grouping >= GROUPING and self.typed >= SCALARS and self.extra <= EXTRA
        return good and not self.wrong_types and not self.missing_parents

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "passes": self.passes}


def score(table: GoldTable, proposal: Proposal) -> Score:
    """Compare a proposal with the labels."""
    find = _finder(proposal)
    found = [(label, find(_key(table, item)), item) for label, item in table.items]
    entity_of = _entities(found)
    typed, scalars, in_extra, size = 0, 0, 0, 0
    for _, entity, item in found:
        for name, value in item.items():
            length = len(msgspec.json.encode(value))
            size += length
            kept = entity is not None and _has_place(entity, name, table)
            in_extra += 0 if kept else length
            if kind(value) in _scalar:
                scalars += 1
                typed += kept
    return Score(
        table=table.name,
        items=len(found),
        grouping=pairwise_f1((label, "" if entity is None else entity.name) for label, entity, _ in found),
        typed=typed / scalars,
        extra=in_extra / size,
        wrong_types=tuple(_wrong_types(table, entity_of)),
        missing_parents=tuple(_missing_parents(table, entity_of)),
    )


def pairwise_f1(pairs: Iterable[tuple[str, str]]) -> float:
    """F1 over pairs of items: those that are together in truth, against those that are together as predicted."""
    both = Counter(pairs)
    actual: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    for (label, entity), count in both.items():
        actual[label] += count
        predicted[entity] += count
    together, true, said = (sum(n * (n - 1) // 2 for n in counts.values()) for counts in (both, actual, predicted))
    return 2 * together / (true + said) if true + said else 1.0


def _key(table: GoldTable, item: Item) -> tuple[str, str | None]:
    texts = [item[name][of] for name, of in table.key]
    return texts[0], texts[1] if len(texts) > 1 else None


def _finder(proposal: Proposal) -> Any:
    forms: list[tuple[Pattern, Pattern | None, Entity]] = []
    for entity in proposal.entities:
        keys = (*entity.keys, *(copies.key for copies in entity.copies))
        forms += [(*_patterns(key), entity) for key in keys]

    def find(key: tuple[str, str | None]) -> Entity | None:
        for partition, sort, entity in forms:
            taken = partition.match(key[0])
            more = {} if sort is None or key[1] is None else sort.match(key[1])
            if taken is not None and more is not None and all(taken.get(k, v) == v for k, v in more.items()):
                return entity
        return None

    return find


def _patterns(key: KeyPattern) -> tuple[Pattern, Pattern | None]:
    return Pattern.parse(key.partition), None if key.sort is None else Pattern.parse(key.sort)


def _entities(found: Sequence[tuple[str, Entity | None, Item]]) -> Mapping[str, Entity]:
    """For each label the entity that most of its items are in."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    by_name: dict[str, Entity] = {}
    for label, entity, _ in found:
        if entity is not None:
            counted[label][entity.name] += 1
            by_name[entity.name] = entity
    return {label: by_name[names.most_common(1)[0][0]] for label, names in counted.items()}


def _column(entity: Entity, name: str) -> Column | None:
    return next((column for column in entity.columns if column.path == (name,)), None)


def _has_place(entity: Entity, name: str, table: GoldTable) -> bool:
    return (
        name in {key for key, _ in table.key}
        or name in entity.constant
        or any(derived.attribute == name for derived in entity.derived)
        or any(child.attribute == name for child in entity.children)
        or _column(entity, name) is not None
    )


def _wrong_types(table: GoldTable, entity_of: Mapping[str, Entity]) -> Iterator[str]:
    for (label, name), kinds in sorted(table.types.items()):
        entity = entity_of.get(label)
        if entity is None:
            yield f"{label}: no entity"
            continue
        column = _column(entity, name)
        derived = any(one.attribute == name for one in entity.derived)
        if not derived and (column is None or column.kind not in kinds):
            yield f"{label}.{name}: {'no column' if column is None else column.kind}, not {' or '.join(sorted(kinds))}"


def _missing_parents(table: GoldTable, entity_of: Mapping[str, Entity]) -> Iterator[str]:
    for child, parent in sorted(table.parents):
        one, other = entity_of.get(child), entity_of.get(parent)
        if one is None or other is None or other.name not in {key.target for key in one.foreign_keys}:
            yield f"{child} → {parent}"
