"""`ashore sync repair`: what was lost before it was read comes from incremental exports, or from the whole table."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ashore.cli.options import Common
    from ashore.pipeline.gaps import GapsRepaired, GapStatus, OpenGaps


def repair(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    exports: Annotated[
        list[str] | None,
        typer.Option(
            "--export",
            metavar="PATH",
            help="An incremental export, or several in one place: a folder or s3://bucket/prefix. May be given again.",
        ),
    ] = None,
    scan: Annotated[
        bool, typer.Option("--scan", help="Read the whole table, and repair every key that differs.")
    ] = False,
    table: options.Table = None,
    workers: options.Workers = None,
    read_units: options.ReadUnits = None,
    segments: options.Segments = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many keys the exports name, and end. Changes nothing.")
    ] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Repair what was lost before it was read; without options, say what was, and how to export it.

    The keys that may be concerned go into the repair queue: a worker reads each from the table, and writes it. The
    gap is closed once they have left the queue. Ends with 1 while gaps are open for which nothing was done.
    """
    common = options.common(context, project=project, environment=environment, as_json=as_json)
    if scan and (exports or dry_run):
        message = "--scan reads the table: it goes with neither --export nor --dry-run"
        raise typer.BadParameter(message, param_hint="--scan")
    if scan:
        flags = {"table": table, "workers": workers, "read_units": read_units, "segments": segments}
        return _scan(common, flags)
    if exports:
        return _from_exports(common, exports, dry_run=dry_run)
    return _list(common)


def _list(common: Common) -> int:
    from ashore.cli.output import print_json  # noqa: PLC0415 (quick start)
    from ashore.config.settings import Need  # noqa: PLC0415
    from ashore.pipeline.gaps import open_gaps  # noqa: PLC0415

    needs: frozenset[Need] = frozenset({"declarations", "postgres"})
    found = open_gaps(common.project(needs))
    if common.as_json:
        print_json(asdict(found))
    else:
        _show_gaps(found)
    return 1 if any(not one.is_asked for one in found.gaps) else 0


def _from_exports(common: Common, paths: Sequence[str], *, dry_run: bool) -> int:
    from ashore.cli.output import print_json  # noqa: PLC0415 (quick start)
    from ashore.config.settings import Need  # noqa: PLC0415
    from ashore.pipeline.gaps import exports_at, repair_from_exports  # noqa: PLC0415

    needs: frozenset[Need] = frozenset({"declarations", "postgres"})
    opened = common.project(needs)
    exports = exports_at(opened, paths)
    done = repair_from_exports(plan=opened.plan, dsn=opened.dsn, exports=exports, dry_run=dry_run)
    if common.as_json:
        print_json(asdict(done))
    else:
        _show_repaired(done)
    return 1 if any(not one.is_asked for one in done.left) else 0


def _scan(common: Common, flags: dict[str, str | None]) -> int:
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.cli.progress import Watcher  # noqa: PLC0415
    from ashore.config.settings import everything  # noqa: PLC0415
    from ashore.pipeline.gaps import open_gaps  # noqa: PLC0415
    from ashore.pipeline.project import open_project  # noqa: PLC0415
    from ashore.pipeline.sync import table_source  # noqa: PLC0415
    from ashore.pipeline.verify import verify  # noqa: PLC0415

    settings = common.settings(flags, everything)
    opened = open_project(settings)
    source = table_source(opened)
    with Watcher(items=source.estimate().items, is_quiet=common.as_json) as watcher:
        report = verify(
            plan=opened.plan,
            reference=opened.reference,
            source=source,
            dsn=opened.dsn,
            workers=settings.workers,
            witness=settings.witness,
            repair=True,
            emit=watcher.emit,
        )
    left = open_gaps(opened).gaps
    waiting = report.total_differences + report.undecided
    if common.as_json:
        print_json({**report.as_json(), "gaps": [asdict(one) for one in left]})
    else:
        say(f"{report.items:,} items read; {waiting:,} findings: their keys are in the repair queue")
        _show_left(left)
    return 1 if any(not one.is_asked for one in left) else 0


def _show_gaps(found: OpenGaps) -> None:
    from ashore.cli.output import say  # noqa: PLC0415 (quick start)

    if not found.gaps:
        say(f"no record of {found.source} was lost, or all were repaired")
        return
    _show_left(found.gaps)
    if found.exports:
        say(
            "\nExports that cover these gaps (the table needs point-in-time recovery; NEW_IMAGE is the smaller view):\n"
        )
    for since, until in found.exports:
        say(f"aws dynamodb export-table-to-point-in-time --table-arn {found.table_arn} \\")
        say("    --s3-bucket BUCKET --s3-prefix PREFIX --export-format DYNAMODB_JSON \\")
        say("    --export-type INCREMENTAL_EXPORT --incremental-export-specification \\")
        say(f"    ExportFromTime={since},ExportToTime={until},ExportViewType=NEW_IMAGE")
    if found.exports:
        say("\nThen: ashore sync repair --export s3://BUCKET/PREFIX")


def _show_repaired(done: GapsRepaired) -> None:
    from ashore.cli.output import console, say, table  # noqa: PLC0415 (quick start)

    if done.asked:
        rows = [(name or "(no entity)", number) for name, number in done.keys.items()]
        rows.append(("(written to PostgreSQL since the export begins)", done.recent))
        verb = "would go" if done.dry_run else "went"
        console().print(table(f"Keys that {verb} into the repair queue", ("entity", "keys"), rows, numbers=1))
        closing = "would close" if done.dry_run else "closed" if set(done.asked) <= set(done.closed) else "will close"
        listed = ", ".join(str(gap) for gap in done.asked)
        say(f"\ngap {listed} {closing} once a worker has read them from the table")
    elif not done.left:
        say(f"no record of {done.source} was lost, or all were repaired: nothing to do")
    _show_left(done.left)


def _show_left(left: Sequence[GapStatus]) -> None:
    from ashore.cli.output import say  # noqa: PLC0415 (quick start)

    for one in left:
        since = "an unknown moment" if one.since is None else one.since
        say(f"gap {one.gap} ({one.kind}, shard {one.shard}): records from {since} to {one.until} were lost")
        say(f"  closed by {one.closes}")
