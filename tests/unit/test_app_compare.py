"""What differs between two answers: names of fields, numbers by value, None told from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.app.compare import Difference, differences


@dataclass
class Message:
    subject: str
    read: bool


class Plain:
    def __init__(self, name: str) -> None:
        self.name = name


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (Decimal("1.50"), 1.5),
        (Decimal(7), 7),
        (0.1, Decimal("0.1")),
        (Decimal("NaN"), Decimal("NaN")),
        ({1, 2}, {Decimal(2), Decimal(1)}),
        (b"x", bytearray(b"x")),
        ([{"a": 1}], ({"a": Decimal("1.0")},)),
        (Message("x", read=True), {"subject": "x", "read": True}),
        (Plain("a"), Plain("a")),
    ],
)
def test_what_is_the_same_by_value_does_not_differ(expected: Any, actual: Any) -> None:
    assert set() == differences(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual", "found"),
    [
        ({"a": None}, {}, ("a", "missing")),
        ({}, {"a": None}, ("a", "extra")),
        ({"a": None}, {"a": ""}, ("a", "type")),
        ({"a": 1}, {"a": "1"}, ("a", "type")),
        ({"a": 1}, {"a": True}, ("a", "type")),
        ({"a": Decimal("1.1")}, {"a": Decimal("1.10000001")}, ("a", "value")),
        ({"a": [1, 2]}, {"a": [1]}, ("a[]", "length")),
        ({"a": {1}}, {"a": [1]}, ("a", "type")),
        ([{"parties": [{"name": "x"}]}], [{"parties": [{"name": "y"}]}], ("[].parties[].name", "value")),
        ({"by": {"0b5c-22": 1}}, {"by": {"0b5c-22": 2}}, ("by.*", "value")),
        (Message("x", read=True), Message("x", read=False), ("read", "value")),
        (None, {"a": 1}, ("", "type")),
        (Plain("a"), Plain("b"), ("name", "value")),
    ],
)
def test_a_difference_is_told_by_the_field_and_never_by_the_value(
    expected: Any, actual: Any, found: tuple[str, str]
) -> None:
    assert {Difference(*found)} == differences(expected, actual)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert set() == differences(value, value)


@given(json, json)
def test_two_answers_that_python_tells_apart_differ(one: Any, other: Any) -> None:
    if one != other:
        assert differences(one, other)
