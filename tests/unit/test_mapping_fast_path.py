"""The fast path and the general path are one function."""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import mapping_copy
from tests.mapping_values import raw
from tests.mapping_worlds import World, fewer, worlds

from ashore.mapping import declare
from ashore.mapping.encoded import Encoded
from ashore.mapping.encoder import GeneratedEncoder

Contents = dict[str, Counter[Any]]


def contents(world: World, encoder: GeneratedEncoder, batch: Encoded) -> Contents:
    tables = {table.fullname: table for table in world.entity.tables}
    return {
        name: Counter(
            mapping_copy.comparable(tables[name], row) for row in mapping_copy.read(data, encoder.columns[name])
        )
        for name, data in batch.copy_data.items()
    }


def general_only(world: World) -> GeneratedEncoder:
    encoder = world.plan.encoder()
    assert isinstance(encoder, GeneratedEncoder)
    for slot in encoder._slots:
        slot.path = None
    return encoder


@settings(
    max_examples=fewer(),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_the_fast_path_writes_what_the_general_path_writes(data: st.DataObject) -> None:
    world = data.draw(worlds())
    items = data.draw(st.lists(world.items, min_size=1, max_size=4))
    style = data.draw(st.integers(0, 2))
    check(world, [raw(item, style=style) for item in items])


def check(world: World, raws: list[bytes]) -> None:
    slow = general_only(world)
    expected = slow.encode(raws)
    fast = world.plan.encoder()
    assert isinstance(fast, GeneratedEncoder)
    for _ in range(3):
        actual = fast.encode(raws)
        assert contents(world, slow, expected) == contents(world, fast, actual)
        assert expected.counts == actual.counts
        assert [(one.reason, one.attribute, one.raw) for one in expected.rejected] == [
            (one.reason, one.attribute, one.raw) for one in actual.rejected
        ]
        assert len(raws) == sum(actual.counts.values())


def test_the_fast_path_takes_children_contradictions_nulls_sets_and_attributes_without_a_column() -> None:
    metadata = sa.MetaData()
    table = sa.Table(
        "thing",
        metadata,
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("at", sa.DateTime),
        sa.Column("owner", sa.Text),
        *declare.remainder(),
    )
    order = sa.Column("position", sa.Integer, primary_key=True)
    part = sa.Table(
        "part",
        metadata,
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        order,
        sa.Column("name", sa.Text),
        *declare.remainder(),
    )
    source = declare.Source("world", sort_key=None)
    declare.Entity(
        table,
        [source.key("a|{id}"), source.key("old|{id}")],
        constant={"kind": "T"},
        derived={"again": "{id}", "gsi": declare.maybe("o|{owner}")},
        children=[declare.Child(table=part, attribute="parts", order=order)],
    )
    world = World(source.compile(), metadata, st.nothing(), {})
    parts = {"L": [{"M": {"name": {"S": "n"}, "more": {"SS": ["b", "a"]}}}, {"M": {"name": {"NULL": True}}}]}
    items: list[dict[str, Any]] = [
        {"pk": {"S": "a|1"}, "parts": parts, "again": {"S": "1"}, "kind": {"S": "T"}, "more": {"NS": ["2", "1"]}},
        {"pk": {"S": "a|2"}, "parts": {"L": []}, "again": {"S": "other"}, "kind": {"S": "other"}, "gsi": {"S": "x"}},
        {"pk": {"S": "old|3"}, "parts": {"NULL": True}, "owner": {"S": "o"}, "kind": {"NULL": True}},
        {"pk": {"S": "old|4\n"}, "owner": {"S": "\\N"}, "gsi": {"S": "o|\\N"}, "m": {"M": {'q"': {"S": "\\"}}}},
        {"pk": {"S": "a|5"}, "at": {"S": "2020-06-05T18:02:25.+05"}},
    ]
    check(world, [raw(item) for item in items])
    encoder = world.plan.encoder()
    assert isinstance(encoder, GeneratedEncoder)
    encoder.encode([raw(item) for item in items])
    paths = [slot.path for slot in encoder._slots]
    for item, path in zip(items, [paths[0], paths[0], paths[1], paths[1], paths[0]], strict=True):
        assert path is not None
        assert (item is items[-1]) == (path.escaped(path.decode(raw(item))) is None)
