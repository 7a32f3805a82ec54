"""Whether to cross, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from ashore.cost.verdict import Workload, verdict

PLAIN: dict[str, Any] = {"entities": 5, "access_patterns": 8}


@pytest.mark.parametrize(
    ("work", "word", "because"),
    [
        pytest.param(Workload(**PLAIN, foreign_keys=3, mappings=1), "cross", "3 references, 1 mappings", id="shape"),
        pytest.param(Workload(**PLAIN, reports=True), "cross", "SQL answers them", id="reports"),
        pytest.param(Workload(**PLAIN, dollars_now=500, dollars_after=100), "cross", "$100 a month", id="cheaper"),
        pytest.param(Workload(**PLAIN, dollars_now=100, dollars_after=500), "stay", "costs more", id="dearer"),
        pytest.param(Workload(entities=1, access_patterns=2), "stay", "2 ways", id="key-value"),
        pytest.param(Workload(**PLAIN, opaque_share=0.9), "stay", "90%", id="blobs"),
        pytest.param(Workload(**PLAIN, foreign_keys=9, writes_per_s=25_000), "stay", "25,000", id="writes"),
        pytest.param(Workload(**PLAIN, foreign_keys=9, writing_regions=2), "stay", "2 regions write", id="regions"),
        pytest.param(Workload(**PLAIN, foreign_keys=9, writing_regions=None), "undecided", "more than one", id="ask"),
        pytest.param(Workload(**PLAIN, foreign_keys=9, write_peak_per_s=3e4), "undecided", "measure", id="peak"),
        pytest.param(Workload(**PLAIN, foreign_keys=9, opaque_share=0.9), "undecided", "relational", id="both"),
        pytest.param(Workload(**PLAIN), "undecided", "neither|either", id="nothing"),
    ],
)
def test_rules_give_their_word_and_their_reason(work: Workload, word: str, because: str) -> None:
    found = verdict(work)

    assert word == found.word
    assert any(part in reason.text for reason in found.reasons for part in because.split("|"))


def test_reasons_for_the_answer_stand_first() -> None:
    found = verdict(Workload(**PLAIN, foreign_keys=9, writing_regions=3, opaque_share=0.95))

    assert ["stay", "stay", "cross"] == [reason.speaks_for for reason in found.reasons]
    assert found.reasons[0].decisive


@pytest.mark.parametrize(("now", "after"), [(None, 10.0), (40.0, 1.0), (100.0, 80.0), (80.0, 100.0)])
def test_small_or_unknown_differences_of_cost_are_no_reason(now: float | None, after: float) -> None:
    assert "undecided" == verdict(Workload(**PLAIN, dollars_now=now, dollars_after=after)).word
