"""Holes through which others lose data, and the laws against them, where a sync meets exports, limits and verify."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests import sync_world
from tests.crossing import Crossing, account, many_rounds
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.dynamodb.export import ExportSource
from ashore.ledger import streams
from ashore.local.export_writer import write_export
from ashore.pipeline.project import Project
from ashore.pipeline.sync import EXPORT_MARGIN_SECONDS, ExportTooEarly, NotPaused, prepare_captured_load
from ashore.postgres.connect import connect
from ashore.sync.errors import OtherTable, PendingTooLarge
from ashore.sync.stop import set_paused


@pytest.fixture
def crossing(postgres_dsn: str) -> Iterator[Crossing]:
    made = Crossing(postgres_dsn)
    yield made
    for worker in made.workers:
        worker.conn.close()


def test_law_3_an_export_serves_only_if_it_is_later_than_the_pause_by_the_margin(
    crossing: Crossing, tmp_path: Path
) -> None:
    crossing.table.put(account(1))
    crossing.begin()
    with connect(crossing.dsn, application_name="test", autocommit=True) as conn:
        set_paused(conn, "world", paused=True)
        stream = streams.stream_of(conn, "world")
        assert stream is not None
        project = cast("Project", SimpleNamespace(dsn=crossing.dsn, plan=sync_world.plan))

        def export(seconds: float, table_arn: str = "arn:memory:one") -> ExportSource:
            folder = tmp_path / f"{seconds} {table_arn[-3:]}"
            made_at = stream.since + timedelta(seconds=seconds)
            write_export(folder, list(crossing.table.items.values()), files=1, table_arn=table_arn, export_time=made_at)
            return ExportSource(path=str(folder))

        for seconds in (-3600.0, 0.0, EXPORT_MARGIN_SECONDS - 1):
            with pytest.raises(ExportTooEarly):
                prepare_captured_load(project, export(seconds))
        prepare_captured_load(project, export(EXPORT_MARGIN_SECONDS + 1))
        with pytest.raises(OtherTable):
            prepare_captured_load(project, export(3600.0, "arn:memory:two"))
        set_paused(conn, "world", paused=False)
        with pytest.raises(NotPaused):
            prepare_captured_load(project, export(3600.0))


def test_h9_what_is_captured_is_never_dropped_for_want_of_room(crossing: Crossing) -> None:
    for number in range(1, 30):
        crossing.table.put(account(number))
    crossing.begin()
    load = SteppedLoad(crossing.dsn, crossing.table, ENTITIES)
    for number in range(1, 30):
        crossing.table.put(account(number, balance=2))
        crossing.table.delete(f"account|{number}", "account")
    many_rounds(crossing.worker())
    crossing.workers[-1].leave()
    [(captured,)] = crossing.rows("SELECT count(*) FROM ashore.pending_change")
    assert captured == 29
    before = sync_world.positions(crossing.dsn)
    crossing.table.put(account(99))
    full = crossing.worker(pending_disk_mb=-1)
    with pytest.raises(PendingTooLarge):
        many_rounds(full)
    full.leave()
    assert crossing.rows("SELECT count(*) FROM ashore.pending_change") == [(captured,)]
    assert sync_world.positions(crossing.dsn) == before, "nothing is passed by either"
    load.finish()
    crossing.assert_equal()
    assert crossing.rows("SELECT account_id FROM world.account") == [("99",)]
