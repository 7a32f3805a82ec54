"""SIGKILL at random instants of a load, and again at the runs that follow, until one ends."""

from __future__ import annotations

import os
import random
import secrets
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest
from tests import quick_processes
from tests.integration import load_world as world

from ashore.errors import AshoreError
from ashore.load.run import run_load

Victim = Literal["worker", "coordinator", "all"]
_ITEMS = 3_000
_DONE, _REFUSED = 0, 17


def load_once(dsn: str, folder: list[str]) -> None:
    """The body of a process: one run of the load."""
    sys.path[:0] = folder
    source = world.MemorySource(items=world.items(_ITEMS), unit_count=6, chunk_items=100, pause_seconds=0.03)
    try:
        run_load(world.order(dsn, source))
    except AshoreError:
        sys.exit(_REFUSED)


def run_and_kill(dsn: str, victim: Victim, after_seconds: float) -> str:
    """One run, of which `victim` is killed so long after the ledger shows the run; return the load's phase then."""
    runs = runs_so_far(dsn)
    process = quick_processes.context.Process(target=load_once, args=(dsn, [str(Path.cwd())]))
    process.start()
    while process.is_alive() and runs_so_far(dsn) == runs:
        time.sleep(0.01)
    process.join(timeout=after_seconds)
    phase = phase_of(dsn)
    if process.is_alive() and process.pid is not None:
        kill(process.pid, victim)
    process.join()
    return phase


def runs_so_far(dsn: str) -> int:
    return int(world.one(dsn, "SELECT coalesce(max(run), 0) FROM ashore.load") if ledger_is_there(dsn) else 0)


def phase_of(dsn: str) -> str:
    return str(world.one(dsn, "SELECT max(phase) FROM ashore.load") if ledger_is_there(dsn) else "before")


def ledger_is_there(dsn: str) -> bool:
    return bool(world.one(dsn, "SELECT to_regclass('ashore.audit') IS NOT NULL"))


def kill(pid: int, victim: Victim) -> None:
    try:
        family = workers_of(pid)
        if victim == "worker" and family:
            random.choice(family).kill()
        else:
            os.kill(pid, signal.SIGKILL)
        for one in family if victim == "all" else []:
            one.kill()
    except psutil.NoSuchProcess:
        return


def workers_of(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children(recursive=True)
    return [one for one in children if "spawn_main" in " ".join(one.cmdline())]


def rehearse(dsn: str) -> tuple[dict[str, str], list[Any], float]:
    """What a load that nobody kills gives, and how long it takes from its entry in the ledger to its end."""
    assert _DONE == run_in_own_process(dsn)
    seconds = world.one(dsn, "SELECT extract(epoch FROM ended_at - started_at)::float FROM ashore.load")
    return world.digest(dsn), world.definitions(dsn), seconds


def clear(dsn: str) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("DROP SCHEMA IF EXISTS shop, ashore CASCADE")


def kill_at_random(dsn: str, runs: int) -> None:
    seed = secrets.randbits(32)
    print("seed", seed)  # noqa: T201 (shown by pytest where the test fails)
    chance = random.Random(seed)
    expected_rows, expected_definitions, seconds = rehearse(dsn)
    killed_in: Counter[str] = Counter()
    for _ in range(runs):
        clear(dsn)
        for _ in range(4):
            victim: Victim = chance.choice(["worker", "coordinator", "all"])
            killed_in[run_and_kill(dsn, victim, chance.uniform(0, 1.1 * seconds))] += 1
            if phase_of(dsn) == "done":
                break
        else:
            assert _DONE == run_in_own_process(dsn)
        assert expected_rows == world.digest(dsn)
        assert expected_definitions == world.definitions(dsn)
        assert_true_counts(dsn)
    print("killed in", dict(killed_in))  # noqa: T201 (see above)
    assert killed_in["rows"] >= runs // 4  # a few kills may all have come too late


def assert_true_counts(dsn: str) -> None:
    counted = "SELECT sum(items)::int FROM ashore.load_count WHERE {}"
    assert _ITEMS == world.one(dsn, counted.format("true"))
    for entity in ("customer", "purchase"):
        rows = world.one(dsn, f"SELECT count(*) FROM shop.{entity}")
        assert rows == world.one(dsn, counted.format(f"entity = '{entity}' AND outcome = 'rows'"))
    lines = world.one(dsn, "SELECT count(*) FROM shop.line")
    assert lines == world.one(dsn, "SELECT sum(rows)::int FROM ashore.load_row WHERE table_name = 'shop.line'")
    rejected = world.one(dsn, "SELECT count(*) FROM ashore.rejected_item")
    assert rejected == world.one(dsn, counted.format("outcome = 'rejected'"))
    assert rejected == world.one(dsn, "SELECT count(DISTINCT item) FROM ashore.rejected_item")
    assert 0 == world.one(dsn, "SELECT count(*) FROM ashore.taken_off")


def test_killed_loads_end_with_the_same_rows(postgres_dsn: str) -> None:
    kill_at_random(postgres_dsn, runs=2)


@pytest.mark.slow
@pytest.mark.histories
@pytest.mark.timeout(1_800)
def test_fifty_killed_loads_end_with_the_same_rows(postgres_dsn: str) -> None:
    kill_at_random(postgres_dsn, runs=50)


def test_workers_end_with_their_coordinator(postgres_dsn: str) -> None:
    process = quick_processes.context.Process(target=load_slowly, args=(postgres_dsn, [str(Path.cwd())]))
    process.start()
    assert process.pid is not None
    family: list[psutil.Process] = []
    while len(family) < 2:
        time.sleep(0.1)
        family = workers_of(process.pid)
    os.kill(process.pid, signal.SIGTERM)
    process.join()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [] == alive
    assert _DONE == run_in_own_process(postgres_dsn)


def load_slowly(dsn: str, folder: list[str]) -> None:
    """The body of a process: a run that takes long."""
    sys.path[:0] = folder
    run_load(world.order(dsn, world.MemorySource(items=world.items(_ITEMS), chunk_items=10, pause_seconds=0.2)))


def run_in_own_process(dsn: str) -> int | None:
    process = quick_processes.context.Process(target=load_once, args=(dsn, [str(Path.cwd())]))
    process.start()
    process.join()
    return process.exitcode
