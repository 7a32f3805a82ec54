"""The read budget and the back-off, against a clock that only moves when somebody sleeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.dynamodb.budget import Backoff, ReadBudget


class Clock:
    """Time that passes only by sleeping, and by `seconds += …`."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@given(
    st.floats(1, 5_000),
    st.lists(st.tuples(st.floats(0.5, 256), st.floats(0, 3)), min_size=1, max_size=60),
)
def test_budget_is_never_exceeded_by_more_than_the_last_page(rate: float, pages: list[tuple[float, float]]) -> None:
    clock = Clock()
    budget = ReadBudget(rate, clock=clock.now, sleep=clock.sleep)
    began = clock.seconds
    consumed = 0.0
    for units, seconds in pages:
        budget.wait()
        assert consumed <= rate * (clock.seconds - began) + 1e-6
        clock.seconds += seconds
        consumed += units
        budget.consumed(units, 10)


def test_pause_is_not_followed_by_a_burst() -> None:
    clock = Clock()
    budget = ReadBudget(10, clock=clock.now, sleep=clock.sleep)
    clock.seconds += 3_600
    budget.consumed(100, 100)

    assert pytest.approx(10.0) == budget.wait()


def test_no_budget_never_waits() -> None:
    budget = ReadBudget(None)
    budget.consumed(1e9, 1)

    assert (0.0, None) == (budget.wait(), budget.page_limit())


def test_page_limit_keeps_a_page_within_a_second_of_the_budget() -> None:
    budget = ReadBudget(20)
    assert 20 == budget.page_limit()

    budget.consumed(50, 100)
    assert 40 == budget.page_limit()

    budget.consumed(100, 1)
    assert 1 == budget.page_limit()


def test_budget_above_a_whole_page_needs_no_limit() -> None:
    assert ReadBudget(256).page_limit() is None


def test_backoff_grows_to_its_longest_and_is_jittered() -> None:
    clock = Clock()
    full = Backoff(first=1, longest=5, chance=lambda: 1.0, sleep=clock.sleep)
    none = Backoff(first=1, longest=5, chance=lambda: 0.0, sleep=clock.sleep)

    for failures in range(5):
        full.pause(failures)
    none.pause(10_000)

    assert [1, 2, 4, 5, 5, 0] == clock.slept
