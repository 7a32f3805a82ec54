"""When a worker counts as well, when it rings an alarm, and how fast it says it is."""

from __future__ import annotations

import pytest

from ashore.cli.cmd_sync import _Watcher
from ashore.observe.events import StepFinished, StepStarted, SyncLagging, SyncTended
from ashore.observe.health import WorkerHealth
from ashore.sync.alarm import AlarmBell
from ashore.sync.pace import Pace

HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_is_well_while_its_rounds_end_and_unwell_once_they_do_not() -> None:
    clock = Clock()
    health = WorkerHealth(patience_seconds=60, clock=clock)
    clock.now += 59
    assert health.now().is_well, "it may take a while to start"
    clock.now += 2
    assert not health.now().is_well

    health.hear(SyncTended(state="running", shards=3))
    assert (True, "running") == (health.now().is_well, health.now().reason)
    clock.now += 75
    assert (False, "the worker has not ended a round for 75 s") == (health.now().is_well, health.now().reason)


def test_a_paused_worker_is_well() -> None:
    clock = Clock()
    health = WorkerHealth(patience_seconds=60, clock=clock)
    for _ in range(100):
        clock.now += 30
        health.hear(SyncTended(state="paused", shards=0))
        assert (True, "paused") == (health.now().is_well, health.now().reason)


def test_a_long_step_does_not_make_a_worker_unwell_and_counts_as_a_round_when_it_ends() -> None:
    clock = Clock()
    health = WorkerHealth(patience_seconds=60, clock=clock)
    health.hear(SyncTended(state="running", shards=3))
    health.hear(StepStarted(step="account_email of world.account"))
    clock.now += 5 * HOUR
    assert (True, "running: account_email of world.account") == (health.now().is_well, health.now().reason)

    health.hear(StepFinished(step="account_email of world.account", seconds=5 * HOUR, finding=None))
    clock.now += 59
    assert health.now().is_well
    clock.now += 2
    assert not health.now().is_well


def test_the_bell_rings_at_12_and_18_hours_and_once_more_when_it_is_over() -> None:
    bell = AlarmBell()
    heard = [bell.hear(hours * HOUR) for hours in (0.1, 11.9, 12, 13, 17.9, 18, 25, 15, 2, 1)]

    assert [
        None,
        None,
        SyncLagging(alarm="warning", hours=12.0),
        None,
        None,
        SyncLagging(alarm="urgent", hours=18.0),
        None,
        SyncLagging(alarm="warning", hours=15.0),
        SyncLagging(alarm=None, hours=2.0),
        None,
    ] == heard
    assert bell.hear(None) is None


def test_the_pace_is_the_mean_of_the_last_minute() -> None:
    pace = Pace(began_at=0.0)
    pace.add(50, 5.0)
    assert 5.0 == pace.a_second(10.0)
    pace.add(550, 30.0)
    assert pytest.approx(600 / 60) == pace.a_second(60.0)
    assert pytest.approx(550 / 60) == pace.a_second(66.0)
    assert 0.0 == pace.a_second(120.0)


def test_sync_run_says_alarms_on_stderr_also_where_it_is_to_print_json(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = _Watcher(is_quiet=True)
    watcher.emit(SyncLagging(alarm="urgent", hours=18.2))
    watcher.emit(SyncLagging(alarm=None, hours=0.5))

    printed = capsys.readouterr()
    assert "" == printed.out
    assert [
        "ashore: urgent: the stream was not read for 18 hours, and DynamoDB keeps it for 24",
        "ashore: the alarm is over: the stream was read up to 0.5 hours ago",
    ] == printed.err.splitlines()
