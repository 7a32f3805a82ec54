"""What the lines of one written module share: names of variables, imports, and what columns are for."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import ashore
from ashore.assess.proposal import Column, Entity, ForeignKey, KeyPattern, Proposal
from ashore.assess.writing.python import Names, column_of
from ashore.mapping import names

_placeholder: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)[^{}]*\}")
_conventions: Final[dict[str, Callable[[str], str]]] = {
    "camel_case": names.camel_case,
    "pascal_case": names.pascal_case,
    "same_name": names.same_name,
}
_reserved: Final = frozenset({"ARRAY", "JSONB", "metadata", "sa", "source", *ashore.__all__})

FILLED_OTHERWISE: Final = frozenset({"epoch_seconds", "epoch_milliseconds", "number_in_text"})
"""Kinds of columns that a declaration names a function for, one of the same name."""


@dataclass(slots=True)
class Scope:
    """The variables of a module for one proposal, and which names it has to import."""

    proposal: Proposal
    names: Names = field(default_factory=lambda: Names(_reserved))
    used: set[str] = field(default_factory=set)
    tables: dict[str, str] = field(default_factory=dict)
    """Table → variable."""

    def __post_init__(self) -> None:
        for entity in self.proposal.entities:
            for table in (entity.name, *(child.table for child in entity.children)):
                self.tables[table] = self.names.take(table, otherwise="table")

    def use(self, name: str) -> str:
        """The same name, which the module then imports."""
        self.used.add(name)
        return name

    def column(self, table: str, name: str) -> str:
        """The expression of a table's column."""
        return column_of(self.tables[table], name)

    def attribute_of(self, column: str) -> str:
        """The attribute that the naming convention gives a column."""
        return _conventions[self.proposal.names](column)


def placeholders(template: str) -> list[str]:
    """The columns that a template names, in order, without their forms."""
    return _placeholder.findall(template)


def named_by(key: KeyPattern) -> list[str]:
    """The columns that a pair of patterns fills."""
    return [*placeholders(key.partition), *placeholders(key.sort or "")]


def key_filled(entity: Entity) -> set[str]:
    """The columns that the entity's keys fill."""
    return {name for key in entity.keys for name in named_by(key)}


def ordered_as_bytes(entity: Entity) -> set[str]:
    """The columns whose text has to sort, and join, as DynamoDB's keys do: keys, and what refers to keys."""
    referring = {name for key in entity.foreign_keys for name in key.columns}
    return key_filled(entity) | set(entity.key_columns) | referring


def in_order_of_reference(entities: Collection[Entity]) -> list[Entity]:
    """The entities, those that others refer to first, otherwise in the order given. Cycles are cut somewhere."""
    by_name = {entity.name: entity for entity in entities}
    ordered: dict[str, Entity] = {}
    entered: set[str] = set()
    waiting = [(entity, False) for entity in reversed(list(entities))]
    while waiting:
        entity, is_ready = waiting.pop()
        if is_ready:
            ordered[entity.name] = entity
        elif entity.name not in entered:
            entered.add(entity.name)
            targets = [by_name[key.target] for key in enforced(entity) if key.target in by_name]
            waiting += [(entity, True), *((target, False) for target in reversed(targets))]
    return list(ordered.values())


def enforced(entity: Entity) -> list[ForeignKey]:
    """The foreign keys that PostgreSQL is to hold."""
    return [key for key in entity.foreign_keys if key.enforced]


def parent_columns(entity: Entity) -> list[Column]:
    """The key columns that each child table of an entity repeats."""
    by_name = {column.name: column for column in entity.columns}
    return [by_name[name] for name in entity.key_columns]


def exceptions(scope: Scope, columns: Collection[Column]) -> list[Column]:
    """The columns of which the naming convention does not say by itself where they come from."""
    return [
        column
        for column in columns
        if column.path is not None
        and (column.kind in FILLED_OTHERWISE or column.path != (scope.attribute_of(column.name),))
    ]
