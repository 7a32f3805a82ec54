from __future__ import annotations

from ashore.assess.census import AttributeCensus
from ashore.assess.proposal import Column
from ashore.assess.relations import Target, Values, foreign_keys


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
