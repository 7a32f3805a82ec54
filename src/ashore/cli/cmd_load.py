"""`ashore load`: the items of a table or an export become rows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.pipeline.load import LoadOutcome
    from ashore.pipeline.project import Forecast


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("load", epilog="Example:  ashore load case docket_entry --export ./AWSDynamoDB --dry-run")(load)


def load(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entities: options.Entities = None,
    table: options.Table = None,
    export: options.Export = None,
    workers: options.Workers = None,
    read_units: options.ReadUnits = None,
    segments: options.Segments = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read and written, and end.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard the rows of earlier loads of these entities, and begin anew.")
    ] = False,
    sync: Annotated[
        bool,
        typer.Option(
            "--sync", help="Capture the table's stream beside the load, so that `ashore sync` goes on from it."
        ),
    ] = False,
    max_rejected: Annotated[
        str | None,
        typer.Option(
            "--max-rejected", metavar="SHARE", help="The share of items that may be rejected, as 0.001 or 0.1%."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it begins.")] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Load entities from a table or an export into PostgreSQL.

    Killed at any instant, the same command goes on where it was. Items that cannot be rows are kept, and shown by
    `ashore rejects`. On a terminal it says what it will do and asks.
    """
    from ashore.cli.progress import Watcher  # noqa: PLC0415 (quick start)
    from ashore.config.settings import everything  # noqa: PLC0415
    from ashore.load.order import Limits  # noqa: PLC0415
    from ashore.pipeline.load import load as run  # noqa: PLC0415
    from ashore.pipeline.project import forecast, item_source, open_project  # noqa: PLC0415
    from ashore.pipeline.sync import prepare_captured_load  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    flags = {
        "table": table,
        "export": export,
        "workers": workers,
        "read_units": read_units,
        "segments": segments,
        "max_rejected": max_rejected,
    }
    settings = common.settings(flags, everything)
    opened = open_project(settings)
    source = item_source(settings)
    ahead = forecast(opened, source, entities or ())
    if dry_run or not common.as_json:
        _show_forecast(ahead, as_json=common.as_json, restart=restart)
    if dry_run:
        return 0
    if not (yes or common.as_json) and sys.stdin.isatty() and not typer.confirm("Begin?", default=True, err=True):
        raise typer.Abort
    if sync:
        prepare_captured_load(opened, source)
    with Watcher(items=ahead.items, is_quiet=common.as_json) as watcher:
        outcome = run(
            plan=opened.plan,
            reference=opened.reference,
            source=source,
            dsn=opened.dsn,
            entities=ahead.entities,
            workers=settings.workers,
            restart=restart,
            limits=Limits(
                max_rejected_share=settings.max_rejected,
                counted_from=settings.rejected_counted_from,
                lock_timeout_ms=settings.lock_timeout_ms,
                maintenance_work_mem=settings.maintenance_work_mem,
            ),
            is_captured=sync,
            emit=watcher.emit,
        )
    _show(outcome, as_json=common.as_json)
    return 1 if outcome.report.findings else 0


def _show_forecast(ahead: Forecast, *, as_json: bool, restart: bool) -> None:
    from ashore.cli.output import duration, print_json, say, size  # noqa: PLC0415

    if as_json:
        print_json({"dry_run": True, **ahead.as_json()})
        return
    cost = f", {ahead.read_units:,.0f} read units, ${ahead.dollars:,.2f}" if ahead.kind == "table" else ""
    say(f"reads      {ahead.reads}: {ahead.items:,} items, {size(ahead.bytes)}{cost}")
    say(f"           {ahead.note}")
    say(f"writes to  {ahead.writes_to}: {', '.join(ahead.entities)}")
    say(f"takes      about {duration(ahead.seconds)} with {ahead.workers} worker{'s' if ahead.workers != 1 else ''}")
    if restart:
        say("restart    rows of earlier loads of these entities are discarded")
    elif ahead.goes_on:
        say(f"goes on    {ahead.goes_on}")


def _show(outcome: LoadOutcome, *, as_json: bool) -> None:
    from ashore.cli.output import console, duration, print_json, table  # noqa: PLC0415

    if as_json:
        print_json(outcome.as_json())
        return
    report, out = outcome.report, console()
    outcomes = [one for one in _outcomes if any(count.outcome == one for count in report.counts)]
    outcomes += sorted({count.outcome for count in report.counts} - {*outcomes})
    names = dict.fromkeys(count.entity for count in report.counts)
    items = {(count.entity, count.outcome): count.items for count in report.counts}
    rows = [(name or "(no entity)", *(items.get((name, one)) for one in outcomes), _sum(items, name)) for name in names]
    rows.append(("all", *(sum(items.get((name, one), 0) for name in names) for one in outcomes), report.items))
    headings = ("", *(_outcomes.get(one, one) for one in outcomes), "items")
    out.print()
    out.print(table("Items read, and what became of them", headings, rows, numbers=len(headings) - 1))
    if report.rejected:
        lines = [(one.entity or "(no entity)", one.reason, one.items) for one in report.rejected]
        out.print()
        out.print(table("Rejected, and kept whole", ("entity", "reason", "items"), lines, numbers=1))
        out.print("  see them with: ashore rejects list", markup=False)
    for one in outcome.copies:
        words = f"{one.copies:,} copies, {one.differing:,} of which differ from their original"
        out.print(
            f"\n{one.entity}: {words}; {one.promoted:,} orphans promoted, {one.rejected:,} rejected", markup=False
        )
    if report.findings:
        found = [(one.kind, one.table, one.name, one.rows, one.detail) for one in report.findings]
        out.print()
        out.print(table("Findings", ("kind", "table", "name", "rows", "what"), found))
    pace = f"{report.items_per_s:,.0f} items/s, {report.mb_per_s:,.1f} MB/s"
    units = f", {report.read_units:,.0f} read units" if report.read_units else ""
    keys = f"keys and indexes {duration(report.key_build_seconds)}"
    took = f"{duration(report.seconds)} (rows {duration(report.row_seconds)}, {keys}), {pace}{units}"
    out.print(f"\nLoaded {report.source}: {report.items:,} items in {took}", markup=False)
    left = sum(report.refused.values())
    if report.native_items or left:
        share = left / (report.native_items + left)
        out.print(f"The native path left {share:.2%} of this run's items to Python", markup=False)
    ahead = "Go on with: ashore sync run" if outcome.is_captured else "Prove it with: ashore verify"
    out.print(ahead, markup=False)


_outcomes = {
    "rows": "rows",
    "copy": "copies",
    "rejected": "rejected",
    "other": "not this load",
    "not_yet": "not yet",
    "left_out": "left out",
    "gone": "gone since",
}


def _sum(items: dict[tuple[str | None, str], int], name: str | None) -> int:
    return sum(number for (of, _), number in items.items() if of == name)
