"""Laws 7 and 8: markers show what each shard has passed, time shows it elsewhere, and every claim says which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from tests import sync_world
from tests.database import HasDatabase
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, MemoryMarkers, SteppedLoad

from ashore.dynamodb.errors import AccessDenied, Throttled, Unreachable
from ashore.ledger import marking
from ashore.ledger.passing import moment_ago, passing
from ashore.ledger.rehearsal import rehearse
from ashore.model.marker import PREFIX, marker_text
from ashore.observe.events import Event, MarkersRefused, MarkersSpent
from ashore.postgres.connect import Conn, connect
from ashore.sync.worker import Worker


class Marked(HasDatabase):
    """A table whose sync may write markers."""

    def __init__(self, dsn: str, *, shards: int = 2) -> None:
        self.dsn = dsn
        self.table = MemoryTable(1, shards=shards)
        self.markers = MemoryMarkers(self.table)
        self.events: list[Event] = []
        self.workers: list[Worker] = []
        self.conn: Conn = connect(dsn, application_name="test", autocommit=True)
        sync_world.fresh(dsn)
        for number in range(1, 6):
            self.put(number)

    def put(self, number: int, balance: int = 1) -> None:
        item = {"pk": {"S": f"account|{number}"}, "sk": {"S": "account"}, "balance": {"N": str(balance)}}
        self.table.put(item)

    def merging(self) -> Marked:
        sync_world.begin(self.dsn, self.table)
        SteppedLoad(self.dsn, self.table, ENTITIES).finish()
        return self

    def worker(self, *, markers: bool = True, **limits: Any) -> Worker:
        made = sync_world.worker(self.dsn, self.table, markers=self.markers if markers else None, **limits)
        made.emit = self.events.append
        self.workers.append(made)
        return made

    def run(self, **limits: Any) -> None:
        worker = self.worker(**limits)
        many_rounds(worker)
        worker.leave()

    def claim(self) -> dict[str, Any]:
        [(detail,)] = self.rows("SELECT detail FROM ashore.audit WHERE command = 'syncing'")
        return dict(detail)

    def markers_in_the_table(self) -> list[str]:
        return [partition for partition, _ in self.table.items if partition.startswith(PREFIX)]

    def refused(self) -> list[Event]:
        return [event for event in self.events if isinstance(event, MarkersRefused)]


_WAITS: Final = """
    SELECT EXISTS (SELECT FROM ashore.entity WHERE state = 'merging')
        OR EXISTS (SELECT FROM ashore.stream WHERE wanted_at IS NOT NULL)
