"""From an item to a document: what the user's functions get, what they may give, and what they raise."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from ashore.mapping.declare import Search
from ashore.opensearch.documents import Unshaped, document, document_id

_scalars = st.one_of(
    st.text(max_size=5),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9),
    st.booleans(),
    st.none(),
)
_values = st.recursive(
    st.one_of(_scalars, st.sets(st.text(max_size=3), min_size=1, max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


def search(of: Any = dict, key: Any = lambda key: key["pk"], **more: Any) -> Search:
    return Search(index="things", id=key, document=of, **more)


def _into(got: list[Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def keep(given: dict[str, Any]) -> dict[str, Any]:
        got.append(given)
        return {}

    return keep


@given(item=st.dictionaries(st.text(min_size=1, max_size=3), _values, max_size=4))
def test_a_function_gets_what_boto3_would_give_it(item: dict[str, Any]) -> None:
    typed = {name: TypeSerializer().serialize(value) for name, value in item.items()}
    got: list[Any] = []

    document(search(_into(got)), typed)

    assert [{name: TypeDeserializer().deserialize(value) for name, value in typed.items()}] == got


def test_binaries_are_what_boto3_would_give() -> None:
    got: list[Any] = []
    document(search(_into(got)), {"b": {"B": "AAE="}, "many": {"BS": ["AAE="]}})
    assert [{"b": Binary(b"\0\1"), "many": {Binary(b"\0\1")}}] == got


def test_a_function_may_ask_for_the_item_as_a_stream_has_it() -> None:
    item = {"pk": {"S": "a"}, "n": {"N": "1.50"}}
    assert {"pk": {"S": "a"}, "n": {"N": "1.50"}} == json.loads(document(search(item="dynamodb"), item) or b"")
    assert "a" == document_id(search(key=lambda key: key["pk"]["S"], item="dynamodb"), {"pk": {"S": "a"}})


def test_what_json_can_hold_is_kept_exactly() -> None:
    given = {
        "number": Decimal("12345678901234567890.123456789"),
        "set": {"one"},
        "bytes": b"\0\1",
        "binary": Binary(b"\0\1"),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "nested": [{"n": 1}],
    }
    expected = b'{"number":12345678901234567890.123456789,"set":["one"],"bytes":"AAE=","binary":"AAE=",'
    expected += b'"at":"2026-01-02T00:00:00Z","nested":[{"n":1}]}'
    assert expected == document(search(lambda _: given), {})


def test_none_is_no_document() -> None:
    assert document(search(lambda _: None), {}) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1], "not a mapping"),
        ({"what": object()}, "cannot be JSON"),
        ({("a", "b"): 1}, "cannot be JSON"),
        ({"text": "\ud800"}, "cannot be JSON"),
    ],
    ids=["a list", "an object", "keys", "half a character"],
)
def test_what_is_no_document_is_refused(given: Any, said: str) -> None:
    with pytest.raises(Unshaped, match=said):
        document(search(lambda _: given), {})


@pytest.mark.parametrize("given", [None, "", 7, "x" * 513])
def test_what_is_no_id_is_refused(given: Any) -> None:
    with pytest.raises(Unshaped, match="id"):
        document_id(search(key=lambda _: given), {"pk": {"S": "a"}})


def test_an_error_of_a_function_is_told_without_its_text() -> None:
    def raises(item: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(item["secret"])

    with pytest.raises(Unshaped) as raised:
        document(search(raises), {"secret": {"S": "hunter2"}})
    assert str(raised.value).startswith("the document function raised ValueError at test_opensearch_documents.py line")
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None
