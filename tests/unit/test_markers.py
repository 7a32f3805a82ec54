"""Markers become nothing wherever items are read, whatever is declared; what writes them may write nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

import pytest
import sqlalchemy as sa

from ashore.assess.survey import survey
from ashore.assess.table_key import Keys
from ashore.dynamodb.access import marker_permissions
from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.scan import TableSource
from ashore.mapping.declare import Entity, KeyAttribute, Source, remainder
from ashore.mapping.match import Ruled, key_texts, matcher
from ashore.mapping.plan import Plan
from ashore.model.change import Change
from ashore.model.chunk import Chunk, Estimate, Position, Unit
from ashore.model.marker import is_marker_text, marker_text, marker_written_at
from ashore.pipeline.check_items import advice_on
from ashore.sync.markers import can_mark, is_marker, marked_at, marker_key, without_markers
from ashore.sync.routing import KeyRouter

AT: Final = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)


def plan_of(*partitions: str, sort: str | None = None) -> Plan:
    """A source of entities whose partition keys are these patterns; with a sort key if one is named."""
    source = Source("thing", sort_key=sort)
    metadata = sa.MetaData()
    for number, partition in enumerate(partitions):
        table = sa.Table(
            f"t{number}", metadata, sa.Column("id", sa.Text(collation="C"), primary_key=True), *remainder()
        )
        Entity(table, source.key(partition) if sort is None else source.key(partition, "x"))
    return source.compile()


PLANS: Final = {
    "takes any key": plan_of("{id}"),
    "takes keys of two": plan_of("ashore{id}2", "a|{id}"),
    "takes no marker": plan_of("a|{id}"),
    "has a sort key": plan_of("{id}", sort="sk"),
}


def raw_marker(plan: Plan, number: int = 1) -> bytes:
    return json.dumps(marker_key(plan, "0b1c", number, AT)).encode()


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_load_counts_markers_as_left_out_and_makes_no_row_of_them(plan: Plan) -> None:
    for _ in range(2):  # before and after the encoder has learned
        encoded = plan.encoder().encode([raw_marker(plan, number) for number in range(3)])
        assert {("ashore-marker", "left_out"): 3} == encoded.counts
        assert ([], {}) == (encoded.rejected, encoded.copy_data)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_stream_passes_markers_by_even_where_nobody_took_them_out(plan: Plan) -> None:
    keyed = KeyRouter(plan).keyed(Change(1, raw_marker(plan), raw_marker(plan), 0.0))
    assert None is keyed.entity
    assert isinstance(matcher(plan)(*key_texts(plan, json.loads(raw_marker(plan)))), Ruled)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_check_says_nothing_of_markers(plan: Plan) -> None:
    assert [] == list(advice_on(plan, [raw_marker(plan)]))


def test_items_that_only_resemble_markers_are_items() -> None:
    plan = PLANS["takes any key"]
    items = [{"pk": {"S": text}} for text in ("ashore-marker|", "ashore-marker|x|y", "my ashore-marker|x|1")]
    encoded = plan.encoder().encode([json.dumps(item).encode() for item in items])
    assert {("t0", "rows"): 3} == encoded.counts


class _Items:
    """A source of a few items."""

    origin: Final[dict[str, Any]] = {}

    def __init__(self, items: list[bytes]) -> None:
        self.items = items

    def units(self) -> list[Unit]:
        return [Unit(name="all", about={})]

    def estimate(self) -> Estimate:
        return Estimate(items=len(self.items), bytes=0, read_units=0, dollars=0, note="")

    def read(self, _unit: Unit, _after: Position | None) -> Iterator[Chunk]:
        yield Chunk(items=self.items, position={}, last=True)


@pytest.mark.parametrize("sample", [None, 100], ids=["all items", "a sample"])
def test_an_assessment_proposes_nothing_for_markers(sample: int | None) -> None:
    plan = PLANS["has a sort key"]
    keys = Keys(names=("pk", "sk"), types=("S", "S"), not_telling=frozenset())
    items = [json.dumps({"pk": {"S": f"case|{n}"}, "sk": {"S": "x"}}).encode() for n in range(20)]
    markers = [raw_marker(plan, number) for number in range(30)]
    found = survey(_Items(items + markers), keys, sample=sample)
    assert 20 == found.items_read == sum(group.census.items for group in found.groups)
    assert () == found.strays


def test_a_markers_key_holds_the_moment_before_it_was_written() -> None:
    text = marker_text("0b1c", 12, AT)

    assert "ashore-marker|0b1c-12|1770091506789012" == text
    assert AT.timestamp() == marker_written_at(text)
    assert is_marker_text(text)
    for other in ("ashore-marker|", "ashore-marker|x|", "ashore-marker|x|12a", "my-ashore-marker|x|12", "x"):
        assert not is_marker_text(other)
        assert None is marker_written_at(other)


def test_a_table_with_a_text_partition_key_takes_markers_whatever_its_sort_key_is() -> None:
    text = marker_text("0b1c", 1, AT)
    for kind, expected in (("S", text), ("N", "0"), ("B", "YXNob3JlLW1hcmtlcnwwYjFjLTF8MTc3MDA5MTUwNjc4OTAxMg==")):
        plan = replace(PLANS["has a sort key"], sort_key=KeyAttribute(name="sk", type=kind))  # type: ignore[arg-type]
        assert {"pk": {"S": text}, "sk": {kind: expected}} == marker_key(plan, "0b1c", 1, AT)
        assert can_mark(plan)
        assert is_marker(plan, raw_marker(plan))


def test_a_table_with_a_number_for_a_partition_key_takes_none() -> None:
    assert not can_mark(replace(PLANS["takes any key"], partition_key=KeyAttribute(name="pk", type="N")))


def test_a_marker_claims_no_more_than_its_records_own_time_allows() -> None:
    plan = PLANS["has a sort key"]
    forged = json.dumps(marker_key(plan, "x", 1, datetime(2100, 1, 1, tzinfo=UTC))).encode()
    assert AT.timestamp() == marked_at(plan, [Change(1, raw_marker(plan), b"{}", AT.timestamp() + 5)])
    assert 1001.0 == marked_at(plan, [Change(1, forged, b"{}", 1000.0)])
    assert None is marked_at(plan, [Change(1, raw_marker(plan), None, AT.timestamp())]), "a removal shows nothing"
    assert [] == without_markers(plan, [Change(1, forged, b"{}", 0.0), Change(2, forged, None, 0.0)])


def test_the_policy_for_markers_lets_markers_be_written_and_nothing_else() -> None:
    [statement] = marker_permissions(TableSource(table="efcms", region="us-east-1"))
    [allowed] = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]

    assert ["dynamodb:DeleteItem", "dynamodb:PutItem"] == statement["Action"]
    assert "arn:aws:dynamodb:us-east-1:*:table/efcms" == statement["Resource"]
    assert {"dynamodb:LeadingKeys": "false"} == statement["Condition"]["Null"], (
        "else it holds for a request without keys"
    )
    assert fnmatchcase(marker_text("0b1c", 1, AT), allowed)
    assert not fnmatchcase("case|1", allowed)
    assert [] == marker_permissions(ExportSource(path="/somewhere"))
