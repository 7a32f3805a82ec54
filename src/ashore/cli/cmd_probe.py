"""`ashore probe`: what markers show of a table's stream."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.pipeline.probe import ProbeForecast


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("probe", epilog="Example:  ashore probe --table efcms --dry-run")(probe)


def probe(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    table: options.Table = None,
    marker_writes: Annotated[
        str | None, typer.Option("--marker-writes", metavar="N", help="The most markers to write.")
    ] = None,
    marker_write_units: Annotated[
        str | None,
        typer.Option("--marker-write-units", metavar="N", help="The most write units a second to take from the table."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="NAME", help="Write the report to NAME.json and, to be read, to NAME.md."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written and what it costs, and end.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it writes.")] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Write markers to the table, see them come back from its stream, and report what can be built on.

    Markers are items of nothing but a key that begins with ashore-marker; each is removed at once. Every reader of the
    stream sees them. Says what it will write and asks; where nobody can be asked, it needs --yes. Ends with 1 where a
    shard was not reached, or markers came back late or out of order.
    """
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.pipeline.probe import forecast_probe  # noqa: PLC0415
    from ashore.pipeline.probe import probe as run  # noqa: PLC0415
    from ashore.pipeline.probe_text import report_text  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    flags = {"table": table, "marker_writes": marker_writes, "marker_write_units": marker_write_units}
    settings = common.settings(flags, frozenset({"source"}))
    ahead = forecast_probe(settings)
    if not common.as_json:
        _show_forecast(ahead)
    if dry_run:
        if common.as_json:
            print_json(asdict(ahead))
        return 0
    if not yes:
        _ask()
    report = run(settings, ahead, _tell if not common.as_json else lambda *_: None)
    text = report_text(report)
    if out is not None:
        import json  # noqa: PLC0415 (quick start)

        out.with_name(f"{out.name}.json").write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
        out.with_name(f"{out.name}.md").write_text(text, encoding="utf-8")
    if common.as_json:
        print_json(report.as_json())
    else:
        say(f"\n{text}")
    return 1 if report.findings else 0


def _ask() -> None:
    if not sys.stdin.isatty():
        message = "a probe writes to the table: give --yes where nobody can be asked"
        raise typer.BadParameter(message, param_hint="--yes")
    if not typer.confirm("Write markers to this table?", default=False, err=True):
        raise typer.Abort


def _show_forecast(ahead: ProbeForecast) -> None:
    from ashore.cli.output import say  # noqa: PLC0415 (quick start)

    say(f"table {ahead.table}, stream {ahead.stream}: {ahead.shards:,} open shards")
    say(
        f"writes at most {ahead.markers:,} markers, and removes each at once; equal shards need some {ahead.expected:,}"
    )
    say(f"takes at most {ahead.write_units:,.0f} write units, ${ahead.dollars:.4f} ({ahead.note})")
    say("every reader of the stream, such as a Lambda, sees them come and go")


def _tell(written: int, reached: int, shards: int) -> None:
    from ashore.cli.output import say  # noqa: PLC0415 (quick start)

    say(f"{written:,} markers, {reached:,} of {shards:,} shards reached")
