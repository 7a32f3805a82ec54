"""Lines of a data file → items."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.dynamodb.lines import BrokenLine, items_of

attributes = st.dictionaries(st.text(), st.fixed_dictionaries({"S": st.text()}), max_size=4)


@given(st.lists(attributes, min_size=1))
def test_plain_lines_give_their_items_as_they_stand(items: list[dict[str, Any]]) -> None:
    plain = [json.dumps(item, separators=(",", ":")).encode() for item in items]

    assert plain == items_of([b'{"Item":' + item + b"}" for item in plain])


@given(st.lists(attributes, min_size=1), st.sampled_from([None, 1]), st.booleans())
def test_lines_in_any_form_give_equal_items(items: list[dict[str, Any]], spaces: int | None, is_first: bool) -> None:
    lines = []
    for item in items:
        line = {"Item": item, "Other": {"Item": {}}} if is_first else {"Other": {"Item": {}}, "Item": item}
        lines += [json.dumps(line, indent=spaces).replace("\n", " ").encode(), b"", b" \r"]

    assert items == [json.loads(item) for item in items_of(lines)]


def test_extra_member_after_a_plain_looking_item_is_left_out() -> None:
    assert [b'{"a":{"S":"1"}}'] == items_of([b'{"Item":{"a":{"S":"1"}},"Other":{"b":{}}}'])


@pytest.mark.parametrize(
    "line",
    [
        b"x",
        b"{}",
        b'{"Item":null}',
        b'{"Item":[]}',
        b'{"Item":"x"}',
        b'{"Item":{"a":1}',
        b'{"Item":{"a":}}',
        b'{"item":{}}',
        b'{"Item":{}}{"Item":{}}',
    ],
)
def test_line_that_is_no_item_is_told_by_its_index(line: bytes) -> None:
    with pytest.raises(BrokenLine) as caught:
        items_of([b'{"Item": {}}', b"", line])

    assert 2 == caught.value.index


def test_no_lines_give_no_items() -> None:
    assert [] == items_of([])
