"""The fast path: decoders typed by the declaration, and the functions of `fast_source` over what they decode.

A decoder knows every attribute that a record's columns take, and those without a column that were met before (the
learned ones). It refuses all else, and so does the function behind it: what is refused takes the general path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from ashore.mapping import fast_source
from ashore.mapping.document import Residue, encode, number, to_plain
from ashore.mapping.plan import ChildPlan, EntityPlan, RecordPlan, key_attributes
from ashore.mapping.reasons import UnfitError
from ashore.mapping.types.base import COPY_NULL, escape
from ashore.mapping.wire import is_value
from ashore.model.attribute import NULL, TypedValue

MOST_LEARNED: Final = 300
"""Names of attributes without a column that one decoder learns; items with yet others take the general path."""

_contents: Final[dict[str, Any]] = {
    "S": str,
    "N": str,
    "B": str,
    "BOOL": bool,
    "SS": list[str],
    "NS": list[str],
    "BS": list[str],
}


def _attribute(wire: str) -> type[msgspec.Struct]:
    fields = [(wire, _contents[wire] | UnsetType, UNSET), ("NULL", bool | UnsetType, UNSET)]
    return msgspec.defstruct(f"Attribute{wire}", fields, forbid_unknown_fields=True, gc=False)


_attributes: Final = {wire: _attribute(wire) for wire in _contents}
_key_attributes: Final = {
    wire: msgspec.defstruct(f"Key{wire}", [(wire, str)], forbid_unknown_fields=True, gc=False)
    for wire in ("S", "N", "B")
}


@dataclass(slots=True)
class Learned:
    """The names of attributes without a column that were met, of an entity's items and of its children's elements."""

    names: list[str] = field(default_factory=list)
    children: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FastPath:
    """A typed decoder, and the two functions over what it gives: item → COPY line, or None for the general path.

    The functions append the lines of children to `child_lines` (by the child's name), only for items that succeed.
    `shape` gives something hashable that is equal for items of one shape.
    """

    decode: Callable[[bytes], Any]
    plain: Callable[[Any], str | None]
    escaped: Callable[[Any], str | None]
    shape: Callable[[Any], Any]
    child_lines: Mapping[str, list[str]]


def fast_path(entity: EntityPlan, generation: int, learned: Learned) -> FastPath | None:
    """Build the fast path of one generation of an entity; None where an attribute's name cannot be a decoder's."""
    child_lines: dict[str, list[str]] = {child.name: [] for child in entity.children}
    builder = _Builder(entity, generation, learned, child_lines)
    try:
        struct = builder.item_struct()
    except ValueError:
        return None
    return FastPath(
        decode=msgspec.json.Decoder(struct).decode,
        plain=builder.function(escaped=builder.must_escape),
        escaped=builder.function(escaped=True),
        shape=builder.shape(),
        child_lines=child_lines,
    )


class _Builder:
    def __init__(
        self, entity: EntityPlan, generation: int, learned: Learned, child_lines: dict[str, list[str]]
    ) -> None:
        self.entity = entity
        self.generation = generation
        self.learned = learned
        self.child_lines = child_lines
        self.fields: dict[str, str] = {}
        self.types: dict[str, Any] = {}

    @property
    def must_escape(self) -> bool:
        """Whether texts of the declaration itself, which the residue may repeat, need an escape."""
        patterns = [one.pattern for one in self.entity.derived]
        patterns += [one for one in (self.entity.generations[0].partition, self.entity.generations[0].sort) if one]
        return any(encode(part)[1:-1] != part.encode() for pattern in patterns for part in pattern.parts)

    def item_struct(self) -> type[msgspec.Struct]:
        entity = self.entity
        types = _record_types(entity.record)
        for derived in entity.derived:
            types[derived.attribute] = _attributes["S" if derived.whole is None else derived.whole.wire]
        for child in entity.children:
            types[child.attribute] = self._list_type(child)
        types |= {name: dict[str, Any] for name in self.learned.names if name not in types}
        self.types = types
        self.fields = {name: f"a{place}" for place, name in enumerate(types)}
        keys = [("p", _key_attributes[entity.partition_key.type])]
        rename = {"p": entity.partition_key.name}
        if entity.sort_key is not None:
            keys.append(("q", _key_attributes[entity.sort_key.type]))
            rename["q"] = entity.sort_key.name
        return _struct("Item", keys, types, self.fields, rename)

    def _list_type(self, child: ChildPlan) -> Any:
        types, fields = self._child_fields(child)
        record = _struct("Record", [], types, fields, {})
        element = msgspec.defstruct("Element", [("M", record)], forbid_unknown_fields=True)
        members = [("L", list[element] | UnsetType, UNSET), ("NULL", bool | UnsetType, UNSET)]  # type: ignore[valid-type]
        return msgspec.defstruct("Children", members, forbid_unknown_fields=True)

    def _child_fields(self, child: ChildPlan) -> tuple[dict[str, Any], dict[str, str]]:
        types = _record_types(child.record)
        names = self.learned.children.get(child.name, [])
        types |= {name: dict[str, Any] for name in names if name not in types}
        return types, {name: f"a{place}" for place, name in enumerate(types)}

    def function(self, *, escaped: bool) -> Callable[[Any], str | None]:
        entity = self.entity
        source = fast_source.Source(escaped)
        source.add("r = {}", "res = ''")
        keys = fast_source.write_key(source, entity, self.generation)
        fast_source.write_constants(source, entity.record, self.fields)
        rendered = {name for one in entity.derived for name in one.pattern.columns}
        columns = fast_source.write_columns(source, entity.record, self.fields, rendered)
        texts = {column.column: f"r_{key}" for column, key in zip(entity.key, keys, strict=True)}
        texts |= {column.column: f"r_{name}" for column, name in zip(entity.record.columns, columns, strict=True)}
        fast_source.write_derived(source, entity.derived, self.fields, texts)
        parents = {column.column: key for column, key in zip(entity.key, keys, strict=True)}
        for place, child in enumerate(entity.children):
            self._write_child(source, place, child, parents)
        mapped = {column.path[0] for column in entity.record.columns if len(column.path) == 1}
        inner = dict.fromkeys(column.path[0] for column in entity.record.columns if len(column.path) > 1)
        fast_source.write_extra(
            source,
            [(name, self.fields[name]) for name in self.learned.names],
            [(name, self.fields[name]) for name in inner if name not in mapped and name not in self.learned.names],
        )
        line = fast_source.write_end(source, [*keys, *columns])
        for place, child in enumerate(entity.children):
            source.names[f"out{place}"] = self.child_lines[child.name]
            source.add(f"out{place}.extend(h{place})")
        source.add(f"return {line}")
        return _compiled(source, "item")

    def _write_child(
        self, source: fast_source.Source, place: int, child: ChildPlan, parents: Mapping[str, str]
    ) -> None:
        function = source.bind(f"child{place}", self._child_function(child, escaped=source.escaped))
        given = "\\t".join("{" + parents[ours] + "}" for _, ours in child.parent)
        source.add(f"h{place} = []", f"v = item.{self.fields[child.attribute]}", "if v is not U:")
        source.add("t = v.L", "if t is U:", *(f"    {one}" for one in fast_source.if_null("v")), depth=2)
        source.add(f"    {source.keep(child.pointer, NULL_JSON)}", depth=2)
        source.add("elif not t:", f"    {source.keep(child.pointer, EMPTY_JSON)}", "else:", depth=2)
        source.add(f"parent = f'{given}\\t'", "for at, element in enumerate(t):", depth=3)
        source.add(f"row = {function}(element.M)", "if row is None:", "    return None", depth=4)
        source.add(f"h{place}.append(f'{{parent}}{{at}}\\t{{row}}')", depth=4)

    def _child_function(self, child: ChildPlan, *, escaped: bool) -> Callable[[Any], str | None]:
        _, fields = self._child_fields(child)
        source = fast_source.Source(escaped)
        source.add("r = {}", "res = ''")
        fast_source.write_constants(source, child.record, fields)
        columns = fast_source.write_columns(source, child.record, fields, set())
        mapped = {column.path[0] for column in child.record.columns if len(column.path) == 1}
        names = self.learned.children.get(child.name, [])
        inner = dict.fromkeys(column.path[0] for column in child.record.columns if len(column.path) > 1)
        learned = [(name, fields[name]) for name in names]
        fast_source.write_extra(
            source, learned, [(name, fields[name]) for name in inner if name not in mapped and name not in names]
        )
        source.add(f"return {fast_source.write_end(source, columns)}")
        return _compiled(source, "item")

    def shape(self) -> Callable[[Any], Any]:
        parts = []
        for name, attribute in self.fields.items():
            if self.types[name] == dict[str, Any]:
                parts.append(f"0 if item.{attribute} is U else next(iter(item.{attribute}))")
            else:
                parts.append(f"0 if item.{attribute} is U else 1 if item.{attribute}.NULL is U else 2")
        source = fast_source.Source(escaped=False)
        source.add(f"return ({', '.join(parts)},)" if parts else "return ()")
        return _compiled(source, "item")


NULL_JSON: Final = '{"NULL":true}'
EMPTY_JSON: Final = '{"L":[]}'


def _record_types(record: RecordPlan) -> dict[str, Any]:
    types: dict[str, Any] = {}
    for column in record.columns:
        if len(column.path) > 1 or column.type.name == "jsonb":
            types[column.path[0]] = dict[str, Any]
        else:
            types.setdefault(column.path[0], _attributes[column.type.wire])
    for name, value in record.constant:
        wire = next(iter(value))
        types[name] = _attributes[wire] if wire in _attributes else dict[str, Any]
    return types


def _struct(
    name: str,
    first: list[tuple[str, Any]],
    types: Mapping[str, Any],
    fields: Mapping[str, str],
    rename: Mapping[str, str],
) -> type[msgspec.Struct]:
    members: list[tuple[str, Any] | tuple[str, Any, Any]] = [*first]
    members += [(fields[attribute], kind | UnsetType, UNSET) for attribute, kind in types.items()]
    names = {**rename, **{at: attribute for attribute, at in fields.items()}}
    return msgspec.defstruct(name, members, rename=names, forbid_unknown_fields=True, gc=False)


def _compiled(source: fast_source.Source, argument: str) -> Callable[[Any], Any]:
    text = "\n".join([f"def function({argument}):", *source.lines])
    namespace: dict[str, Any] = {
        "U": UNSET,
        "NUL": COPY_NULL,
        "escape": escape,
        "encode": encode,
        "plain": _plain,
        "take": _take,
        "doubled": _doubled,
        "NULL": NULL,
        **source.names,
    }
    exec(_code(text), namespace)  # noqa: S102 (names are bound or quoted by repr)
    function: Callable[[Any], Any] = namespace["function"]
    return function


@lru_cache(maxsize=128)
def _code(text: str) -> CodeType:
    """Compiled once a process, however many encoders of the same declaration are made."""
    return compile(text, "<ashore fast path>", "exec")


class _SpecialError(Exception):
    """A nested value that plain JSON cannot give back by itself."""


def _plain(value: TypedValue, path: str, residue: Residue) -> Any:
    """`to_plain`, quick where nothing needs the residue. A value that is no DynamoDB value is the general path's."""
    try:
        return _only_plain(value)
    except _SpecialError:
        if not is_value(value):
            raise UnfitError("unreadable") from None
        return to_plain(value, path, residue)


def _only_plain(value: TypedValue) -> Any:
    ((name, content),) = value.items()
    if name == "S" and content.__class__ is str:
        return content
    if name == "M" and content.__class__ is dict:
        return {key: _only_plain(member) for key, member in content.items()}
    if name == "L" and content.__class__ is list:
        return [_only_plain(member) for member in content]
    if name == "N":
        return int(content) if len(content) < 19 and content.isdigit() and content.isascii() else number(content)
    if name == "BOOL" and content.__class__ is bool:
        return content
    if name == "NULL" and content is True:
        return None
    raise _SpecialError


def _take(value: Any, path: tuple[str, ...]) -> Any:
    """Take the value at a path out of a decoded map, which is the fast function's own to change; None for none."""
    *steps, last = path
    for step in steps:
        value = value.get("M", {}).get(step)
        if value is None:
            return None
    members = value.get("M")
    return None if members is None else members.pop(last, None)


def _doubled(text: str) -> str:
    r"""JSON text as COPY text. One that may hold U+0000 is the general path's to judge."""
    if "\\u0000" in text:
        raise UnfitError("nul_in_text")
    return text.replace("\\", "\\\\")


def learn(learned: Learned, entity: EntityPlan, item: Mapping[str, Any]) -> bool:
    """Learn the names of an item's attributes without a column; says whether there was a new one."""
    before = _size(learned)
    known = {key.name for key in key_attributes(entity)} | _record_types(entity.record).keys()
    known |= {one.attribute for one in entity.derived} | {child.attribute for child in entity.children}
    _add(learned.names, item.keys() - known)
    for child in entity.children:
        elements = item.get(child.attribute, {}).get("L", [])
        names = learned.children.setdefault(child.name, [])
        mapped = _record_types(child.record).keys()
        for element in elements:
            _add(names, element.get("M", {}).keys() - mapped)
    return _size(learned) > before


def _size(learned: Learned) -> int:
    return len(learned.names) + sum(map(len, learned.children.values()))


def _add(names: list[str], new: Iterable[str]) -> None:
    for name in sorted(new):
        if name not in names and len(names) < MOST_LEARNED and name.isprintable() and not set(name) & {'"', "\\"}:
            names.append(name)
