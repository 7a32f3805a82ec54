"""`ashore bench cutover`: every documented figure is there, none is absurd, and no write is lost."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ashore.bench.cutover import quantile

_DOCUMENTED = {
    *("pause_p50_ms", "pause_p99_ms", "pause_max_ms", "held_ms", "usual_write_ms", "validity_ms", "passed", "overhead"),
    *("reverse_changes_per_s", "reverse_limit_per_s", "reverse_ratio", "reverse_lag_p50_ms", "reverse_lag_p99_ms"),
    *("overhead_us", "writes", "lost_writes", "differences", "pauses_on", "reverse_on", "versions", "machine"),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cutover_prints_what_writers_saw_and_loses_nothing() -> None:
    arguments = ["--rounds", "1", "--lag-seconds", "2", "--cases", "100", "--writers", "8", "--writes", "40", "--json"]
    command = [sys.executable, "-m", "ashore", "bench", "cutover", *arguments]
    ended = subprocess.run(command, capture_output=True, check=False, text=True, timeout=550)
    assert (0, "") == (ended.returncode, ended.stderr)
    found = json.loads(ended.stdout)

    assert set() == _DOCUMENTED - found.keys()
    assert (0, 0) == (found["lost_writes"], found["differences"])
    assert found["writes"] > 100
    assert ("moto", 2_000, ["by markers"]) == (found["pauses_on"], found["validity_ms"], found["passed"])
    over, back = found["held_ms"]
    assert found["validity_ms"] <= over < 60_000, "the fence waits out what applications were told"
    assert 0 < back < 60_000
    assert found["usual_write_ms"] < found["pause_p99_ms"] <= found["pause_max_ms"] < 60_000
    assert max(found["cutover_pause_max_ms"], found["rollback_pause_max_ms"]) == found["pause_max_ms"]
    assert 0 < found["reverse_ratio"] < 3
    assert 0 < found["reverse_lag_p50_ms"] <= found["reverse_lag_p99_ms"] < 60_000
    assert 0 < found["overhead_us"] == found["overhead"]["overhead_us"] < 200


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (50.0, 99.0, 100.0, 1.0) == tuple(quantile(values, share) for share in (0.5, 0.99, 1.0, 0.0))
    assert 7.0 == quantile([7.0], 0.99)
