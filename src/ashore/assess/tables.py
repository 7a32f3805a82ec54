"""From a kind to its table: columns, children, what stays in `extra`, and the census as evidence."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ashore.assess.census import AttributeCensus, Census
from ashore.assess.columns import choose, explicit_null, forms_of, is_required, key_column
from ashore.assess.keys import KeyColumns
from ashore.assess.kinds import Kind
from ashore.assess.naming import singular, snake_case, unique_name
from ashore.assess.proposal import AttributeEvidence, Child, Column

_most_child_names: Final = 60

Show = Callable[[str], str]


@dataclass
class Table:
    """What a kind's attributes become."""

    columns: list[Column] = field(default_factory=list)
    extra: list[tuple[str, str]] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)
    null: list[str] = field(default_factory=list)
    nul: list[str] = field(default_factory=list)
    """Attributes in which U+0000 was seen."""

    def column_of(self, attribute: str) -> Column | None:
        """The column that an attribute fills."""
        return next((column for column in self.columns if column.path == (attribute,)), None)


def key_census(kind: Kind, keys: KeyColumns, column: str) -> AttributeCensus:
    """What the placeholders of a key column take, in all generations."""
    return merged(
        [
            group.census.placeholders[keys.placeholder(group, column)]
            for group in kind.generations
            if group.census.placeholders
        ]
    )


def merged(censuses: Sequence[AttributeCensus]) -> AttributeCensus:
    """One census of all, of which there has to be one at least; those given stay as they are."""
    first, *others = censuses
    if others:
        first = copy.deepcopy(first)
        for other in others:
            first.merge(other)
    return first


def key_table(kind: Kind, keys: KeyColumns, key_types: Sequence[str]) -> list[Column]:
    """The key columns."""
    columns = []
    for name in keys.names:
        placeholder = keys.placeholder(kind.main, name)
        census = key_census(kind, keys, name)
        choice = key_column(census, key_types[placeholder[0] == "s"])
        if choice.kind is None:
            message = "a key always has a column"
            raise AssertionError(message)
        columns.append(
            Column(
                name=name,
                kind=choice.kind,
                path=None,
                nullable=False,
                because=choice.because,
                average_bytes=round(census.bytes / census.present, 1),
            )
        )
    return columns


def table_of(  # noqa: PLR0913 (what a table depends on)
    census: Census,
    key: Sequence[Column],
    attributes: Sequence[str],
    *,
    name: str,
    ttl: str | None,
    complete: bool,
    tables: set[str],
) -> Table:
    """Columns for the given attributes of a kind, after its key's; names of child tables are added to `tables`."""
    table = Table(columns=list(key))
    for attribute in attributes:
        one = census.attributes[attribute]
        if one.nul:
            table.nul.append(attribute)
        child = _child(one, attribute, name, table, complete=complete, tables=tables)
        if child is not None:
            table.children.append(child)
            continue
        _add(table, one, attribute, items=census.items, is_ttl=attribute == ttl, complete=complete)
    return table


def _add(table: Table, one: AttributeCensus, attribute: str, *, items: int, is_ttl: bool, complete: bool) -> None:
    choice = choose(one, items=items, is_ttl=is_ttl)
    if choice.kind is None:
        table.extra.append((attribute, choice.because))
        return
    required = is_required(one, items=items, complete=complete)
    because = choice.because
    if not required:
        because += "; " + _why_nullable(one, items=items, complete=complete)
    if explicit_null(one, items=items):
        table.null.append(attribute)
    table.columns.append(
        Column(
            name=unique_name(snake_case(attribute), [column.name for column in table.columns]),
            kind=choice.kind,
            path=(attribute,),
            nullable=not required,
            because=because,
            present=(one.present - one.kinds.get("NULL", 0)) / max(items, 1),
            average_bytes=round(one.bytes / max(one.present, 1), 1),
        )
    )


def _why_nullable(one: AttributeCensus, *, items: int, complete: bool) -> str:
    nulls = one.kinds.get("NULL", 0)
    absent = items - one.present
    if absent or nulls:
        return f"absent in {absent:,}, NULL in {nulls:,} of {items:,}"
    return "nullable: U+0000 was seen" if complete else "nullable: not all items were read"


def _child(
    one: AttributeCensus, attribute: str, parent: str, table: Table, *, complete: bool, tables: set[str]
) -> Child | None:
    """A table for a list of maps that have names in common; None where the list stays JSONB."""
    lists, members = one.lists, one.members
    if {kind for kind in one.kinds if kind != "NULL"} != {"L"} or lists is None or members is None:
        return None
    if set(lists.element_kinds) != {"M"} or lists.elements != members.items or not members.items:
        return None
    names = members.attributes
    filled = sum(inner.present for inner in names.values())
    if not names or len(names) > _most_child_names or filled < 0.5 * len(names) * members.items:
        return None
    inside = Table(columns=[column for column in table.columns if column.path is None])
    taken = len(inside.columns)
    order = unique_name("position", [snake_case(name) for name in names] + [column.name for column in inside.columns])
    inside.columns.append(
        Column(name=order, kind="integer", path=None, nullable=False, because="the place in the list")
    )
    for name, inner in names.items():
        _add(inside, inner, name, items=members.items, is_ttl=False, complete=complete)
    if inside.null or any(inner.nul for inner in names.values()):
        return None
    child = unique_name(snake_case(f"{parent}_{singular(snake_case(attribute))}"), tables)
    tables.add(child)
    return Child(
        table=child,
        attribute=attribute,
        order=order,
        columns=tuple(inside.columns[taken + 1 :]),
        extra=tuple(inside.extra),
        items=members.items,
        because=f"a list of up to {lists.longest:,} records with {len(names)} attributes in common",
    )


def evidence(census: Census, where: Mapping[str, str], show: Show) -> tuple[AttributeEvidence, ...]:
    """The census of each attribute, the most frequent first. `show` masks values."""
    found = []
    for name, one in sorted(census.attributes.items(), key=lambda pair: (-pair[1].present, pair[0])):
        notes = []
        if one.nul:
            notes.append(f"U+0000 in {one.nul:,} values")
        if one.json:
            notes.append(f"JSON inside {one.json:,} strings")
        if one.kinds.get("NULL"):
            notes.append(f"NULL in {one.kinds['NULL']:,}")
        if one.numbers is not None:
            notes.append(f"up to {one.numbers.digits} digits, {one.numbers.scale} after the point")
        found.append(
            AttributeEvidence(
                path=name,
                present=one.present,
                kinds=dict(sorted(one.kinds.items())),
                forms=dict(sorted(forms_of(one).items())),
                distinct=one.sketch.distinct(),
                longest=one.longest,
                notes=tuple(notes),
                where=where.get(name, "extra"),
                examples=tuple(show(value) for value in sorted(one.sketch.values())[:3]),
            )
        )
    return tuple(found)
