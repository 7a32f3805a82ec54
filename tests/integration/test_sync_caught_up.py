"""When a sync that is to end has nothing more to do."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest
from tests import sync_world
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.pipeline.sync import caught_up, run_worker


def account(number: int, email: str) -> dict[str, Any]:
    return {"pk": {"S": f"account|{number}"}, "sk": {"S": "account"}, "email": {"S": email}}


def parked(dsn: str) -> list[tuple[str, int]]:
    with psycopg.connect(dsn) as conn:
        return conn.execute(
            "SELECT convert_from(key, 'UTF8')::jsonb #>> '{pk,S}', tries FROM ashore.parked_change"
        ).fetchall()


@pytest.mark.timeout(60)
def test_two_items_that_share_a_unique_value_for_good_do_not_keep_a_sync_from_ending(postgres_dsn: str) -> None:
    table = MemoryTable(1)
    sync_world.fresh(postgres_dsn)
    sync_world.begin(postgres_dsn, table)
    SteppedLoad(postgres_dsn, table, ENTITIES).finish()
    sync_world.settle(postgres_dsn, table)
    table.put(account(1, "same"))
    table.put(account(2, "same"))

    order = sync_world.order(postgres_dsn, table)
    run_worker(order, threading.Event(), until=caught_up("world", time.time()))

    assert len(parked(postgres_dsn)) == 1
    [(loser, tries)] = parked(postgres_dsn)
    assert tries > 0, "it was tried again before the sync ended"

    table.delete("account|1" if loser == "account|2" else "account|2", "account")
    run_worker(order, threading.Event(), until=caught_up("world", time.time()))

    assert parked(postgres_dsn) == []
    sync_world.assert_equal(postgres_dsn, table)
