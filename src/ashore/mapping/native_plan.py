"""A compiled declaration as the bytes that the native encoder reads; it says which entities cannot be its, and why.

What is left out here is the Python encoder's, and so is every item that the native one refuses. The reader of these
bytes is ``native/src/plan.rs``; `VERSION` changes with both.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ashore.mapping.document import encode
from ashore.mapping.pattern import Pattern
from ashore.mapping.plan import ChildPlan, ColumnPlan, DerivedPlan, EntityPlan, KeyColumn, Plan, RecordPlan
from ashore.mapping.pointer import token
from ashore.mapping.types import column_type
from ashore.mapping.types.base import ColumnType

VERSION: Final = 1

_WIRES: Final = {name: place for place, name in enumerate(("S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"))}
_WIDTHS: Final = {"smallint": 2, "integer": 4, "bigint": 8}
_NO_LIMIT: Final = 0xFFFF_FFFF
_FORMS: Final = {"": 0, ":uuid": 1, ":ulid": 2, ":date": 3, ":digits": 4, ":integer": 5}
_FIXED: Final = frozenset({":uuid", ":ulid", ":date"})
_ELEMENT_OIDS: Final = {"text": 25, "smallint": 21, "integer": 23, "bigint": 20, "numeric": 1700, "bytea": 17}
"""Source: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/catalog/pg_type.dat"""

_PLAIN: Final[Mapping[str, bytes]] = {
    "uuid": b"\x02",
    "numeric": b"\x05\x00",
    "boolean": b"\x06",
    "date": b"\x07",
    "timestamptz": b"\x08\x01",
    "timestamp": b"\x08\x00",
    "timestamptz, epoch s": b"\x09" + struct.pack("<I", 1_000_000),
    "timestamptz, epoch ms": b"\x09" + struct.pack("<I", 1_000),
    "bytea": b"\x0a",
    "jsonb": b"\x0b",
}

_text: Final = frozenset({"text", "varchar"})
_TYPE_NAMES: Final[Mapping[str, frozenset[str]]] = {
    "text": _text,
    "enum": _text | {"enum"},
    "uuid": frozenset({"uuid"}),
    "smallint": frozenset({"int2"}),
    "integer": frozenset({"int4"}),
    "bigint": frozenset({"int8"}),
    "numeric": frozenset({"numeric"}),
    "boolean": frozenset({"bool"}),
    "date": frozenset({"date"}),
    "timestamptz": frozenset({"timestamptz"}),
    "timestamp": frozenset({"timestamp"}),
    "bytea": frozenset({"bytea"}),
    "jsonb": frozenset({"jsonb"}),
}


class _Unsupported(Exception):
    """Something in an entity that only the Python encoder does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NativePlan:
    """What the native encoder goes by.

    `content` is None where no entity can be its. `tables` are full names in the order of its outputs. `types` has, for
    each of them, the names (as in ``pg_type``; "enum" for any enum) that each column's type may have for the binary
    rows to fit. `left_out` says why an entity is left to the Python encoder.
    """

    content: bytes | None
    tables: tuple[str, ...]
    types: Mapping[str, tuple[frozenset[str], ...]]
    left_out: Mapping[str, str]


def native_plan(plan: Plan, slots: Mapping[tuple[str, int], int], withheld: Mapping[str, str]) -> NativePlan:
    """Write the plan.

    Args:
        plan: The declaration.
        slots: (entity, generation) → the number under which its items are counted; other entities are left out.
        withheld: Entities that are to be left out for another reason, which is said.
    """
    left_out = dict(withheld)
    writer = _Writer(slots)
    try:
        head = _key_head(plan)
    except _Unsupported as reason:
        left_out |= {name: str(reason) for name, _ in slots}
        return NativePlan(content=None, tables=(), types={}, left_out=left_out)
    written = []
    for entity in plan.entities.values():
        if (entity.name, 0) not in slots or entity.name in withheld:
            continue
        known = len(writer.tables)
        try:
            written.append(writer.entity(entity))
        except _Unsupported as reason:
            del writer.tables[known:]
            left_out[entity.name] = str(reason)
    content = b"".join([b"ASHORE\0" + bytes([VERSION]), _u16(len(writer.tables)), head, _u16(len(written)), *written])
    types = dict(writer.tables)
    return NativePlan(content=content if written else None, tables=tuple(types), types=types, left_out=left_out)


