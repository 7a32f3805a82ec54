"""`ashore check`: everything that stands in a project's way, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.pipeline.check import CheckReport


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", epilog="Example:  ashore check --project ./court --env test")(check)


def check(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    table: options.Table = None,
    export: options.Export = None,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Check a project: configuration, declarations, PostgreSQL and its tables, the source, permissions.

    Tells every problem at once and changes nothing anywhere. From a table it reads at most 26 items.
    """
    from ashore.config.settings import everything  # noqa: PLC0415 (quick start)
    from ashore.pipeline.check import check_project  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    report = check_project(common.resolved({"table": table, "export": export}, everything))
    _show(report, as_json=common.as_json)
    return 2 if report.problems else 0


def _show(report: CheckReport, *, as_json: bool) -> None:
    from ashore.cli.output import print_json, say  # noqa: PLC0415

    if as_json:
        print_json(report.as_json())
        return
    for part in report.parts:
        state = "not checked" if part.not_checked else f"{len(part.problems)} problems" if part.problems else "good"
        say(f"{part.name}: {state}" + (f" ({part.not_checked})" if part.not_checked else ""))
        for line in part.facts:
            say(f"  {line}")
        for problem in part.problems:
            say(f"  problem: {problem.where}: {problem.what}\n           {problem.hint}")
        for advice in part.advice:
            say(f"  advice:  {advice.where}: {advice.what}\n           {advice.hint}")
    count = len(report.problems)
    say(f"\n{count} problem{'s' if count != 1 else ''}" if count else "\nno problems: `ashore load --dry-run` is next")