"""


def many_rounds(worker: Worker) -> None:
    """Until nothing waits for a moment or for the worker any more; 600 at the most."""
    for _ in range(600):
        worker.round()
        if worker.conn.execute(_WAITS).fetchone() == (False,):
            return


@pytest.fixture
def marked(postgres_dsn: str) -> Iterator[Marked]:
    made = Marked(postgres_dsn)
    yield made
    made.conn.close()
    for worker in made.workers:
        worker.conn.close()


def test_law_7_a_load_is_merged_by_markers_from_every_shard_and_none_of_them_stays(marked: Marked) -> None:
    marked.merging().run()

    claim = marked.claim()
    assert ("by markers", 2, 0, []) == (
        claim["passed"],
        claim["shards_by_markers"],
        claim["shards_by_time"],
        claim["by_time"],
    )
    assert 8 <= len(set(marked.markers.written)) == len(marked.markers.written)
    assert [] == marked.markers_in_the_table()
    assert [(0,)] == marked.rows("SELECT count(*) FROM ashore.marker_round")
    assert [("on", None)] == marked.rows("SELECT marking, wanted_at FROM ashore.stream")


def test_law_7_markers_are_no_items_to_capture_merge_apply_or_reject(marked: Marked) -> None:
    marked.merging().run()
    marking.want(marked.conn, "world", moment_ago(marked.conn, 0.0))
    written = len(marked.markers.written)
    marked.run()

    assert len(marked.markers.written) > written
    for place in ("rejected_item", "pending_change", "parked_change", "repair"):
        assert [(0,)] == marked.rows(f"SELECT count(*) FROM ashore.{place}")
    sync_world.assert_equal(marked.dsn, marked.table)


def test_law_7_a_shard_that_no_marker_reaches_is_named_and_passes_by_time(marked: Marked) -> None:
    hidden = marked.table.add_unreachable()
    marked.merging().run()

    claim = marked.claim()
    assert "by markers, and by time for 1 of 3 shards" == claim["passed"]
    assert [hidden.id] == claim["by_time"]
    assert 200 == len(marked.markers.written), "the budget is spent, and no more than that"
    [spent] = [event for event in marked.events if isinstance(event, MarkersSpent)]
    assert (200, 2, (hidden.id,)) == (spent.markers, spent.shards, spent.not_reached)
    [(detail,)] = marked.rows("SELECT detail FROM ashore.audit WHERE command = 'markers spent'")
    assert [hidden.id] == detail["by_time"]
    sync_world.assert_equal(marked.dsn, marked.table)


@pytest.mark.slow
def test_a_shard_that_a_whole_budget_did_not_reach_costs_no_second_one(marked: Marked) -> None:
    hidden = marked.table.add_unreachable()
    marked.merging()
    worker = marked.worker()
    many_rounds(worker)
    assert 200 == len(marked.markers.written)
    moment = moment_ago(marked.conn, 0.0)
    marking.want(marked.conn, "world", moment)
    many_rounds(worker)

    assert 212 == len(marked.markers.written), "one round for the others"
    found = passing(marked.conn, "world", moment)
    assert (True, (hidden.id,)) == (found.is_past, found.unmarked)


def test_law_7_time_says_nothing_of_a_shard_while_a_marker_may_still_come_back(marked: Marked) -> None:
    hidden = marked.table.add_unreachable()
    worker = marked.merging().worker(marker_return_seconds=1e9)
    for _ in range(60):
        worker.round()

    [(load_ended,)] = marked.rows("SELECT rows_ended_at FROM ashore.load WHERE purpose = 'load'")
    [(passed_at,)] = marked.rows(f"SELECT passed_at FROM ashore.shard WHERE shard = '{hidden.id}'")
    assert passed_at > load_ended
    assert not passing(marked.conn, "world", load_ended).is_past
    assert [("merging",)] == marked.rows("SELECT DISTINCT state FROM ashore.entity")


def test_law_7_markers_are_given_up_when_patience_ends(marked: Marked) -> None:
    marked.table.add_unreachable()
    marked.merging().run(marker_return_seconds=1e9, marker_patience_seconds=0.0)

    assert "by markers, and by time for 1 of 3 shards" == marked.claim()["passed"]


def test_law_7_without_permission_to_write_all_is_timed_and_said_once(marked: Marked) -> None:
    marked.markers.errors += [AccessDenied("dynamodb:PutItem", "table/x")] * 50
    marked.merging().run()

    assert ("by time", 2) == (marked.claim()["passed"], len(marked.claim()["by_time"]))
    assert [MarkersRefused(reason="these credentials may not dynamodb:PutItem")] == marked.refused()
    assert [("refused",)] == marked.rows("SELECT marking FROM ashore.stream")
    assert [(0,)] == marked.rows("SELECT count(*) FROM ashore.marker_round"), (
        "nothing was written, so nothing may be left"
    )
    assert [("world",)] == marked.rows("SELECT detail->>'source' FROM ashore.audit WHERE command = 'markers refused'")


def test_law_7_without_the_setting_nothing_is_written_and_all_is_timed(marked: Marked) -> None:
    marked.merging().run(markers=False)

    assert "by time" == marked.claim()["passed"]
    assert [] == marked.markers.written
    assert [("off",)] == marked.rows("SELECT marking FROM ashore.stream")


@pytest.mark.slow
def test_law_7_markers_that_are_throttled_hold_nothing_up(marked: Marked) -> None:
    marked.markers.errors += [Throttled("PutItem", "x", 9, 10.0)] * 4
    marked.merging().run(marker_patience_seconds=0.0)

    assert "by time" == marked.claim()["passed"]
    assert [] == marked.markers.written
    sync_world.assert_equal(marked.dsn, marked.table)


def test_markers_that_a_kill_left_are_removed_by_the_next_worker(marked: Marked) -> None:
    def dies(key: Any) -> None:
        if key["pk"]["S"] in marked.markers.written:
            raise MemoryError

    remove = marked.markers.delete
    marked.markers.delete = dies  # type: ignore[method-assign]
    worker = marked.merging().worker()
    with pytest.raises(MemoryError):
        many_rounds(worker)
    worker.conn.close()
    assert marked.markers_in_the_table()
    assert [(1,)] == marked.rows("SELECT count(*) FROM ashore.marker_round")

    marked.markers.delete = remove  # type: ignore[method-assign]
    marked.run()

    assert [] == marked.markers_in_the_table()
    assert [(0,)] == marked.rows("SELECT count(*) FROM ashore.marker_round")


@pytest.mark.slow
def test_markers_that_could_not_be_removed_are_removed_later_by_the_same_worker(marked: Marked) -> None:
    marked.markers.errors_of_delete = [None, Unreachable("DeleteItem", "x", 1, "made to fail")]
    worker = marked.merging().worker(marker_patience_seconds=0.0)
    many_rounds(worker)
    assert 1 == len(marked.markers_in_the_table())
    for _ in range(130):
        worker.round()
    assert [] == marked.markers_in_the_table()
    assert [(0,)] == marked.rows("SELECT count(*) FROM ashore.marker_round")


@pytest.mark.slow
def test_a_load_beside_markers_that_stayed_takes_them_for_no_items(marked: Marked) -> None:
    stayed = marker_text("left", 1, datetime.now(UTC))
    marked.table.put({"pk": {"S": stayed}, "sk": {"S": stayed}})
    marked.merging().run(markers=False)

    assert [("left_out", 1)] == marked.rows(
        "SELECT outcome, sum(items)::int FROM ashore.load_count WHERE entity = 'ashore-marker' GROUP BY outcome"
    )
    assert [(0,)] == marked.rows("SELECT count(*) FROM ashore.rejected_item")
    marked.table.delete(stayed, stayed)
    marked.run(markers=False)
    sync_world.assert_equal(marked.dsn, marked.table)


@pytest.mark.slow
def test_a_worker_without_markers_leaves_nobody_waiting_for_those_of_another(marked: Marked) -> None:
    marked.merging().run()
    moment = moment_ago(marked.conn, 0.0)
    marking.want(marked.conn, "world", moment)
    worker = marked.worker(markers=False)
    for _ in range(80):
        worker.round()

    assert None is marking.wanted(marked.conn, "world")
    assert passing(marked.conn, "world", moment).is_past


def test_law_8_a_rehearsal_measures_how_long_every_shard_takes_to_pass(marked: Marked) -> None:
    marked.merging().run()
    worker = marked.worker()
    marked.put(1, balance=7)
    seconds = [0.0]

    def pause(_: float) -> None:
        worker.round()
        seconds[0] += 1.0

    found = rehearse(marked.conn, "world", patience_seconds=200.0, clock=lambda: seconds[0], pause=pause)

    assert (True, "by markers") == (found.is_past, found.passed.how)
    assert {"shard-0001", "shard-0002"} == found.by_marker.keys()
    assert max(found.by_marker.values()) == found.seconds > 0
    assert [(7,)] == marked.rows("SELECT balance FROM world.account WHERE account_id = '1'")
    assert json.dumps(found.as_json())


def test_law_8_a_rehearsal_names_the_shards_that_pass_by_time_and_ends_when_its_patience_does(marked: Marked) -> None:
    marked.merging().run()
    hidden = marked.table.add_unreachable()
    worker = marked.worker()
    found = rehearse(marked.conn, "world", patience_seconds=60.0, pause=lambda _: many_rounds(worker))
    assert (True, (hidden.id,)) == (found.is_past, found.passed.unmarked)

    seconds = iter(range(100))
    found = rehearse(
        marked.conn, "world", patience_seconds=5.0, clock=lambda: float(next(seconds)), pause=lambda _: None
    )
    assert (False, 6.0) == (found.is_past, found.seconds)
