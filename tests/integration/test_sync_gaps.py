"""Records that were lost, and how the copy becomes whole again: from incremental exports, or by a new load."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests import sync_world
from tests.crossing import Crossing, account, many_rounds, note
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.dynamodb.changes_export import ChangesExport, changes_exports
from ashore.dynamodb.settings import Aws
from ashore.ledger import gaps, streams, written
from ashore.local.export_writer import WrittenKey, write_changes_export
from ashore.pipeline.gaps import GapsRepaired, gaps_of, repair_from_exports
from ashore.postgres.connect import connect
from ashore.sync import worker as sync_worker
from ashore.sync.errors import (
    ExportOfOtherTable,
    GapNotCovered,
    GapStillGrows,
    GapWhileLoading,
    GapWithoutBeginning,
    RecordsLost,
)

HOUR = timedelta(hours=1)


@dataclass
class LostCrossing(Crossing):
    """A sync that goes on after a gap, and what DynamoDB would export of its table."""

    folder: Path
    dsn: str = field(repr=False)
    before: Mapping[tuple[str, str], bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        Crossing.__init__(self, self.dsn)

    def window_begins(self) -> None:
        """From now on what is written is in the export."""
        self.before = dict(self.table.items)

    def lose_all_unread(self) -> None:
        """Trim every record that is there."""
        for shard in self.table.open_shards():
            self.table.trim(shard, len(shard.records))

    def go_on(self) -> None:
        """A worker that goes on after gaps, until it has read all that there is."""
        worker = self.worker()
        worker.order = sync_world.order(self.dsn, self.table, on_gap="repair")
        try:
            for _ in range(60):
                worker.round()
        finally:
            worker.leave()

    def export(self, *touched: Mapping[str, Any], name: str = "one", window: Any = None, **about: Any) -> ChangesExport:
        """What an incremental export has of keys that were written: nothing of what was neither before nor is now."""
        now = datetime.now(UTC)
        changes = []
        for item in touched:
            key = (item["pk"]["S"], item["sk"]["S"])
            old, new = (
                None if raw is None else json.loads(raw) for raw in (self.before.get(key), self.table.items.get(key))
            )
            if old is not None or new is not None:
                changes.append(WrittenKey(key={"pk": item["pk"], "sk": item["sk"]}, old=old, new=new, at=now))
        about = {"table_arn": self.table.origin["table_arn"], "table_id": "one"} | about
        window = window or (now - HOUR, now + HOUR)
        home = write_changes_export(self.folder / name, changes, window=window, **about)
        [export] = changes_exports(str(home), Aws())
        return export

    def repair(self, *exports: ChangesExport, dry_run: bool = False) -> GapsRepaired:
        return repair_from_exports(plan=sync_world.plan, dsn=self.dsn, exports=exports, dry_run=dry_run)

    def open(self) -> int:
        return len(self.rows("SELECT 1 FROM ashore.gap WHERE repaired_at IS NULL"))

    def queued(self) -> int:
        return int(self.rows("SELECT count(*) FROM ashore.repair")[0][0])


@pytest.fixture
def lost(postgres_dsn: str, tmp_path: Path) -> Iterator[LostCrossing]:
    made = LostCrossing(folder=tmp_path, dsn=postgres_dsn)
    yield made
    for worker in made.workers:
        worker.conn.close()


def test_what_was_lost_is_repaired_from_an_export_and_the_gap_closes_when_its_keys_have_left_the_queue(
    lost: LostCrossing,
) -> None:
    for number in range(1, 6):
        lost.table.put(account(number))
    lost.table.put(note(1, owner=1))
    lost.synced()
    lost.window_begins()
    changed = account(1, balance=2)
    lost.table.put(changed)
    lost.table.put(account(6))
    lost.table.delete("account|2", "account")
    lost.table.delete("owner|1", "note|1")
    lost.lose_all_unread()
    lost.go_on()
    found = lost.open()
    assert found > 0
    export = lost.export(changed, account(6), account(2), note(1, owner=1))

    dry = lost.repair(export, dry_run=True)
    assert (dict(dry.keys), lost.queued(), lost.open()) == ({"account": 3, "note": 1}, 0, found)
    done = lost.repair(export)

    assert (dict(done.keys), done.closed, done.left, len(done.asked)) == (dict(dry.keys), (), (), found)
    assert lost.open() == found, "nothing is repaired before the queue has been worked"
    lost.assert_equal()
    assert (lost.open(), lost.queued()) == (0, 0)
    assert lost.repair(export).asked == ()


def test_a_row_whose_item_was_made_before_and_deleted_in_the_gap_goes_although_no_export_names_it(
    lost: LostCrossing,
) -> None:
    lost.table.put(account(1))
    lost.synced()
    lost.window_begins()
    short_lived = [account(7), note(7, owner=1), account(8, balance=5000)]  # the last one is rejected
    copy = {**note(1, owner=1), "pk": {"S": "bin|1"}, "sk": {"S": "4"}}
    for item in (*short_lived, copy):
        lost.table.put(item)
    lost.settle()
    assert lost.rows("SELECT count(*) FROM world.account") == [(2,)]
    assert lost.rows("SELECT count(*) FROM ashore.rejected_item WHERE reason <> 'orphan_copy'") >= [(1,)]
    for item in (*short_lived, copy):
        lost.table.delete(item["pk"]["S"], item["sk"]["S"])
    lost.lose_all_unread()
    lost.go_on()
    export = lost.export(*short_lived, copy)
    assert [] == [key for block in export.changed() for key in block]

    done = lost.repair(export)

    assert dict(done.keys) == {}
    assert done.recent >= 3
    lost.assert_equal()
    assert lost.open() == 0


def test_rows_from_long_before_an_export_are_not_read_again(lost: LostCrossing) -> None:
    lost.table.put(account(1))
    lost.synced()
    lost.do("UPDATE ashore.written_mark SET at = at - interval '3 hours'")
    with connect(lost.dsn, application_name="test", autocommit=True) as conn:
        written.mark_written(conn, "world", seconds=0.0)
        lost.do("UPDATE ashore.written_mark SET at = now() - interval '2 hours' WHERE at > now() - interval '1 hour'")
        lost.table.put(account(2))
        lost.settle()
        since = written.written_since(conn, "world", datetime.now(UTC) - HOUR)
        table = sync_world.tables(conn)["world.account"]
        assert [[("2",)]] == list(written.keys_written_since(conn, table, ["account_id"], since))
        assert [[("1",), ("2",)]] == [
            sorted(one) for one in written.keys_written_since(conn, table, ["account_id"], None)
        ]
        lost.do("UPDATE ashore.written_mark SET xid = '999999999999'")  # restored into another server
        assert written.written_since(conn, "world", datetime.now(UTC)) is None


def test_exports_that_do_not_cover_a_gap_are_refused_with_the_window_that_is_missing(lost: LostCrossing) -> None:
    lost.table.put(account(1))
    lost.synced()
    lost.table.put(account(1, balance=2))
    lost.lose_all_unread()
    lost.go_on()
    now = datetime.now(UTC)
    early = lost.export(account(1), window=(now - HOUR, now))
    with pytest.raises(GapNotCovered) as refused:
        lost.repair(early)
    assert f"from {now:%Y-%m-%d %H:%M:%S} UTC to" in str(refused.value)
    assert (lost.queued(), lost.open() > 0) == (0, True)

    late = lost.export(account(1), name="late", window=(now - timedelta(seconds=1), now + HOUR))
    assert lost.repair(early, late).left == ()
    lost.assert_equal()


def test_an_export_of_another_table_or_of_an_earlier_one_of_its_name_is_refused(lost: LostCrossing) -> None:
    lost.synced()
    for number, about in enumerate(({"table_arn": "arn:other"}, {"table_id": "before"})):
        with pytest.raises(ExportOfOtherTable):
            lost.repair(lost.export(name=f"other{number}", **about))


def test_a_gap_at_which_the_workers_stopped_grows_until_they_go_on(lost: LostCrossing) -> None:
    lost.table.put(account(1))
    lost.synced()
    lost.table.put(account(1, balance=2))
    lost.lose_all_unread()
    worker = lost.worker()
    with pytest.raises(RecordsLost):
        many_rounds(worker)
    worker.leave()
    export = lost.export(account(1))
    with pytest.raises(GapStillGrows):
        lost.repair(export)
    before = lost.rows("SELECT shard, found_at FROM ashore.gap")
    lost.go_on()
    after = dict(lost.rows("SELECT shard, found_at FROM ashore.gap"))
    assert all(after[shard] > found_at for shard, found_at in before)
    assert lost.repair(export).left == ()
    lost.assert_equal()
    assert lost.open() == 0


def test_a_gap_begins_where_its_shard_or_an_ancestor_had_got_to_and_else_nobody_knows(lost: LostCrossing) -> None:
    lost.table.put(account(1))
    lost.synced()
    lost.do("DELETE FROM ashore.shard")
    lost.do(
        "INSERT INTO ashore.shard (source, shard, parent, state, at_horizon, listed_at, passed_at) VALUES"
        " ('world', 'grandparent', NULL, 'ended', true, now(), '2026-01-01 10:00Z'),"
        " ('world', 'parent', 'grandparent', 'ended', false, now(), NULL),"
        " ('world', 'child', 'parent', 'open', false, now(), NULL),"
        " ('world', 'begun', NULL, 'open', true, '2026-01-01 09:00Z', NULL),"
        " ('world', 'lonely', 'unlisted', 'open', false, now(), NULL)"
    )
    with connect(lost.dsn, application_name="test", autocommit=True) as conn:
        conn.execute("SET timezone = 'UTC'")
        for shard in streams.not_seen(conn, "world", datetime.now(UTC) + HOUR):
            gaps.keep_gap(conn, source="world", shard=shard, kind="trimmed", decision="repair")
        assert streams.without_parent(conn, "world", seconds=0.0) == [], "before all else was read"
        conn.execute("UPDATE ashore.shard SET passed_at = now() WHERE shard <> 'lonely'")
        for shard in streams.without_parent(conn, "world", seconds=0.0):
            gaps.keep_gap(conn, source="world", shard=shard, kind="unlisted_parent", decision="repair")
    found = dict(lost.rows("SELECT shard, known_at::text FROM ashore.gap"))
    assert found["lonely"] is None
    assert found["child"].startswith("2026-01-01 10:00")
    assert found["begun"].startswith("2026-01-01 09:00")
    lost.do("DELETE FROM ashore.gap WHERE shard <> 'lonely'")
    with pytest.raises(GapWithoutBeginning, match="--scan"):
        lost.repair(lost.export(account(1)))
    with connect(lost.dsn, application_name="test", autocommit=True) as conn:
        [status] = gaps_of(conn, "world")
    assert status.closes == "`ashore sync repair --scan`"


def test_a_gap_means_nothing_any_more_when_all_was_loaded_after_it(lost: LostCrossing) -> None:
    lost.table.put(account(1))
    lost.begin()
    load = SteppedLoad(lost.dsn, lost.table, ENTITIES)
    lost.table.put(account(1, balance=2))
    lost.settle()
    lost.do("UPDATE ashore.shard SET position = 1")
    lost.table.put(account(1, balance=3))
    lost.lose_all_unread()
    with pytest.raises(GapWhileLoading):
        lost.go_on()
    load.drop()
    SteppedLoad(lost.dsn, lost.table, ENTITIES, restart=True).finish()
    lost.go_on()
    lost.assert_equal()
    assert lost.open() == 0
    assert {("reload",)} == set(lost.rows("SELECT decision FROM ashore.gap"))


def test_a_load_anew_does_not_wait_for_a_gap_whose_keys_wait_for_the_load(lost: LostCrossing) -> None:
    """The shard vanished, so it holds up what merges until its gap closes; its keys are of what merges."""
    lost.table.put(account(1))
    lost.table.put(note(1, owner=1))
    lost.synced()
    lost.window_begins()
    lost.table.put(note(1, owner=1, text="b"))
    for shard in lost.table.open_shards():
        lost.table.close(shard, children=1)
        lost.table.vanish(shard)
    lost.go_on()
    lost.repair(lost.export(note(1, owner=1)))
    assert lost.queued() > 0
    assert ("lost",) in lost.rows("SELECT state FROM ashore.shard")

    SteppedLoad(lost.dsn, lost.table, ("note",), restart=True).finish()

    lost.assert_equal()
    assert (lost.open(), lost.queued()) == (0, 0)


def held_up(lost: LostCrossing) -> None:
    """A worker that is slow has the shards there are."""
    lost.do("UPDATE ashore.shard SET owner = 'slow', lease_until = clock_timestamp() + interval '1 h'")


def test_a_shard_that_left_the_list_is_looked_for_only_once_those_before_it_were_read(lost: LostCrossing) -> None:
    """Else: its loss is found and repaired, then the older record of its parent is read, and undoes the repair."""
    lost.table.put(account(1))
    lost.synced()
    lost.window_begins()
    held_up(lost)
    lost.table.put(account(1, balance=2))
    for shard in lost.table.open_shards():
        lost.table.close(shard, children=1)
    lost.table.put(account(1, balance=3))
    lost.go_on()
    for shard in lost.table.open_shards():
        lost.table.trim(shard, len(shard.records))
        shard.is_listed = False
    lost.go_on()
    lost.repair(lost.export(account(1)))
    lost.go_on()

    lost.do("UPDATE ashore.shard SET lease_until = clock_timestamp()")
    lost.go_on()

    lost.repair(lost.export(account(1), name="after"))
    lost.assert_equal()
    assert lost.open() == 0


def test_a_parent_that_was_never_listed_is_given_up_only_once_all_before_it_was_read(
    lost: LostCrossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else: its loss is found and repaired, then the older record of its own parent is read, and undoes the repair."""
    monkeypatch.setattr(sync_worker, "_PARENT_SECONDS", 0.0)
    lost.table.put(account(1))
    lost.synced()
    held_up(lost)
    lost.table.put(account(1, balance=2))
    for shard in lost.table.open_shards():
        lost.table.close(shard, children=1, is_listed=False)
    lost.table.put(account(1, balance=3))
    for shard in lost.table.open_shards():
        lost.table.close(shard, children=1)
        lost.table.vanish(shard)
    lost.go_on()
    sync_world.ask_every_key(lost.dsn, lost.table)
    lost.go_on()

    lost.do("UPDATE ashore.shard SET lease_until = clock_timestamp()")
    lost.go_on()

    sync_world.ask_every_key(lost.dsn, lost.table)
    lost.assert_equal()
    assert lost.open() == 0
