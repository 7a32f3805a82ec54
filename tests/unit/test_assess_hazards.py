"""Hazards, one by one, from facts and observations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ashore.assess.hazards import Observations, hazards
from ashore.dynamodb.facts import Consumed, IndexFacts, TableFacts
from ashore.dynamodb.table import KeyAttribute, Stream, TableInfo

ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/court"
STREAM = Stream(arn=f"{ARN}/stream/2026", view="NEW_AND_OLD_IMAGES")
INFO = TableInfo(
    name="court",
    arn=ARN,
    table_id=None,
    key=(KeyAttribute("pk", "S"),),
    items=10,
    bytes=1000,
    provisioned_read_units=None,
    indexes=(),
    stream=STREAM,
    ttl_attribute=None,
    point_in_time_recovery=True,
)
QUIET = TableFacts(
    info=INFO,
    billing="on demand",
    provisioned_write_units=None,
    table_class="STANDARD",
    replicas=(),
    deletion_protection=True,
    encryption="aws owned",
    indexes=(),
    lambda_readers=(),
    kinesis_streams=(),
    consumed=Consumed(read_average=1, read_peak=2, write_average=1, write_peak=2, hours=336),
    not_allowed=(),
)
FUNCTION = "arn:aws:lambda:us-east-1:111122223333:function:"
NOTHING = Observations()


def with_info(**changes: Any) -> TableFacts:
    return replace(QUIET, info=replace(INFO, **changes))


def test_quiet_table_has_no_hazard() -> None:
    assert () == hazards(QUIET, Observations(items=100, largest_item=2000, biggest_partition_share=0.02))


@pytest.mark.parametrize(
    ("facts", "severity", "what"),
    [
        pytest.param(with_info(stream=None), "stop", "stream is off", id="no stream"),
        pytest.param(with_info(stream=Stream(arn="a", view="KEYS_ONLY")), "stop", "no new images", id="keys only"),
        pytest.param(with_info(stream=Stream(arn="a", view="OLD_IMAGE")), "stop", "no new images", id="old"),
        pytest.param(with_info(stream=Stream(arn="a", view="NEW_IMAGE")), "warning", "no old images", id="new"),
        pytest.param(
            replace(QUIET, lambda_readers=(f"{FUNCTION}index", f"{FUNCTION}mail")),
            "warning",
            "2 functions read the stream already (index, mail)",
            id="third reader",
        ),
        pytest.param(replace(QUIET, lambda_readers=None), "note", "who else reads", id="readers unknown"),
        pytest.param(with_info(ttl_attribute="ends"), "note", "time to live ('ends')", id="ttl"),
        pytest.param(
            replace(QUIET, not_allowed=("dynamodb:DescribeTimeToLive",)),
            "note",
            "whether items expire",
            id="ttl unknown",
        ),
        pytest.param(replace(QUIET, replicas=("eu-west-1",)), "warning", "1 replica in eu-west-1", id="global"),
        pytest.param(with_info(point_in_time_recovery=False), "warning", "recovery is off", id="no recovery"),
        pytest.param(
            with_info(point_in_time_recovery=None), "note", "recovery is on is not known", id="recovery unknown"
        ),
        pytest.param(replace(QUIET, deletion_protection=False), "note", "deleted by one call", id="unprotected"),
        pytest.param(
            replace(QUIET, indexes=(IndexFacts(name="in-pk", is_global=False, items=1, bytes=1),)),
            "note",
            "local indexes (in-pk)",
            id="local index",
        ),
        pytest.param(replace(QUIET, consumed=None), "note", "is not known", id="use unknown"),
        pytest.param(
            replace(
                QUIET, consumed=Consumed(read_average=1, read_peak=1, write_average=1, write_peak=30_000, hours=336)
            ),
            "warning",
            "30,000 write units",
            id="writes",
        ),
    ],
)
def test_fact_about_the_table_is_one_hazard(facts: TableFacts, severity: str, what: str) -> None:
    (found,) = hazards(facts, NOTHING)

    assert severity == found.severity
    assert what in found.what
    assert found.hint


@pytest.mark.parametrize(
    ("seen", "what"),
    [
        pytest.param(Observations(largest_item=310 * 1024), "310 KB", id="large item"),
        pytest.param(
            Observations(biggest_partition_share=0.4, biggest_partition_items=4000), "40% of the items", id="hot"
        ),
        pytest.param(Observations(nul_items=3), "3 items hold U+0000", id="nul"),
        pytest.param(Observations(items=100, expired_items=7), "7 of 100", id="expired"),
    ],
)
def test_items_of_an_export_show_their_hazards_without_facts(seen: Observations, what: str) -> None:
    (found,) = hazards(None, seen)

    assert what in found.what


@pytest.mark.parametrize(
    "seen",
    [
        Observations(largest_item=300 * 1024),
        Observations(biggest_partition_share=0.9, biggest_partition_items=1000),
        Observations(biggest_partition_share=0.10, biggest_partition_items=100_000),
    ],
    ids=["300 KB", "small partition", "a tenth"],
)
def test_what_is_just_allowed_is_no_hazard(seen: Observations) -> None:
    assert () == hazards(QUIET, seen)


def test_one_reader_is_too_many_beside_ashore_for_a_global_table_only() -> None:
    one = replace(QUIET, lambda_readers=(f"{FUNCTION}index",))

    assert () == hazards(one, NOTHING)
    said = [hazard.what for hazard in hazards(replace(one, replicas=("eu-west-1",)), NOTHING)]
    assert any("bears 1" in what for what in said)


def test_the_worst_comes_first() -> None:
    facts = replace(with_info(stream=None, point_in_time_recovery=False), deletion_protection=False)

    assert ["stop", "warning", "note"] == [hazard.severity for hazard in hazards(facts, NOTHING)]
