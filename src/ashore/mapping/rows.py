"""Item → rows: the general path, which takes every item that the declaration allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ashore.mapping import residue as residue_column
from ashore.mapping.document import Residue, to_plain
from ashore.mapping.match import key_texts, matches
from ashore.mapping.plan import (
    EXTRA,
    KEY_BYTES,
    RESIDUE,
    ChildPlan,
    ColumnPlan,
    DerivedPlan,
    EntityPlan,
    KeyColumn,
    RecordPlan,
    Row,
    key_attributes,
)
from ashore.mapping.pointer import token
from ashore.mapping.reasons import UnfitError, shown
from ashore.mapping.types.base import ColumnType
from ashore.mapping.wire import holds_nul
from ashore.model.attribute import ABSENT, NULL, TypedValue, same
from ashore.model.item import Item


@dataclass(frozen=True, slots=True)
class Rows:
    """An item's rows: one of the entity's table, and those of each child table, in the plan's order.

    Its `repr` has no values, so that it may be logged.
    """

    row: Row = field(repr=False)
    children: tuple[list[Row], ...] = field(repr=False)


def to_rows(plan: EntityPlan, item: Item, generation: int = 0) -> Rows:
    """The rows of an item whose key is of the given generation.

    `from_rows(plan, to_rows(plan, item))` is the item again, except for what an `unfit` policy of "strip" took out.

    Raises:
        UnfitError: The item cannot be rows; it says which attribute is to blame.
    """
    rest = dict(item)
    residue: Residue = {}
    row = _key_row(plan, rest, generation, residue)
    children = tuple(_child_rows(child, rest.pop(child.attribute, ABSENT), row, residue) for child in plan.children)
    derived = [(one, rest.pop(one.attribute, ABSENT)) for one in plan.derived]
    row |= record_row(plan.record, rest, residue)
    for one, own in derived:
        rendered = render(one, row, plan)
        if not same(own, rendered):
            residue[one.pointer] = [own, rendered]
    row[RESIDUE] = residue_column.to_column(residue)
    return Rows(row, children)


def _key_row(plan: EntityPlan, rest: dict[str, TypedValue], generation: int, residue: Residue) -> Row:
    own = key_texts(plan, rest)
    texts = matches(plan.generations[generation], *own)
    if texts is None:
        raise UnfitError("unmatched")
    check_key_length(sum(index_bytes(column.typed_as, texts[column.column]) for column in plan.key))
    row = {column.column: key_value(column, texts[column.column]) for column in plan.key}
    for key, text, rendered in zip(key_attributes(plan), own, key_of(plan, row), strict=False):
        del rest[key.name]
        was: TypedValue = {key.type: text}
        now: TypedValue = {key.type: rendered}
        if not same(was, now):
            if not generation:
                raise UnfitError("key_spelling", key.name)
            residue[token(key.name)] = [was, now]
    return row


def index_bytes(key_type: str | None, text: str) -> int:
    """Bytes that a key's wire content takes in an index, at most."""
    return len(text) * 3 // 4 if key_type == "B" else len(text.encode())


def check_key_length(length: int) -> None:
    """Refuse a key of so many bytes that no B-tree index holds it.

    Raises:
        UnfitError: `key_too_long`.
    """
    if length > KEY_BYTES:
        raise UnfitError("key_too_long", detail=f"{length} bytes, an index holds {KEY_BYTES}")


def key_value(column: KeyColumn, text: str) -> Any:
    """The value of a key column.

    Raises:
        UnfitError: The text does not fit the column, or the column would not give it back as it is spelled.
    """
    kind = column.type
    try:
        if column.typed_as is not None:
            typed = {column.typed_as: text}
            return kind.to_column(typed)
        if kind.parse is None or kind.render is None:
            message = f"column type {kind.name} cannot be part of a key's text"
            raise TypeError(message)
        value = kind.parse(text)
    except UnfitError as unfit:
        raise unfit.at(column.column) from None
    if kind.render(value) != text:
        raise UnfitError("key_spelling", column.column)
    return value


def key_of(plan: EntityPlan, row: Mapping[str, Any]) -> tuple[str, str | None]:
    """The wire content of the key that the current generation gives a row."""
    form = plan.generations[0]
    texts = {column.column: key_text(column, row[column.column]) for column in plan.key}
    return form.partition.render(texts), None if form.sort is None else form.sort.render(texts)


def key_text(column: KeyColumn, value: Any) -> str:
    """The text of a key column's value in a key."""
    if column.typed_as is None:
        return spelled(column.type, column.column, value)
    try:
        text: str = column.type.to_attribute(value)[column.typed_as]
    except UnfitError as unfit:
        raise unfit.at(column.column) from None
    return text


def record_row(record: RecordPlan, rest: dict[str, TypedValue], residue: Residue) -> Row:
    """The columns of a record, `extra` included and `residue` not; `rest` is used up, `residue` is added to."""
    for name, value in record.constant:
        own = rest.pop(name, ABSENT)
        if not same(own, value):
            residue[token(name)] = own
    row: Row = {}
    nested = [column for column in record.columns if len(column.path) > 1]
    for column in nested:
        row[column.column] = fill(column, _take(rest, column.path), residue)
    for column in record.columns:
        if len(column.path) == 1:
            row[column.column] = fill(column, rest.pop(column.path[0], ABSENT), residue)
    row[EXTRA] = _extra(record, rest, residue)
    return row


