"""`ashore verify`: proof that PostgreSQL holds what the source holds."""

from __future__ import annotations

import json
import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable

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
    patience: Annotated[
        float,
        typer.Option("--patience", metavar="SECONDS", min=1, help="How long a key is read again, until it agrees."),
    ] = 60.0,
    continuous: Annotated[
        bool, typer.Option("--continuous", help="Verify again and again, until SIGTERM or Ctrl-C.")
    ] = False,
    pause: Annotated[
        float, typer.Option("--pause", metavar="SECONDS", min=0, help="With --continuous: between two rounds.")
    ] = 600.0,
    rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="N", min=1, help="With --continuous: end after so many rounds.")
    ] = None,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Compare loaded entities with a fresh reading of the source, both ways and exactly.

    Ends with 1 where they differ, or did in any round. Changes nothing but the ledger, which keeps the reports.
    """
    from ashore.cli.progress import Watcher  # noqa: PLC0415 (quick start)
    from ashore.config.settings import everything  # noqa: PLC0415
    from ashore.pipeline.project import chosen_entities, item_source, open_project  # noqa: PLC0415
    from ashore.pipeline.verify import verify as run  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    if rounds is not None and not continuous:
        message = "it goes with --continuous"
        raise typer.BadParameter(message, param_hint="--rounds")
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
    ended = threading.Event()

    def once() -> VerifyReport:
        with Watcher(items=source.estimate().items, is_quiet=common.as_json) as watcher:
            return run(
                plan=opened.plan,
                reference=opened.reference,
                source=source,
                dsn=opened.dsn,
                entities=names,
                workers=settings.workers,
                witness=settings.witness,
                witness_all=witness_all,
                repair=repair,
                patience_seconds=patience,
                should_stop=ended.is_set,
                emit=watcher.emit,
            )

    if continuous:
        return _in_rounds(once, ended, pause=pause, most=rounds, as_json=common.as_json)
    report = once()
    _show(report, as_json=common.as_json)
    return 1 if report.total_differences or report.undecided else 0


def _in_rounds(
    once: Callable[[], VerifyReport], ended: threading.Event, *, pause: float, most: int | None, as_json: bool
) -> int:
    from ashore.cli.output import say  # noqa: PLC0415 (quick start)
    from ashore.pipeline.verify_rounds import verify_in_rounds  # noqa: PLC0415

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())

    def hear(number: int, report: VerifyReport) -> None:
        if as_json:
            say(json.dumps({"round": number, **report.as_json()}, ensure_ascii=False))
            sys.stdout.flush()
        elif report.total_differences or report.undecided:
            _show(report, as_json=False)
            say(f"round {number}: {_verdict(report).upper()}")
        else:
            say(f"round {number}: {_verdict(report)}, {report.items:,} items, {report.ended_at:%Y-%m-%d %H:%M:%S} UTC")
        sys.stdout.flush()

    done = verify_in_rounds(once, ended, pause_seconds=pause, most=most, on_report=hear)
    if not as_json:
        say(f"{done.rounds} rounds, {done.apart} of them with differences")
    return 1 if done.has_findings else 0


def _verdict(report: VerifyReport) -> str:
    if report.total_differences or report.undecided:
        return f"{report.total_differences:,} differences, {report.undecided:,} undecided"
    return "equal"


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
    if waived := sum(one.waived for one in report.entities):
        out.print(f"\n{waived:,} keys differ and are waived: see `ashore waivers list`", markup=False)
    if report.differences:
        lines = [(one.kind, one.entity, one.table, one.key, ", ".join(one.columns)) for one in report.differences]
        out.print()
        out.print(table("The first differences", ("kind", "entity", "table", "key", "columns"), lines))
    reading = "a live table" if report.live else "an export"
    when = f"{report.started_at:%Y-%m-%d %H:%M:%S} to {report.ended_at:%H:%M:%S} UTC"
    out.print(f"\nVerified {report.source} against {reading}: {_verdict(report)}", markup=False)
    if report.stream is not None:
        out.print(f"Differences waited until the stream had passed, {report.stream['passed']}", markup=False)
    out.print(f"{report.items:,} items in {duration(report.seconds)}, {when}", markup=False)
