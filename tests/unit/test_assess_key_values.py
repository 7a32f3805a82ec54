"""Which columns a sample takes for references to keys of one value."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from ashore.assess.key_tuples import sampled_of
from ashore.assess.key_values import wanted_values
from ashore.assess.shapes import Seen, shapes_of
from ashore.assess.table_key import Keys
from ashore.local.styles import make

KEYS = Keys(names=("pk", "sk"), types=("S", "S"), not_telling=frozenset({"pk", "sk"}))


def wanted(items: Sequence[dict[str, Any]]) -> dict[str, set[str]]:
    """By the first word of a key, the fields whose values are to be held."""
    seen = [Seen((item["pk"]["S"], item["sk"]["S"]), item) for item in items]
    shapes = tuple(shapes_of(seen, KEYS.types, KEYS.not_telling))
    chosen = wanted_values(sampled_of(shapes, seen, KEYS))
    return {
        shapes[place].partition[0].text.strip("#"): {one.name for one in fields} for place, fields in chosen.items()
    }


def parents(ids: Sequence[str]) -> list[dict[str, Any]]:
    return [{"pk": {"S": f"USER#{one}"}, "sk": {"S": f"USER#{one}"}, "name": {"S": "Ada Byron"}} for one in ids]


def children(ids: Sequence[str], kind: str = "S", **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "pk": {"S": f"LOAN#{n}|x"},
            "sk": {"S": f"LOAN#{n}|x"},
            "about": {"S": f"It is {n}."},
            "by": {kind: one},
            **more,
        }
        for n, one in enumerate(ids)
    ]


def uuids(start: int, count: int = 60) -> list[str]:
    return [
        str(uuid.UUID(int=(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))
        for number in range(start, start + count)
    ]


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (uuids(0), [*uuids(100), uuids(0)[0]]),
        (uuids(0), uuids(100)),
        ([f"{number}-20" for number in range(100, 160)], [f"{number}-21" for number in range(200, 260)]),
        ([f"u{number}x" for number in range(60)], ["u59x"] * 60),
    ],
    ids=["one is found", "the form is the same", "they look alike", "always the same"],
)
def test_every_value_is_held_of_what_may_be_a_reference_and_of_the_keys(keys: list[str], values: list[str]) -> None:
    assert {"USER": {"p0"}, "LOAN": {"by"}} == wanted(parents(keys) + children(values))


@pytest.mark.parametrize(
    ("keys", "kind", "values"),
    [
        (uuids(0), "S", [f"note {number} of {number}" for number in range(60)]),
        (uuids(0), "S", ["2024-05-06"] * 60),
        ([str(number) for number in range(1_000, 1_060)], "N", [str(number) for number in range(60)]),
    ],
    ids=["text", "dates", "small numbers"],
)
def test_nothing_is_held_of_values_that_are_no_keys(keys: list[str], kind: str, values: list[str]) -> None:
    assert {} == wanted(parents(keys) + children(values, kind))


def test_an_attribute_that_repeats_its_own_key_is_no_reference() -> None:
    assert {} == wanted([{**one, "userId": {"S": one["pk"]["S"][5:]}} for one in parents(uuids(0))])


def test_attributes_that_are_the_same_in_the_sample_are_held_both() -> None:
    ids = uuids(0)
    loans = [{**one, "to": one["by"]} for one in children(ids)]
    assert {"USER": {"p0"}, "LOAN": {"by", "to"}} == wanted(parents(ids) + loans)


def test_a_sample_names_the_same_columns_in_any_order() -> None:
    items: list[Any] = [one.item for one in make("tribunal", size=1_000, seed=7).items]
    assert wanted(items)
    assert wanted(items) == wanted(items[::-1])
