"""`ashore demo`: one command, exit code 0, counts that add up, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ashore.local.court.awkward import expected_rejected


def demo(temporary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `ashore demo` in less than a minute, with a folder for temporary files that nothing else uses."""
    environment = {**os.environ, "TMPDIR": str(temporary), "AWS_PROFILE": "a profile that is not there"}
    command = [sys.executable, "-m", "ashore", "demo", *arguments]
    return subprocess.run(
        command, capture_output=True, check=False, text=True, timeout=60, env=environment, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder that PostgreSQL's own user may enter, where root runs the tests."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if folder.stat().st_uid == os.getuid():
            folder.chmod(0o755)
    return tmp_path


def test_the_court_lands_in_postgres_and_every_number_adds_up(temporary: Path) -> None:
    ended = demo(temporary, "--json")

    assert (0, "") == (ended.returncode, ended.stderr)
    found = json.loads(ended.stdout)
    load, verify = found["load"], found["verify"]
    assert [] == found["untrue"]
    assert found["items"] == load["items"] == verify["items"] == sum(one["items"] for one in load["counts"])
    assert 2_000 < found["items"] < 5_000
    assert (True, 0, 0) == (verify["equal"], verify["total_differences"], verify["undecided"])
    assert sum(expected_rejected.values()) == sum(line["items"] for line in found["rejected"])
    copies = load["copies"][0]
    assert copies["copies"] > copies["differing"] > copies["promoted"] > 0
    expected, witnessed = (sum(one[name] for one in verify["entities"]) for name in ("expected", "witnessed"))
    assert expected - copies["promoted"] == witnessed
    assert 3 == len(found["answers"])
    assert all(answer["rows"] for answer in found["answers"])
    _assert_nothing_is_left(temporary)


def test_people_see_each_step_and_may_keep_a_picture(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    picture = tmp_path_factory.mktemp("picture") / "demo.svg"

    ended = demo(temporary, "--keep", "--svg", str(picture))

    assert (0, "") == (ended.returncode, ended.stderr)
    assert 100 >= max(len(line) for line in ended.stdout.splitlines() if "postgresql://" not in line)
    for said in ("Servers", "A court's table", "Rejected", "U+0000", "0 differences", "psql", "ashore load --dry-run"):
        assert said in ended.stdout
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    _assert_nothing_is_left(temporary)


def _assert_nothing_is_left(temporary: Path) -> None:
    """No folder of a server, and on Linux no process that was started with this folder for temporary files."""
    deadline = time.monotonic() + 10
    while (left := list(temporary.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == left
    if Path("/proc/self/environ").exists():
        assert [] == [pid for pid in _processes() if f"TMPDIR={temporary}\0".encode() in pid.read_bytes()]


def _processes() -> list[Path]:
    found = []
    for entry in Path("/proc").iterdir():
        environ = entry / "environ"
        if entry.name.isdigit() and os.access(environ, os.R_OK):
            try:
                environ.read_bytes()
            except OSError:
                continue
            found.append(environ)
    return found
