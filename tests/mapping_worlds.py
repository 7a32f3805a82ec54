"""Random declarations and random items for them, for the tests of `ashore.mapping`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from tests.mapping_values import (
    KIND,
    KINDS,
    ODD_NAMES,
    UUIDS,
    Kind,
    Strategy,
    binaries,
    fitting,
    moments,
    names,
    numbers,
    scalars,
    texts,
    values,
    wire,
)

from ashore.mapping import declare
from ashore.mapping.plan import EntityPlan, Plan
from ashore.model.attribute import TypedValue


def text_c() -> Any:
    """The type of a text key."""
    return sa.Text(collation="C")


@dataclass(frozen=True)
class KeyForm:
    """Key attributes, their patterns by generation, the key columns, and texts for the columns."""

    partition: declare.KeyAttribute
    sort: declare.KeyAttribute | None
    patterns: list[tuple[str, str | None]]
    columns: dict[str, tuple[Callable[[], Any], Strategy]]


def _key(name: str, kind: Any = "S") -> declare.KeyAttribute:
    return declare.KeyAttribute(name=name, type=kind)


_key_texts = st.one_of(texts(nul=False).filter(bool), st.text("ab|#\\\n", min_size=1, max_size=4))
_safe = st.text("ab\\\tü🂡'\"", min_size=1, max_size=5)
_timestamps = moments("milliseconds")
KEY_FORMS = [
    KeyForm(_key("pk"), _key("sk"), [("case|{a}", "case|{a}")], {"a": (text_c, _key_texts)}),
    KeyForm(
        _key("pk"),
        _key("sk"),
        [("{a}", "note|{b}")],
        {"a": (text_c, _key_texts), "b": (sa.Uuid, st.one_of(UUIDS, UUIDS.map(str.upper)))},
    ),
    KeyForm(
        _key("pk"),
        _key("sk"),
        [("a|{a}#{b}|z", "{e}")],
        {
            "a": (text_c, _safe),
            "b": (sa.Integer, st.integers(-99, 99).map(str)),
            "e": (lambda: sa.DateTime(timezone=True), _timestamps),
        },
    ),
    KeyForm(_key("pk"), _key("sk"), [("{a}|{a}", "{b}")], {"a": (text_c, _safe), "b": (sa.Date, st.dates().map(str))}),
    KeyForm(
        _key("id", "N"),
        _key("at", "N"),
        [("{a}", "{b}")],
        {"a": (sa.BigInteger, st.integers(-99, 2**70).map(str)), "b": (sa.Numeric, numbers())},
    ),
    KeyForm(_key("id", "B"), None, [("{a}", None)], {"a": (sa.LargeBinary, binaries().filter(bool))}),
    KeyForm(_key("k'\"\\"), None, [('q"|{a}\\', None), ("old|{a}", None)], {"a": (text_c, _safe)}),
    KeyForm(
        _key("pk"),
        _key("sk"),
        [("case|{a}", "msg|{b}"), ("old-case|{a}", "msg|{b}"), ("{b}", "older|{a}")],
        {"a": (text_c, _safe), "b": (sa.Numeric, st.one_of(numbers(), st.integers(0, 9).map(str)))},
    ),
    KeyForm(
        _key("pk"),
        _key("sk"),
        [("{a:uuid}", "{at:timestamp}-{b}"), ("a|{a:uuid}|{a:uuid}", "{at:timestamp}#{b:integer}")],
        {
            "a": (sa.Uuid, st.one_of(UUIDS, UUIDS, _safe)),
            "at": (lambda: sa.DateTime(timezone=True), st.one_of(_timestamps, st.just("2020-13-45T00:00:00.000Z"))),
            "b": (sa.Integer, st.one_of(st.integers(-99, 99).map(str), st.just("007"))),
        },
    ),
    KeyForm(
        _key("pk"),
        None,
        [("{a=limit,limit-b,\\ü}-{b:digits}", None)],
        {
            "a": (text_c, st.sampled_from(["limit", "limit-b", "\\ü", "other"])),
            "b": (text_c, st.sampled_from(["0", "07", "x"])),
        },
    ),
]


class World:
    """A compiled declaration of one entity, its tables and items that may be of it."""

    def __init__(self, plan: Plan, metadata: sa.MetaData, items: Strategy, slots: Mapping[str, Strategy]) -> None:
        self.plan = plan
        self.metadata = metadata
        self.items = items
        self.slots = slots

    def __repr__(self) -> str:
        entity = self.entity
        columns = [
            (one.column, one.type.name, one.path, one.required, one.explicit_null, one.unfit)
            for one in entity.record.columns
        ]
        derived = [(one.attribute, one.pattern.text) for one in entity.derived]
        children = [
            [(one.column, one.type.name, one.unfit) for one in child.record.columns] for child in entity.children
        ]
        return f"World({entity.generations}, {columns}, {entity.record}, {derived}, {children})"

    @property
    def entity(self) -> EntityPlan:
        """The entity."""
        return self.plan.entities["thing"]


def fewer(share: int = 3) -> int:
    """A share of the examples that the profile asks for, for tests whose examples take long."""
    profile = settings.default
    return 100 // share if profile is None else profile.max_examples // share


POLICIES: st.SearchStrategy[declare.Unfit] = st.sampled_from(["reject", "reject", "strip", "residue"])


@st.composite
def worlds(draw: st.DrawFn, *, child: bool | None = None) -> World:
    """A random declaration, compiled; with or without children as asked, or at random."""
    metadata = sa.MetaData()
    form = draw(st.sampled_from(KEY_FORMS))
    source = declare.Source("world", partition_key=form.partition, sort_key=form.sort)
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=7))
    kinds = [kind for place, kind in enumerate(kinds) if kind.name != "enum" or kind not in kinds[:place]]
    columns: list[Any] = [sa.Column(name, made(), primary_key=True) for name, (made, _) in form.columns.items()]
    filled = [sa.Column(f"c{place}", kind.type(), nullable=draw(_mostly)) for place, kind in enumerate(kinds)]
    table = sa.Table("thing", metadata, *columns, *filled, *declare.remainder())
    attributes, slots = _attributes(draw, table, kinds)
    derived: dict[str, Any] = {"again": "{a}"} if form.partition.type != "B" else {}
    for place, kind in enumerate(kinds):
        if kind.renders and draw(st.booleans()):
            template = draw(st.sampled_from([f"{{c{place}}}", f"x|{{c{place}}}\\"]))
            derived[f"derived{place}"] = declare.maybe(template)
            slots[f"derived{place}"] = st.one_of(kind.canonical, wire("S", texts()), st.just({"NULL": True}))
    constant: dict[str, Any] = draw(st.sampled_from([{}, {"kind": "K\\"}, {"kind": {"N": "5"}, "also": True}]))
    slots |= {
        name: st.sampled_from([typed(value), typed(value), {"S": "other"}, {"N": "5.0"}, {"NULL": True}])
        for name, value in constant.items()
    }
    children = []
    if draw(st.booleans()) if child is None else child:
        children.append(_child(draw, metadata, table, form, slots))
    null = {path: declare.explicit for path in attributes_of_columns(attributes, table) if draw(_rarely)}
    unfit: dict[str, declare.Unfit] = {"*": draw(POLICIES)} if draw(st.booleans()) else {}
    for slot in slots:
        if draw(_rarely) and slot not in derived and slot not in constant:
            unfit[slot] = draw(POLICIES)
    keys = [source.key(*patterns) for patterns in form.patterns]
    declare.Entity(
        table,
        keys,
        constant=constant,
        derived=derived,
        attributes=attributes,
        null=null,
        unfit=unfit,
        children=children,
    )
    plan = source.compile()
    return World(plan, metadata, _items(form, plan.entities["thing"], slots), slots)


_mostly = st.integers(0, 9).map(lambda number: number != 9)
_rarely = st.integers(0, 3).map(lambda number: number == 3)


def typed(value: Any) -> TypedValue:
    """A constant as a typed value."""
    match value:
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case _:
            typed_value: TypedValue = value
            return typed_value


def attributes_of_columns(attributes: Mapping[Any, Any], table: sa.Table) -> list[str]:
    """Top-level attributes that have a column."""
    mapped = {(one.column if isinstance(one, declare.Epoch) else one).name for one in attributes.values()}
    direct = [path[0] for path in attributes if isinstance(path, tuple) and len(path) == 1]
    return direct + [
        name for name in (column.name for column in table.columns) if name.startswith("c") and name not in mapped
    ]


def _attributes(draw: st.DrawFn, table: sa.Table, kinds: list[Kind]) -> tuple[dict[Any, Any], dict[str, Strategy]]:
    """Odd names and paths for some columns; a strategy for each top-level attribute."""
    attributes: dict[Any, Any] = {}
    slots: dict[str, Strategy] = {}
    inner: dict[str, Strategy] = {}
    for place, kind in enumerate(kinds):
        column = table.columns[f"c{place}"]
        target = declare.Epoch(column, kind.epoch) if kind.epoch else column  # type: ignore[arg-type]
        way = draw(st.sampled_from(["same", "same", "odd", "path"]))
        if way == "odd":
            name = f"{draw(st.sampled_from(ODD_NAMES))}{place}"
        elif way == "path":
            name = f"x{place}"
            attributes["map", name] = target
            inner[name] = fitting(kind)
            continue
        else:
            name = column.name
        if way == "odd" or kind.epoch:
            attributes[name,] = target
        slots[name] = fitting(kind)
    if inner:
        members = st.fixed_dictionaries({}, optional={**inner, "rest": values(), "tags": scalars()})
        slots["map"] = st.one_of(wire("M", members), wire("M", members), values())
    return attributes, slots


def _child(
    draw: st.DrawFn, metadata: sa.MetaData, table: sa.Table, form: KeyForm, slots: dict[str, Strategy]
) -> declare.Child:
    kinds = [
        KIND[name]
        for name in draw(st.lists(st.sampled_from(["text", "numeric", "jsonb", "timestamptz", "text[]"]), max_size=3))
    ]
    own = [sa.Column(f"c{place}", kind.type(), nullable=draw(_mostly)) for place, kind in enumerate(kinds)]
    keys = [
        sa.Column(name, made(), *([sa.ForeignKey(f"thing.{name}")] if len(form.columns) == 1 else []), primary_key=True)
        for name, (made, _) in form.columns.items()
    ]
    order = sa.Column("position", sa.Integer, primary_key=True, autoincrement=False)
    child = sa.Table("part", metadata, *keys, order, *own, *declare.remainder())
    members = st.fixed_dictionaries(
        {},
        optional={
            **{f"c{place}": fitting(kind) for place, kind in enumerate(kinds)},
            "kind": st.just({"S": "P"}),
            "other": values(),
            'q"': scalars(),
        },
    )
    element = wire("M", members)
    slots["parts"] = st.one_of(
        wire("L", st.lists(element, max_size=3)), wire("L", st.lists(element, max_size=3)), values()
    )
    constant = {"kind": "P"} if draw(st.booleans()) else {}
    unfit: dict[str, declare.Unfit] = {"*": draw(POLICIES)} if draw(st.booleans()) else {}
    return declare.Child(table=child, attribute="parts", order=order, constant=constant, unfit=unfit)


def _items(form: KeyForm, entity: EntityPlan, slots: dict[str, Strategy]) -> Strategy:
    unmapped = st.dictionaries(names(nul=True), values(), max_size=2)

    @st.composite
    def items(draw: st.DrawFn) -> dict[str, Any]:
        contents = {name: draw(strategy) for name, (_, strategy) in form.columns.items()}
        generation = entity.generations[draw(st.integers(0, len(entity.generations) - 1))]
        keys = {form.partition.name: {form.partition.type: generation.partition.render(contents)}}
        if form.sort is not None and generation.sort is not None:
            keys[form.sort.name] = {form.sort.type: generation.sort.render(contents)}
        item = draw(unmapped) | {name: draw(value) for name, value in slots.items() if draw(_mostly)}
        repeats = draw(st.booleans())
        for one in entity.derived:
            if one.attribute == "again" and repeats:
                item["again"] = {"S" if one.whole is None else one.whole.wire: contents["a"]}
        return dict(draw(st.permutations(list({**item, **keys}.items()))))

    return items()
