"""`ashore purge`: delete a retired entity's items from DynamoDB."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.pipeline.purge import Purged, PurgePlan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("purge", epilog="Example:  ashore purge message --restore-point 'snapshot of today' --dry-run")(purge)


def purge(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entities: options.Entities = None,
    restore_point: Annotated[
        str | None,
        typer.Option("--restore-point", metavar="TEXT", help="What PostgreSQL could be restored to, in your words."),
    ] = None,
    table_restore_point: Annotated[
        str | None,
        typer.Option(
            "--table-restore-point", metavar="TEXT", help="The table's export or backup; not needed where PITR is on."
        ),
    ] = None,
    keep_export: Annotated[
        Path | None,
        typer.Option("--keep-export", metavar="FOLDER", help="Write each item there before it is deleted."),
    ] = None,
    nobody_reads: Annotated[
        bool, typer.Option("--nobody-reads", help="Say that nothing reads these items in DynamoDB any more.")
    ] = False,
    nobody_writes: Annotated[
        bool, typer.Option("--nobody-writes", help="Say that nothing writes to the table, so that no sync has to run.")
    ] = False,
    consumers_know: Annotated[
        bool, typer.Option("--consumers-know", help="Say that other readers of the stream may see the deletions.")
    ] = False,
    without_rows: Annotated[
        bool, typer.Option("--without-rows", help="Delete items as well whose row is not in PostgreSQL any more.")
    ] = False,
    write_units: Annotated[
        float, typer.Option("--write-units", metavar="N", min=0.1, help="The most write units a second to take.")
    ] = 200.0,
    read_units: options.ReadUnits = None,
    table: options.Table = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and its gates, and end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for the entity's name.")] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Delete the items of retired entities from DynamoDB, with their copies and mirrors. Their rows stay.

    What is not theirs, what changed since it was read, what others wrote, and what has no row is left alone. Killed,
    it goes on with the same command.
    """
    from ashore.cli.output import print_json  # noqa: PLC0415 (quick start)
    from ashore.cli.progress import Watcher  # noqa: PLC0415
    from ashore.config.settings import everything  # noqa: PLC0415
    from ashore.cutover.gates import assert_open  # noqa: PLC0415
    from ashore.pipeline.purge import PurgeOptions, opened  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    said = PurgeOptions(
        restore_point=restore_point,
        table_restore_point=table_restore_point,
        keep_export=keep_export,
        nobody_reads=nobody_reads,
        nobody_writes=nobody_writes,
        consumers_know=consumers_know,
        without_rows=without_rows,
        write_units=write_units,
    )
    opened_project = common.project(everything, table=table, read_units=read_units)
    with opened(opened_project, entities or (), said) as command:
        plan = command.plan()
        if dry_run and common.as_json:
            print_json(plan.as_json())
        elif not common.as_json:
            _show_plan(plan)
        if dry_run:
            return 0 if plan.is_open else 3
        assert_open("purging", plan.gates)
        if not yes:
            _confirm(plan)
        with Watcher(items=plan.table_items, is_quiet=common.as_json) as watcher:
            done = command.run(watcher.emit)
    _show_done(done, as_json=common.as_json)
    return 1 if done.left else 0


def _confirm(plan: PurgePlan) -> None:
    """Raises PurgeNotConfirmed unless the names are typed."""
    from ashore.cutover.errors import PurgeNotConfirmed  # noqa: PLC0415 (quick start)

    typed = ""
    if sys.stdin.isatty():
        asked = f"Type {plan.confirmation} to delete its items from {plan.table}"
        typed = typer.prompt(asked, default="", show_default=False, err=True)
    if typed.strip() != plan.confirmation:
        raise PurgeNotConfirmed(expected=plan.confirmation)


def _show_plan(plan: PurgePlan) -> None:
    from ashore.cli.output import console, duration, table  # noqa: PLC0415 (quick start)

    out = console()
    out.print(f"purge of {', '.join(plan.entities)} from {plan.table}", markup=False)
    for name, items in plan.items.items():
        told = "an unknown number of items" if items is None else f"about {items:,} items"
        out.print(
            f"  deletes  {told} of {name}" + (f", as loaded until {plan.as_of}" if plan.as_of else ""), markup=False
        )
    out.print(
        f"  reads    the whole table: {plan.table_items:,} items, {plan.read_units:,.0f} read units", markup=False
    )
    dollars = "" if plan.dollars is None else f"${plan.dollars:,.2f} in all, at "
    out.print(f"  costs    about {plan.write_units:,.0f} write units; {dollars}{plan.price}", markup=False)
    out.print(f"  takes    about {duration(plan.seconds)} at its budgets, or longer where reading does", markup=False)
    if plan.replicas:
        out.print(f"  replicas {', '.join(plan.replicas)} delete them as well, and cost as much again", markup=False)
    kept = f"in {plan.keeps_in}, as DynamoDB JSON" if plan.keeps_in else "nowhere: see --keep-export"
    out.print(f"  keeps    what it deletes {kept}", markup=False)
    if plan.goes_on:
        out.print(f"  goes on  {plan.goes_on}", markup=False)
    rows = [("open" if gate.is_open else "CLOSED", gate.name, gate.found) for gate in plan.gates]
    out.print(table("Gates", ("", "gate", "found"), rows))


def _show_done(done: Purged, *, as_json: bool) -> None:
    from ashore.cli.output import console, print_json, table  # noqa: PLC0415 (quick start)

    if as_json:
        print_json(done.as_json())
        return
    out = console()
    rows = [
        (entity, _words[outcome], items)
        for entity, of in sorted(done.counts.items())
        for outcome, items in sorted(of.items())
    ]
    out.print(table("Items, and what became of them", ("entity", "", "items"), rows, numbers=1))
    units = f"{done.read_units:,.0f} read units, {done.write_units:,.0f} write units"
    out.print(f"{done.deleted:,} deleted, {done.left:,} left, {done.not_touched:,} not touched; {units}", markup=False)
    if done.kept_in:
        out.print(f"what was deleted is kept in {done.kept_in}", markup=False)


_words = {
    "deleted": "deleted",
    "gone": "gone before their turn",
    "changed": "left: changed since they were read",
    "foreign": "left: others wrote them, see ashore foreign list",
    "without_row": "left: no row in PostgreSQL, see --without-rows",
}
