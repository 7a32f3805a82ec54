"""What a command says when it does not end well: on stderr, or as one JSON object on stdout with `--json`."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from ashore.errors import AshoreError, ProblemsError

USAGE: Final = 2
BUG: Final = 70
INTERRUPTED: Final = 130

_GOES_ON: Final = frozenset({"load", "purge", "rejects"})


def tell_error(error: AshoreError, *, as_json: bool) -> int:
    """Tell an error that Ashore raised on purpose; return its exit code."""
    if not as_json:
        sys.stderr.write(f"ashore: {error}" + "\n")
        return error.exit_code
    told: dict[str, Any] = {
        "code": error.code,
        "name": type(error).__name__,
        "exit_code": error.exit_code,
        "what": error.what(),
        "hint": error.hint(),
    }
    if isinstance(error, ProblemsError):
        problems = error.problems
        told["problems"] = [{field.name: getattr(one, field.name) for field in fields(one)} for one in problems]
        told["hint"] = "correct all of `problems`"
    _tell_json(told)
    return error.exit_code


def tell_usage(error: Exception, *, as_json: bool) -> None:
    """Tell an error in the command line."""
    show, format_message = getattr(error, "show", None), getattr(error, "format_message", None)
    if not as_json and show is not None:
        show()
        return
    what = str(error) if format_message is None else format_message()
    _tell_json({"code": "usage", "exit_code": USAGE, "what": what, "hint": "see `ashore --help`"})


def tell_interrupted(given: Sequence[str], *, as_json: bool) -> None:
    """Tell that the user stopped the command, and what then holds."""
    resumes = any(argument in _GOES_ON for argument in given)
    kept = (
        "what was committed stays, and the same command goes on from there" if resumes else "nothing is left half done"
    )
    if as_json:
        _tell_json({"code": "interrupted", "exit_code": INTERRUPTED, "what": "interrupted", "hint": kept})
    else:
        sys.stderr.write(f"ashore: interrupted; {kept}" + "\n")


def tell_bug(error: Exception, *, as_json: bool, debug: bool) -> None:
    """Tell an error that Ashore did not expect: its kind and place, and no text of it, which may hold values."""
    if debug:
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else "an unknown place"
    what = f"a bug of Ashore: {type(error).__name__} in {place}"
    hint = "please report it; the same command with --debug prints the traceback (which may hold values of items)"
    if as_json:
        _tell_json({"code": AshoreError.code, "exit_code": BUG, "what": what, "hint": hint})
    else:
        sys.stderr.write(f"ashore: {AshoreError.code}: {what}\n  {hint}" + "\n")


def _tell_json(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"error": told}, ensure_ascii=False) + "\n")
