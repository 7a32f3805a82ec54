"""`ashore status`: how far each entity is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.pipeline.project import Project


_WATCH_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog="Example:  ashore status --env prod --watch")(status)


def status(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C; with --json an object a line."),
    ] = False,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Print it once as Prometheus metrics, for a textfile collector.")
    ] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Show each entity's state, the newest load, and how far the stream is, as the ledger has them."""
    from ashore.cli.output import console, print_json  # noqa: PLC0415 (quick start)
    from ashore.cli.status_screen import shown  # noqa: PLC0415
    from ashore.pipeline.status import status as read  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    if prometheus and (common.as_json or watch):
        message = "prints metrics once: leave --json and --watch out"
        raise typer.BadParameter(message, param_hint="--prometheus")
    opened = common.project(frozenset({"declarations", "postgres"}))
    if prometheus:
        import sys  # noqa: PLC0415

        from ashore.pipeline.metrics import metrics_text  # noqa: PLC0415

        sys.stdout.write(metrics_text(opened))
    elif watch:
        _watch(opened, as_json=common.as_json)
    elif common.as_json:
        print_json(read(opened).as_json())
    else:
        console().print(shown(read(opened)))
    return 0


def _watch(opened: Project, *, as_json: bool) -> None:
    """Read and show it until Ctrl-C, which is how one is meant to end it."""
    import json  # noqa: PLC0415 (quick start)
    import sys  # noqa: PLC0415
    import time  # noqa: PLC0415
    from contextlib import suppress  # noqa: PLC0415

    from ashore.cli.output import console, say  # noqa: PLC0415
    from ashore.cli.status_screen import StatusScreen  # noqa: PLC0415
    from ashore.pipeline.status import status, with_rates  # noqa: PLC0415
    from ashore.postgres.errors import PostgresError  # noqa: PLC0415

    found = status(opened)
    with suppress(KeyboardInterrupt), StatusScreen(console(stderr=as_json)) as screen:
        is_new = True
        while True:
            if is_new and as_json:
                say(json.dumps(found.as_json(), ensure_ascii=False))
                sys.stdout.flush()
            elif is_new:
                screen.show(found)
            time.sleep(_WATCH_SECONDS)
            try:
                found = with_rates(found, status(opened))
                is_new = True
            except PostgresError as error:
                screen.trouble(f"PostgreSQL does not answer, and is asked again: {error.what()}")
                is_new = False
