"""When a shard is read again: at once where it is behind, ten times a second at its end, seldom where it is quiet."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from ashore.dynamodb.errors import IteratorExpired
from ashore.ledger.streams import ShardRecord
from ashore.model.change import Change, ChangePage
from ashore.sync.order import SyncLimits, SyncOrder
from ashore.sync.shards import Read, ShardReader

_NOW = 1_800_000_000.0


def reader(source: Any = None, **limits: Any) -> ShardReader:
    unused: Any = None
    order = SyncOrder(
        dsn="", plan=unused, source=source, fetch=lambda _: [], limits=SyncLimits(**limits), clock=lambda: _NOW
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


class _Expiring:
    """A stream whose iterators are too old when they are used, so many times in a row."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked: list[str] = []

    def iterator(self, *_: object) -> str:
        self.asked.append("iterator")
        return "made"

    def read(self, iterator: str) -> ChangePage:
        if self.times:
            self.times -= 1
            raise IteratorExpired
        return ChangePage(changes=[], next=iterator)


def test_iterators_that_are_too_old_are_made_anew_at_once_and_then_ever_later(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: pauses.append(round(seconds, 3)))
    source = _Expiring(6)
    assert reader(source).read().page.next == "made"
    assert ["iterator"] * 7 == source.asked
    assert [0.0, 0.1, 0.2, 0.4, 0.8, 1.6] == pauses


def test_a_stream_that_takes_none_of_its_own_iterators_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(IteratorExpired):
        reader(_Expiring(1_000)).read()