def _key_head(plan: Plan) -> bytes:
    sort = plan.sort_key
    head = _name(plan.partition_key.name) + _wire(plan.partition_key.type)
    return head + (b"\0" if sort is None else b"\1" + _name(sort.name) + _wire(sort.type))


class _Writer:
    def __init__(self, slots: Mapping[tuple[str, int], int]) -> None:
        self._slots = slots
        self.tables: list[tuple[str, tuple[frozenset[str], ...]]] = []

    def entity(self, entity: EntityPlan) -> bytes:
        key = [column.column for column in entity.key]
        columns = [*key, *(column.column for column in entity.record.columns)]
        rendered = {name for one in entity.derived for name in one.pattern.columns}
        table = self._table(entity.record, [_names_of(column.type) for column in entity.key])
        pointers = [entity.partition_key.name, "" if entity.sort_key is None else entity.sort_key.name]
        generations = []
        for place, generation in enumerate(entity.generations):
            sort = b"" if generation.sort is None else _pattern(generation.sort, key)
            number = self._slots[entity.name, place]
            generations.append(_u16(number) + _pattern(generation.partition, key) + sort)
        return b"".join(
            [
                table,
                _list([_key_column(column) for column in entity.key]),
                _list(generations),
                *(_text_of(_spelled(token(name))) for name in pointers),
                _record(entity.record, rendered),
                _list([_derived(one, columns) for one in entity.derived]),
                _list([self._child(child, key) for child in entity.children]),
            ]
        )

    def _child(self, child: ChildPlan, key: Sequence[str]) -> bytes:
        order = column_type(child.record.table.columns[child.order].type)
        if isinstance(order, str) or order.name not in _WIDTHS:
            message = f"the order of children {child.attribute!r} is no integer"
            raise _Unsupported(message)
        parents = [column_type(child.record.table.columns[theirs].type) for theirs, _ in child.parent]
        before = [_names_of(one) for one in (*parents, order) if not isinstance(one, str)]
        table = self._table(child.record, before)
        named = table + _name(child.attribute) + _text_of(_spelled(child.pointer))
        given = _list([_u16(key.index(ours)) for _, ours in child.parent])
        return named + given + bytes([_WIDTHS[order.name]]) + _record(child.record, set())

    def _table(self, record: RecordPlan, before: Sequence[frozenset[str]]) -> bytes:
        own = [_names_of(column.type) for column in record.columns]
        self.tables.append((record.table.fullname, (*before, *own, _TYPE_NAMES["jsonb"], _TYPE_NAMES["jsonb"])))
        return _u16(len(self.tables) - 1)


def _record(record: RecordPlan, rendered: set[str]) -> bytes:
    constants = [_constant(name, value) for name, value in record.constant]
    return _list([_column(column, column.column in rendered) for column in record.columns]) + _list(constants)


def _column(column: ColumnPlan, is_rendered: bool) -> bytes:  # noqa: FBT001 (a flag of the plan)
    if len(column.path) > 2:
        message = f"column {column.column!r} takes a value from more than one map down"
        raise _Unsupported(message)
    top, *inner = column.path
    place = _name(top) + (b"\1" + _name(inner[0]) if inner else b"\0") + _text_of(_spelled(column.pointer))
    flags = (column.required, column.explicit_null, column.unfit == "residue", is_rendered)
    return place + bytes(flags) + _kind(column.type)


def _constant(name: str, value: Mapping[str, Any]) -> bytes:
    ((wire, content),) = value.items()
    text = content.encode() if wire in {"S", "N", "B"} else encode(content)
    return _name(name) + _text_of(_spelled(token(name))) + _wire(wire) + _bytes(text)


