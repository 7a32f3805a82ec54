"""Rows → COPY text: the general path's writer, and the lines of copies."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ashore.mapping.document import decode, encode
from ashore.mapping.match import key_texts, matches
from ashore.mapping.plan import EXTRA, RESIDUE, ChildPlan, CopyPlan, EntityPlan, copy_columns, key_attributes
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import check_key_length, index_bytes
from ashore.mapping.types import containers
from ashore.mapping.types.base import COPY_NULL, ColumnType, escape
from ashore.mapping.wire import holds_nul
from ashore.model.attribute import TypedValue
from ashore.model.item import Item


def entity_columns(plan: EntityPlan) -> tuple[str, ...]:
    """The columns of the entity's COPY data, in order."""
    return copy_columns(plan.record, tuple(column.column for column in plan.key))


def child_columns(child: ChildPlan) -> tuple[str, ...]:
    """The columns of a child table's COPY data, in order."""
    return copy_columns(child.record, (*(theirs for theirs, _ in child.parent), child.order))


def copies_columns(copies: CopyPlan) -> tuple[str, ...]:
    """The columns of the copies' COPY data, in order."""
    keys = [column.name for column in copies.table.primary_key.columns]
    return (*keys, *(name for name, _ in copies.links), "item")


def entity_types(plan: EntityPlan) -> dict[str, ColumnType]:
    """The type of each of `entity_columns`."""
    return {**plan.column_types, EXTRA: containers.jsonb, RESIDUE: containers.jsonb}


def child_types(plan: EntityPlan, child: ChildPlan) -> dict[str, ColumnType]:
    """The type of each of `child_columns` but the order's, which is an int."""
    parents = plan.column_types
    types = {theirs: parents[ours] for theirs, ours in child.parent}
    types |= {column.column: column.type for column in child.record.columns}
    return {**types, EXTRA: containers.jsonb, RESIDUE: containers.jsonb}


def line(columns: tuple[str, ...], types: Mapping[str, ColumnType], row: Mapping[str, Any]) -> str:
    """One row as a line of COPY text, without its newline. A column without a type is written as it prints."""
    texts = []
    for name in columns:
        value = row[name]
        if value is None:
            texts.append(COPY_NULL)
        else:
            texts.append(types[name].copy(value) if name in types else str(value))
    return "\t".join(texts)


def link_values(copies: CopyPlan, of: TypedValue) -> dict[str, Any]:
    """The original's columns that a copy names by its attribute `of`; all None where it names none."""
    texts = None
    for content in of.values():
        texts = copies.link.match(content) if isinstance(content, str) else None
    if texts is None:
        return {name: None for name, _ in copies.links}
    values = {}
    for name, kind in copies.links:
        try:
            values[name] = None if kind.parse is None else kind.parse(texts[name])
        except UnfitError:
            return {name: None for name, _ in copies.links}
    return values


def copy_line(plan: EntityPlan, copies: CopyPlan, generation: int, item: Item, raw: bytes) -> str:
    """The line of a copy: its key, the original's columns that it names, and the whole item as DynamoDB JSON.

    An item with U+0000 in it, which jsonb cannot hold, is kept as ``{"JSON64": base64 of its JSON}``.

    Raises:
        UnfitError: `nul_in_text`, where its key holds U+0000; `key_too_long`, of its key or of what it names.
    """
    own = key_texts(plan, item)
    if matches(copies.generations[generation], *own) is None:
        raise UnfitError("unmatched")
    keys = [(key.type, text) for key, text in zip(key_attributes(plan), own, strict=False) if text]
    check_key_length(sum(index_bytes(kind, text) for kind, text in keys))
    links = _link_texts(copies, item.get(copies.of, {}))
    return "\t".join([*(_key_copy(kind, text) for kind, text in keys), *links, _whole(raw)])


def _link_texts(copies: CopyPlan, of: TypedValue) -> list[str]:
    types = dict(copies.links)
    texts = [COPY_NULL if value is None else types[name].copy(value) for name, value in link_values(copies, of).items()]
    try:
        check_key_length(sum(len(text.encode()) for text in texts))
    except UnfitError as unfit:
        raise unfit.at(copies.of) from None
    return texts


def _key_copy(kind: str, text: str) -> str:
    if "\0" in text:
        raise UnfitError("nul_in_text")
    return "\\\\x" + base64.b64decode(text).hex() if kind == "B" else escape(text)


def _whole(raw: bytes) -> str:
    return escape(_storable(raw))


def _storable(raw: bytes) -> str:
    if rb"\u0000" in raw and holds_nul(decode(raw)):
        raw = encode({"JSON64": base64.b64encode(raw).decode()})
    return raw.decode()


def stored_item(item: Item) -> str:
    """The JSON that a copy's row holds of its item; `whole_item` undoes it."""
    return _storable(encode(item))


def key_column_text(kind: str, text: str) -> str:
    """A key attribute's wire content as PostgreSQL reads it for the column of a table of copies."""
    return "\\x" + base64.b64decode(text).hex() if kind == "B" else text


def whole_item(stored: Mapping[str, Any]) -> Item:
    """The item that a copy's row holds."""
    if isinstance(stored.get("JSON64"), str):
        item: Item = decode(base64.b64decode(stored["JSON64"]))
        return item
    return stored
