from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.assess import sketch as sketches
from ashore.assess.batches import Batch
from ashore.assess.census import MOST_ATTRIBUTES, Census
from ashore.assess.forms import form_of
from ashore.assess.sketch import KEPT, Sketch

texts = st.one_of(
    st.text(max_size=6),
    st.uuids().map(str),
    st.uuids().map(lambda one: str(one).upper()),
    st.dates().map(str),
    st.datetimes().map(lambda one: one.isoformat(timespec="milliseconds") + "Z"),
    st.datetimes().map(str),
    st.integers().map(str),
    st.sampled_from(
        ["007", "1.5", "-0", "2021-02-30", "2021-02-28T23:60:00.000Z", "a\n1", "x\n", "{}", '{"a": 1}', "[x", "a\0"]
    ),
)
numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str), st.decimals(allow_nan=False, allow_infinity=False).map(str)
)
scalars = st.one_of(
    texts.map(lambda one: {"S": one}),
    numbers.map(lambda one: {"N": one}),
    st.booleans().map(lambda one: {"BOOL": one}),
    st.just({"NULL": True}),
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda one: {"L": one}),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(lambda one: {"M": one}),
    ),
    max_leaves=6,
)
items = st.lists(st.dictionaries(st.sampled_from(["a", "b", "long name"]), values, max_size=3), min_size=1, max_size=12)


def census_of(*portions: list[Any]) -> Census:
    census = Census()
    for portion in portions:
        keys = {"p0": [repr(sorted(item.items(), key=str)) for item in portion]}
        census.add(portion, [len(str(item)) for item in portion], keys)
    return census


def facts(census: Census) -> Any:
    """Everything that a census says, in plain values."""

    def of(one: Any) -> Any:
        return (
            one.present,
            one.bytes,
            one.kinds,
            one.forms,
            one.shortest,
            one.longest,
            one.nul,
            one.json,
            one.numbers,
            one.lists,
            one.sketch.values(),
            one.sketch.count,
            one.values,
            None if one.members is None else facts(one.members),
        )

    return (
        census.items,
        census.bytes,
        census.largest,
        {name: of(one) for name, one in census.attributes.items()},
        {name: of(one) for name, one in census.placeholders.items()},
        sorted(map(str, census.exemplars())),
    )


many_or_few_kept = pytest.mark.parametrize("kept", [KEPT, 2])
"""With few, a sketch is full at once, and what comes after is not made distinct any more."""


@many_or_few_kept
@given(some=items, data=st.data())
def test_any_order_and_any_portions_give_the_same_census(some: list[Any], data: st.DataObject, kept: int) -> None:
    with patch.object(sketches, "KEPT", kept):
        whole = facts(census_of(some))
        shuffled = data.draw(st.permutations(some))
        cut = data.draw(st.integers(0, len(some)))
        assert whole == facts(census_of(shuffled[:cut], shuffled[cut:]))
        merged = census_of(shuffled[:cut])
        merged.merge(census_of(shuffled[cut:]))
        assert whole == facts(merged)


@many_or_few_kept
@given(some=items)
def test_counts_are_those_of_counting_one_by_one(some: list[Any], kept: int) -> None:
    with patch.object(sketches, "KEPT", kept):
        census = census_of(*([item] for item in some))
    for name in {name for item in some for name in item}:
        there = [item[name] for item in some if name in item]
        one = census.attributes[name]
        in_text = [value["S"] for value in there if "S" in value]
        in_number = [Decimal(value["N"]) for value in there if "N" in value]
        assert one.present == len(there)
        assert one.kinds == Counter(kind for value in there for kind in value)
        assert one.forms == Counter(map(form_of, in_text))
        assert one.longest == max(map(len, in_text), default=0)
        assert one.nul == sum("\\x00" in repr(value) for value in there)
        if in_number:
            assert one.numbers is not None
            assert (one.numbers.least, one.numbers.greatest) == (min(in_number), max(in_number))
            assert one.numbers.whole == all(number == number.to_integral_value() for number in in_number)


@pytest.mark.parametrize("distinct", [True, False])
@given(some=st.lists(texts, min_size=1, max_size=8))
def test_a_batch_has_the_forms_of_its_texts(some: list[str], distinct: bool) -> None:
    batch = Batch.of(some, distinct=distinct)
    assert batch.forms() == Counter(map(form_of, some))
    assert batch.characters == sum(map(len, some))
    assert batch.with_nul() == sum("\0" in text for text in some)
    assert batch.with_json() == sum(_is_json(text) for text in some)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def each(texts: Iterable[str]) -> Batch:
    return Batch.of(list(texts), distinct=False)


def test_a_sketch_keeps_few_values_and_counts_many_nearly_right() -> None:
    sketch = Sketch()
    for start in range(0, 100_000, 1000):
        sketch.add(each(f"value {number}" for number in range(start, start + 1000)))
    assert len(sketch.values()) <= KEPT
    assert not sketch.complete
    assert 92_000 < sketch.distinct() < 108_000
    assert sketch.unique
    sketch.add(each(sketch.values()))
    assert not sketch.unique


def test_two_sketches_tell_how_much_of_one_is_in_the_other() -> None:
    all_keys, some = Sketch(), Sketch()
    all_keys.add(each(f"key {number}" for number in range(50_000)))
    some.add(each(f"key {number}" for number in range(25_000, 75_000)))
    looked_at, found = some.contained_in(all_keys)
    assert looked_at > 1000
    assert 0.45 < found / looked_at < 0.55
    few = Sketch()
    few.add(each(["key 1", "key 2", "no key"]))
    assert few.contained_in(few) == (3, 3)


@many_or_few_kept
@given(one=st.lists(texts, max_size=8), other=st.lists(texts, max_size=8))
def test_a_sketch_is_within_another_one_only_if_every_value_is_there(
    one: list[str], other: list[str], kept: int
) -> None:
    with patch.object(sketches, "KEPT", kept):
        mine, theirs = Sketch(), Sketch()
        mine.add(each(one))
        theirs.add(each(other))
        if mine.is_within(theirs):
            assert set(one) <= set(other)
        if mine.complete and theirs.complete:
            assert mine.is_within(theirs) == (set(one) <= set(other))


def test_a_few_values_that_can_be_looked_up_prove_nothing_of_the_others() -> None:
    many, few = Sketch(), Sketch()
    many.add(each(f"key {number}" for number in range(50_000)))
    few.add(each(f"key {number}" for number in range(200)))
    few.add(each(f"no key {number}" for number in range(5)))
    looked_at, found = few.contained_in(many)
    assert 0 < looked_at == found < 200
    assert not few.is_within(many)


def test_hostile_names_do_not_make_a_census_grow_without_end() -> None:
    census = Census()
    for start in range(0, 3 * MOST_ATTRIBUTES, 100):
        census.add([{f"name {number}": {"S": "x"}} for number in range(start, start + 100)], [1] * 100, {})
    assert len(census.attributes) == MOST_ATTRIBUTES
    assert census.dropped == 2 * MOST_ATTRIBUTES


def test_content_that_is_not_of_its_type_is_passed_over() -> None:
    census = Census()
    broken: Any = [
        {"a": {"S": 1}},
        {"a": {"N": "x"}},
        {"a": {"M": []}},
        {"a": {"L": [1, {"M": 2}]}},
        {"a": {"L": [{"M": {"b": 1}}]}},
    ]
    census.add(broken, [1] * 5, {})
    assert census.attributes["a"].present == 5
