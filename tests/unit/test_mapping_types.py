"""The page about column types says what is so, about every type that there is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from tests import mapping_copy

from ashore.mapping import declare
from ashore.mapping.copy_text import entity_types
from ashore.mapping.items import from_rows
from ashore.mapping.plan import EntityPlan
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import to_rows
from ashore.mapping.types import column_type
from ashore.model.item import Item, same_item

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "types.md").read_text()
AWARE = sa.DateTime(timezone=True)
TYPES: dict[str, Any] = {
    "text": sa.Text(),
    "varchar(n)": sa.String(5),
    "enum": sa.Enum("new", "done", name="state"),
    "uuid": sa.Uuid(),
    "smallint": sa.SmallInteger(),
    "integer": sa.Integer(),
    "bigint": sa.BigInteger(),
    "numeric": sa.Numeric(),
    "numeric(p, s)": sa.Numeric(6, 2),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "timestamptz": AWARE,
    "timestamp": sa.DateTime(),
    "timestamptz, epoch s": AWARE,
    "timestamptz, epoch ms": AWARE,
    "bigint in text": sa.BigInteger(),
    "bytea": sa.LargeBinary(),
    "jsonb": JSONB(),
    "text[]": ARRAY(sa.Text),
    "smallint[]": ARRAY(sa.SmallInteger),
    "integer[]": ARRAY(sa.Integer),
    "bigint[]": ARRAY(sa.BigInteger),
    "numeric[]": ARRAY(sa.Numeric),
    "bytea[]": ARRAY(sa.LargeBinary),
}
PROSE = {"For every type", "Not supported"}


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def examples() -> Iterator[Any]:
    for name, text in sections().items():
        for line in text.splitlines():
            if line.startswith("| `"):
                attribute, column, else_ = (
                    cell.strip().removeprefix("`").removesuffix("`") for cell in line[2:-1].split(" |")
                )
                yield pytest.param(name, json.loads(attribute), column, else_, id=f"{name} {attribute}")


def plan_of(name: str, *, unfit: declare.Unfit = "reject") -> EntityPlan:
    key = sa.Column("id", sa.Text(collation="C"), primary_key=True)
    table = sa.Table("t", sa.MetaData(), key, sa.Column("x", TYPES[name]), *declare.remainder())
    wrappers: dict[str, Callable[[Any], Any]] = {
        "timestamptz, epoch s": declare.epoch_seconds,
        "timestamptz, epoch ms": declare.epoch_milliseconds,
        "bigint in text": declare.number_in_text,
    }
    wrapped = wrappers.get(name)
    source = declare.Source("s", sort_key=None)
    attributes: dict[Any, Any] = {"x": wrapped(table.c.x)} if wrapped else {}
    declare.Entity(table, source.key("{id}"), attributes=attributes, unfit={"x": unfit})
    return source.compile().entities["t"]


@pytest.mark.parametrize(("name", "attribute", "column", "else_"), list(examples()))
def test_the_page_is_right(name: str, attribute: Any, column: str, else_: str) -> None:
    plan = plan_of(name)
    item: Item = {"pk": {"S": "1"}, "x": attribute}
    if else_ in {"", "residue"}:
        rows = to_rows(plan, item)
        copied = entity_types(plan)["x"].copy(rows.row["x"])
        assert json.dumps(column.replace("\\n", "\n")) == json.dumps(mapping_copy.unescape(copied))
        assert (else_ == "residue") == (rows.row["residue"] is not None)
        assert same_item(item, from_rows(plan, rows))
        return
    with pytest.raises(UnfitError) as unfit:
        to_rows(plan, item)
    assert (else_, "x") == (unfit.value.reason, unfit.value.attribute)
    kept = to_rows(plan_of(name, unfit="residue"), item)
    assert kept.row["x"] is None
    assert same_item(item, from_rows(plan_of(name, unfit="residue"), kept))


def test_the_page_has_a_section_with_examples_for_every_supported_type() -> None:
    assert sections().keys() - PROSE == TYPES.keys()
    assert {one.values[0] for one in examples()} == TYPES.keys()
    assert {"text", "uuid", "jsonb"} <= supported() <= {re.sub(r"\(.+\)", "", name) for name in TYPES}


def supported() -> set[str]:
    """The names of all types that can be made of SQLAlchemy's, as far as they need no argument."""
    names = set()
    for module in (sa.types, postgresql):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, sa.types.TypeEngine) and kind is not sa.TypeDecorator:
                try:
                    made = kind()
                except (TypeError, NotImplementedError, AttributeError, sa.exc.ArgumentError):
                    continue
                found = column_type(made)
                names |= set() if isinstance(found, str) else {found.name}
    return {re.sub(r"\(.+\)", "", name) for name in names}


@pytest.mark.parametrize(
    ("attribute", "stripped"),
    [
        ({"S": "a\0b"}, {"S": "ab"}),
        ({"SS": ["a", "a\0"]}, {"SS": ["a"]}),
        ({"M": {"a\0": {"L": [{"SS": ["\0", "", "\0\0"]}]}}}, {"M": {"a": {"L": [{"SS": [""]}]}}}),
    ],
)
@pytest.mark.parametrize("name", ["x", "other"])
def test_strip_takes_nul_out_of_texts_and_nested_names(name: str, attribute: Any, stripped: Any) -> None:
    plan = plan_of("jsonb", unfit="strip")
    if name == "other":
        plan = plan_with_policy("strip")
    back = from_rows(plan, to_rows(plan, {"pk": {"S": "1"}, name: attribute}))
    assert same_item({"pk": {"S": "1"}, name: stripped}, back)


def plan_with_policy(policy: declare.Unfit) -> EntityPlan:
    key = sa.Column("id", sa.Text(collation="C"), primary_key=True)
    source = declare.Source("s", sort_key=None)
    declare.Entity(sa.Table("t", sa.MetaData(), key, *declare.remainder()), source.key("{id}"), unfit={"*": policy})
    return source.compile().entities["t"]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"other": {"M": {"a\0": {"S": "1"}, "a": {"S": "2"}}}}, "nul_in_name"),
        ({"a\0": {"S": "1"}}, "nul_in_name"),
    ],
)
def test_strip_never_loses_an_attribute(attributes: Any, reason: str) -> None:
    with pytest.raises(UnfitError) as unfit:
        to_rows(plan_with_policy("strip"), {"pk": {"S": "1"}, **attributes})
    assert reason == unfit.value.reason
    plan = plan_with_policy("residue")
    item: Item = {"pk": {"S": "1"}, **attributes}
    assert same_item(item, from_rows(plan, to_rows(plan, item)))
