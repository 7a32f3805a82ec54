"""`ashore demo`: a court's DynamoDB table crosses into PostgreSQL, back and over again while it is written to."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from ashore.cli import options, output
from ashore.cli.demo_screen import DemoScreen
from ashore.local.demo import run_demo

_WIDTH: Final = 100


def demo(
    *,
    as_json: options.AsJson = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the servers until you press Enter, to look around with psql.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option("--svg", help="Also write what is printed as a picture.", metavar="FILE")
    ] = None,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Watch a DynamoDB table cross into PostgreSQL, go back, and cross again, on this machine with servers of its own.

    It fills a table with the items of a court, loads it while writers change it, shows what was rejected, syncs,
    verifies, cuts two entities over, rolls them back and cuts them over again. Then it proves that every write is in
    both stores, and asks three questions. That takes less than a minute on a quiet machine and leaves nothing behind.
    Exit code 0 says that both stores were found equal and that every count is true, 1 that something was not.

    Example:  ashore demo --keep
    """
    if as_json:
        report = run_demo(lambda _event: None)
        output.print_json(report.as_json())
        return 1 if report.untrue else 0
    screen = DemoScreen(_console(is_recorded=picture is not None))

    def wait() -> None:
        if keep:
            screen.waiting()
            sys.stdin.readline()

    with screen.shown():
        report = run_demo(screen.show, before_end=wait)
        screen.finish(report)
    if picture is not None:
        picture.write_text(_picture(screen.console), encoding="utf-8")
    return 1 if report.untrue else 0


def _picture(console: Console) -> str:
    """What was printed, as SVG in the reader's own monospaced font: Rich would have it fetch one from elsewhere."""
    return re.sub(r"@font-face {.*?}\s*", "", console.export_svg(title="ashore demo"), flags=re.DOTALL)


def _console(*, is_recorded: bool) -> Console:
    """As wide as a screenshot, or as the terminal where that is narrower."""
    console = Console(highlight=False, emoji=False, record=is_recorded)
    if is_recorded or not console.is_terminal or console.width > _WIDTH:
        console.width = _WIDTH
    return console
