"""When a difference is one: what happens between two readings must not look like one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from ashore.postgres.items import RowKey
from ashore.verify.errors import VerificationStopped
from ashore.verify.reread import Patience, Verdict

KEY: RowKey = ("k",)


class World:
    """One item, its row, and a stream between them that a test lets flow when it likes."""

    def __init__(self, item: bytes | None, row: bytes | None) -> None:
        self.item, self.row = item, row
        self.written_at = 0.0
        self.readings = 0
        self.before_items: Callable[[int], None] = lambda _: None
        self.between: Callable[[int], None] = lambda _: None
        self.after_rows: Callable[[int], None] = lambda _: None

    def write(self, item: bytes | None) -> None:
        self.item, self.written_at = item, time.time()

    def flow(self) -> None:
        self.row, self.written_at = self.item, 0.0

    def has_passed(self, moment: float) -> bool:
        """Whether nothing that was written before the moment is still on its way."""
        return not 0.0 < self.written_at <= moment

    def read(self, keys: Sequence[RowKey]) -> Iterator[tuple[RowKey, bytes | None, bool]]:
        number = self.readings = self.readings + 1
        self.before_items(number)
        raw = self.item
        self.between(number)
        row = self.row
        self.after_rows(number)
        for key in keys:
            yield key, raw, raw == row

    def judge(self, seconds: float = 0.2) -> Verdict:
        patience = Patience(seconds=seconds, has_passed=self.has_passed, pause_seconds=0.001)
        return patience.judge(self.read, [KEY])[KEY]


def test_a_row_that_no_change_on_its_way_explains_differs() -> None:
    assert "differs" == World(b"one", b"other").judge()


def test_an_item_that_is_changed_just_before_it_is_read_is_waited_for() -> None:
    world = World(b"one", b"one")

    def delete(number: int) -> None:
        if number == 1:
            time.sleep(0.005)  # so that it is younger than what was noted before the reading
            world.write(None)

    world.before_items = delete
    world.after_rows = lambda number: world.flow() if number == 4 else None
    assert "agrees" == world.judge()


def test_a_change_that_arrives_just_after_the_rows_were_read_is_no_difference() -> None:
    world = World(b"one", b"one")
    world.write(b"two")
    world.after_rows = lambda number: world.flow() if number == 2 else None
    assert "agrees" == world.judge()


def test_an_item_that_changes_and_arrives_between_the_reading_of_both_stores_is_no_difference() -> None:
    world = World(b"one", b"old")
    world.written_at = time.time() - 1
    world.after_rows = lambda number: world.flow() if number == 1 else None

    def change(number: int) -> None:
        if number == 2:
            world.write(b"two")
            world.flow()

    world.between = change
    assert "agrees" == world.judge()


def test_both_at_once_are_no_difference_either() -> None:
    world = World(b"one", b"old")
    world.write(b"two")
    world.after_rows = lambda number: world.flow() if number == 2 else None

    def change(number: int) -> None:
        if number == 3:
            world.write(b"three")
            world.flow()

    world.between = change
    assert "agrees" == world.judge()


def test_a_change_that_does_not_arrive_is_undecided() -> None:
    world = World(b"one", b"one")
    world.write(b"two")
    assert "undecided" == world.judge(seconds=0.02)


def test_an_item_that_keeps_changing_is_undecided() -> None:
    world = World(b"0", b"")
    world.before_items = lambda number: world.write(str(number).encode())
    assert "undecided" == world.judge(seconds=0.05)


def test_without_a_stream_two_readings_are_enough() -> None:
    world = World(b"one", b"other")
    assert {KEY: "differs"} == Patience(pause_seconds=0.001).judge(world.read, [KEY])
    assert 2 == world.readings


def test_it_stops_between_two_readings() -> None:
    world = World(b"one", b"other")
    patience = Patience(pause_seconds=0.001, should_stop=lambda: world.readings == 1, has_passed=lambda _: False)
    with pytest.raises(VerificationStopped):
        patience.judge(world.read, [KEY])
