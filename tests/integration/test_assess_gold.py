from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ashore.assess import survey
from ashore.bench.assess_gold import measure, propose_for
from ashore.bench.assess_score import Answer, Score, score
from ashore.dynamodb.export import ExportSource
from ashore.local.export_writer import write_export
from ashore.local.styles import make, styles
from ashore.pipeline.assess import assess

SEED = 7


def scored(name: str, **changes: Any) -> Score:
    table = make(name, size=300, seed=SEED)
    return score(Answer.of(table, replace(propose_for(table), **changes)), variant="changed")


@pytest.mark.parametrize("size", [80, 400, 2500])
@pytest.mark.parametrize("name", styles)
def test_every_style_is_grouped_typed_and_related_as_its_labels_say(name: str, size: int) -> None:
    for found in measure([name], size=size, seed=SEED):
        assert found.passes, found


@pytest.mark.parametrize("name", styles)
def test_the_same_table_gives_the_same_proposal_in_any_order(name: str) -> None:
    table = make(name, size=300, seed=SEED)
    assert propose_for(table) == propose_for(replace(table, items=table.items[::-1]))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_first_look_says_of_tuples_is_counted_by_every_process(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "FIRST_LOOK", 200)
    table = make("chancery", size=500, seed=SEED)
    source = ExportSource(path=str(write_export(tmp_path / "exported", table.raw(), files=6)))
    found = assess(
        source, table_name="chancery", partition_key=("pk", "S"), sort_key=("sk", "S"), workers=workers
    ).proposal
    together = {
        (entity.name, key.columns, key.target): key.enforced
        for entity in found.entities
        for key in entity.foreign_keys
        if len(key.columns) > 1
    }
    assert {
        ("document", ("case_id", "entry_id"), "entry"): True,
        ("signature", ("docket_number", "entry_number"), "entry"): True,
        ("signature", ("docket_number", "entry_number", "part"), "document"): True,
    } == together


def test_a_proposal_that_keeps_all_in_extra_fails() -> None:
    entities = propose_for(make("webshop", size=300, seed=SEED)).entities
    lazy = tuple(
        replace(
            entity,
            columns=tuple(column for column in entity.columns if column.path is None),
            derived=(),
            constant={},
            children=(),
        )
        for entity in entities
    )
    assert {"typed", "extra", "types"} <= {*scored("webshop", entities=lazy).missed}


def test_a_proposal_that_takes_two_kinds_for_one_fails() -> None:
    entities = propose_for(make("webshop", size=300, seed=SEED)).entities
    first, second, *others = sorted(entities, key=lambda one: -one.items)
    merged = replace(first, keys=first.keys + second.keys)
    assert "grouping" in scored("webshop", entities=(merged, *others)).missed
