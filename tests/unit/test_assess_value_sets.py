"""Sets of values that are kept in files are compared as Python's sets are."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.assess import sketch as sketches
from ashore.assess import value_sets
from ashore.assess.batches import Batch
from ashore.assess.sketch import KEPT, Sketch
from ashore.assess.value_sets import CannotKeepValues, Spill, ValueSet, hashes_in, hashes_of, missing

values = st.lists(st.integers(0, 60).map(lambda number: b"%d" % number), max_size=40)
portions = st.lists(values, max_size=5)
texts = st.lists(st.sampled_from([*map(str, range(30)), "", "\0", "\0a", "a", "\udc80", "é"]), max_size=30)
text_portions = st.lists(texts, max_size=4)


@contextmanager
def tiny(*, held: int = 3, at_once: int = 4, kept: int = KEPT) -> Iterator[Path]:
    """A folder, and limits that a few values exceed."""
    with (
        TemporaryDirectory() as folder,
        patch.object(value_sets, "HELD", held),
        patch.object(value_sets, "AT_ONCE", at_once),
        patch.object(sketches, "KEPT", kept),
    ):
        yield Path(folder)


def written(folder: Path, several: Sequence[Sequence[bytes]]) -> ValueSet:
    """Portions as several processes write them, each with a file of its own."""
    whole = ValueSet()
    for portion in several:
        with Spill(folder) as spill:
            one = spill.new_set()
            for value in portion:
                one.add([value])
            spill.keep()
        whole.merge(pickle.loads(pickle.dumps(one)))
    return whole


@given(ones=portions, others=portions, held=st.integers(1, 9), at_once=st.integers(1, 50))
def test_sets_in_files_differ_by_as_many_values_as_pythons_sets(
    ones: list[list[bytes]], others: list[list[bytes]], held: int, at_once: int
) -> None:
    expected = set().union(*ones), set().union(*others)
    with tiny(held=held, at_once=at_once) as folder:
        actual = missing(written(folder, ones), written(folder, others))
    assert (len(expected[0]), len(expected[0] - expected[1])) == actual


@given(wanted=values, several=portions, at_once=st.integers(1, 50))
def test_the_values_that_a_set_in_files_has_are_found(
    wanted: list[bytes], several: list[list[bytes]], at_once: int
) -> None:
    with tiny(at_once=at_once) as folder:
        actual = hashes_in(written(folder, several), hashes_of(wanted))
    assert set(hashes_of(set(wanted) & set().union(*several))) == actual


def test_a_set_of_many_values_holds_few_in_memory(tmp_path: Path) -> None:
    with tiny(held=100), Spill(tmp_path) as spill:
        one = spill.new_set()
        for number in range(1_000):
            one.add([b"%d" % number])
            assert len(one.held) < 100
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 8 * len(one) == 8_000


def test_many_sets_share_the_memory_of_a_process(tmp_path: Path) -> None:
    with patch.object(value_sets, "HELD_TOGETHER", 200), Spill(tmp_path) as spill:
        several = [spill.new_set() for _ in range(20)]
        for number in range(500):
            for one in several:
                one.add([b"%d" % number])
        assert sum(len(one.held) for one in several) <= 200


def test_a_value_that_comes_again_and_again_is_written_once_a_run(tmp_path: Path) -> None:
    with tiny(held=100), Spill(tmp_path) as spill:
        one = spill.new_set()
        for number in range(1_000):
            one.add([b"%d" % (number % 5)])
        spill.keep()
    assert [5] * 10 == [run.count for run in one.runs]


def test_a_folder_that_takes_no_more_is_told(tmp_path: Path) -> None:
    with Spill(tmp_path / "gone") as spill:
        spill.new_set().add([b"value"])
        with pytest.raises(CannotKeepValues) as told:
            spill.keep()
    assert "TMPDIR" in str(told.value)
    assert told.value.what() == pickle.loads(pickle.dumps(told.value)).what()


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    one = written(tmp_path, [[b"1", b"2"]])
    next(tmp_path.iterdir()).unlink()
    with pytest.raises(CannotKeepValues):
        missing(one, one)


def sketch(folder: Path, several: Sequence[Sequence[str]], *, every: bool = True) -> Sketch:
    """A sketch of portions, each counted by a process of its own."""
    whole = Sketch()
    for portion in several:
        with Spill(folder) as spill:
            one = Sketch(every=spill.new_set() if every else None)
            for start in range(0, len(portion), 3):
                one.add(Batch.of(portion[start : start + 3], distinct=one.complete))
            spill.keep()
        whole.merge(one)
    return whole


@pytest.mark.parametrize("kept", [1, 4, KEPT])
@given(ones=text_portions, others=text_portions)
def test_what_is_missing_is_counted_exactly_however_few_values_are_kept(
    ones: list[list[str]], others: list[list[str]], kept: int
) -> None:
    expected = set().union(*ones), set().union(*others)
    with tiny(kept=kept) as folder:
        mine, theirs = sketch(folder, ones), sketch(folder, others)
        assert (len(expected[0]), len(expected[0] - expected[1])) == mine.missing_from(theirs)
        assert (expected[0] <= expected[1]) == mine.is_within(theirs)
        assert {text: text in expected[1] for text in expected[0]} == theirs.holds(expected[0])


@pytest.mark.parametrize("kept", [1, 4])
@given(ones=text_portions, others=text_portions, more=texts)
def test_values_that_were_not_all_held_prove_nothing(
    ones: list[list[str]], others: list[list[str]], more: list[str], kept: int
) -> None:
    expected = set().union(more, *ones), set().union(*others)
    with tiny(kept=kept) as folder:
        mine, theirs = sketch(folder, ones), sketch(folder, others)
        mine.merge(sketch(folder, [more], every=False))
        exact = mine.missing_from(theirs)
        if exact is not None:
            assert (len(expected[0]), len(expected[0] - expected[1])) == exact
        if len(set(more)) > kept:
            assert not mine.knows_all


@given(several=text_portions, data=st.data())
def test_any_order_and_any_portions_hold_the_same_values(several: list[list[str]], data: st.DataObject) -> None:
    everything = data.draw(st.permutations([text for portion in several for text in portion]))
    cut = data.draw(st.integers(0, len(everything)))
    with tiny(kept=2) as folder:
        one, other = sketch(folder, several), sketch(folder, [everything[:cut], everything[cut:]])
        assert one.values() == other.values()
        assert one.is_within(other)
        assert other.is_within(one)


def test_few_values_are_not_held_twice(tmp_path: Path) -> None:
    one = sketch(tmp_path, [[f"value {number}" for number in range(KEPT)]])
    assert one.complete
    assert [] == list(tmp_path.iterdir())
