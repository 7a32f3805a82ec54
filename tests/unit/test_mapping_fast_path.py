"""The fast path and the general path are one function."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import mapping_copy
from tests.mapping_values import raw
from tests.mapping_worlds import World, fewer, worlds

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
    raws = [raw(item, style=style) for item in items]
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
