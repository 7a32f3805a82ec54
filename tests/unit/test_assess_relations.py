from __future__ import annotations

import json

from ashore.assess.census import AttributeCensus
from ashore.assess.proposal import Column
from ashore.assess.relations import Target, Values, foreign_keys
from ashore.bench.assess_gold import InMemory
from ashore.local.styles import make
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
