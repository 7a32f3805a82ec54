"""Measuring a stream by markers: what is reported is what the table did. The tables are in memory and emulators'."""

from __future__ import annotations

import re
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from tests.stream_answers import StreamAnswers, refusal
from tests.streamed_table import MemoryTable
from tests.sync_world import MemoryMarkers

from ashore import local
from ashore.config.settings import load_settings
from ashore.dynamodb.errors import AccessDenied, Throttled
from ashore.dynamodb.measure import Measure, Measured, measure
from ashore.dynamodb.stream import TableStream
from ashore.dynamodb.write import MarkerWriter
from ashore.model.change import ChangePage
from ashore.model.marker import PREFIX
from ashore.pipeline.probe import MarkersNotAllowed, ProbeForecast, ProbeReport, markers_for, percentile, probe
from ashore.pipeline.probe_text import report_text

KEY: Final = (("pk", "S"), ("sk", "S"))


class Stream(MemoryTable):
    """A memory table with a count of what was throttled; with `swaps`, its pages come the wrong way round."""

    swaps = False
    throttled_reads = 0

    @property
    def throttled(self) -> Counter[str]:
        return Counter({"GetRecords": self.throttled_reads})

    def read(self, iterator: str, *, limit: int | None = None) -> ChangePage:
        page = super().read(iterator, limit=limit)
        self.throttled_reads += 1
        return ChangePage(changes=list(page.changes)[::-1], next=page.next) if self.swaps else page


class Markers(MemoryMarkers):
    """Writes to it, and does something at the markers that are named."""

    throttled = 3
    at: Final[dict[int, Any]] = {}

    def put(self, key: Any) -> None:
        super().put(key)
        self.at.pop(len(self.written), lambda: None)()


def probed(stream: Stream, markers: Markers | None = None, *, most: int = 400) -> Measured:
    return measure(
        Measure(
            table=markers or Markers(stream),
            stream=stream,
            arn=stream.arn,
            key=KEY,
            markers=most,
            patience_seconds=20.0,
            poll_seconds=0.0,
        )
    )


def left_in(stream: Stream) -> list[Any]:
    return [key for key in stream.items if key[0].startswith(PREFIX)]


def test_every_shard_is_reached_in_order_and_no_marker_stays() -> None:
    stream = Stream(1, shards=4)
    before = threading.active_count()
    found = probed(stream)

    assert (4, 4, 0, 0) == (found.listed, found.open, found.came, found.ended)
    assert found.written == found.returned == len(found.delays) >= 40
    assert (0, 0, ()) == (found.returned_twice, found.out_of_order, found.not_reached)
    assert found.needed is not None
    assert 4 <= found.needed <= found.written
    assert 0 < found.delays[0] <= found.delays[-1]
    assert found.reads == found.throttled["GetRecords"] > 0
    assert [] == left_in(stream)
    assert before == threading.active_count()


def test_the_number_that_was_needed_is_that_of_the_first_markers_that_reach_all() -> None:
    stream = Stream(1, shards=4)
    markers = Markers(stream)
    found = probed(stream, markers)
    firsts = [
        min(markers.written.index(text) for text in markers.written if _holds(shard.records, text)) + 1
        for shard in stream.open_shards()
    ]
    assert max(firsts) == found.needed


def _holds(records: Any, text: str) -> bool:
    return any(text.encode() in record.key for record in records)


def test_a_shard_that_is_not_reached_is_named_and_the_budget_is_kept() -> None:
    stream = Stream(1)
    hidden = stream.add_unreachable()
    found = probed(stream, most=60)

    assert (60, 60, None, (hidden.id,)) == (found.written, found.returned, found.needed, found.not_reached)


def test_shards_that_split_meanwhile_are_followed() -> None:
    stream = Stream(1)
    markers = Markers(stream)
    markers.at[20] = lambda: stream.close(stream.open_shards()[0], children=2)
    found = probed(stream, markers)

    assert (found.written, ()) == (found.returned, found.not_reached)
    assert (2, 1) == (found.came, found.ended)


def test_markers_that_come_back_the_wrong_way_round_are_counted() -> None:
    stream = Stream(1)
    stream.swaps = True
    assert probed(stream).out_of_order > 0


def test_what_others_write_is_not_counted() -> None:
    stream = Stream(1)
    other = Markers(stream)
    markers = Markers(stream)
    markers.at[5] = lambda: other.put({"pk": {"S": "ashore-marker|other-1|5"}, "sk": {"S": "x"}})
    found = probed(stream, markers)
    assert found.written == found.returned


def test_who_may_not_remove_markers_writes_none() -> None:
    stream = Stream(1)
    markers = Markers(stream, errors=[AccessDenied("dynamodb:DeleteItem", "table/x")])
    with pytest.raises(AccessDenied):
        probed(stream, markers)
    assert [] == markers.written


def test_a_stream_that_cannot_be_read_ends_the_probe_and_no_marker_stays() -> None:
    stream = Stream(1)
    markers = Markers(stream)
    markers.at[7] = lambda: stream.fail_next(Throttled("GetRecords", "x", 9, 300.0))
    with pytest.raises(Throttled):
        probed(stream, markers)
    assert [] == left_in(stream)


