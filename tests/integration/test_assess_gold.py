from __future__ import annotations

from dataclasses import replace

import pytest

from ashore.bench.gold.measure import measure, propose_for, styles
from ashore.bench.gold.score import pairwise_f1, score
from ashore.bench.gold.table import Values

SEED = 7


@pytest.mark.parametrize("size", [60, 400, 2500])
@pytest.mark.parametrize("name", styles)
def test_every_style_is_grouped_typed_and_related_as_its_labels_say(name: str, size: int) -> None:
    for found in measure([name], size=size, seed=SEED):
        assert found.passes, found


@pytest.mark.parametrize("name", styles)
def test_the_same_table_gives_the_same_proposal_in_any_order(name: str) -> None:
    table = styles[name](Values(SEED), 300)
    backwards = replace(table, items=table.items[::-1])
    assert propose_for(table) == propose_for(backwards)


def test_a_proposal_that_keeps_all_in_extra_fails() -> None:
    table = styles["shop"](Values(SEED), 300)
    proposal = propose_for(table)
    lazy = replace(
        proposal,
        entities=tuple(
            replace(
                entity,
                columns=tuple(column for column in entity.columns if column.path is None),
                derived=(),
                constant={},
                children=(),
            )
            for entity in proposal.entities
        ),
    )
    found = score(table, lazy)
    assert not found.passes
    assert found.typed < 0.6
    assert found.extra > 0.5


def test_a_proposal_that_takes_two_kinds_for_one_fails() -> None:
    table = styles["shop"](Values(SEED), 300)
    proposal = propose_for(table)
    line = next(entity for entity in proposal.entities if entity.name == "line")
    order = next(entity for entity in proposal.entities if entity.name == "order")
    merged = replace(order, keys=order.keys + line.keys)
    entities = tuple(merged if one is order else one for one in proposal.entities if one is not line)
    found = score(table, replace(proposal, entities=entities))
    assert found.grouping < 0.98
    assert not found.passes


def test_f1_is_over_pairs() -> None:
    assert pairwise_f1([("a", "x"), ("a", "x"), ("b", "y")]) == 1.0
    assert pairwise_f1([("a", "x"), ("a", "y"), ("b", "x")]) == 0.0
    assert pairwise_f1([("a", "x"), ("a", "x"), ("b", "x")]) == pytest.approx(0.5)