def _take(rest: dict[str, TypedValue], path: tuple[str, ...]) -> TypedValue:
    """Take the value at a path out of its map; the maps on the way are copied, the item stays as it was."""
    top, *steps = path
    value = rest.get(top, ABSENT)
    trail = []
    for step in steps:
        members = value.get("M")
        if members is None or step not in members:
            return ABSENT
        trail.append((step, members))
        value = members[step]
    rebuilt: TypedValue | None = None
    for step, members in reversed(trail):
        without = {name: member for name, member in members.items() if name != step}
        if rebuilt is not None:
            without = {name: rebuilt if name == step else member for name, member in members.items()}
        rebuilt = {"M": without}
    if rebuilt is not None:
        rest[top] = rebuilt
    return value


def fill(column: ColumnPlan, value: TypedValue, residue: Residue) -> Any:
    """A column's value, None for NULL; what it cannot give back goes to `residue`.

    Raises:
        UnfitError: The column cannot hold the value, and the policy is to reject.
    """
    filled = None
    if not value:
        if column.explicit_null:
            residue[column.pointer] = value
    elif "NULL" in value:
        if not column.explicit_null:
            residue[column.pointer] = NULL
    else:
        try:
            filled = _converted(column, stripped(value) if column.unfit == "strip" else value, residue)
        except UnfitError as unfit:
            if column.unfit != "residue":
                raise unfit.at(".".join(column.path)) from None
            residue[column.pointer] = value
    if filled is None and column.required:
        raise UnfitError("missing", ".".join(column.path))
    return filled


def _converted(column: ColumnPlan, value: TypedValue, residue: Residue) -> Any:
    if column.type.name == "jsonb":
        nested: Residue = {}
        plain = to_plain(value, column.pointer, nested)
        residue.update(nested)
        return plain
    filled = column.type.to_column(value)
    if not same(column.type.to_attribute(filled), value):
        residue[column.pointer] = value
    return filled


def _extra(record: RecordPlan, rest: Mapping[str, TypedValue], residue: Residue) -> dict[str, Any] | None:
    extra = {}
    for name, value in rest.items():
        policy = record.unfit_of(name)
        nested: Residue = {}
        try:
            check_name(name)
            extra[name] = to_plain(stripped(value) if policy == "strip" else value, token(name), nested)
        except UnfitError as unfit:
            if policy != "residue":
                raise unfit.at(shown(name)) from None
            nested = {token(name): value}
        residue.update(nested)
    return extra or None


def check_name(name: str) -> None:
    """Refuse a name that jsonb cannot hold.

    Raises:
        UnfitError: `nul_in_name`.
    """
    if "\0" in name:
        raise UnfitError("nul_in_name")


def stripped(value: TypedValue) -> TypedValue:
    """A typed value with U+0000 taken out of all its texts and of the names in it; idempotent.

    Raises:
        UnfitError: `nul_in_name`, where two names would become one.
    """
    if not holds_nul(value):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return {"S": content.replace("\0", "")}
        case "SS":
            return {"SS": sorted({member.replace("\0", "") for member in content})}
        case "L":
            return {"L": [stripped(member) for member in content]}
        case "M":
            members = {name.replace("\0", ""): stripped(member) for name, member in content.items()}
            if len(members) < len(content):
                raise UnfitError("nul_in_name", detail="two names are one without U+0000")
            return {"M": members}
        case _:
            return value


def _child_rows(child: ChildPlan, value: TypedValue, parent: Row, residue: Residue) -> list[Row]:
    if not value:
        return []
    elements = value.get("L")
    if elements == [] or "NULL" in value:
        residue[child.pointer] = value
        return []
    if elements is None or not all("M" in element for element in elements):
        if child.unfit != "residue":
            raise UnfitError("not_a_record", child.attribute)
        residue[child.pointer] = value
        return []
    rows = []
    for place, element in enumerate(elements):
        own: Residue = {}
        try:
            row = record_row(child.record, dict(element["M"]), own)
        except UnfitError as unfit:
            raise UnfitError(unfit.reason, f"{child.attribute}[{place}].{unfit.attribute}", unfit.detail) from None
        row |= {theirs: parent[ours] for theirs, ours in child.parent}
        row[child.order] = place
        row[RESIDUE] = residue_column.to_column(own)
        rows.append(row)
    return rows


def render(derived: DerivedPlan, row: Mapping[str, Any], plan: EntityPlan) -> TypedValue:
    """A derived attribute as its template gives it; absent while a column that it needs is NULL."""
    types = plan.column_types
    values = {name: row[name] for name in derived.pattern.columns}
    if any(value is None for value in values.values()):
        return ABSENT
    if derived.whole is not None:
        name = derived.pattern.columns[0]
        try:
            return derived.whole.to_attribute(values[name])
        except UnfitError as unfit:
            raise unfit.at(name) from None
    texts = {name: spelled(types[name], name, value) for name, value in values.items()}
    return {"S": derived.pattern.render(texts)}


def spelled(kind: ColumnType, name: str, value: Any) -> str:
    """The text of a column's value in a pattern.

    Raises:
        UnfitError: It has none; `name` is to blame.
    """
    if kind.render is None:
        message = f"column type {kind.name} has no text"
        raise TypeError(message)
    try:
        return kind.render(value)
    except UnfitError as unfit:
        raise unfit.at(name) from None
