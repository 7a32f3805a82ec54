"""Items to rows and back, for any declaration and any item."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from tests.mapping_values import as_boto3
from tests.mapping_worlds import World, worlds

from ashore.mapping import declare
from ashore.mapping.items import from_rows
from ashore.mapping.match import AsRow, key_texts, matcher
from ashore.mapping.plan import EntityPlan
from ashore.mapping.reasons import UnfitError, explanations
from ashore.mapping.rows import stripped, to_rows
from ashore.model.item import Item, differing_attributes


def outcome(world: World, item: dict[str, Any]) -> dict[str, Any] | UnfitError:
    found = matcher(world.plan)(*key_texts(world.plan, item))
    if not isinstance(found, AsRow):
        return UnfitError("unmatched")
    try:
        return from_rows(world.entity, to_rows(world.entity, item, found.generation))
    except UnfitError as unfit:
        return unfit


def as_declared(plan: EntityPlan, item: dict[str, Any]) -> dict[str, Any]:
    """The item without what a policy of "strip" takes out of it."""
    policies = {column.path: column.unfit for column in plan.record.columns}
    record = plan.record

    def clean(name: str, value: Any) -> Any:
        inner = {path[1]: policy for path, policy in policies.items() if len(path) == 2 and path[0] == name}
        if inner and "M" in value:
            whole = policies.get((name,), record.unfit_of(name))
            members = {key: member for key, member in value["M"].items() if key not in inner}
            rest = stripped({"M": members}) if whole == "strip" else {"M": members}
            for key, policy in inner.items():
                if key in value["M"]:
                    member = value["M"][key]
                    rest["M"][key] = stripped(member) if policy == "strip" else member
            return rest
        return stripped(value) if policies.get((name,), record.unfit_of(name)) == "strip" else value

    fixed = {name for name, _ in record.constant} | {one.attribute for one in plan.derived}
    fixed |= {plan.partition_key.name, *([plan.sort_key.name] if plan.sort_key else [])}
    clean_item = {name: value if name in fixed else clean(name, value) for name, value in item.items()}
    for child in plan.children:
        if child.attribute in item:
            clean_item[child.attribute] = item[child.attribute]
            if "L" in item[child.attribute] and all("M" in element for element in item[child.attribute]["L"]):
                clean_item[child.attribute] = {
                    "L": [
                        {"M": {k: _child_clean(child, k, v) for k, v in e["M"].items()}}
                        for e in item[child.attribute]["L"]
                    ]
                }
    return clean_item


def _child_clean(child: Any, name: str, value: Any) -> Any:
    if name in {one for one, _ in child.record.constant}:
        return value
    policies = {column.path[0]: column.unfit for column in child.record.columns}
    return stripped(value) if policies.get(name, child.record.unfit_of(name)) == "strip" else value


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_an_item_that_is_not_rejected_comes_back_from_its_rows(data: st.DataObject) -> None:
    world = data.draw(worlds())
    item = data.draw(world.items)
    back = outcome(world, item)
    if isinstance(back, UnfitError):
        assert back.reason in explanations
    else:
        expected = as_declared(world.entity, item)
        assert [] == differing_attributes(expected, back)
        assert as_boto3(expected) == as_boto3(back)


@pytest.mark.parametrize("generation", [0, 1])
def test_every_awkward_thing_at_once_comes_back(generation: int) -> None:
    metadata = sa.MetaData()
    key = sa.Column("id", sa.Text(collation="C"), primary_key=True)
    table = sa.Table(
        "t",
        metadata,
        key,
        sa.Column("amount", sa.Numeric),
        sa.Column("note", sa.Text),
        sa.Column("when", sa.DateTime(timezone=True)),
        sa.Column("tags", ARRAY(sa.Text)),
        sa.Column("doc", JSONB),
        sa.Column("owner", sa.Uuid),
        sa.Column("done", sa.Text),
        *declare.remainder(),
    )
    order = sa.Column("position", sa.Integer, primary_key=True)
    parts = sa.Table(
        "part", metadata, sa.Column("id", sa.Text(collation="C"), primary_key=True), order, *declare.remainder()
    )
    source = declare.Source("s")
    declare.Entity(
        table,
        [source.key("a|{id}", "a|{id}"), source.key("old|{id}", "x")],
        attributes={"doc.owner": table.c.owner},
        constant={"kind": "T"},
        derived={"again": "{id}", "gsi": declare.maybe("o|{owner}")},
        null={"done": declare.explicit},
        unfit={"*": declare.residue},
        children=[declare.Child(table=parts, attribute="parts", order=order)],
    )
    plan = source.compile().entities["t"]
    key_of = [("a||\\N", "a||\\N"), ("old||\\N", "x")][generation]
    item: Item = {
        "pk": {"S": key_of[0]},
        "sk": {"S": key_of[1]},
        "amount": {"N": "-1234567890123456789012345678901234.5678"},
        "note": {"NULL": True},
        "when": {"S": "2020-06-05T14:02-04:00"},
        "tags": {"L": [{"S": "b"}, {"S": "a"}]},
        "doc": {
            "M": {"owner": {"S": "0A9F1A52-6C3E-4D43-9D3C-0C1D2E3F4A5B"}, "a/b": {"M": {"~": {"BS": ["AA==", ""]}}}}
        },
        "kind": {"NULL": True},
        "again": {"S": "another"},
        "parts": {"L": [{"M": {"z": {"NS": ["10", "9.5E99"]}}}, {"M": {}}]},
        "extra": {
            "L": [
                {"N": "-0.12345678901234567890123456789012345678"},
                {"N": "1E-130"},
                {"N": "9.9E125"},
                {"NULL": True},
                {"S": ""},
                {"M": {"n": {"B": ""}}},
            ]
        },
        "n\0l": {"S": "\0"},
        "nul": {"M": {"\0": {"SS": ["\0"]}}},
    }
    back = from_rows(plan, to_rows(plan, item, generation))
    assert [] == differing_attributes(item, back)
    assert as_boto3(item) == as_boto3(back)
