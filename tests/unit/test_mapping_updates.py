"""What the application writes into rows is what their item shows, whatever the residue remembers."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from tests.mapping_values import KIND
from tests.mapping_worlds import World, fewer, worlds

from ashore.mapping import declare
from ashore.mapping.document import same_plain, to_typed
from ashore.mapping.items import RowNotAnItemError, from_rows
from ashore.mapping.match import AsRow, key_texts, matcher
from ashore.mapping.plan import ColumnPlan, EntityPlan
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import Rows, render, to_rows
from ashore.model.item import Item, differing_attributes

PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text("ab\\\"'", max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text("ab/~", min_size=1, max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


def rows_of(world: World, item: dict[str, Any]) -> Rows | None:
    found = matcher(world.plan)(*key_texts(world.plan, item))
    if not isinstance(found, AsRow):
        return None
    try:
        return to_rows(world.entity, item, found.generation)
    except UnfitError:
        return None


def others(plan: EntityPlan, item: dict[str, Any], changed: set[str]) -> dict[str, Any]:
    """What an update of some columns' attributes leaves alone: all but these and what is derived."""
    derived = {one.attribute for one in plan.derived}
    return {name: value for name, value in item.items() if name not in changed | derived}


SETTINGS = settings(
    max_examples=fewer(),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@SETTINGS
@given(st.data())
def test_an_updated_column_shows_in_the_item_and_nothing_else_changes(data: st.DataObject) -> None:
    world = data.draw(worlds())
    plan = world.entity
    rows = rows_of(world, data.draw(world.items))
    assume(rows is not None and plan.record.columns)
    assert rows is not None
    before = from_rows(plan, rows)
    column = data.draw(st.sampled_from(plan.record.columns))
    row = dict(rows.row)
    if data.draw(st.booleans()) and not column.required:
        row[column.column] = None
        after = from_rows(plan, Rows(row, rows.children))
        value = at(after, column.path)
        was_null = rows.row[column.column] is None
        assert was_null or value == ({"NULL": True} if column.explicit_null else None)
    else:
        typed = data.draw(new_value(column, plan))
        row[column.column] = column.type.to_column(typed)
        after = from_rows(plan, Rows(row, rows.children))
        shown = at(after, column.path)
        assert shown is not None
        assert column.type.same(row[column.column], column.type.to_column(shown))
    assert [] == differing_attributes(others(plan, before, {column.path[0]}), others(plan, after, {column.path[0]}))
    for one in plan.derived:
        if column.column not in one.pattern.columns:
            assert before.get(one.attribute) == after.get(one.attribute)
        elif row[column.column] != rows.row[column.column]:
            assert render(one, row, plan) == after.get(one.attribute, {})


def new_value(column: ColumnPlan, plan: EntityPlan) -> st.SearchStrategy[Any]:
    """Typed values that a column can take; for jsonb plain ones, and maps of nothing where columns take their parts."""
    if column.type.name == "jsonb":
        inner = any(one.path[: len(column.path)] == column.path for one in plan.record.columns if one is not column)
        return (
            st.just({"M": {}})
            if inner
            else PLAIN.filter(lambda one: one is not None).map(lambda one: to_typed(one, "", {}))
        )
    return KIND[column.type.name.replace("timestamptz, ", "")].canonical


def at(item: dict[str, Any], path: tuple[str, ...]) -> Any:
    """The value at a path; None for none."""
    value = item.get(path[0])
    for step in path[1:]:
        value = None if value is None else value.get("M", {}).get(step)
    return value


@SETTINGS
@given(st.data())
def test_updated_keys_of_extra_show_in_the_item(data: st.DataObject) -> None:
    world = data.draw(worlds())
    plan = world.entity
    rows = rows_of(world, data.draw(world.items))
    assume(rows is not None)
    assert rows is not None
    before = from_rows(plan, rows)
    extra = copy.deepcopy(rows.row["extra"] or {})
    declared = {column.path[0] for column in plan.record.columns} | {name for name, _ in plan.record.constant}
    declared |= {one.attribute for one in plan.derived} | {child.attribute for child in plan.children}
    declared |= {key.name for key in (plan.partition_key, plan.sort_key) if key is not None}
    name = data.draw(st.sampled_from(sorted((extra.keys() | {"new", "a/b", "~2"}) - declared)))
    if name in extra and data.draw(st.booleans()):
        del extra[name]
        expected: dict[str, Any] = {key: value for key, value in before.items() if key != name}
    else:
        extra[name] = data.draw(PLAIN)
        expected = {**before, name: to_typed(extra[name], "", {})}
    after = from_rows(plan, Rows({**rows.row, "extra": extra or None}, rows.children))
    stored = rows.row["extra"] or {}
    if name in extra and name in stored and same_plain(extra[name], stored[name]):
        expected = {**expected, name: before[name]}
    assert [] == differing_attributes(expected, after)


@SETTINGS
@given(st.data())
def test_inserted_deleted_and_moved_children_show_in_the_item(data: st.DataObject) -> None:
    world = data.draw(worlds(child=True))
    plan = world.entity
    parts = data.draw(
        world.slots["parts"].filter(lambda value: bool(value.get("L")) and all("M" in one for one in value["L"]))
    )
    rows = rows_of(world, {**data.draw(world.items), "parts": parts})
    assume(rows is not None)
    assert rows is not None
    child, of_child = plan.children[0], [dict(row) for row in rows.children[0]]
    before = from_rows(plan, rows)
    members = list(before[child.attribute]["L"])
    match data.draw(st.sampled_from(["delete", "insert", "reverse", "extra"])):
        case "delete":
            place = data.draw(st.integers(0, len(of_child) - 1))
            del of_child[place], members[place]
        case "insert":
            new = (
                dict.fromkeys(of_child[0])
                | {theirs: of_child[0][theirs] for theirs, _ in child.parent}
                | {child.order: 99, "extra": {"n": 1}}
            )
            of_child.append(new)
            members.append({"M": {"n": {"N": "1"}, **dict(child.record.constant)}})
        case "reverse":
            for place, row in enumerate(reversed(of_child)):
                row[child.order] = place
            members.reverse()
        case _:
            of_child[0]["extra"] = {**(of_child[0]["extra"] or {}), "new": [1]}
            members[0] = {"M": {**members[0]["M"], "new": {"L": [{"N": "1"}]}}}
    after = from_rows(plan, Rows(rows.row, (of_child,)))
    expected = {name: value for name, value in before.items() if name != child.attribute}
    if members:
        expected[child.attribute] = {"L": members}
    assert [] == differing_attributes(expected, after)


@pytest.fixture
def plan() -> EntityPlan:
    table = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True)),
        sa.Column("tags", ARRAY(sa.Text)),
        sa.Column("doc", JSONB),
        sa.Column("owner", sa.Text),
        sa.Column("amount", sa.Numeric),
        sa.Column("done", sa.Text),
        *declare.remainder(),
    )
    source = declare.Source("s", sort_key=None)
    declare.Entity(
        table,
        source.key("{id}"),
        attributes={"doc.owner": table.c.owner},
        null={"done": declare.explicit},
        derived={"gsi": declare.maybe("o|{owner}")},
        constant={"kind": "T"},
        unfit={"odd": declare.residue},
    )
    return source.compile().entities["t"]


