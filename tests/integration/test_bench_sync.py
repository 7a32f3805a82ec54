"""`ashore bench sync`: every documented figure is there, and none is absurd."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ashore.local.dynamodb import find_dynamodb_local

_DOCUMENTED = {
    *("changes_per_s", "upsert_limit_per_s", "ratio", "limits", "rounds", "worker_cpu_us", "capture_per_s"),
    *("merge_rows_per_s", "lag_p50_ms", "lag_p99_ms", "lag", "versions", "machine", "settings"),
}


@pytest.mark.slow
def test_sync_prints_every_figure_with_its_limit_and_the_lag() -> None:
    arguments = ["--changes", "10000", "--rounds", "1", "--lag-seconds", "2", "--json"]
    command = [sys.executable, "-m", "ashore", "bench", "sync", *arguments]
    ended = subprocess.run(command, capture_output=True, check=False, text=True, timeout=240)
    assert (0, "") == (ended.returncode, ended.stderr)
    found = json.loads(ended.stdout)

    assert set() == _DOCUMENTED - found.keys()
    assert {"copy", "unnest", "executemany"} == found["limits"].keys()
    assert max(found["limits"].values()) == found["upsert_limit_per_s"]
    assert 0 < found["ratio"] < 3
    assert 5 < found["worker_cpu_us"] < 500
    assert all(found[name] > 0 for name in ("changes_per_s", "capture_per_s", "merge_rows_per_s"))
    if find_dynamodb_local() is None:
        assert (None, "there is no DynamoDB Local on this machine") == (found["lag_p99_ms"], found["lag"]["why"])
    else:
        assert (400, None) == (found["lag"]["rows"], found["lag"]["why"])
        assert 0 < found["lag_p50_ms"] <= found["lag_p99_ms"] < 60_000