@pytest.fixture
def emulated(dynamodb: local.LocalAws, monkeypatch: pytest.MonkeyPatch) -> local.LocalAws:
    """An emulator with a streamed table, whose sort key is a number."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    dynamodb.client("dynamodb").create_table(
        TableName="court",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return dynamodb


def test_a_table_of_an_emulator_is_probed_and_left_as_it_was(emulated: local.LocalAws) -> None:
    client = emulated.client("dynamodb")
    client.put_item(TableName="court", Item={"pk": {"S": "case|1"}, "sk": {"N": "1"}})
    place: dict[str, Any] = {"table": "court", "region": emulated.region, "endpoint_url": emulated.endpoint_url}
    stream = TableStream(**place)
    info = stream.describe()
    assert info is not None
    found = measure(
        Measure(
            table=MarkerWriter(**place, units_per_second=2_000),
            stream=stream,
            arn=info.arn,
            key=[("pk", "S"), ("sk", "N")],
            markers=60,
            patience_seconds=60.0,
            poll_seconds=0.02,
        )
    )

    assert found.open >= 1
    assert found.written == found.returned >= 40
    assert (0, 0, (), {}) == (found.returned_twice, found.out_of_order, found.not_reached, found.throttled)
    assert 1 == client.scan(TableName="court")["Count"]


def test_markers_hold_their_write_units(emulated: local.LocalAws) -> None:
    writer = MarkerWriter(
        table="court", region=emulated.region, endpoint_url=emulated.endpoint_url, units_per_second=50.0
    )
    began = datetime.now(UTC)
    for number in range(15):
        writer.put({"pk": {"S": f"{PREFIX}x-{number}|1"}, "sk": {"N": "0"}})
    assert (datetime.now(UTC) - began).total_seconds() >= 14 / 50


def test_the_expected_number_of_markers_is_that_of_the_simulations() -> None:
    assert (1, 3, 519, 7_486) == tuple(markers_for(shards) for shards in (1, 2, 100, 1_000))


def test_percentiles_are_values_that_were_seen() -> None:
    values = [number / 100 for number in range(1, 101)]
    assert (0.5, 0.99, 1.0) == (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0))
    assert (None, 0.25) == (percentile([], 0.5), percentile([0.25], 0.99))


def report_of(**changed: Any) -> ProbeReport:
    measured: dict[str, Any] = {
        "listed": 9, "open": 3, "came": 0, "ended": 0, "written": 40, "returned": 40, "returned_twice": 0,
        "needed": 7, "not_reached": (), "out_of_order": 0, "delays": (0.1, 0.2, 1.5), "throttled": {},
        "reads": 120, "seconds": 4.2,
    }  # fmt: skip
    forecast = ProbeForecast(
        table="efcms", stream="arn", shards=3, expected=6, markers=1000, write_units=2000, dollars=0.0, note=""
    )
    at = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    return ProbeReport(
        table="efcms",
        region="us-east-1",
        table_arn="arn",
        stream="arn",
        started_at=at,
        ended_at=at,
        version="1",
        forecast=forecast,
        measured=Measured(**measured | changed),
        poll_seconds=0.1,
    )


def test_the_text_of_a_report_says_what_it_can_be_built_on_and_what_not() -> None:
    good = report_text(report_of())
    assert "2026-02-03 04:05:06 to 04:05:06 UTC" in good
    assert "yes: 3 of 3 (100.0%); the first 7 of 40 markers did (6 are expected for equal shards)" in good
    assert "p50 0.2 s, p99 1.5 s, max 1.5 s" in good
    assert () == report_of().findings

    poor = report_of(
        needed=None,
        not_reached=("shardId-7",),
        out_of_order=2,
        returned=39,
        delays=(),
        throttled={"DescribeStream": 4},
    )
    text = report_text(poor)
    assert "no: 2 of 3 (66.7%), by 40 markers" in text
    assert "- `shardId-7`" in text
    assert "**no**: 2 of 39 came after a later one" in text
    assert "DescribeStream throttled 4 times" in text
    assert 3 == len(poor.findings) == len(re.findall(r"^\*\*", text, re.MULTILINE))


def test_a_probe_without_permission_says_which_and_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    described = {
        "TableName": "court",
        "TableArn": "arn:aws:dynamodb:us-east-1:1:table/court",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
    prepared: dict[str, list[Any]] = {
        "DescribeTable": [{"Table": described}],
        "DescribeTimeToLive": [refusal("AccessDeniedException")],
        "DescribeContinuousBackups": [refusal("AccessDeniedException")],
        "DescribeStream": [{"StreamDescription": {"Shards": [{"ShardId": "shardId-1", "SequenceNumberRange": {}}]}}],
        "GetShardIterator": [{"ShardIterator": "behind the newest"}],
        "GetRecords": [{"Records": [], "NextShardIterator": "on"}] * 100,
        "DeleteItem": [refusal("AccessDeniedException")],
    }
    with StreamAnswers(prepared) as server:
        flags = {"table": "court", "region": "us-east-1", "endpoint_url": server.endpoint_url}
        settings = load_settings(tmp_path, environment=None, flags=flags, environ={}, needs=frozenset({"source"}))
        with pytest.raises(MarkersNotAllowed) as denied:
            probe(settings, report_of().forecast)
        asked = [headers["x-amz-target"].rpartition(".")[2] for headers, _ in server.requests]

    assert "dynamodb:DeleteItem" in denied.value.what()
    assert "ashore policy --sync --markers" in denied.value.hint()
    assert "PutItem" not in asked
