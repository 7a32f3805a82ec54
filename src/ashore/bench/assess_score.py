"""A proposal against the truth about a labelled table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ashore.assess.proposal import Child, Column, Derived, Entity, Proposal
from ashore.bench.assess_routing import Place, Routed, Router, columns_from, place_of
from ashore.bench.assess_values import Held
from ashore.local.styles import LabelledTable

LEAST_GROUPING: Final = 0.98
LEAST_TYPED: Final = 0.95
MOST_OUTSIDE: Final = 0.05

_wholes: Final = frozenset({"smallint", "integer", "bigint"})
_right: Final[Mapping[str, frozenset[str]]] = {
    "text": frozenset({"text"}),
    "uuid": frozenset({"uuid"}),
    "integer": _wholes,
    "numeric": frozenset({"numeric"}),
    "boolean": frozenset({"boolean"}),
    "date": frozenset({"date"}),
    "timestamptz": frozenset({"timestamptz"}),
    "timestamp": frozenset({"timestamp"}),
    "epoch": _wholes | {"epoch_seconds", "epoch_milliseconds"},
    "number_in_text": _wholes | {"number_in_text"},
    "binary": frozenset({"bytea"}),
    "set": frozenset({"text[]", "bigint[]", "numeric[]", "bytea[]"}),
    "document": frozenset({"jsonb", "text[]", "child table"}),
}
"""The kinds of columns that are right for what values are in truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Shares from 0 to 1, and by name what is not as it should be; `passes` says whether anything is missed.

    Attributes:
        grouping: F1 over pairs of items: together in truth, together as proposed. An item that nothing takes is alone.
        typed: Of the scalar values, at the top of items and in child tables, those in columns of a type of theirs.
        outside: Of the bytes, those in `extra` or in a residue.
        texts: Text columns that hold nothing but uuids, moments, dates or whole numbers.
        types: Attributes that have no column of a right type.
        parents: Parents that no foreign key from the right columns names.
        roles: Labels whose entity is said to be something else: told, but nothing that is missed.
        copies: Of the copies, those that are proposed as copies; None without any.
        disagrees: What is not as in the table with its own names and its type attribute.
    """

    style: str
    variant: str
    items: int
    entities: int
    grouping: float
    typed: float
    outside: float
    texts: tuple[str, ...]
    types: tuple[str, ...]
    parents: tuple[str, ...]
    roles: tuple[str, ...]
    copies: float | None
    disagrees: tuple[str, ...] = ()

    @property
    def missed(self) -> tuple[str, ...]:
        """Which bars are missed."""
        reached = {
            "grouping": self.grouping >= LEAST_GROUPING,
            "typed": self.typed >= LEAST_TYPED,
            "extra": self.outside <= MOST_OUTSIDE,
            "texts": not self.texts,
            "types": not self.types,
            "parents": not self.parents,
            "agreement": not self.disagrees,
        }
        return tuple(name for name, is_reached in reached.items() if not is_reached)

    @property
    def passes(self) -> bool:
        """Whether no bar is missed."""
        return not self.missed

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "missed": list(self.missed), "passes": self.passes}


@dataclass(frozen=True)
class Answer:
    """What a proposal says of each item of a labelled table, in the table's order."""

    table: LabelledTable
    proposal: Proposal
    routed: Sequence[Routed | None]

    @classmethod
    def of(cls, table: LabelledTable, proposal: Proposal) -> Answer:
        """Route all items."""
        router = Router(proposal, table.key)
        return cls(table, proposal, [router.route(one.item) for one in table.items])

    def groups(self) -> list[str]:
        """The entity of each item; a name of its own where nothing takes it."""
        return [
            f"alone {number}" if one is None else f"entity {one.entity.name}" for number, one in enumerate(self.routed)
        ]

    def entities(self) -> dict[str, Entity]:
        """By label the entity that takes most of its items."""
        counted: dict[str, Counter[str]] = defaultdict(Counter)
        for labelled, routed in zip(self.table.items, self.routed, strict=True):
            if routed is not None:
                counted[labelled.label][routed.entity.name] += 1
        by_name = {entity.name: entity for entity in self.proposal.entities}
        return {label: by_name[names.most_common(1)[0][0]] for label, names in counted.items()}

    def placed(self) -> dict[tuple[str, str], str]:
        """By label and attribute, what holds it."""
        entities = self.entities()
        return {
            (label, attribute): "no entity" if label not in entities else _kind(entities[label], attribute)
            for label, truth in self.table.kinds.items()
            for attribute in truth.types
        }


