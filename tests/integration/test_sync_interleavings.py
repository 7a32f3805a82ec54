"""Interleavings of workers, loads, pauses and listings that would lose, double or age a change; a test for each."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from tests import sync_world
from tests.crossing import Crossing, account, lose_a_record, many_rounds, note, repairing
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.ledger import leases, pending, streams
from ashore.ledger.errors import LeaseLost
from ashore.ledger.streams import Progress
from ashore.model.change import Change, Shard
from ashore.observe.events import Event, SyncReconnecting
from ashore.pipeline.sync import run_worker
from ashore.postgres.connect import connect
from ashore.sync.errors import ClocksDiffer, GapWhileLoading, RecordsLost
from ashore.sync.parked import retry_parked
from ashore.sync.shards import ShardReader
from ashore.sync.stop import set_paused, stop
from ashore.sync.worker import Worker


@pytest.fixture
def crossing(postgres_dsn: str) -> Iterator[Crossing]:
    made = Crossing(postgres_dsn)
    yield made
    for worker in made.workers:
        worker.conn.close()


def test_a_gap_of_more_than_a_day_is_found_once_and_then_gone_on_after(crossing: Crossing) -> None:
    crossing.table.put(account(1))
    crossing.synced()
    lose_a_record(crossing)
    crossing.do(
        "UPDATE ashore.shard SET passed_at = now() - interval '25 hours', marked_at = NULL,"
        " listed_at = now() - interval '25 hours' WHERE position IS NOT NULL"
    )
    many_rounds(repairing(crossing))
    assert crossing.rows("SELECT kind FROM ashore.gap") == [("trimmed",)]
    assert crossing.rows("SELECT balance FROM world.account WHERE account_id = '1'") == [(3,)]


def test_a_start_that_nobody_can_know_any_more_is_one_gap_and_is_gone_on_after(crossing: Crossing) -> None:
    crossing.synced()
    crossing.do("UPDATE ashore.shard SET passed_at = now() - interval '25 hours', marked_at = NULL, position = NULL")
    crossing.table.put(account(1))
    many_rounds(repairing(crossing))
    assert crossing.rows("SELECT shard, count(*) FROM ashore.gap GROUP BY shard ORDER BY shard") == [
        ("shard-0001", 1),
        ("shard-0002", 1),
    ]
    assert crossing.rows("SELECT balance FROM world.account WHERE account_id = '1'") == [(1,)]


def test_a_load_whose_attempt_was_ended_by_a_gap_writes_nothing_more(crossing: Crossing) -> None:
    for number in range(1, 20):
        crossing.table.put(account(number))
    crossing.begin()
    load = SteppedLoad(crossing.dsn, crossing.table, ENTITIES)
    load.step()
    many_rounds(crossing.worker())
    crossing.workers[-1].leave()
    lose_a_record(crossing)
    with pytest.raises(GapWhileLoading):
        many_rounds(repairing(crossing))
    before = crossing.rows("SELECT count(*) FROM world.account")
    with pytest.raises(LeaseLost):
        _steps(load)
    load.drop()
    assert crossing.rows("SELECT count(*) FROM world.account") == before
    assert crossing.rows("SELECT phase FROM ashore.load") == [("discarded",)]


def test_a_load_beside_a_sync_that_was_stopped_writes_nothing_more(crossing: Crossing) -> None:
    for number in range(1, 20):
        crossing.table.put(account(number))
    crossing.begin()
    load = SteppedLoad(crossing.dsn, crossing.table, ENTITIES)
    load.step()
    with connect(crossing.dsn, application_name="test", autocommit=True) as conn:
        stop(conn, "world")
    before = crossing.rows("SELECT count(*) FROM world.account")
    with pytest.raises(LeaseLost):
        _steps(load)
    load.drop()
    assert crossing.rows("SELECT count(*) FROM world.account") == before
    assert crossing.rows("SELECT phase FROM ashore.load") == [("discarded",)]


def test_a_worker_that_has_not_heard_of_a_pause_yet_moves_no_shard(crossing: Crossing) -> None:
    crossing.synced()
    worker = crossing.worker(lease_seconds=30.0)
    worker.round()
    worker.order = sync_world.order(crossing.dsn, crossing.table, tend_seconds=1e9)
    worker._list_soon = False
    with connect(crossing.dsn, application_name="test", autocommit=True) as conn:
        set_paused(conn, "world", paused=True)
        before = crossing.rows("SELECT shard, position, batches FROM ashore.shard ORDER BY shard")
        crossing.table.put(account(1))
        many_rounds(worker)
        assert crossing.rows("SELECT shard, position, batches FROM ashore.shard ORDER BY shard") == before
        assert leases.take(conn, "world", "another", most=9, seconds=30.0) == []
        set_paused(conn, "world", paused=False)
    crossing.assert_equal()


def test_a_shard_waits_for_its_parent_that_split_while_the_stream_was_begun(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = crossing.table
    parent = table.open_shards()[0]
    mine = next(number for number in range(1, 99) if table._shard_of((f"account|{number}", "account")) is parent)

    def splits(_: str) -> Iterator[Sequence[Shard]]:
        yield [Shard(id=one.id, parent=None, first=one.first, last=None) for one in table.open_shards()]
        for balance in range(40):
            table.put(account(mine, balance=balance))
        table.close(parent, children=1)
        table.put(account(mine, balance=99))
        child = table.open_shards()[-1]
        yield [Shard(id=child.id, parent=child.parent, first=child.first, last=None)]

    with monkeypatch.context() as patched:
        patched.setattr(table, "shards", splits)
        crossing.begin()
    SteppedLoad(crossing.dsn, table, ENTITIES).finish()
    crossing.assert_equal()
    assert crossing.rows("SELECT balance FROM world.account") == [(99,)]


def test_a_parent_that_is_listed_only_after_its_child_was_begun_is_not_read(crossing: Crossing) -> None:
    table = crossing.table
    table.put(account(1, balance=1))
    parent = next(one for one in table.open_shards() if one.records)
    table.close(parent, children=1)
    parent.is_listed = False
    table.put(account(1, balance=2))
    crossing.synced()
    parent.is_listed = True
    crossing.assert_equal()
    assert crossing.rows("SELECT state FROM ashore.shard WHERE NOT at_horizon") == [("skipped",)]


def test_no_generation_of_before_the_beginning_is_read_however_late_it_is_listed(crossing: Crossing) -> None:
    table = crossing.table
    table.put(account(1, balance=1))
    late = []
    for balance in (2, 3, 4):
        late.append(next(one for one in table.open_shards() if one.records))
        table.close(late[-1], children=1)
        table.put(account(1, balance=balance))
    for one in late:
        one.is_listed = False
    crossing.synced()
    for one in late:
        one.is_listed = True
    crossing.assert_equal()
    assert crossing.rows("SELECT state FROM ashore.shard WHERE NOT at_horizon") == 3 * [("skipped",)]


def test_a_worker_that_postgresql_ends_a_deadlock_with_goes_on(crossing: Crossing) -> None:
    crossing.synced()
    reasons: list[str] = []
    ended = threading.Event()

    def heard(event: Event) -> None:
        if isinstance(event, SyncReconnecting):
            reasons.append(event.reason)
            ended.set()

    order = sync_world.order(crossing.dsn, crossing.table, lease_seconds=30.0)
    first, last = crossing.rows("SELECT min(shard), max(shard) FROM ashore.shard WHERE state = 'open'")[0]
    lock = b"SELECT FROM ashore.shard WHERE shard = %s FOR UPDATE"
    worker = threading.Thread(target=run_worker, args=(order, ended), kwargs={"emit": heard})
    with psycopg.connect(crossing.dsn) as other:
        other.execute("SET deadlock_timeout = '1min'")  # so that it is the worker that is ended
        worker.start()
        while worker.is_alive() and not ended.is_set():
            other.execute(lock, (last,))
            time.sleep(0.2)  # the worker locks the first shard meanwhile, and waits for this one
            other.execute(lock, (first,))
            other.rollback()
    worker.join()
    assert len(reasons) == 1
    crossing.assert_equal()


@pytest.mark.parametrize("on_gap", ["stop", "repair"])
def test_what_another_worker_has_read_meanwhile_is_no_gap(crossing: Crossing, on_gap: Any) -> None:
    crossing.table.put(account(1))
    crossing.synced()
    with connect(crossing.dsn, application_name="test", autocommit=True) as conn:
        [(now,)] = conn.execute("SELECT clock_timestamp()").fetchall()
        stale = next(one for one in streams.not_seen(conn, "world", now) if one.position is not None)
    crossing.table.put(account(1, balance=2))
    crossing.settle()
    shard = crossing.table.shards_by_id[stale.shard]
    crossing.table.trim(shard, len(shard.records))
    lister = crossing.worker()
    lister.order = sync_world.order(crossing.dsn, crossing.table, on_gap=on_gap)
    lister._look_for(ShardReader(order=lister.order, arn=crossing.table.arn, shard=stale))
    assert crossing.rows("SELECT * FROM ashore.gap") == []
    crossing.assert_equal()


def test_a_gap_that_stopped_the_workers_is_one_gap_once_they_may_go_on(crossing: Crossing) -> None:
    crossing.table.put(account(1))
    crossing.synced()
    lose_a_record(crossing)
    with pytest.raises(RecordsLost):
        many_rounds(crossing.worker())
    crossing.workers[-1].leave()
    many_rounds(repairing(crossing))
    assert crossing.rows("SELECT kind, decision FROM ashore.gap") == [("trimmed", "repair")]


@pytest.mark.parametrize("seconds", [-90.0, 90.0])
def test_a_worker_whose_clock_is_wrong_says_so_and_reads_nothing(crossing: Crossing, seconds: float) -> None:
    crossing.synced()
    worker = crossing.worker()
    worker.order = sync_world.order(
        crossing.dsn, crossing.table, clock=lambda: time.time() + seconds, margin_seconds=5.0
    )
    before = crossing.rows("SELECT shard, batches FROM ashore.shard ORDER BY shard")
    with pytest.raises(ClocksDiffer) as refused:
        many_rounds(worker)
    assert round(abs(refused.value.seconds)) == 90
    assert crossing.rows("SELECT shard, batches FROM ashore.shard ORDER BY shard") == before


def _steps(load: SteppedLoad) -> None:
    while not load.is_done:
        load.step()


@pytest.mark.parametrize("folder", ["archive", "bin"])
def test_a_copy_finds_its_original_in_the_same_batch_though_an_item_between_them_is_refused(
    crossing: Crossing, folder: str
) -> None:
    crossing.synced()
    worker, _ = _two(crossing)
    copy = {**note(1, 1), "pk": {"S": f"{folder}|1"}, "sk": {"S": "1"}}
    items = [copy, account(1, balance=5000), note(1, 1)]
    for item in items:
        crossing.table.put(item)
    _write(worker, *items)
    sync_world.assert_equal(crossing.dsn, crossing.table)


@pytest.mark.parametrize(
    "arrival",
    [note(1, 1), {**note(1, 1, "fits"), "pk": {"S": "archive|1"}, "sk": {"S": "2"}}],
    ids=["its original", "a sibling that is promoted"],
)
def test_a_copy_that_a_load_rejected_since_it_cannot_be_promoted_is_a_copy_once_it_has_an_original(
    crossing: Crossing, arrival: dict[str, Any]
) -> None:
    crossing.begin()
    crossing.table.put({**note(1, 1, "nul\0"), "pk": {"S": "archive|1"}, "sk": {"S": "1"}})
    crossing.settle()  # its record is passed by before the load: no later batch looks at it again
    crossing.synced()
    assert crossing.rows("SELECT reason FROM ashore.rejected_item") == [("nul_in_text",)]
    crossing.table.put(arrival)
    crossing.assert_equal()


# Two transactions at once: the first is held just before it ends, until the second waits for it or is through.


def test_a_parked_change_that_is_tried_again_does_not_outlive_a_newer_one(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossing.table.put(account(1, email="one"))
    crossing.synced()
    crossing.table.put(account(2, email="one"))
    crossing.settle()
    assert crossing.rows("SELECT count(*) FROM ashore.parked_change") == [(1,)]
    first, second = _two(crossing)
    _at_once(
        crossing,
        monkeypatch,
        held=(pending, "park"),
        first=lambda: retry_parked(first.writer),
        second=lambda: _write(second, account(2, email="two")),
    )
    assert crossing.rows("SELECT account_id, email FROM world.account ORDER BY 1") == [("1", "one"), ("2", "two")]
    assert crossing.rows("SELECT count(*) FROM ashore.parked_change") == [(0,)]


def test_an_item_that_is_rejected_for_the_sake_of_another_has_no_row_by_a_change_of_its_own_at_the_same_time(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossing.table.put(account(1))
    crossing.synced()
    first, second = _two(crossing)
    crossing.table.put(account(1, balance=7))
    crossing.table.put(account(1, old=True))
    _at_once(
        crossing,
        monkeypatch,
        held=(streams, "advance"),
        first=lambda: _write(first, account(1, old=True)),
        second=lambda: _write(second, account(1, balance=7)),
    )
    assert crossing.rows("SELECT count(*) FROM world.account") == [(0,)]
    assert crossing.rows("SELECT reason FROM ashore.rejected_item") == [("duplicate_key",), ("duplicate_key",)]


@pytest.mark.parametrize("folder", ["archive", "bin"])
def test_a_copy_finds_an_original_that_another_worker_writes_at_the_same_time(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    crossing.synced()
    first, second = _two(crossing)
    copy = {**note(1, 1), "pk": {"S": f"{folder}|1"}, "sk": {"S": "1"}}
    crossing.table.put(copy)
    crossing.table.put(note(1, 1))
    _at_once(
        crossing,
        monkeypatch,
        held=(streams, "advance"),
        first=lambda: _write(first, copy),
        second=lambda: _write(second, note(1, 1)),
    )
    for _ in range(20):  # the leader of the two works the repair queue
        first.tend()
        second.tend()
    assert crossing.rows("SELECT promoted FROM world.note_copy") == [(False,)]
    sync_world.assert_equal(crossing.dsn, crossing.table)


def _two(crossing: Crossing) -> tuple[Worker, Worker]:
    """Two workers that have a shard each and are ready to write."""
    first, second = crossing.worker(lease_seconds=30.0), crossing.worker(lease_seconds=30.0)
    for worker in (first, second, first, second):
        worker.tend()
    for worker in (first, second):
        worker.writer.applier.open(ENTITIES)
        assert len(worker._readers) == 1
    return first, second


def _write(worker: Worker, *items: dict[str, Any]) -> None:
    [reader] = worker._readers.values()
    changes = []
    for item in items:
        key = json.dumps({"pk": item["pk"], "sk": item["sk"]}).encode()
        changes.append(Change(99_999_999, key, json.dumps(item).encode(), time.time()))
    page = worker.writer.preparer.prepare(changes)
    worker.writer.write(worker.name, reader.shard, page, Progress(position=None, records=0))


def _at_once(
    crossing: Crossing,
    monkeypatch: pytest.MonkeyPatch,
    *,
    held: tuple[Any, str],
    first: Callable[[], Any],
    second: Callable[[], Any],
) -> None:
    module, name = held
    plain = getattr(module, name)
    holder: list[int] = []
    is_held, may_go = threading.Event(), threading.Event()

    def holding(*arguments: Any, **named: Any) -> Any:
        if threading.get_ident() in holder and not is_held.is_set():
            is_held.set()
            assert may_go.wait(20)
        return plain(*arguments, **named)

    def noted() -> None:
        holder.append(threading.get_ident())
        first()

    monkeypatch.setattr(module, name, holding)
    with ThreadPoolExecutor(2) as threads, psycopg.connect(crossing.dsn, autocommit=True) as conn:
        one = threads.submit(noted)
        assert is_held.wait(20)
        two = threads.submit(second)
        give_up_at = time.monotonic() + 20
        while not two.done() and not _waits_for_a_lock(conn) and time.monotonic() < give_up_at:
            time.sleep(0.01)
        may_go.set()
        one.result(20)
        two.result(20)
    monkeypatch.undo()


def _waits_for_a_lock(conn: psycopg.Connection[Any]) -> bool:
    found = conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return found != (0,)


def test_a_load_that_was_given_up_does_not_keep_tables_from_being_made_that_refer_to_its_own(
    crossing: Crossing,
) -> None:
    crossing.table.put(account(1))
    crossing.table.put(note(1, 1))
    crossing.begin()
    one = SteppedLoad(crossing.dsn, crossing.table, ("account",))
    one.step()
    one.drop()
    SteppedLoad(crossing.dsn, crossing.table, ENTITIES, restart=True).finish()
    crossing.assert_equal()
