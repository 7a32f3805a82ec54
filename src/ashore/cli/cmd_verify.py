"""`ashore verify`: proof that PostgreSQL holds what the source holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.verify.report import VerifyReport


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify", epilog="Example:  ashore verify case --table efcms --witness 20")(verify)


def verify(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entities: options.Entities = None,
    table: options.Table = None,
    export: options.Export = None,
    workers: options.Workers = None,
    read_units: options.ReadUnits = None,
    segments: options.Segments = None,
    witness: Annotated[
        str | None,
        typer.Option(
            "--witness", metavar="N", help="How many items of each shape boto3's own reading is held against."
        ),
    ] = None,
    witness_all: Annotated[
        bool, typer.Option("--witness-all", help="Hold every item against boto3's reading.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Let the sync read again, and write, every key that differs.")
    ] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Compare loaded entities with a fresh reading of the source, both ways and exactly.

    Ends with 1 where they differ. Changes nothing but the ledger, which keeps the report.
    """
    from ashore.cli.progress import Watcher  # noqa: PLC0415 (quick start)
    from ashore.config.settings import everything  # noqa: PLC0415
    from ashore.pipeline.project import chosen_entities, item_source, open_project  # noqa: PLC0415
    from ashore.pipeline.verify import verify as run  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    flags = {
        "table": table,
        "export": export,
        "workers": workers,
        "read_units": read_units,
        "segments": segments,
        "witness": witness,
    }
    settings = common.settings(flags, everything)
    opened = open_project(settings)
    source = item_source(settings)
    names = chosen_entities(opened.plan, entities or ())
    with Watcher(items=source.estimate().items, is_quiet=common.as_json) as watcher:
        report = run(
            plan=opened.plan,
            reference=opened.reference,
            source=source,
            dsn=opened.dsn,
            entities=names,
            workers=settings.workers,
            witness=settings.witness,
            witness_all=witness_all,
            repair=repair,
            emit=watcher.emit,
        )
    _show(report, as_json=common.as_json)
    return 1 if report.total_differences or report.undecided else 0


def _show(report: VerifyReport, *, as_json: bool) -> None:
    from ashore.cli.output import console, duration, print_json, table  # noqa: PLC0415

    if as_json:
        print_json(report.as_json())
        return
    out = console()
    rows = [
        (
            one.entity,
            one.expected,
            one.actual,
            one.missing,
            one.extra,
            one.different,
            one.undecided,
            f"{one.witnessed_shapes:,} of {one.shapes:,}",
            one.witnessed,
            one.refuted,
        )
        for one in report.entities
    ]
    headings = (
        "",
        "expected",
        "actual",
        "missing",
        "extra",
        "different",
        "undecided",
        "shapes",
        "witnessed",
        "refuted",
    )
    out.print()
    out.print(table("Rows expected from the source, and rows in PostgreSQL", headings, rows, numbers=9))
    kept = report.rejected
    if kept.not_kept or kept.no_longer_rejected:
        words = f"{kept.not_kept:,} are not kept, {kept.no_longer_rejected:,} are kept and fit now"
        out.print(f"\nRejected items: {kept.expected:,} expected, {kept.actual:,} kept; {words}", markup=False)
    if report.differences:
        lines = [(one.kind, one.entity, one.table, one.key, ", ".join(one.columns)) for one in report.differences]
        out.print()
        out.print(table("The first differences", ("kind", "entity", "table", "key", "columns"), lines))
    if report.total_differences or report.undecided:
        verdict = f"{report.total_differences:,} differences, {report.undecided:,} undecided"
    else:
        verdict = "equal"
    reading = "a live table" if report.live else "an export"
    when = f"{report.started_at:%Y-%m-%d %H:%M:%S} to {report.ended_at:%H:%M:%S} UTC"
    out.print(f"\nVerified {report.source} against {reading}: {verdict}", markup=False)
    if report.stream is not None:
        out.print(f"Differences waited until the stream had passed, {report.stream['passed']}", markup=False)
    out.print(f"{report.items:,} items in {duration(report.seconds)}, {when}", markup=False)
