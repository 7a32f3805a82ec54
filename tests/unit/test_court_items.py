"""The court's items: the same for the same seed, as awkward as a real table's, and every one of them accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ashore.local.court.awkward import expected_rejected
from ashore.local.court.declaration import court
from ashore.local.court.items import court_items
from ashore.mapping.items import from_rows
from ashore.mapping.match import AsCopy, AsRow, Ruled, key_texts, matcher
from ashore.mapping.plan import Plan
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import to_rows
from ashore.model.item import Item, differing_attributes

_CASES = 120


@pytest.fixture(scope="module")
def plan() -> Plan:
    return court.compile()


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return list(court_items(_CASES, 7))


def _values(value: Any) -> Iterator[Any]:
    yield value
    match value:
        case {"M": dict(members)}:
            for member in members.values():
                yield from _values(member)
        case {"L": list(members)}:
            for member in members:
                yield from _values(member)


def test_one_seed_gives_the_same_items_and_another_seed_others(items: list[Item]) -> None:
    assert items == list(court_items(_CASES, 7))
    assert items != list(court_items(_CASES, 8))


def test_no_key_occurs_twice(items: list[Item]) -> None:
    keys = [(item["pk"]["S"], item["sk"]["S"]) for item in items]

    assert len(keys) == len(set(keys))


def test_every_item_that_is_not_rejected_comes_back_from_its_rows(plan: Plan, items: list[Item]) -> None:
    match_key = matcher(plan)
    rejected: Counter[tuple[str | None, str]] = Counter()
    rows = 0
    for item in items:
        match match_key(*key_texts(plan, item)):
            case AsRow(entity=entity, generation=generation):
                try:
                    back = from_rows(entity, to_rows(entity, item, generation))
                except UnfitError as unfit:
                    rejected[entity.name, unfit.reason] += 1
                    continue
                assert [] == differing_attributes(item, back)
                rows += 1
            case None:
                rejected[None, "unmatched"] += 1
            case _:
                continue

    by_items_alone = {key: number for key, number in expected_rejected.items() if key[1] != "duplicate_key"}
    assert by_items_alone == rejected
    assert rows > 5 * _CASES


def test_two_messages_give_one_row_key(plan: Plan, items: list[Item]) -> None:
    keys = Counter(item["sk"]["S"] for item in items if item["sk"]["S"].startswith("message|"))

    assert [2] == [number for number in keys.values() if number > 1]
    assert 2 == expected_rejected["message", "duplicate_key"]


def test_every_entity_and_every_rule_has_items(plan: Plan, items: list[Item]) -> None:
    match_key = matcher(plan)
    met = set()
    for item in items:
        match match_key(*key_texts(plan, item)):
            case AsRow(entity=entity):
                met.add(entity.name)
            case AsCopy(entity=entity):
                met.add(f"copies of {entity.name}")
            case Ruled(rule=rule):
                met.add(rule.rule.name)
            case None:
                met.add("unmatched")

    expected = {*plan.entities, "copies of work_item", "unmatched", *(rule.rule.name for rule in plan.rules)}
    assert expected == met


def test_copies_of_work_items_agree_differ_or_have_lost_their_original(items: list[Item]) -> None:
    originals = {
        item["gsi1pk"]["S"]: item for item in items if item["sk"]["S"].startswith("work-item|") and "gsi1pk" in item
    }
    copies = [item for item in items if "-outbox" in item["pk"]["S"]]
    outcomes = Counter(
        "orphan"
        if copy["gsi1pk"]["S"] not in originals
        else "differs"
        if copy["caseStatus"] != originals[copy["gsi1pk"]["S"]]["caseStatus"]
        else "agrees"
        for copy in copies
    )

    assert {"orphan", "differs", "agrees"} == outcomes.keys()
    assert outcomes["agrees"] > outcomes["differs"] > outcomes["orphan"]


@pytest.mark.parametrize("kind", ["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"])
def test_every_type_of_dynamodb_occurs(items: list[Item], kind: str) -> None:
    assert any(kind in value for item in items for value in _values({"M": dict(item)}))


def _texts(items: list[Item], attribute: str) -> list[str]:
    return [item[attribute]["S"] for item in items if "S" in item.get(attribute, {})]


def test_dates_come_in_three_forms(items: list[Item]) -> None:
    dates = _texts(items, "filingDate")

    assert any(date.endswith("Z") for date in dates)
    assert any(date.endswith("-05:00") for date in dates)
    assert any(len(date) == len("2025-01-02") for date in dates)


def test_numbers_have_up_to_38_digits(items: list[Item]) -> None:
    numbers = [value["N"] for item in items for value in _values({"M": dict(item)}) if "N" in value]

    assert 38 == max(sum(digit.isdigit() for digit in number) for number in numbers)


def test_what_else_is_awkward_occurs(items: list[Item]) -> None:
    docket_entries = [item for item in items if item["sk"]["S"].startswith("docket-entry|")]
    cases = [item for item in items if item["pk"] == item["sk"] and item["pk"]["S"].startswith("case|")]
    petitioners = [one["M"] for case in cases for one in case["petitioners"]["L"]]

    assert any(item["docketNumber"]["S"] != item["pk"]["S"].removeprefix("case|") for item in docket_entries)
    assert any('{"eventCode"' in text and "\\\\" in text for text in _texts(items, "editState"))
    assert any("entityName" not in case for case in cases)
    assert {"S", "NULL", None} == {next(iter(case.get("docketNumberSuffix", {})), None) for case in cases}
    assert {"S", "NULL", None} == {next(iter(one.get("phone", {})), None) for one in petitioners}
    assert any(one["postalCode"]["S"].startswith("0") for one in petitioners)
    assert any("S" in item["numberOfPages"] for item in docket_entries)
    assert any("" == value.get("S") for item in items for value in _values({"M": dict(item)}))
    assert any("\0" in text for text in _texts(items, "message"))
