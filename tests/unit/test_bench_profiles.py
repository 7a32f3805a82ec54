"""The items of the benchmarks: quick to make, each with a key of its own, and as they are said to be."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from itertools import islice

import pytest

from ashore.bench.interleaved import rejected_one_in
from ashore.bench.profiles import Profile, profiles
from ashore.bench.scan import served_table
from ashore.bench.templates import item_id
from ashore.mapping.declared import load_plan

_ITEMS = 6_000


@pytest.fixture(params=sorted(profiles))
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles[request.param]


def test_items_are_the_same_each_time_and_their_keys_are_not(profile: Profile) -> None:
    items = list(profile.items(_ITEMS))

    assert items == list(profile.items(_ITEMS))
    decoded = [json.loads(item) for item in items]
    assert _ITEMS == len({(item["pk"]["S"], item["sk"]["S"]) for item in decoded})


def test_a_flat_item_has_24_attributes_and_a_bit_more_than_a_kilobyte() -> None:
    items = list(profiles["flat"].items(_ITEMS))

    assert {24} == {len(json.loads(item)) for item in items[:500]}
    assert 1_050 < sum(map(len, items)) / len(items) < 1_250


def test_the_court_has_five_entities_and_one_reject_in_a_thousand() -> None:
    encoded = load_plan(profiles["court"].reference).encoder().encode(list(profiles["court"].items(_ITEMS)))

    rows = {entity: items for (entity, outcome), items in encoded.counts.items() if outcome == "rows"}
    assert {"case", "docket_entry", "message", "work_item", "case_deadline"} == rows.keys()
    assert Counter({"nul_in_text": _ITEMS // rejected_one_in}) == Counter(one.reason for one in encoded.rejected)
    assert encoded.row_counts["court.petitioner"] >= rows["case"]


def test_every_case_number_that_an_item_names_is_a_case_of_the_profile() -> None:
    items = [json.loads(item) for item in islice(profiles["court"].items(_ITEMS), _ITEMS)]
    cases = {item["docketNumber"]["S"] for item in items if item.get("entityName", {}).get("S") == "Case"}
    cases |= {item["pk"]["S"].removeprefix("case|") for item in items if item["pk"] == item["sk"]}
    named = {item["pk"]["S"].removeprefix("case|") for item in items if item["pk"]["S"].startswith("case|")}
    named |= {item["docketNumber"]["S"] for item in items if item["pk"]["S"].startswith("case-deadline|")}

    assert set() == named - cases


def test_ids_are_canonical_uuids_that_do_not_come_in_order() -> None:
    ids = [item_id(number).decode() for number in range(1_000)]

    assert ids == [str(uuid.UUID(one)) for one in ids]
    assert 1_000 == len(set(ids))
    assert ids != sorted(ids)


def test_the_pages_of_a_served_scan_hold_every_item() -> None:
    table = served_table("flat", 3_001, 2)

    assert 3_001 == table.items
    assert 2 == len(table.segments)
