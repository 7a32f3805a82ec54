"""The tables of a proposal as a drawing needs them: a few columns each, and what refers to what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from ashore.assess.proposal import Child, Column, Entity, Proposal, Role

MOST_COLUMNS: Final = 14
"""Columns of a table that are drawn; keys and references always are."""

_TYPES: Final = {"epoch_seconds": "timestamptz", "epoch_milliseconds": "timestamptz"}


@dataclass(frozen=True, slots=True)
class DrawnColumn:
    """A column: its type in PostgreSQL, and whether it is part of the primary key or of a reference."""

    name: str
    type: str
    is_key: bool
    refers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnTable:
    """A table; `more` columns of it are not drawn."""

    name: str
    role: Role | Literal["child"]
    columns: tuple[DrawnColumn, ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Columns of a table that hold another's key; tables by their place in the schema. `enforced`: a foreign key."""

    table: int
    columns: tuple[str, ...]
    target: int
    target_columns: tuple[str, ...]
    enforced: bool


@dataclass(frozen=True, slots=True)
class Schema:
    """Everything that is drawn."""

    tables: tuple[DrawnTable, ...]
    references: tuple[Reference, ...]


def postgres_type(kind: str) -> str:
    """A column's type as PostgreSQL says it."""
    return _TYPES.get(kind, kind)


def schema_of(proposal: Proposal) -> Schema:
    """The tables of entities and their children, without those of copies, which hold whole items."""
    tables: list[DrawnTable] = []
    references: list[Reference] = []
    place = {entity.name: number for number, entity in enumerate(proposal.entities)}
    tables += [_entity(entity) for entity in proposal.entities]
    for number, entity in enumerate(proposal.entities):
        references += _foreign_keys(number, entity, place)
        for child in entity.children:
            references.append(_of_parent(len(tables), number, entity))
            tables.append(_child(child, entity))
    return Schema(tuple(tables), tuple(references))


def _foreign_keys(number: int, entity: Entity, place: dict[str, int]) -> Iterator[Reference]:
    for key in entity.foreign_keys:
        if key.target in place:
            yield Reference(
                table=number,
                columns=key.columns,
                target=place[key.target],
                target_columns=key.target_columns,
                enforced=key.enforced,
            )


def _of_parent(child: int, parent: int, entity: Entity) -> Reference:
    return Reference(
        table=child, columns=entity.key_columns, target=parent, target_columns=entity.key_columns, enforced=True
    )


def _entity(entity: Entity) -> DrawnTable:
    referring = {column for key in entity.foreign_keys for column in key.columns}
    wanted = {column for key in entity.foreign_keys for column in key.columns} | set(entity.key_columns)
    columns = [_drawn(column, column.name in entity.key_columns, column.name in referring) for column in entity.columns]
    return _table(entity.name, entity.role, columns, wanted)


def _child(child: Child, entity: Entity) -> DrawnTable:
    keys = [_drawn(column, is_key=True, refers=True) for column in entity.columns if column.name in entity.key_columns]
    order = DrawnColumn(child.order, "integer", is_key=True, refers=False)
    columns = [*keys, order, *(_drawn(column, is_key=False, refers=False) for column in child.columns)]
    return _table(child.table, "child", columns, {*entity.key_columns, child.order})


def _drawn(column: Column, is_key: bool, refers: bool) -> DrawnColumn:  # noqa: FBT001  # both are always named or plain
    return DrawnColumn(column.name, postgres_type(column.kind), is_key=is_key, refers=refers)


def _table(name: str, role: Role | Literal["child"], columns: list[DrawnColumn], wanted: set[str]) -> DrawnTable:
    room = max(0, MOST_COLUMNS - sum(column.name in wanted for column in columns))
    others = [column for column in columns if column.name not in wanted][:room]
    kept = tuple(column for column in columns if column.name in wanted or column in others)
    return DrawnTable(name=name, role=role, columns=kept, more=len(columns) - len(kept))
