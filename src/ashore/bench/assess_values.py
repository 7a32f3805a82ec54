"""How much of a table's values a proposal's columns hold, and texts that should have been something else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from ashore.assess.proposal import Child, Column, ColumnKind, Derived, Entity
from ashore.bench.assess_routing import Key, Routed, place_of
from ashore.mapping.pattern import Pattern
from ashore.model.attribute import TypedValue, kind
from ashore.model.item import Item

_numbers: Final[frozenset[ColumnKind]] = frozenset({"smallint", "integer", "bigint", "numeric"})
_of_text: Final[frozenset[ColumnKind]] = frozenset(
    {"text", "uuid", "date", "timestamp", "timestamptz", "number_in_text"}
)
_fitting: Final[Mapping[str, frozenset[ColumnKind]]] = {
    "S": _of_text,
    "N": _numbers | {"epoch_seconds", "epoch_milliseconds"},
    "BOOL": frozenset({"boolean"}),
    "B": frozenset({"bytea"}),
}
scalars: Final = frozenset(_fitting)

_day: Final = r"\d{4}-\d\d-\d\d"
_forms: Final[Mapping[str, re.Pattern[str]]] = {
    "uuid": re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    "timestamp": re.compile(_day + r"[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?"),
    "date": re.compile(_day),
    "integer": re.compile(r"-?[1-9]\d{0,17}|0"),
}
_key_forms: Final[Mapping[str, re.Pattern[str]]] = {
    **_forms,
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "timestamp": re.compile(_day + r"T\d\d:\d\d:\d\d\.\d{3}(\d{3})?Z"),
}
"""Those that a column gives back as they were: other spellings in a key have to stay text."""


@dataclass(slots=True)
class Held:
    """Counts over the items of a table.

    `typed` of `values` scalars, at the top and in child tables, stand in columns of a type of theirs, in the key, or
    are rebuilt. `outside` of `size` bytes are in `extra` or in a residue.
    """

    values: int = 0
    typed: float = 0
    size: int = 0
    outside: float = 0
    texts: dict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Values of text columns by entity, attribute ("" for a key's own column) and column."""

    def add(self, routed: Routed | None, item: Item, key: Key) -> None:
        """Count an item."""
        names = {name for name, _ in key}
        for name, value in item.items():
            size = len(name) + len(msgspec.json.encode(value))
            self.size += size
            if kind(value) in scalars:
                self.values += 1
            if routed is None:
                self.outside += size
            elif name in names or routed.copies is not None:
                self.typed += kind(value) in scalars
            else:
                self._add_attribute(routed.entity, name, value, size)
        if routed is not None and routed.copies is None:
            self._note_key(routed)

    def _add_attribute(self, entity: Entity, name: str, value: TypedValue, size: int) -> None:
        match place_of(entity, name):
            case Column() as column:
                self._add_to_column(entity, column, value, size)
            case Derived() as derived:
                self.typed += derived.holds
                self.outside += size * (1 - derived.holds)
                taken = Pattern.parse(derived.template).match(str(value.get("S", "")))
                for column_name, text in (taken or {}).items():
                    self._note(entity, "", column_name, text)
            case Child() as child:
                self._add_to_child(entity, child, value, size)
            case (_, constant):
                equal = _is(constant, value)
                self.typed += equal
                self.outside += 0 if equal else size
            case None:
                inside = sum(len(msgspec.json.encode(part)) for part in _parts_with_columns(entity, name, value))
                self.outside += size - inside

    def _add_to_column(self, entity: Entity, column: Column, value: TypedValue, size: int) -> None:
        of = kind(value)
        if of not in scalars:
            fits = of == "NULL" or column.kind == "jsonb" or column.kind.endswith("[]")
            self.outside += 0 if fits else size
        elif column.kind in _fitting[of]:
            self.typed += 1
            if column.kind == "text" and column.path is not None:
                self._note(entity, ".".join(column.path), column.name, str(value["S"]))
        elif column.kind != "jsonb":
            self.outside += size

    def _add_to_child(self, entity: Entity, child: Child, value: TypedValue, size: int) -> None:
        elements = value.get("L")
        if elements is None or any(kind(element) != "M" for element in elements):
            self.outside += size
            return
        columns = {column.path[0]: column for column in child.columns if column.path is not None}
        for element in elements:
            for name, part in element["M"].items():
                self.values += kind(part) in scalars
                column = columns.get(name)
                length = len(name) + len(msgspec.json.encode(part))
                if column is None:
                    self.outside += length
                else:
                    self._add_to_column(entity, column, part, length)

    def _note_key(self, routed: Routed) -> None:
        for column, text in routed.taken.items():
            self._note(routed.entity, "", column, text)

    def _note(self, entity: Entity, attribute: str, column: str, text: str) -> None:
        if attribute or any(one.name == column and one.kind == "text" for one in entity.columns):
            self.texts[entity.name, attribute, column].add(text)

    def misplaced_texts(self) -> Iterator[tuple[str, str, str, str]]:
        """Text columns all of whose values are of one form: entity, attribute, column and the form."""
        for (entity, attribute, column), texts in sorted(self.texts.items()):
            if len(texts) < 2:
                continue
            for name, form in (_forms if attribute else _key_forms).items():
                if all(map(form.fullmatch, texts)):
                    yield entity, attribute, column, name


def _parts_with_columns(entity: Entity, name: str, value: TypedValue) -> Iterable[TypedValue]:
    for column in entity.columns:
        if column.path is not None and column.path[0] == name:
            part: Any = value
            for step in column.path[1:]:
                part = part.get("M", {}).get(step, {})
            if part:
                yield part


def _is(constant: object, value: TypedValue) -> bool:
    match value:
        case {"N": text}:
            try:
                return Decimal(str(constant)) == Decimal(text)
            except InvalidOperation:
                return False
        case {"S": content} | {"BOOL": content}:
            return bool(constant == content)
        case _:
            return constant == value
