"""What is wrong with a declaration is said when it is compiled, all at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import ARRAY, CITEXT, JSON, JSONB

from ashore.errors import DeclarationError
from ashore.mapping.declare import (
    Child,
    Copy,
    Entity,
    KeyAttribute,
    Mirror,
    Source,
    epoch_seconds,
    explicit,
    maybe,
    remainder,
    render,
)
from ashore.mapping.pattern import Glob, Pattern, common_text


def key_column(name: str = "id") -> sa.Column[Any]:
    return sa.Column(name, sa.Text(collation="C"), primary_key=True)


def table(*columns: sa.Column[Any], name: str = "t", keys: tuple[str, ...] = ("id",), rest: bool = True) -> sa.Table:
    return sa.Table(name, sa.MetaData(), *map(key_column, keys), *columns, *(remainder() if rest else []))


def one(*columns: sa.Column[Any], key: str = "a|{id}", **declared: Any) -> Source:
    source = Source("s", sort_key=None)
    Entity(table(*columns), source.key(key), **declared)
    return source


def child(**declared: Any) -> Source:
    parent = table()
    column = sa.Column("position", sa.Integer, primary_key=True)
    part = sa.Table("part", parent.metadata, key_column(), column, sa.Column("x", sa.Text), *remainder())
    source = Source("s", sort_key=None)
    given = {"table": part, "attribute": "parts", "order": column, **declared}
    Entity(parent, source.key("a|{id}"), children=[Child(**given)])
    return source


def two(first: tuple[str, str], second: tuple[str, str]) -> Source:
    source = Source("s")
    for name, patterns in (("one", first), ("two", second)):
        columns = sorted({column for text in patterns for column in Pattern.parse(text).columns})
        Entity(table(name=name, keys=tuple(columns)), source.key(*patterns))
    return source


def ruled(*, sort: str = "*") -> Source:
    source = one()
    source.leave_out("a|*", sort, because="x")
    return source


def mapped(make: Callable[[sa.Table], dict[Any, Any]], *columns: sa.Column[Any]) -> Source:
    source = Source("s", sort_key=None)
    made = table(*columns)
    Entity(made, source.key("a|{id}"), attributes=make(made))
    return source


TEXT = sa.Text


def _no_remainder() -> Source:
    source = Source("s", sort_key=None)
    Entity(table(rest=False), source.key("a|{id}"))
    return source


def _only_in_postgres() -> Source:
    source = Source("s", sort_key=None)
    made = table(sa.Column("x", TEXT, nullable=False))
    Entity(made, source.key("a|{id}"), derived={"d": "{x}"}, only_in_postgres=[made.c.x])
    return source


def _two_lists() -> Source:
    source = child()
    (entity,) = source.entities
    (first,) = entity.children
    entity.children = (first, Child(table=first.table, attribute="others", order=first.order))
    return source


def _taken_copies() -> Source:
    source = one(derived={"d": "{id}"}, copies=[Copy(partition="b|{x}", of="d")])
    sa.Table("t_copy", source.entities[0].table.metadata, sa.Column("x", TEXT))
    return source


def _mirrored(partition: str, *, rule: str = "m|*", **given: Any) -> Source:
    source = one(sa.Column("x", TEXT), sa.Column("y", JSONB))
    source.leave_out(rule, because="x", rebuild=Mirror(of=source.entities[0], partition=partition, **given))
    return source


def _mirror_of_another() -> Source:
    source = one()
    source.leave_out("m|*", because="x", rebuild=Mirror(of=one().entities[0], partition="m|{id}"))
    source.entities[0].name = "another"
    return source


def _number_key() -> Source:
    source = Source("s", partition_key=KeyAttribute(name="n", type="N"), sort_key=None)
    Entity(table(), source.key("a|{id}"))
    return source


WRONG: dict[str, tuple[Callable[[], Source], str]] = {
    "no entity": (lambda: Source("s"), "declares no entity"),
    "one name for both keys": (
        lambda: Source("s", partition_key="k", sort_key="k"),
        "as partition key and as sort key",
    ),
    "no remainder": (_no_remainder, "no nullable jsonb column 'extra'"),
    "a float": (lambda: one(sa.Column("x", sa.Float)), "use Numeric"),
    "char": (lambda: one(sa.Column("x", sa.CHAR(3))), "pads with blanks"),
    "nchar": (lambda: one(sa.Column("x", sa.NCHAR(3))), "pads with blanks"),
    "citext": (lambda: one(sa.Column("x", CITEXT)), "makes two DynamoDB keys one"),
    "json": (lambda: one(sa.Column("x", JSON)), "use postgresql.JSONB"),
    "an array of arrays": (lambda: one(sa.Column("x", ARRAY(TEXT, dimensions=2))), "one-dimensional"),
    "an interval": (lambda: one(sa.Column("x", sa.Interval)), "Interval is not supported"),
    "a braces typo": (lambda: one(key="a|{id"), "cannot be read"),
    "touching placeholders": (lambda: one(key="{id}{id}"), "cannot be read"),
    "an unknown key column": (lambda: one(key="a|{other}"), "which the table does not have"),
    "a key column missing": (lambda: one(key="a|x"), "primary key column(s) id are not in the key's patterns"),
    "a nullable key column": (lambda: one(sa.Column("x", sa.Text(collation="C")), key="{id}|{x}"), "may be NULL"),
    "a key without collation": (lambda: one(sa.Column("x", TEXT, nullable=False), key="{id}|{x}"), 'COLLATE "C"'),
    "an unknown derived column": (lambda: one(derived={"d": "{y}"}), "names column 'y'"),
    "a derived column that may be NULL": (lambda: one(sa.Column("x", TEXT), derived={"d": "{x}"}), "write maybe"),
    "a derived jsonb": (lambda: one(sa.Column("x", JSONB), derived={"d": maybe("{x}")}), "cannot be rendered as text"),
    "a derived column that nothing fills": (_only_in_postgres, "is filled by no item"),
    "two roles": (lambda: one(constant={"d": "x"}, derived={"d": "{id}"}), "has several roles: constant, derived"),
    "a constant key": (lambda: one(constant={"pk": "x"}), "has several roles: the key, constant"),
    "a constant of no type": (lambda: one(constant={"d": [1]}), "constant 'd' is a list"),
    "a constant with a column": (lambda: one(sa.Column("x", TEXT), constant={"x": "y"}), "which is constant"),
    "null without a column": (lambda: one(null={"x": explicit}), "which has no column"),
    "an unknown policy": (lambda: one(unfit={"x": "drop"}), "use reject, strip or residue"),
    "ttl without a column": (lambda: one(ttl="expires"), "has no column"),
    "an epoch that is no timestamp": (
        lambda: mapped(lambda t: {"x": epoch_seconds(t.c.x)}, sa.Column("x", TEXT)),
        "DateTime(timezone=True)",
    ),
    "a column of another table": (
        lambda: mapped(lambda _: {"x": table(sa.Column("x", TEXT)).c.x}),
        "a column of another table",
    ),
    "a mapped key column": (lambda: mapped(lambda t: {"x": t.c.id}), "which the key fills"),
    "a mapped remainder": (lambda: mapped(lambda t: {"x": t.c.extra}), "which no attribute can fill"),
    "an empty step": (lambda: mapped(lambda t: {"a..b": t.c.x}, sa.Column("x", TEXT)), "an empty name"),
    "two columns for one attribute": (
        lambda: mapped(lambda t: {"y": t.c.x}, sa.Column("x", TEXT), sa.Column("y", TEXT)),
        "take one attribute",
    ),
    "a part of a text": (
        lambda: mapped(lambda t: {"y.z": t.c.x}, sa.Column("x", TEXT), sa.Column("y", TEXT)),
        "takes a part of what",
    ),
    "a child with the parent's attribute": (lambda: child(attribute="pk"), "has several roles: the key, children"),
    "a child without order": (lambda: child(order=sa.Column("x", TEXT)), "is no integer column"),
    "two lists in one table": (_two_lists, "takes several kinds of records"),
    "a copy of nothing": (lambda: one(copies=[Copy(partition="b|{x}", of="y")]), "neither derived nor a column's"),
    "a copy rebuilt by no way": (
        lambda: one(derived={"d": "{id}"}, copies=[Copy(partition="b|{x}", of="d", rebuild="no")]),  # type: ignore[arg-type]
        "is no way",
    ),
    "a rendered copy of no column": (
        lambda: one(derived={"d": "{id}"}, copies=[Copy(partition="b|{x}", of="d", rebuild=render)]),
        "{x} is no column that an item fills",
    ),
    "a mirror of another source": (_mirror_of_another, "no sound entity of this source"),
    "a mirror without the primary key": (lambda: _mirrored("m|{x}"), "its key lacks column(s) id"),
    "a mirror of a jsonb": (lambda: _mirrored("m|{id}|{y}"), "column 'y' cannot be rendered as text"),
    "a mirror that the rule does not speak of": (lambda: _mirrored("n|{id}"), "does not speak of keys 'n|{id}'"),
    "a mirror of another key": (lambda: _mirrored("m|{id}", sort="x"), "has another key than the table"),
    "a mirror's pattern": (lambda: _mirrored("m|{id"), "cannot be read"),
    "a mirror's attribute": (lambda: _mirrored("m|{id}", attributes={"a": "{y}"}), "its attribute 'a' cannot be"),
    "a mirror's key as attribute": (lambda: _mirrored("m|{id}", attributes={"pk": "x"}), "'pk' cannot be rendered"),
    "a taken copies' table": (_taken_copies, "which is declared as another"),
    "keys that overlap": (lambda: two(("a|{x}", "{x}"), ("a|{y}", "b|{z}")), "with key 'a|b|x', 'b|x' is of both"),
    "a rule that overlaps": (ruled, "an item with key 'a|x' is of both"),
    "a rule's sort key": (lambda: ruled(sort="x"), "the rule 'a|* x' speaks of one"),
    "a number key in a text": (_number_key, "its pattern is 'a|{id}'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_declaration_says_what_is_wrong(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(DeclarationError) as error:
        make().compile()
    assert message in str(error.value)


def test_all_problems_are_told_at_once() -> None:
    source = one(sa.Column("x", sa.Float), sa.Column("y", JSON), null={"z": explicit}, ttl="expires")
    with pytest.raises(DeclarationError) as error:
        source.compile()
    assert 4 == len(error.value.problems)


def test_a_declaration_compiles_twice() -> None:
    source = one(derived={"d": "{id}"}, copies=[Copy(partition="b|{x}", of="d")])
    assert source.compile().entities.keys() == source.compile().entities.keys()


SYMBOLS = st.lists(st.sampled_from(["a", "b", "{x}", "{y}"]), max_size=4).map("".join)


def _parsed(text: str) -> Pattern | None:
    try:
        return Pattern.parse(text)
    except ValueError:
        return None


FORMS = st.one_of(
    SYMBOLS.map(_parsed).filter(lambda one: one is not None and len(set(one.columns)) == len(one.columns)),
    st.text("ab*", max_size=4).map(Glob),
)
ALL_TEXTS = ["".join(letters) for length in range(7) for letters in product("abx", repeat=length)]


def _matches(form: Pattern | Glob, text: str) -> bool:
    return form.matches(text) if isinstance(form, Glob) else form.match(text) is not None


@given(FORMS, FORMS)
def test_a_common_text_is_found_exactly_where_one_is(one_form: Pattern | Glob, other: Pattern | Glob) -> None:
    shortest = next((text for text in ALL_TEXTS if _matches(one_form, text) and _matches(other, text)), None)
    found = common_text(one_form, other)
    assert (shortest is None) == (found is None)
    if found is not None and shortest is not None:
        assert len(shortest) == len(found)
        assert _matches(one_form, found)
        assert _matches(other, found)


@given(SYMBOLS.map(_parsed).filter(bool), st.text("ab", max_size=8))
def test_what_a_pattern_takes_gives_the_text_again(pattern: Pattern, text: str) -> None:
    taken = pattern.match(text)
    if taken is not None:
        assert text == pattern.render(taken)
        assert all(taken.values())
