"""`ashore status`: how far each entity is."""

from __future__ import annotations

import typer

from ashore.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog="Example:  ashore status --env prod")(status)


def status(
    *,
    context: typer.Context,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Show each entity's state, and the newest load, as the ledger has them."""
    from ashore.cli.output import console, print_json, table  # noqa: PLC0415 (quick start)
    from ashore.pipeline.project import open_project  # noqa: PLC0415
    from ashore.pipeline.status import status as read  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    found = read(open_project(common.settings({}, frozenset({"declarations", "postgres"}))))
    if common.as_json:
        print_json(found.as_json())
        return 0
    rows = [(one.entity, one.state, ", ".join(one.tables), one.rejected) for one in found.entities]
    out = console()
    out.print(table(f"Entities of {found.source}", ("entity", "state", "tables", "rejected"), rows, numbers=1))
    load = found.load
    if load is not None:
        done = f"{load.items_read:,} items, {load.units_done} of {load.units} units"
        where = f"process {load.pid} on {load.host}"
        out.print(f"\nLoad {load.load}, phase {load.phase}: {done}; begun {load.started_at} by {where}", markup=False)
    return 0
