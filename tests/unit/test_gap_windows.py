"""What exports have to cover for a gap: arithmetic of windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ashore.ledger.gaps import Gap
from ashore.sync.gaps import MARGIN, Window, exportable, missing, window_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def window(since: float, until: float) -> Window:
    return Window(at(since), at(until))


windows = st.tuples(st.integers(-60, 60), st.integers(1, 60)).map(lambda one: window(one[0], one[0] + one[1]))


def test_a_gap_reaches_from_its_last_good_moment_to_its_discovery_with_a_margin_on_both_sides() -> None:
    gap = Gap(id=1, shard="s", kind="trimmed", known_at=at(0), found_at=at(9), decision="repair", asked_at=None)
    assert Window(at(0) - MARGIN, at(9) + MARGIN) == window_of(gap)


def test_a_gap_whose_beginning_nobody_knows_has_no_window() -> None:
    gap = Gap(id=1, shard="s", kind="trimmed", known_at=None, found_at=at(9), decision="repair", asked_at=None)
    assert window_of(gap) is None


@given(windows, st.lists(windows, max_size=6))
def test_what_is_missing_are_just_the_minutes_that_no_window_has(needed: Window, given_windows: list[Window]) -> None:
    def minutes(one: Window) -> set[int]:
        first = round((one.since - NOON).total_seconds() / 60)
        return set(range(first, first + round((one.until - one.since).total_seconds() / 60)))

    have = set().union(*(minutes(one) for one in given_windows))
    found = missing(needed, given_windows)
    assert minutes(needed) - have == set().union(*(minutes(one) for one in found))
    assert found == sorted(found)
    assert all(one.until < other.since for one, other in pairwise(found))


@given(
    st.lists(
        st.tuples(st.integers(0, 200_000), st.integers(1, 300_000)).map(
            lambda one: Window(NOON + timedelta(seconds=one[0]), NOON + timedelta(seconds=sum(one)))
        ),
        min_size=1,
        max_size=5,
    )
)
def test_windows_to_export_cover_all_and_are_such_as_dynamodb_exports(needed: list[Window]) -> None:
    found = exportable(needed)
    assert [] == [part for one in needed for part in missing(one, found)]
    for one in found:
        assert timedelta(minutes=15) <= one.until - one.since <= timedelta(hours=24)
        assert (one.since.second, one.until.second) == (0, 0)


def test_a_short_window_is_lengthened_into_the_past() -> None:
    assert [window(-11, 4)] == exportable([window(1, 4)])


def test_windows_are_named_by_their_moments() -> None:
    assert "from 2026-03-01 12:00:00 UTC to 2026-03-01 12:01:30 UTC" == str(window(0, 1.5))
