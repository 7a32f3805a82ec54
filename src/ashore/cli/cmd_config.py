"""`ashore config`: which settings hold, and where they were written."""

from __future__ import annotations

from typing import Annotated

import typer

from ashore.cli import options


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="The project's settings.", epilog="Example:  ashore config show")
    group.command("show", epilog="Example:  ashore config show --env prod")(show)
    app.add_typer(group, name="config")


def show(
    *,
    context: typer.Context,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: Annotated[bool, typer.Option("--debug", hidden=True)] = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Show each setting and where it was written; secrets are hidden. Ends with 2 where something is wrong."""
    from dataclasses import asdict  # noqa: PLC0415 (quick start)

    from ashore.cli.output import console, print_json, say, table  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    found = common.resolved({}, frozenset({"declarations", "postgres"}))
    problems = [{"where": one.where, "what": one.what, "hint": one.hint} for one in found.problems]
    if common.as_json:
        settings = [asdict(one) for one in found.shown]
        print_json({"environment": found.settings.environment, "settings": settings, "problems": problems})
    else:
        out = console()
        title = f"Environment {found.settings.environment}" if found.settings.environment else "No environment"
        rows = [(one.name, "" if one.value is None else str(one.value), one.origin) for one in found.shown]
        out.print(table(title, ("setting", "value", "from"), rows))
        for one in found.problems:
            say(f"\nproblem: {one.where}: {one.what}\n         {one.hint}")
    return 2 if problems else 0