def empty(**values: Any) -> Rows:
    return Rows(
        {"id": "1", **dict.fromkeys(["at", "tags", "doc", "owner", "amount", "done", "extra", "residue"]), **values}, ()
    )


def test_a_row_born_in_postgresql_is_an_item_of_its_columns_alone(plan: EntityPlan) -> None:
    row = empty(tags=["b", "a", "b"], doc={"x": [None, 1]}, owner="o", extra={"kind": "ignored", "more": True})
    expected = {
        "pk": {"S": "1"},
        "tags": {"L": [{"S": "b"}, {"S": "a"}, {"S": "b"}]},
        "done": {"NULL": True},
        "kind": {"S": "T"},
        "doc": {"M": {"x": {"L": [{"NULL": True}, {"N": "1"}]}, "owner": {"S": "o"}}},
        "gsi": {"S": "o|o"},
        "more": {"BOOL": True},
    }
    assert expected == from_rows(plan, row)


@pytest.mark.parametrize("tags", [[], [None], ["a", None], [["a"], ["b"]]])
def test_arrays_that_no_set_can_be_become_lists(plan: EntityPlan, tags: list[Any]) -> None:
    assert {"L"} == from_rows(plan, empty(tags=tags))["tags"].keys()


def test_stale_residue_never_undoes_an_update(plan: EntityPlan) -> None:
    item: Item = {
        "pk": {"S": "1"},
        "at": {"S": "2020-06-05"},
        "tags": {"L": [{"S": "b"}, {"S": "a"}]},
        "kind": {"S": "other"},
        "doc": {"M": {"set": {"SS": ["b", "a"]}, "owner": {"NULL": True}}},
        "gsi": {"S": "mine"},
        "extra": {"NS": ["2", "1"]},
        "odd": {"S": "a\0b"},
        "done": {"S": "x"},
    }
    rows = to_rows(plan, item)
    assert [] == differing_attributes(item, from_rows(plan, rows))
    later = rows.row["at"].replace(hour=1)
    new = {
        "at": later,
        "tags": ["a", "c"],
        "doc": {"set": ["a", "b", "c"]},
        "owner": "me",
        "done": None,
        "extra": {"extra": [1], "odd": "ok"},
    }
    expected = {
        "pk": {"S": "1"},
        "at": {"S": "2020-06-05T01:00:00.000Z"},
        "tags": {"SS": ["a", "c"]},
        "kind": {"S": "other"},
        "doc": {"M": {"set": {"L": [{"S": "a"}, {"S": "b"}, {"S": "c"}]}, "owner": {"S": "me"}}},
        "gsi": {"S": "o|me"},
        "extra": {"L": [{"N": "1"}]},
        "odd": {"S": "ok"},
        "done": {"NULL": True},
    }
    assert expected == from_rows(plan, Rows({**rows.row, **new}, ()))


@pytest.mark.parametrize(
    "residue",
    [
        {"/at": 5},
        {"/at": {"S": 5}},
        {"/gsi": [1, 2]},
        {"/gsi": [{"S": 1}, {}]},
        {"/x": {"JSON64": "!"}},
        {"/x": {"JSON64": "AAAA"}},
        {"/x": None},
        {"/doc/owner": {"M": 1}},
    ],
)
def test_residue_that_someone_else_wrote_says_nothing(plan: EntityPlan, residue: Any) -> None:
    assert from_rows(plan, empty(owner="o")) == from_rows(plan, empty(owner="o", residue=residue))


@pytest.mark.parametrize(
    ("column", "value"),
    [("amount", Decimal("NaN")), ("amount", Decimal("-Infinity")), ("extra", [1]), ("residue", "x")],
)
def test_a_row_that_can_be_no_item_says_which_column_and_not_what(plan: EntityPlan, column: str, value: Any) -> None:
    with pytest.raises(RowNotAnItemError) as error:
        from_rows(plan, empty(**{column: value}))
    assert column == error.value.column
