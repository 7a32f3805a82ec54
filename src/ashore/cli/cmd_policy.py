"""`ashore policy`: what AWS has to allow."""

from __future__ import annotations

from typing import Annotated

import typer

from ashore.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("policy", epilog="Example:  ashore policy --table efcms > policy.json")(policy)


def policy(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    table: options.Table = None,
    export: options.Export = None,
    sync: Annotated[bool, typer.Option("--sync", help="Reading the table's stream as well.")] = False,
    markers: Annotated[
        bool, typer.Option("--markers", help="Writing markers to the table as well: nothing else is written.")
    ] = False,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Writing rows back to the table as well, from a cutover of writes on.")
    ] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Print the least IAM policy with which Ashore can read the table or the export. Asks nobody, writes nothing.

    The output is JSON with and without `--json`.
    """
    from ashore.cli.output import print_json  # noqa: PLC0415 (quick start)
    from ashore.pipeline.project import policy as least  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    settings = common.settings({"table": table, "export": export}, frozenset({"source"}))
    print_json(least(settings, with_stream=sync, with_markers=markers, with_reverse=reverse))
    return 0
