"""What `main` makes of errors, and what the terminal is given."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from ashore.cli import failures, main
from ashore.cli.output import duration, size, text
from ashore.cli.progress import Watcher
from ashore.config.secret import Dsn
from ashore.errors import Problem, SettingsError
from ashore.observe import events
from ashore.pipeline import rejects


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (61, "1 min 01 s"), (7_260, "2 h 01 min")],
)
def test_durations_read_well(seconds: float, expected: str) -> None:
    assert expected == duration(seconds)


def test_sizes_and_cells_read_well() -> None:
    assert ["1.5 MB", "2.0 GB"] == [size(1_500_000), size(2e9)]
    assert ["", "yes", "1,234", "0.5", "x"] == [text(cell) for cell in (None, True, 1_234, 0.5, "x")]


def test_no_command_shows_help_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main([])
    assert "Commands" in "".join(capsys.readouterr())


def test_help_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["rejects", "retry", "--help"])
    assert "Example:" in capsys.readouterr().out


def test_interrupting_a_load_ends_with_130_and_says_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ashore.cli.options.common", interrupt)
    assert 130 == main(["load"])
    assert "the same command goes on from there" in capsys.readouterr().err
    assert 130 == main(["status", "--json"])
    assert "interrupted" == json.loads(capsys.readouterr().out)["error"]["code"]


def test_an_unexpected_error_is_a_bug_whose_text_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        message = "a value of an item"
        raise RuntimeError(message)

    monkeypatch.setattr("ashore.cli.options.common", fail)
    assert failures.BUG == main(["status"])
    told = capsys.readouterr().err
    assert "a bug of Ashore: RuntimeError" in told
    assert "a value" not in told
    assert failures.BUG == main(["status", "--json"])
    assert "a value" not in capsys.readouterr().out


def test_problems_are_a_list_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    error = SettingsError([Problem(where="here", what="is wrong", hint="mend it")])
    assert 2 == failures.tell_error(error, as_json=True)
    told = json.loads(capsys.readouterr().out)["error"]
    assert [{"where": "here", "what": "is wrong", "hint": "mend it"}] == told["problems"]


def test_masking_leaves_names_and_types_and_no_value() -> None:
    item = {"pk": {"S": "one"}, "n": {"N": "17"}, "m": {"M": {"in": {"L": [{"SS": ["one", "two"]}, {"NULL": True}]}}}}
    masked = rejects.masked_item(item)
    assert ["pk", "n", "m"] == list(masked)
    assert masked["pk"]["S"] == masked["m"]["M"]["in"]["L"][0]["SS"][0]
    assert {"NULL": True} == masked["m"]["M"]["in"]["L"][1]
    assert not {"one", "two", "17"} & set(str(masked).replace("'", " ").split())
    assert "not JSON" not in str(rejects.masked_item("not JSON"))


def test_progress_is_plain_lines_without_a_terminal_and_silent_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    started = events.LoadStarted(
        source="s",
        load=1,
        attempt=1,
        run=2,
        resumed=True,
        entities=(),
        units=1,
        units_done=0,
        items_expected=0,
        items_done=5,
    )
    for is_quiet in (False, True):
        with Watcher(items=10, is_quiet=is_quiet) as watcher:
            watcher.emit(started)
            watcher.emit(events.Progress(items=5, bytes=10, read_units=1.0, throttled=0, rejected=1))
            watcher.emit(events.StepFinished(step="key", seconds=1.0, finding=None))
        told = capsys.readouterr()
        assert "" == told.out
        assert is_quiet == ("" == told.err)
        assert is_quiet or "goes on with load 1: 5 items are done already" in told.err


def test_an_address_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="not an address") as caught:
        Dsn("postgresql://[sesame")
    assert "sesame" not in str(caught.value)


def test_help_needs_none_of_what_is_slow_to_import() -> None:
    heavy = ("sqlalchemy", "pydantic", "boto3", "botocore", "psycopg", "moto", "rich.progress")
    program = f"import sys, ashore.cli; print([name for name in {heavy!r} if name in sys.modules])"
    assert "[]" == subprocess.check_output([sys.executable, "-c", program], text=True).strip()


@pytest.mark.slow
def test_help_takes_little_time() -> None:
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "ashore", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.6  # seconds of one core, 0.3 on the machine that this was written on
