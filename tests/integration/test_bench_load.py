"""`ashore bench`: every documented figure is there, and none is absurd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ashore.mapping.native_library import find_library

_DOCUMENTED = {
    *("items", "items_per_s", "mb_per_s", "format", "limit_rows_per_s", "ratio", "ratio_plain_copy", "gunzip_us"),
    *("transcode_items_per_s", "encode_items_per_s", "python_path_ratio", "refused_share", "refused"),
    *("key_build_s", "peak_rss_mb", "verify_items_per_s", "versions", "machine"),
}


def bench(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run `ashore bench … --json`; return what it printed."""
    command = [sys.executable, "-m", "ashore", "bench", *arguments, "--folder", str(folder), "--json"]
    ended = subprocess.run(command, capture_output=True, check=False, text=True, timeout=110, env=dict(os.environ))
    assert (0, "") == (ended.returncode, ended.stderr)
    found: dict[str, Any] = json.loads(ended.stdout)
    assert [] == list(folder.iterdir())
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("profile", "rejected"), [("flat", 0), ("court", 5)])
def test_load_prints_every_figure_with_its_limit(tmp_path: Path, profile: str, rejected: int) -> None:
    found = bench(tmp_path, "load", "--items", "5000", "--workers", "2", "--rounds", "3", "--profile", profile)

    assert set() == _DOCUMENTED - found.keys()
    assert (5_000, rejected, 0) == (found["items"], found["rejected"], found["verify_differences"])
    assert 0 < found["ratio"] < 1.5
    assert 0 < found["ratio_plain_copy"] < 1.5
    assert 0 < found["gunzip_us"] < 1_000
    is_native = find_library().library is not None
    assert ("binary" if is_native else "text") == found["format"]
    assert is_native == (found["transcode_items_per_s"] is not None) == (found["python_path_ratio"] is not None)
    assert found["refused_share"] is None or 0 <= found["refused_share"] < 0.02
    assert 20 < found["peak_rss_mb"] < 2_000
    assert all(found[name] > 0 for name in ("items_per_s", "mb_per_s", "limit_rows_per_s", "verify_items_per_s"))
    assert {"ashore", "commit", "python", "postgres", "msgspec", "psycopg"} <= found["versions"].keys()
    assert "on" == found["settings"]["fsync"] == found["settings"]["synchronous_commit"]


@pytest.mark.slow
def test_scan_prints_the_same_figures(tmp_path: Path) -> None:
    found = bench(tmp_path, "scan", "--items", "5000", "--rounds", "3")

    assert set() == _DOCUMENTED - found.keys()
    assert ("scan", 5_000, 0) == (found["source"], found["items"], found["verify_differences"])
    assert 0 < found["ratio"] < 1.5
    assert found["gunzip_us"] is None


@pytest.mark.slow
def test_query_times_every_question(tmp_path: Path) -> None:
    found = bench(tmp_path, "query", "--rows", "5000")

    expected = {"insert", "index", "count", "unindexed_search", "report", "inbox_by_index", "update_all"}
    assert expected == found["seconds"].keys()
    assert all(0 < seconds < 60 for seconds in found["seconds"].values())
    assert found["origin_at_ten_million"].keys() <= expected
