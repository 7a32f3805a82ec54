"""SIGKILL at random instants of workers and of the load, under a writer's traffic, on real servers."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from tests import quick_processes, sync_world
from tests.faults import some_seed
from tests.sync_world import ENTITIES, PROCESS_LIMITS, Writer, records_of, scanned

from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.stream import TableStream
from ashore.errors import AshoreError
from ashore.local import LocalAws
from ashore.pipeline.load import load
from ashore.pipeline.sync import caught_up, run_worker
from ashore.postgres.connect import connect
from ashore.sync.order import SyncOrder
from ashore.sync.start import ensure_stream

_KILLS = int(os.environ.get("ASHORE_KILLS", "100" if os.environ.get("CI") == "true" else "12"))


def sync_order(dsn: str, endpoint: str, region: str) -> SyncOrder:
    table = TableSource(table="world", region=region, endpoint_url=endpoint)
    stream = TableStream(table="world", region=region, endpoint_url=endpoint)
    return SyncOrder(dsn=dsn, plan=sync_world.plan, source=stream, fetch=table.get_items, limits=PROCESS_LIMITS)


def work(dsn: str, endpoint: str, region: str, environment: dict[str, str]) -> None:
    """The body of a worker process."""
    os.environ.update(environment)
    run_worker(sync_order(dsn, endpoint, region), threading.Event())


def load_once(dsn: str, endpoint: str, region: str, environment: dict[str, str]) -> None:
    """The body of a loader process."""
    os.environ.update(environment)
    source = TableSource(table="world", region=region, endpoint_url=endpoint, segments=2, page_limit=5)
    try:
        load(plan=sync_world.plan, reference=sync_world.reference, source=source, dsn=dsn, workers=1, is_captured=True)
    except AshoreError:
        sys.exit(17)


@pytest.mark.slow
@pytest.mark.histories
@pytest.mark.timeout(900)
def test_killed_at_random_instants_nothing_is_lost_doubled_or_older(postgres_dsn: str, moto: LocalAws) -> None:
    seed = some_seed("kills")
    rng = random.Random(seed)
    client = moto.client("dynamodb")
    sync_world.make_table(client)
    for name, value in moto.environment.items():
        os.environ[name] = value  # `no_real_aws` takes them away again
    sync_world.fresh(postgres_dsn)
    order = sync_order(postgres_dsn, moto.endpoint_url, moto.region)
    with connect(postgres_dsn, application_name="test", autocommit=True) as conn:
        ensure_stream(conn, sync_world.plan, order.source, {name: [] for name in ENTITIES})
    arguments = (postgres_dsn, moto.endpoint_url, moto.region, dict(moto.environment))
    sys.path[:0] = [str(Path.cwd())]
    processes: dict[str, Any] = {}
    killed = 0
    with Writer(client, seed):
        try:
            while killed < _KILLS or not _is_syncing(postgres_dsn):
                wanted = {"one": work, "two": work} | ({} if _is_loaded(postgres_dsn) else {"load": load_once})
                for name, body in wanted.items():
                    if name not in processes or not processes[name].is_alive():
                        processes[name] = quick_processes.context.Process(target=body, args=arguments, daemon=False)
                        processes[name].start()
                time.sleep(rng.uniform(0.05, 0.9))
                if killed < _KILLS:
                    victim = rng.choice(sorted(processes))
                    processes[victim].kill()
                    processes[victim].join()
                    killed += 1
        finally:
            for process in processes.values():
                process.kill()
                process.join()

    run_worker(order, threading.Event(), until=caught_up("world", time.time()))
    run_worker(order, threading.Event(), until=caught_up("world", time.time()))
    sync_world.assert_equal(postgres_dsn, SimpleNamespace(items=scanned(client)))
    with psycopg.connect(postgres_dsn) as plain:
        [(records,)] = plain.execute("SELECT sum(records)::bigint FROM ashore.shard").fetchall()
    assert records == records_of(order), "each record of the stream was counted once"


def _is_loaded(dsn: str) -> bool:
    return not _states(dsn) & {"declared", "loading"}


def _is_syncing(dsn: str) -> bool:
    return _states(dsn) == {"syncing"}


def _states(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as conn:
        return {state for (state,) in conn.execute("SELECT state FROM ashore.entity WHERE entity <> ''")}
