"""When a shard is read again: at once where it is behind, ten times a second at its end, seldom where it is quiet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ashore.ledger.streams import ShardRecord
from ashore.model.change import Change, ChangePage
from ashore.sync.order import SyncLimits, SyncOrder
from ashore.sync.shards import Read, ShardReader

_NOW = 1_800_000_000.0


def reader(**limits: Any) -> ShardReader:
    unused: Any = None
    order = SyncOrder(
        dsn="", plan=unused, source=unused, fetch=lambda _: [], limits=SyncLimits(**limits), clock=lambda: _NOW
    )
    shard = ShardRecord(
        shard="shard",
        parent=None,
        first=1,
        position=None,
        state="open",
        at_horizon=True,
        fence=1,
        batches=0,
        known_at=datetime.fromtimestamp(_NOW, UTC),
    )
    return ShardReader(order=order, arn="arn", shard=shard)


def page(*ages: float) -> Read:
    changes = [Change(at, b"{}", None, _NOW - age) for at, age in enumerate(ages, start=1)]
    return Read(ChangePage(changes=changes, next="next"), _NOW)


@pytest.mark.parametrize(
    ("ages", "pause"),
    [((3_600.0, 3_599.0), 0.0), ((3_600.0, 1.0), 0.1), ((0.0,), 0.1), ((), 0.2)],
    ids=["behind", "caught up with one page", "at the end", "empty"],
)
def test_a_shard_is_read_again_by_how_far_behind_it_is(ages: tuple[float, ...], pause: float) -> None:
    one = reader()
    one.progress(page(*ages), None)
    assert round(_NOW + pause, 3) == round(one.due_at, 3)


def test_a_quiet_shard_is_read_ever_less_often_until_it_brings_something() -> None:
    one = reader(poll_seconds=1.0)
    pauses = []
    for read in [*[page()] * 5, page(0.5), page()]:
        one.progress(read, None)
        pauses.append(round(one.due_at - _NOW, 3))
    assert [0.2, 0.4, 0.8, 1.0, 1.0, 0.1, 0.2] == pauses


def test_no_pause_is_longer_than_was_asked_for() -> None:
    one = reader(poll_seconds=0.0)
    for read in [page(), page(0.5), page()]:
        one.progress(read, None)
        assert one.due_at == _NOW
