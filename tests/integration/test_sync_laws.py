"""The laws of the crossing that a sync obeys, and the holes through which others lose data: a test for each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests import sync_world
from tests.crossing import Crossing, account, lose_a_record, many_rounds, note, repairing
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.dynamodb.errors import Throttled
from ashore.ledger import loads, pending, repairs, streams
from ashore.ledger.errors import LeaseLost
from ashore.ledger.passing import passing
from ashore.ledger.repairs import key_hash
from ashore.model.change import Change, Start
from ashore.postgres.connect import connect
from ashore.sync.errors import GapWhileLoading, RecordsLost, StreamReplaced
from ashore.sync.prepare import Prepared, Preparer


@pytest.fixture
def crossing(postgres_dsn: str) -> Iterator[Crossing]:
    made = Crossing(postgres_dsn)
    yield made
    for worker in made.workers:
        worker.conn.close()


def test_law_1_a_state_does_not_change_while_a_batch_that_was_routed_by_it_is_open(crossing: Crossing) -> None:
    crossing.synced()
    with (
        connect(crossing.dsn, application_name="batch", autocommit=True) as batch,
        connect(crossing.dsn, application_name="switch", autocommit=True) as switch,
        batch.transaction(),
    ):
        loads.lock_states(batch, "world")
        switch.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            loads.set_state(switch, source="world", entities=["account"], state="loaded")


def test_law_1_rows_that_were_made_before_a_state_changed_are_not_written(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossing.synced()
    worker = crossing.worker()
    crossing.table.put(note(1, 1))
    many_rounds(worker)
    guessed: list[tuple[str, str | None]] = []
    prepare = Preparer.prepare

    def prepare_and_switch(self: Preparer, changes: Sequence[Change]) -> Prepared:
        made = prepare(self, changes)
        found = [(one.texts[0], one.texts[1]) for one in made.newest]
        if not guessed and made.lines is not None and len({key[1] == "account" for key in found}) == 2:
            guessed.extend(found)
            crossing.do("UPDATE ashore.entity SET state = 'declared' WHERE entity = 'account'")
        return made

    monkeypatch.setattr(Preparer, "prepare", prepare_and_switch)
    for number in range(1, 10):
        crossing.table.put(account(number))
        crossing.table.put(note(number, 1))
    many_rounds(worker)
    held = sync_world.homes(crossing.dsn).rows.keys()
    assert {key for key in guessed if key[1] != "account"} == held & set(guessed)
    assert guessed


def test_law_2_open_shards_begin_at_their_oldest_record_and_later_ones_at_their_first(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[tuple[str, Start]] = []
    iterator = MemoryTable.iterator

    def noted(table: MemoryTable, arn: str, shard: str, start: Start) -> str:
        starts.append((shard, start))
        return iterator(table, arn, shard, start)

    monkeypatch.setattr(MemoryTable, "iterator", noted)
    crossing.table.put(account(1))
    crossing.begin()
    first = crossing.table.open_shards()[0]
    crossing.table.close(first, children=2)
    crossing.table.put(account(1, balance=2))

    SteppedLoad(crossing.dsn, crossing.table, ENTITIES).finish()
    crossing.assert_equal()

    kinds = {shard: start.kind for shard, start in reversed(starts)}
    assert {kinds[shard] for shard in kinds if shard in {"shard-0001", "shard-0002"}} == {"TRIM_HORIZON"}
    assert {kinds[shard] for shard in kinds if shard not in {"shard-0001", "shard-0002"}} == {"AT_SEQUENCE_NUMBER"}


def test_law_4_what_is_captured_while_it_is_merged_is_not_lost(crossing: Crossing) -> None:
    crossing.begin()
    load = SteppedLoad(crossing.dsn, crossing.table, ENTITIES)
    crossing.table.put(account(1, balance=1))
    worker = crossing.worker()
    while not crossing.rows("SELECT 1 FROM ashore.pending_change"):
        worker.round()
    number = load.open.record.id
    load.finish()
    with connect(crossing.dsn, application_name="merge", autocommit=True) as merging, merging.transaction():
        [taken] = pending.take_pending(merging, [number], ["account"], most=10)
        crossing.table.put(account(1, balance=2))
        with connect(crossing.dsn, application_name="capture", autocommit=True) as capturing:
            capturing.execute("SET lock_timeout = '50ms'")
            pending.make_stage(capturing)
            capture = pending.Capture(
                load=number, entity="account", key_hash=key_hash(taken.key), key=taken.key, change=taken
            )
            with pytest.raises(psycopg.errors.LockNotAvailable), capturing.transaction():
                pending.capture(capturing, "shard-0001", [capture])
        raise psycopg.Rollback
    worker.leave()
    crossing.assert_equal()


def test_law_5_unique_values_that_two_items_swap_are_applied_and_rows_may_come_before_what_they_refer_to(
    crossing: Crossing,
) -> None:
    crossing.table.put(account(1, email="one"))
    crossing.table.put(account(2, email="two"))
    crossing.synced()
    crossing.table.put(note(1, owner=9))  # of an account that does not exist yet
    crossing.table.put(account(1, email="two"))
    worker = crossing.worker()
    while not crossing.rows("SELECT 1 FROM ashore.parked_change"):
        worker.round()
    assert crossing.rows("SELECT account_id FROM world.account") == [("2",)], "a parked change has no row beside it"
    worker.leave()

    crossing.table.put(account(2, email="one"))
    crossing.table.put(account(9))

    crossing.assert_equal()
    assert crossing.rows("SELECT count(*) FROM ashore.parked_change") == [(0,)]


def test_law_6_a_shard_that_ended_without_a_listed_child_has_not_passed(crossing: Crossing) -> None:
    crossing.synced()
    for shard in crossing.table.open_shards():
        crossing.table.close(shard, children=1, is_listed=False)
    worker = crossing.worker()
    for _ in range(60):
        worker.round()
    with connect(crossing.dsn, application_name="test", autocommit=True) as conn:
        assert not passing(conn, "world", datetime.now(UTC) - timedelta(hours=1)).is_past
    worker.leave()
    crossing.table.list_all()
    crossing.table.put(account(1))
    crossing.assert_equal()


def test_law_7_a_marker_that_comes_back_says_what_its_shard_has_passed_and_is_no_item(crossing: Crossing) -> None:
    crossing.synced()
    written = datetime.now(UTC).timestamp()
    key = f"ashore-marker|made-up|{round(written * 1e6)}"
    crossing.table.put({"pk": {"S": key}, "sk": {"S": key}})
    crossing.settle()
    found = crossing.rows("SELECT extract(epoch FROM max(marked_at))::float8 FROM ashore.shard")
    assert abs(found[0][0] - written) <= 1.0
    assert crossing.rows("SELECT count(*) FROM ashore.rejected_item") == [(0,)]


def test_law_9_a_key_has_one_home_and_a_newer_change_takes_it_out_of_the_others(crossing: Crossing) -> None:
    crossing.synced()
    for item, rejected, rows in (
        (account(1), 0, 1),
        (account(1) | {"balance": {"S": "no number"}}, 1, 0),
        (account(1, balance=2), 0, 1),
        (account(1, balance=5000), 1, 0),
        (account(1, balance=3), 0, 1),
    ):
        crossing.table.put(item)
        crossing.settle()
        assert crossing.rows("SELECT count(*) FROM ashore.rejected_item") == [(rejected,)]
        assert crossing.rows("SELECT count(*) FROM world.account") == [(rows,)]
    crossing.table.put(account(1, balance=5000))
    crossing.table.delete("account|1", "account")
    crossing.assert_equal()
    assert crossing.rows("SELECT count(*) FROM ashore.rejected_item") == [(0,)]


def test_law_10_a_repair_that_meets_a_change_reads_again(crossing: Crossing) -> None:
    crossing.table.put(account(1, balance=1))
    crossing.synced()
    crossing.do("UPDATE world.account SET balance = 77")
    key = json.dumps({"pk": {"S": "account|1"}, "sk": {"S": "account"}}, separators=(",", ":")).encode()
    with connect(crossing.dsn, application_name="test", autocommit=True) as conn:
        repairs.ask_repair(conn, "world", [(key_hash(key), key, "account")], reason="verify")
    read = crossing.table.get_items
    reads = []

    def changing(keys: Any, *, consistent: bool = True) -> list[bytes]:
        found = read(keys, consistent=consistent)
        reads.append(found)
        if len(reads) == 1:
            crossing.table.put(account(1, balance=2))  # just after it was read
        return found

    crossing.table.get_items = changing  # type: ignore[method-assign]
    crossing.assert_equal()
    assert len(reads) >= 4, "it was read again after the change, and once more after it was written"
    assert crossing.rows("SELECT balance FROM world.account") == [(2,)]


def test_h1_a_delete_during_the_load_is_not_overridden_by_the_load(crossing: Crossing) -> None:
    for number in range(1, 20):
        crossing.table.put(account(number))
    crossing.begin()
    load = SteppedLoad(crossing.dsn, crossing.table, ENTITIES)
    load.step()
    for number in range(1, 20):
        crossing.table.delete(f"account|{number}", "account")
    load.finish()
    crossing.assert_equal()
    assert crossing.rows("SELECT count(*) FROM world.account") == [(0,)]


def test_h2_a_closed_shard_is_read_to_its_end_before_its_children(crossing: Crossing) -> None:
    crossing.synced()
    crossing.table.empties = 3
    for number in range(40):
        crossing.table.put(account(1, balance=number))
    for shard in crossing.table.open_shards():
        crossing.table.close(shard, children=2)
    for number in range(40):
        crossing.table.put(account(1, balance=100 + number))
    crossing.assert_equal()
    assert crossing.rows("SELECT balance FROM world.account") == [(139,)]


def test_h3_a_failed_write_stops_the_worker_and_its_position_stays(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossing.synced()
    before = sync_world.positions(crossing.dsn)
    crossing.table.put(account(1))
    crossing.do("ALTER TABLE world.account RENAME TO hidden")
    worker = crossing.worker()
    with pytest.raises(psycopg.errors.UndefinedTable):
        many_rounds(worker)
    assert sync_world.positions(crossing.dsn) == before
    crossing.do("ALTER TABLE world.hidden RENAME TO account")
    crossing.assert_equal()


def test_h4_sequence_numbers_are_compared_as_integers(crossing: Crossing) -> None:
    crossing.synced()
    for number in range(30):  # from 9,999,990 on: the text of a later number is smaller
        crossing.table.put(account(1, balance=number))
        if number % 7 == 0:
            crossing.settle()
    crossing.assert_equal()
    assert crossing.rows("SELECT balance FROM world.account") == [(29,)]


def test_h5_a_restarted_worker_goes_on_where_the_stream_was_left(crossing: Crossing) -> None:
    crossing.synced()
    crossing.table.put(account(1))
    crossing.settle()
    [(records,)] = crossing.rows("SELECT sum(records)::int FROM ashore.shard")
    crossing.settle()
    crossing.settle()
    assert crossing.rows("SELECT sum(records)::int FROM ashore.shard") == [(records,)]


def test_h6_and_h7_and_h14_many_changes_of_a_key_in_one_second_and_one_page_end_as_the_last(crossing: Crossing) -> None:
    crossing.synced()
    crossing.table.put(account(1))
    crossing.table.put(account(1, balance=2))
    crossing.table.put(account(2))
    crossing.table.delete("account|2", "account")
    crossing.table.delete("account|1", "account")
    crossing.table.put(account(1, balance=3))
    crossing.assert_equal()
    assert crossing.rows("SELECT account_id, balance FROM world.account") == [("1", 3)]


def test_h8_the_last_few_records_of_a_shard_are_applied(crossing: Crossing) -> None:
    crossing.synced()
    for number in range(1, 4):
        crossing.table.put(account(number))
        crossing.settle()
        assert crossing.rows("SELECT count(*) FROM world.account") == [(number,)]


def test_h10_a_position_is_saved_with_the_data_or_not_at_all(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossing.synced()
    before = sync_world.positions(crossing.dsn)
    crossing.table.put(account(1))
    advance = streams.advance

    def dies(*arguments: Any, **named: Any) -> Any:
        advance(*arguments, **named)
        raise MemoryError

    monkeypatch.setattr(streams, "advance", dies)
    worker = crossing.worker()
    with pytest.raises(MemoryError):
        many_rounds(worker)
    assert sync_world.positions(crossing.dsn) == before
    assert crossing.rows("SELECT count(*) FROM world.account") == [(0,)]
    monkeypatch.undo()
    crossing.assert_equal()


def test_a_worker_whose_lease_was_taken_over_writes_nothing(crossing: Crossing) -> None:
    crossing.synced()
    slow, quick = crossing.worker(lease_seconds=0.0), crossing.worker()
    slow.round()
    crossing.table.put(account(1))
    shard = next(iter(slow._readers.values())).shard
    quick.round()
    quick.round()
    page = slow.writer.preparer.prepare([])
    with pytest.raises(LeaseLost):
        slow.writer.write(slow.name, shard, page, streams.Progress(position=None, records=0))


def test_a_shard_that_nobody_read_for_a_day_is_not_taken_to_be_whole(crossing: Crossing) -> None:
    crossing.synced()
    crossing.do("UPDATE ashore.shard SET passed_at = now() - interval '24 hours', marked_at = NULL")
    crossing.table.put(account(1))
    worker = crossing.worker()
    with pytest.raises(RecordsLost):
        many_rounds(worker)
    worker.leave()
    assert crossing.rows("SELECT count(*) FROM world.account") == [(0,)]
    assert crossing.rows("SELECT DISTINCT kind FROM ashore.gap") == [("unknown_start",)]


def test_a_worker_that_lost_its_lease_takes_nothing_for_a_gap(crossing: Crossing) -> None:
    crossing.table.put(account(1))
    crossing.synced()
    slow = crossing.worker(lease_seconds=0.0)
    slow.round()
    readers = dict(slow._readers)
    crossing.table.put(account(1, balance=2))
    crossing.settle()  # by another worker, which has taken the shards over
    for shard in crossing.table.open_shards():
        crossing.table.trim(shard, len(shard.records))
    slow._reads.clear()
    slow._readers.update(readers)
    slow.order = sync_world.order(crossing.dsn, crossing.table, on_gap="repair", tend_seconds=1e9)
    slow._list_soon = False
    many_rounds(slow)
    assert crossing.rows("SELECT * FROM ashore.gap") == []
    crossing.assert_equal()


def test_records_that_were_trimmed_before_they_were_read_stop_the_worker_by_name(crossing: Crossing) -> None:
    crossing.table.put(account(1))
    crossing.synced()
    shard = lose_a_record(crossing)
    for _ in range(2):  # and it does not go on by being started again
        worker = crossing.worker()
        with pytest.raises(RecordsLost) as stopped:
            many_rounds(worker)
        worker.leave()
        assert stopped.value.shard == shard.id
    assert crossing.rows("SELECT kind, decision FROM ashore.gap") == [("trimmed", None)]


def test_a_shard_that_vanished_before_it_was_read_stops_the_worker_by_name(crossing: Crossing) -> None:
    crossing.table.put(account(1))
    crossing.synced()
    gone = crossing.table.open_shards()[0]
    crossing.table.close(gone, children=1)
    crossing.table.vanish(gone)
    with pytest.raises(RecordsLost) as stopped:
        many_rounds(crossing.worker())
    assert stopped.value.shard == gone.id
    assert crossing.rows("SELECT kind FROM ashore.gap") == [("vanished",)]


def test_a_shard_that_the_list_leaves_out_for_a_while_is_no_gap(crossing: Crossing) -> None:
    crossing.synced()
    crossing.table.open_shards()[0].is_listed = False
    many_rounds(crossing.worker())
    assert crossing.rows("SELECT * FROM ashore.gap") == []


def test_on_gap_repair_goes_on_after_what_was_lost_and_remembers_it(crossing: Crossing) -> None:
    crossing.table.put(account(1))
    crossing.synced()
    lose_a_record(crossing)
    worker = repairing(crossing)
    for _ in range(80):
        worker.round()
    assert crossing.rows("SELECT kind, decision, repaired_at FROM ashore.gap") == [("trimmed", "repair", None)]
    assert crossing.rows("SELECT balance FROM world.account WHERE account_id = '1'") == [(3,)]


def test_after_a_day_without_a_reader_on_gap_repair_goes_on_with_one_gap_a_shard(crossing: Crossing) -> None:
    crossing.table.put(account(1))
    crossing.synced()
    lose_a_record(crossing)
    crossing.do("UPDATE ashore.shard SET passed_at = now() - interval '30 hours', marked_at = NULL, position = NULL")
    many_rounds(repairing(crossing))
    assert crossing.rows("SELECT shard, count(*) FROM ashore.gap GROUP BY shard ORDER BY shard") == [
        (one.id, 1) for one in crossing.table.open_shards()
    ]
    assert crossing.rows("SELECT balance FROM world.account WHERE account_id = '1'") == [(3,)]


def test_a_gap_while_entities_load_ends_their_attempt(crossing: Crossing) -> None:
    crossing.table.put(account(1))
    crossing.begin()
    load = SteppedLoad(crossing.dsn, crossing.table, ENTITIES)
    worker = crossing.worker()
    for _ in range(20):
        worker.round()
    worker.leave()
    lose_a_record(crossing)
    worker = repairing(crossing)
    with pytest.raises(GapWhileLoading):
        many_rounds(worker)
    worker.leave()
    load.drop()
    assert crossing.rows("SELECT count(*) FROM ashore.pending_change") == [(0,)]
    SteppedLoad(crossing.dsn, crossing.table, ENTITIES, restart=True).finish()
    crossing.assert_equal()


def test_a_stream_that_was_switched_off_and_on_is_refused(crossing: Crossing) -> None:
    crossing.synced()
    crossing.table.replace_stream()
    with pytest.raises(StreamReplaced):
        crossing.worker().round()


def test_a_source_that_fails_ends_the_worker_and_nothing_is_skipped(crossing: Crossing) -> None:
    crossing.synced()
    crossing.table.put(account(1))
    crossing.table.fail_next(Throttled("DescribeStream", "memory", 3, 300.0))
    worker = crossing.worker()
    with pytest.raises(Throttled):
        many_rounds(worker)
    worker.leave()
    crossing.assert_equal()
