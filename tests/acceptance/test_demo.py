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
from ashore.local.demo import untrue
from ashore.local.demo_events import Moved, RejectedLine
from ashore.local.demo_proof import Found, Proof, found_in
from ashore.local.traffic import Standing, Timed, Written


def demo(temporary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `ashore demo`, with a folder for temporary files that nothing else uses."""
    environment = {**os.environ, "TMPDIR": str(temporary), "AWS_PROFILE": "a profile that is not there"}
    command = [sys.executable, "-m", "ashore", "demo", *arguments]
    return subprocess.run(
        command, capture_output=True, check=False, text=True, timeout=350, env=environment, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A folder that PostgreSQL's own user may enter, where root runs the tests."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if folder.stat().st_uid == os.getuid():
            folder.chmod(0o755)
    return tmp_path


@pytest.mark.timeout(400)
def test_a_court_crosses_goes_back_and_crosses_again_and_every_write_is_found_in_both_stores(temporary: Path) -> None:
    ended = demo(temporary, "--json")

    assert (0, "") == (ended.returncode, ended.stderr)
    found = json.loads(ended.stdout)
    load, writes, proof = found["load"], found["writes"], found["proof"]
    assert [] == found["untrue"]
    assert load["items"] == sum(one["items"] for one in load["counts"])
    assert 1_000 < proof["compared"] < found["items"] == proof["items"] < 6_000
    assert writes["sent"] == writes["puts"] + writes["updates"] + writes["deletes"] > 500
    assert writes["sent"] == writes["to_dynamodb"] + writes["to_postgres"]
    for store in ("in_postgres", "in_dynamodb"):
        assert {"writes": writes["sent"], "records": writes["standing"], "strange": 0} == proof[store]
    assert writes["sent"] > writes["standing"] > 200
    assert min(writes[name] for name in ("puts", "updates", "deletes", "gone", "to_dynamodb", "to_postgres")) > 20
    assert (0, 0) == (proof["differences"], writes["stale"])
    assert {"dynamodb", "postgres"} == {store for store, number in writes["read_back"].items() if number}
    assert ["postgres", "dynamodb", "postgres"] == [move["to"] for move in found["moves"]]
    for move in found["moves"]:
        assert 0 < move["held_seconds"] < 30
        assert 1_000 * move["longest_seconds"] <= writes["longest_pause_ms"] + 1, "but for rounding"
        assert move["gates"] >= {"postgres": 15, "dynamodb": 6}[move["to"]], "none is passed by"
    assert found["synced"]["put_right"] == 7
    assert 2 == len(found["verify"])
    for verify in found["verify"]:
        assert (True, 0, 0) == (verify["equal"], verify["total_differences"], verify["undecided"])
        assert all(one["witnessed"] for one in verify["entities"])
    assert sum(expected_rejected.values()) == sum(line["items"] for line in found["rejected"])
    copies = load["copies"][0]
    assert copies["copies"] > copies["differing"] > copies["promoted"] > 0
    assert 3 == len(found["answers"])
    assert all(answer["rows"] for answer in found["answers"])
    _assert_nothing_is_left(temporary)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_people_see_each_step_and_may_keep_a_picture(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    picture = tmp_path_factory.mktemp("picture") / "demo.svg"

    ended = demo(temporary, "--keep", "--svg", str(picture))

    assert (0, "") == (ended.returncode, ended.stderr)
    assert 100 >= max(len(line) for line in ended.stdout.splitlines() if "postgresql://" not in line)
    for said in (
        "Servers",
        "A court's table",
        "Writers",
        "Rejected",
        "U+0000",
        "Restore points",
        "rehearsal",
        "Cut over",
    ):
        assert said in ended.stdout
    for said in ("Held for", "The longest that a writer waited", "Roll back", "way back", "Cut over again", "Proof"):
        assert said in ended.stdout
    for said in ("writes sent", "The longest pause that a writer saw", "0 differences on either side", "psql"):
        assert said in ended.stdout
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    _assert_nothing_is_left(temporary)


_case, _entry, _gone = (("case|1", "case|1"), ("case|1", "docket-entry|2"), ("case|1", "message|3"))
_written = Written(
    kinds={"put": 1, "update": 3, "delete": 1},
    standing={_case: Standing(2, 1), _entry: Standing(5, 2)},
    gone={_gone: 2},
    items=0,
    times=[Timed(1.0, 0.1, "dynamodb"), Timed(2.0, 0.4, "postgres"), *[Timed(3.0, 0.1, "postgres")] * 3],
    read_back={"postgres": 1},
    stale=0,
)


def test_every_way_to_lose_or_to_invent_a_write_is_told_by_what_a_store_holds() -> None:
    whole = {_case: Standing(2, 1), _entry: Standing(5, 2)}

    assert Found(writes=5, records=2, strange=0) == found_in(whole, _written)
    for store, expected in (
        ({_case: Standing(2, 1)}, Found(writes=3, records=1, strange=0)),
        ({**whole, _entry: Standing(4, 1)}, Found(writes=3, records=1, strange=1)),
        ({**whole, _entry: Standing(5, 1)}, Found(writes=3, records=1, strange=1)),
        ({**whole, _entry: Standing(5, 3)}, Found(writes=3, records=1, strange=1)),
        ({**whole, _gone: Standing(1, 1)}, Found(writes=3, records=2, strange=1)),
        ({**whole, ("case|9", "case|9"): Standing(9, 1)}, Found(writes=5, records=2, strange=1)),
    ):
        assert expected == found_in(store, _written)


def test_numbers_that_do_not_add_up_are_told() -> None:
    held = Moved(to="postgres", gates=1, held_seconds=1.0, longest_seconds=1.0, passed="by time")
    moved = [held, replace(held, to="dynamodb"), held]
    found = Found(writes=5, records=2, strange=0)
    true = Proof(written=_written, in_postgres=found, in_dynamodb=found, items=7, compared=7, differences=0)
    outcome, verified = _report("outcome"), [_report("verified")]
    rejected = [
        RejectedLine(entity=entity, reason=reason, attribute=None, detail="", items=number)
        for (entity, reason), number in expected_rejected.items()
    ]

    assert [] == list(untrue(7, outcome, rejected, verified, moved, true))
    assert 1 == len(list(untrue(7, outcome, rejected, verified, moved[:2], true)))
    assert 1 == len(list(untrue(7, outcome, rejected[1:], verified, moved, true)))
    for wrong in (
        replace(true, in_postgres=replace(found, writes=4)),
        replace(true, in_dynamodb=replace(found, records=1)),
        replace(true, in_dynamodb=replace(found, strange=1)),
        replace(true, items=8),
        replace(true, differences=1),
        replace(true, written=replace(_written, stale=1)),
        replace(true, written=replace(_written, kinds={"put": 2, "update": 3})),
        replace(true, written=replace(_written, times=[Timed(1.0, 0.1, "postgres")] * 5)),
    ):
        assert 1 == len(list(untrue(7, outcome, rejected, verified, moved, wrong)))


def _report(of: str) -> Any:
    """The numbers of a load, or of a verification, that `untrue` looks at."""
    if of == "verified":
        return SimpleNamespace(total_differences=0, undecided=0)
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