def _derived(derived: DerivedPlan, columns: Sequence[str]) -> bytes:
    wire = "S" if derived.whole is None else derived.whole.wire
    place = _name(derived.attribute) + _text_of(_spelled(derived.pointer))
    return place + _pattern(derived.pattern, columns) + _wire(wire)


def _key_column(column: KeyColumn) -> bytes:
    return _kind(column.type) + _wire(column.typed_as or "S")


def _pattern(pattern: Pattern, columns: Sequence[str]) -> bytes:
    held = pattern.held or ("",) * len(pattern.columns)
    is_doubled = len(set(pattern.columns)) < len(pattern.columns)
    if any(one not in _FORMS for one in held) or not (is_doubled or _is_sure(pattern, held)):
        message = f"the key {pattern.text!r} holds a placeholder to a form that only the Python encoder reads"
        raise _Unsupported(message)
    takes = [_u16(columns.index(name)) + bytes([_FORMS[one]]) for name, one in zip(pattern.columns, held, strict=True)]
    return bytes([is_doubled]) + _list([_text_of(part) for part in pattern.parts[::2]]) + _list(takes)


def _is_sure(pattern: Pattern, held: Sequence[str]) -> bool:
    """Whether every form takes the same, read from the ends towards the free placeholder, as in the expression."""
    if not any(held):
        return True
    literals = pattern.parts[::2]
    free = held.index("") if "" in held else len(held)
    for place, one in enumerate(held):
        before, after = literals[place], literals[place + 1]
        if one in _FIXED or place == free:
            continue
        if place > free and (one != ":digits" or before[-1:].isdigit()):
            return False
        if after[:1].isdigit():
            return False
    return True


def _kind(kind: ColumnType) -> bytes:
    if kind.name == "enum":
        return b"\x01" + _list([_text_of(label) for label in kind.labels])
    if kind.name in _WIDTHS:
        return bytes([3, _WIDTHS[kind.name]])
    if kind.name.endswith(" in text"):
        return bytes([4, _WIDTHS[kind.name.removesuffix(" in text")]])
    if kind.digits is not None:
        return b"\x05\x01" + struct.pack("<II", *kind.digits)
    if kind.name.endswith("[]"):
        element = kind.name.removesuffix("[]")
        content = _kind_of_name(element)
        return b"\x0c" + struct.pack("<I", _ELEMENT_OIDS[element]) + content
    if kind.name == "text" or kind.longest is not None:
        return b"\x00" + struct.pack("<I", _NO_LIMIT if kind.longest is None else kind.longest)
    return _kind_of_name(kind.name)


def _kind_of_name(name: str) -> bytes:
    if name == "text":
        return b"\x00" + struct.pack("<I", _NO_LIMIT)
    if name in _WIDTHS:
        return bytes([3, _WIDTHS[name]])
    if name not in _PLAIN:
        message = f"columns of type {name} are the Python encoder's"
        raise _Unsupported(message)
    return _PLAIN[name]


def _names_of(kind: ColumnType) -> frozenset[str]:
    """The names that a column's type may have in PostgreSQL for its binary format to be the one that is written."""
    if kind.longest is not None:
        return _text
    name = kind.name.removesuffix(" in text").partition(",")[0].partition("(")[0]
    if name.endswith("[]"):
        (element,) = _TYPE_NAMES[name.removesuffix("[]")] - {"varchar"}
        return frozenset({f"_{element}"})
    return _TYPE_NAMES[name]


def _name(name: str) -> bytes:
    if encode(name)[1:-1] != name.encode():
        message = f"JSON spells the name {name!r} with a backslash"
        raise _Unsupported(message)
    return _text_of(name)


def _spelled(text: str) -> str:
    return encode(text).decode()[1:-1]


def _wire(name: str) -> bytes:
    return bytes([_WIRES[name]])


def _bytes(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def _text_of(text: str) -> bytes:
    return _bytes(text.encode())


def _u16(number: int) -> bytes:
    return struct.pack("<H", number)


def _list(parts: Sequence[bytes]) -> bytes:
    return _u16(len(parts)) + b"".join(parts)
