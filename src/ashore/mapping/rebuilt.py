"""What a row gives beside its item: copies under other keys, and mirrors; and how a change is carried to copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from ashore.mapping.items import RowNotAnItemError
from ashore.mapping.match import key_texts, matches
from ashore.mapping.plan import EntityPlan, Generation, MirrorPlan, key_attributes
from ashore.mapping.pointer import unescape
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import render, spelled
from ashore.model.item import Item


@dataclass(frozen=True, slots=True)
class Kept:
    """A copy that is kept in the entity's table of copies; `place` is that of its form among the copies' forms."""

    key: Item = field(repr=False)
    item: Item = field(repr=False)
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What became of a row since its item was written back last.

    `is_new`: the row is another one than before, of the same key or not. `columns` of its own table; `extra`: names of
    attributes; `residue`: pointers; `children`: attributes that hold a list of records.
    """

    is_new: bool = False
    columns: frozenset[str] = frozenset()
    extra: frozenset[str] = frozenset()
    residue: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()

    @classmethod
    def told(cls, notes: Iterable[Mapping[str, Any] | None]) -> Self:
        """All that the outbox's entries of one row say together; None is what it says of a row that is new."""
        known = list(notes)
        found = [one.get("changed") or {} for one in known if one is not None]
        return cls(
            is_new=any(one is None or one.get("gone") for one in known),
            columns=frozenset(name for one in found for name in one.get("columns", ())),
            extra=frozenset(name for one in found for name in one.get("extra", ())),
            residue=frozenset(name for one in found for name in one.get("residue", ())),
            children=frozenset(one["child"] for one in known if one is not None and "child" in one),
        )

    def attributes(self, plan: EntityPlan) -> frozenset[str]:
        """The item's attributes that this is about."""
        names = {column.path[0] for column in plan.record.columns if column.column in self.columns}
        names |= {one.attribute for one in plan.derived if self.columns & {*one.pattern.columns}}
        names |= {unescape(pointer[1:].split("/", 1)[0]) for pointer in self.residue}
        return frozenset(names | self.extra | self.children)


def form_columns(form: Generation) -> frozenset[str]:
    """The placeholders of a key's patterns."""
    return frozenset((*form.partition.columns, *(() if form.sort is None else form.sort.columns)))


def told_columns(plan: EntityPlan) -> list[str]:
    """The columns that the keys of a row's item and mirrors are made of, and by which its copies name it."""
    columns = dict.fromkeys(column.column for column in plan.key)
    if plan.copies is not None:
        columns |= dict.fromkeys(name for name, _ in plan.copies.links)
    for mirror in plan.mirrors:
        columns |= dict.fromkeys(sorted(form_columns(mirror.form)))
    return list(columns)


def rendered_key(plan: EntityPlan, form: Generation, row: Mapping[str, Any]) -> Item | None:
    """The key that a row's columns give; None where one of them is NULL.

    Raises:
        RowNotAnItemError: No key can be of what they hold.
    """
    columns = sorted(form_columns(form))
    if any(row[column] is None for column in columns):
        return None
    types = plan.column_types
    key: Item = {}
    try:
        for attribute, pattern in zip(key_attributes(plan), (form.partition, form.sort), strict=False):
            if pattern is None:
                continue
            if attribute.type == "S":
                texts = {column: spelled(types[column], column, row[column]) for column in pattern.columns}
                key = {**key, attribute.name: {"S": pattern.render(texts)}}
            else:
                key = {**key, attribute.name: types[pattern.columns[0]].to_attribute(row[pattern.columns[0]])}
        if matches(form, *key_texts(plan, key)) is not None:
            return key
    except UnfitError:
        pass
    raise RowNotAnItemError(
        table=plan.table.fullname, column=", ".join(columns), found="the key of a copy or mirror cannot be made of it"
    )


def mirror_of(plan: EntityPlan, mirror: MirrorPlan, row: Mapping[str, Any]) -> Item | None:
    """The mirror that a row gives, if it gives one. Raises as `rendered_key`."""
    key = rendered_key(plan, mirror.form, row)
    if key is None:
        return None
    try:
        attributes = {one.attribute: render(one, row, plan) for one in mirror.attributes}
    except UnfitError as unfit:
        found = "a mirror's attribute cannot be made of it"
        raise RowNotAnItemError(table=plan.table.fullname, column=unfit.attribute or "?", found=found) from None
    return {name: value for name, value in attributes.items() if value} | dict(key)


def copies_of(
    plan: EntityPlan, item: Item, row: Mapping[str, Any], kept: Sequence[Kept], changed: Changed
) -> tuple[list[Item], list[Item]]:
    """The copies that a row has now, whole, and the keys of those that it has no more.

    A change is carried attribute by attribute: where a copy says something else than its original and that was not
    changed, it says so still. A rendered copy whose key was changed, or that nothing kept, is the original's item under
    the copy's key. Each depends on the row and on all that was changed, not on when that was looked at.

    Raises:
        RowNotAnItemError: A rendered copy cannot have the key that the row gives it.
    """
    copies = plan.copies
    if copies is None:
        return [], []
    keys = {key.name for key in key_attributes(plan)}
    own = {name: item[name] for name in keys if name in item}
    attributes = changed.attributes(plan) - keys
    puts: list[Item] = []
    gone: list[Item] = []
    for place, (form, rebuild) in enumerate(zip(copies.generations, copies.rebuild, strict=True)):
        of_form = [one for one in kept if one.place == place]
        key = rendered_key(plan, form, row) if rebuild == "render" else None
        is_moved = rebuild == "render" and (changed.is_new or bool(changed.columns & form_columns(form)))
        if key is not None and key != own and (is_moved or all(one.key != key for one in of_form)):
            puts.append({name: value for name, value in item.items() if name not in keys} | dict(key))
        for one in of_form:
            if not is_moved:
                puts.append(carried(one.item, item, attributes))
            elif one.key != key:
                gone.append(one.key)
    return puts, gone


def carried(copy: Item, item: Item, attributes: Iterable[str]) -> Item:
    """A copy with what its original now says in these attributes, absence included."""
    names = frozenset(attributes)
    return {name: value for name, value in copy.items() if name not in names} | {
        name: item[name] for name in names if name in item
    }
