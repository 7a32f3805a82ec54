from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ashore.assess import census as censuses
from ashore.assess import survey
from ashore.assess.census import AttributeCensus
from ashore.assess.proof import why_not_enforced
from ashore.assess.proposal import Column
from ashore.assess.relations import Target, Values, foreign_keys
from ashore.bench.assess_gold import InMemory
from ashore.local.styles import make
from ashore.model.chunk import Chunk, Position, Unit
from ashore.pipeline.assess import assess


def values(name: str, texts: list[str]) -> Values:
    census = AttributeCensus()
    for start in range(0, len(texts), 1000):
        census.add_texts(texts[start : start + 1000])
    return Values(Column(name=name, kind="text", path=(name,), nullable=False, because=""), census)


def test_a_reference_is_enforced_where_every_value_is_found() -> None:
    shops = Target("shop", values("shop_id", [f"shop {number}" for number in range(100)]), is_root=True)
    (key,) = foreign_keys("order", [values("shop_id", ["shop 1", "shop 7"])], [shops], complete=True)
    assert (2, 0, True) == (key.looked_at, key.missing, key.enforced)


def test_of_two_entities_with_the_same_values_the_one_that_all_are_found_in_is_referred_to() -> None:
    """Of many keys only a part is looked up at first, and there all may be found in both."""
    shops = Target("shop", values("shop_id", [f"shop {number}" for number in range(100)]), is_root=True)
    uuids = values("shop_id", [f"shop {number}" for number in range(100)])
    other = Target(
        "other",
        Values(Column(name="shop_id", kind="uuid", path=None, nullable=False, because=""), uuids.census),
        is_root=True,
    )
    (key,) = foreign_keys("order", [values("shop_id", ["shop 1", "shop 7"])], [other, shops], complete=True)
    assert ("shop", True) == (key.target, key.enforced)


@pytest.mark.parametrize(
    ("changed", "because"),
    [
        ({}, ""),
        ({"complete": False}, "not everything was read"),
        ({"counted": (9, 1)}, "not all are found"),
        ({"as_they_stand": False}, "a label stands before the values"),
        ({"all_rows": False}, "copies may become rows, with values that were not looked up"),
        ({"one_type": False}, "the types of the columns differ"),
        (
            {"counted": None},
            "not all values were looked up, since the first items that were read showed no such reference",
        ),
    ],
)
def test_a_foreign_key_takes_every_condition(changed: dict[str, Any], because: str) -> None:
    proven: dict[str, Any] = {
        "complete": True,
        "counted": (9, 0),
        "as_they_stand": True,
        "all_rows": True,
        "one_type": True,
    }
    assert because == why_not_enforced(**{**proven, **changed})


def test_keys_behind_a_label_are_no_foreign_key_however_many_are_found() -> None:
    doctors = Target("doctor", values("doctor_id", [str(number) for number in range(9)]), is_root=True)
    (key,) = foreign_keys("visit", [values("by", ["DOCTOR#7", "DOCTOR#8"])], [doctors], complete=True)
    assert (2, 0, "a label stands before the values") == (key.looked_at, key.missing, key.because)


@dataclass(frozen=True)
class InTwoUnits(InMemory):
    """Items of two units, the second of which begins with the item `second`."""

    second: int = 0

    def units(self) -> list[Unit]:
        return [Unit(name="first"), Unit(name="second")]

    def read(self, unit: Unit, after: Position | None) -> Iterator[Chunk]:  # noqa: ARG002 (as of InMemory)
        items = self.raw[: self.second] if unit.name == "first" else self.raw[self.second :]
        yield Chunk(items=items, position={}, last=True)


def test_an_attribute_that_was_dropped_from_a_census_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def order(number: int, shop: str) -> dict[str, Any]:
        key = {"S": f"ORDER#o{number}"}
        return {"pk": key, "sk": key, "shopId": {"S": shop}}

    shops = [{"pk": {"S": f"SHOP#s{n}"}, "sk": {"S": f"SHOP#s{n}"}, "name": {"S": f"Shop {n}"}} for n in range(40)]
    first = [*shops, *(order(number, f"s{number % 40}") for number in range(200))]
    crowded = [{**order(number, "no shop"), f"a{number}": {"S": "x"}} for number in range(200, 230)]
    source = InTwoUnits([json.dumps(one).encode() for one in (*first, *crowded)], len(first))
    monkeypatch.setattr(survey, "FIRST_LOOK", 100)
    monkeypatch.setattr(censuses, "MOST_ATTRIBUTES", 8)

    found = assess(source, table_name="shop", partition_key=("pk", "S"), sort_key=("sk", "S")).proposal

    (key,) = (key for entity in found.entities for key in entity.foreign_keys)
    assert "not everything was read" == key.because


def test_a_reference_to_more_keys_than_are_kept_is_not_enforced_for_the_few_that_could_be_looked_up() -> None:
    shops = Target("shop", values("shop_id", [f"shop {number}" for number in range(20_000)]), is_root=True)
    used = [f"shop {number}" for number in range(400)]
    (key,) = foreign_keys("order", [values("shop_id", used)], [shops], complete=True)
    assert 0 < key.looked_at < 400
    assert 0 == key.missing
    assert not key.enforced


def test_a_copy_without_an_original_becomes_a_row_whose_references_have_to_be_found_too() -> None:
    table = make("tribunal", size=1_000, seed=7)
    originals = {one.item["workItemId"]["S"] for one in table.items if one.label == "work_item" and not one.is_copy}
    orphan = next(one.item for one in table.items if one.is_copy and one.item["workItemId"]["S"] not in originals)
    unknown = {"assigneeId": {"S": "00000000-0000-4000-8000-000000000000"}, "docketNumber": {"S": "no case"}}

    def enforced(changes: dict[str, dict[str, str]]) -> set[tuple[str, ...]]:
        raw = [json.dumps({**one.item, **(changes if one.item is orphan else {})}).encode() for one in table.items]
        found = assess(InMemory(raw), table_name="tribunal", partition_key=("pk", "S"), sort_key=("sk", "S")).proposal
        (work_item,) = (entity for entity in found.entities if entity.name == "work_item")
        return {key.columns for key in work_item.foreign_keys if key.enforced}

    assert {("docket_number",), ("assignee_id",)} == enforced({})
    assert set() == enforced(unknown)
