"""Rows → item: what `to_rows` did, undone from what the rows hold now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ashore.errors import AshoreError
from ashore.mapping import residue as residue_column
from ashore.mapping.document import Residue, to_plain, to_typed
from ashore.mapping.plan import EXTRA, RESIDUE, ColumnPlan, EntityPlan, RecordPlan, key_attributes
from ashore.mapping.pointer import token, unescape
from ashore.mapping.reasons import UnfitError, explanations
from ashore.mapping.rows import Rows, key_of, render
from ashore.model.attribute import ABSENT, NULL, TypedValue, same

Item = dict[str, TypedValue]


@dataclass(eq=False, kw_only=True)
class RowNotAnItemError(AshoreError):
    """A row holds something that no item could have given: it was written past the declaration."""

    table: str
    column: str
    found: str

    code = "ASH210"
    exit_code = 1

    def what(self) -> str:
        """Which column of which table holds what."""
        return f"table {self.table!r}: column {self.column!r} of a row cannot be an item's: {self.found}"

    def hint(self) -> str:
        """How to mend the row."""
        return f"find the row with SQL, and set {self.column!r} to a value that an item can have"


def from_rows(plan: EntityPlan, rows: Rows) -> Item:
    """The item that the rows are. Columns win over what `residue` says of an older value of theirs.

    Args:
        plan: The entity's plan.
        rows: Values as psycopg gives them, jsonb decoded by `ashore.mapping.document.decode`; children in any order.

    Raises:
        RowNotAnItemError: `extra` or `residue` is not an object, or a number is NaN or infinite.
    """
    try:
        return _item(plan, rows)
    except UnfitError as unfit:
        found = explanations[unfit.reason]
        raise RowNotAnItemError(table=plan.table.fullname, column=unfit.attribute or "?", found=found) from None


def _item(plan: EntityPlan, rows: Rows) -> Item:
    residue = _residue(plan.record, rows.row)
    item = record_members(plan.record, rows.row, residue, known=_known(plan))
    for child, of_child in zip(plan.children, rows.children, strict=True):
        value = _list(child.record, sorted(of_child, key=lambda row: int(row[child.order])))
        if not of_child:
            entry = residue.get(child.pointer)
            value = entry if isinstance(entry, Mapping) else ABSENT
        if value:
            item[child.attribute] = value
    for derived in plan.derived:
        value = _own(residue.get(derived.pointer), render(derived, rows.row, plan))
        if value:
            item[derived.attribute] = value
    return item | _key(plan, rows.row, residue)


def item_key(plan: EntityPlan, row: Mapping[str, Any]) -> Item:
    """The key attributes of a row's item; of the row only its key columns and `residue` are looked at.

    Raises:
        RowNotAnItemError: A key column holds what no key can hold.
    """
    try:
        return _key(plan, row, _residue(plan.record, row))
    except UnfitError as unfit:
        found = explanations[unfit.reason]
        raise RowNotAnItemError(table=plan.table.fullname, column=unfit.attribute or "?", found=found) from None


def _key(plan: EntityPlan, row: Mapping[str, Any], residue: Residue) -> Item:
    """The key that the item had before, as long as all of it is rendered as it was then; else the rendered one."""
    pairs: list[tuple[str, Any, TypedValue]] = [
        (key.name, residue.get(token(key.name)), {key.type: text})
        for key, text in zip(key_attributes(plan), key_of(plan, row), strict=False)
        if text is not None
    ]
    is_still = all(entry is None or _is_rendered_still(entry, rendered) for _, entry, rendered in pairs)
    return {name: _own(entry if is_still else None, rendered) for name, entry, rendered in pairs}


def _is_rendered_still(entry: Any, rendered: TypedValue) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and same(entry[1], rendered)


def _own(entry: Any, rendered: TypedValue) -> TypedValue:
    """What an item had in place of what is rendered, as long as the same is rendered still."""
    if _is_rendered_still(entry, rendered):
        own: TypedValue = entry[0]
        return own
    return rendered


def _known(plan: EntityPlan) -> frozenset[str]:
    keys = {key.name for key in key_attributes(plan)}
    return frozenset(
        keys | {child.attribute for child in plan.children} | {derived.attribute for derived in plan.derived}
    )  # fmt: skip


def _residue(record: RecordPlan, row: Mapping[str, Any]) -> Residue:
    stored = row.get(RESIDUE)
    if stored is not None and not isinstance(stored, Mapping):
        raise RowNotAnItemError(
            table=record.table.fullname, column=RESIDUE, found=f"it is no JSON object but a {type(stored).__name__}"
        )
    return residue_column.from_column(stored)


def _list(record: RecordPlan, rows: Sequence[Mapping[str, Any]]) -> TypedValue:
    members = [record_members(record, row, _residue(record, row), known=frozenset()) for row in rows]
    return {"L": [{"M": member} for member in members]}


def record_members(record: RecordPlan, row: Mapping[str, Any], residue: Residue, *, known: frozenset[str]) -> Item:
    """The attributes that a record's columns, constants and `extra` give; `known` are the names that others give.

    What is declared comes from where it is declared: a name in `extra` that has a column, or is of another role, is
    passed over there.
    """
    members: Item = {}
    extra = row.get(EXTRA)
    extra = {} if extra is None else extra
    declared = known | {name for name, _ in record.constant}
    declared |= {column.path[0] for column in record.columns if len(column.path) == 1}
    if not isinstance(extra, Mapping):
        raise RowNotAnItemError(
            table=record.table.fullname, column=EXTRA, found=f"it is no JSON object but a {type(extra).__name__}"
        )
    for name, plain in extra.items():
        if name not in declared:
            members[name] = to_typed(plain, token(name), residue)
    for path, entry in residue.items():
        name = unescape(path[1:])
        gone = path.count("/") == 1 and name not in declared and name not in extra
        if gone and isinstance(entry, Mapping) and _fits_nowhere(name, entry):
            members[name] = entry
    for name, value in record.constant:
        entry = residue.get(token(name))
        members[name] = entry if isinstance(entry, Mapping) else value
    for column in sorted(record.columns, key=lambda one: len(one.path)):
        _place(members, column.path, restore(column, row[column.column], residue))
    return {name: value for name, value in members.items() if value}


def _fits_nowhere(name: str, entry: TypedValue) -> bool:
    """Whether an attribute without a column could not be in `extra`: else its absence there is what counts."""
    if "\0" in name:
        return True
    try:
        to_plain(entry, "", {})
    except UnfitError:
        return True
    return False


def _place(members: Item, path: tuple[str, ...], value: TypedValue) -> None:
    """Put a value at its path. It makes maps of what is on its way; an absent one changes nothing."""
    if len(path) == 1:
        members[path[0]] = value
        return
    if not value:
        return
    top, *steps, last = path
    whole = {"M": dict(members.get(top, ABSENT).get("M", {}))}
    inner = whole["M"]
    for step in steps:
        deeper = {"M": dict(inner.get(step, ABSENT).get("M", {}))}
        inner[step] = deeper
        inner = deeper["M"]
    inner[last] = value
    members[top] = whole


def restore(column: ColumnPlan, value: Any, residue: Residue) -> TypedValue:
    """The attribute that a column's value is; a residue entry that converts to that very value comes first."""
    entry = residue.get(column.pointer)
    if column.type.name == "jsonb" and value is not None:
        return to_typed(value, column.pointer, residue)
    if isinstance(entry, Mapping) and _is_still(column, entry, value):
        return entry
    if value is None:
        return NULL if column.explicit_null else ABSENT
    try:
        return column.type.to_attribute(value)
    except UnfitError as unfit:
        raise unfit.at(column.column) from None


def _is_still(column: ColumnPlan, entry: TypedValue, value: Any) -> bool:
    if not entry or "NULL" in entry:
        return value is None
    try:
        converted = column.type.to_column(entry)
    except UnfitError:
        return value is None and column.unfit == "residue"
    return value is not None and column.type.same(converted, value)
