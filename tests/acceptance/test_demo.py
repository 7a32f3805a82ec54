"""`ashore demo`: one command, exit code 0, counts that add up, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ashore.local.court.awkward import expected_rejected
from ashore.local.demo import _untrue
from ashore.local.demo_events import RejectedLine, Synced
from ashore.local.traffic import Written


def demo(temporary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `ashore demo`, with a folder for temporary files that nothing else uses."""
    environment = {**os.environ, "TMPDIR": str(temporary), "AWS_PROFILE": "a profile that is not there"}
    command = [sys.executable, "-m", "ashore", "demo", *arguments]
    return subprocess.run(
        command, capture_output=True, check=False, text=True, timeout=110, env=environment, stdin=subprocess.DEVNULL
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
    load, verify, writes = found["load"], found["verify"], found["writes"]
    assert [] == found["untrue"]
    assert load["items"] == sum(one["items"] for one in load["counts"])
    assert 2_000 < found["items"] == verify["items"] < 5_000
    assert writes["sent"] == writes["records"] == writes["puts"] + writes["updates"] + writes["deletes"] > 200
    assert (writes["standing"], 0) == (writes["found"], writes["strange"])
    assert writes["sent"] > writes["standing"] > 100
    assert min(writes["puts"], writes["updates"], writes["deletes"], writes["gone"], writes["merged"]) > 0
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
    for said in ("Servers", "A court's table", "Writers", "Rejected", "U+0000", "writes sent", "0 differences", "psql"):
        assert said in ended.stdout
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    _assert_nothing_is_left(temporary)


def test_numbers_that_do_not_add_up_are_told() -> None:
    written = Written(kinds={"put": 3, "update": 1, "delete": 1}, standing=frozenset({2, 4}), gone=1, items=7)
    true = Synced(written=written, records=5, merged=2, found=2, strange=0, seconds=0.1)
    outcome, verified = _report("outcome"), _report("verified")
    rejected = [
        RejectedLine(entity=entity, reason=reason, attribute=None, detail="", items=number)
        for (entity, reason), number in expected_rejected.items()
    ]

    assert [] == list(_untrue(true, outcome, rejected, verified))
    for wrong in (
        replace(true, records=4),
        replace(true, found=1),
        replace(true, strange=1),
        replace(true, written=replace(written, items=8)),
        replace(true, written=replace(written, kinds={"put": 5})),
    ):
        assert 1 == len(list(_untrue(wrong, outcome, rejected, verified)))


def _report(of: str) -> Any:
    """The numbers of a load, or of a verification, that `_untrue` looks at."""
    if of == "verified":
        return SimpleNamespace(items=7, total_differences=0, undecided=0)
    return SimpleNamespace(report=SimpleNamespace(items=6, counts=[SimpleNamespace(items=6)], findings=[]))


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