def score(answer: Answer, *, variant: str) -> Score:
    """Compare a proposal with the truth."""
    table, entities = answer.table, answer.entities()
    held = Held()
    for labelled, routed in zip(table.items, answer.routed, strict=True):
        held.add(routed, labelled.item, table.key)
    copies = [
        routed is not None and routed.copies is not None
        for labelled, routed in zip(table.items, answer.routed, strict=True)
        if labelled.is_copy
    ]
    return Score(
        style=table.name,
        variant=variant,
        items=len(table.items),
        entities=len(answer.proposal.entities),
        grouping=pairwise_f1(zip(_labels(answer, entities), answer.groups(), strict=True)),
        typed=held.typed / held.values if held.values else 1.0,
        outside=held.outside / held.size,
        texts=tuple(_texts(table, entities, held)),
        types=tuple(_wrong_types(answer)),
        parents=tuple(_missing_parents(table, entities)),
        roles=tuple(_wrong_roles(table, entities)),
        copies=sum(copies) / len(copies) if copies else None,
    )


def pairwise_f1(pairs: Iterable[tuple[str, str]]) -> float:
    """F1 over pairs of items, given for each its group in truth and its group as proposed."""
    both = Counter(pairs)
    actual: Counter[str] = Counter()
    proposed: Counter[str] = Counter()
    for (label, group), count in both.items():
        actual[label] += count
        proposed[group] += count
    together, true, said = (sum(n * (n - 1) // 2 for n in counts.values()) for counts in (both, actual, proposed))
    return 2 * together / (true + said) if true + said else 1.0


def same_grouping(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two groupings of the same items put the same items together, whatever the groups are called."""
    return len(set(one)) == len(set(other)) == len(set(zip(one, other, strict=True)))


def _labels(answer: Answer, entities: Mapping[str, Entity]) -> list[str]:
    """Labels; what mirrors other items has their label where both are proposed as one."""
    renamed = {
        label: truth.mirrors
        for label, truth in answer.table.kinds.items()
        if truth.mirrors is not None and entities.get(label) is entities.get(truth.mirrors)
    }
    return [renamed.get(one.label, one.label) for one in answer.table.items]


def _texts(table: LabelledTable, entities: Mapping[str, Entity], held: Held) -> Iterator[str]:
    are_text = {
        (entities[label].name, attribute)
        for label, truth in table.kinds.items()
        if label in entities
        for attribute, type_ in truth.types.items()
        if type_ in {"text", "any"}
    }
    for entity, attribute, column, form in held.misplaced_texts():
        if (entity, attribute) not in are_text:
            yield f"{entity}.{column}: {form}"


def _kind(entity: Entity, attribute: str) -> str:
    place: Place | None = place_of(entity, attribute)
    match place:
        case Column():
            return place.kind
        case Child():
            return "child table"
        case Derived():
            name = place.template.removeprefix("{").removesuffix("}")
            return next((column.kind for column in entity.columns if column.name == name), "text")
        case (_, _):
            return "constant"
        case None:
            return "extra"


def _wrong_types(answer: Answer) -> Iterator[str]:
    for (label, attribute), kind in answer.placed().items():
        truth = answer.table.kinds[label].types[attribute]
        right = _right.get(truth)
        if right is not None and kind != "constant" and kind not in right:
            yield f"{label}.{attribute}: {kind}, not {truth}"


def _missing_parents(table: LabelledTable, entities: Mapping[str, Entity]) -> Iterator[str]:
    for label, truth in table.kinds.items():
        child = entities.get(label)
        if truth.mirrors is not None and child is entities.get(truth.mirrors):
            continue
        for attribute, parent in truth.parents.items():
            target = entities.get(parent)
            from_here = set() if child is None else columns_from(child, attribute, table.key)
            is_found = child is not None and any(
                target is not None and key.target == target.name and from_here & {*key.columns}
                for key in child.foreign_keys
            )
            if not is_found:
                yield f"{label}.{attribute} → {parent}"


def _wrong_roles(table: LabelledTable, entities: Mapping[str, Entity]) -> Iterator[str]:
    for label, truth in table.kinds.items():
        entity = entities.get(label)
        if entity is not None and entity.role != truth.role:
            yield f"{label}: {entity.role}, not {truth.role}"
