"""`ashore assess`: from an unknown table or export to entities, a schema and a project."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.assess.report.assessment import Assessment
    from ashore.pipeline.assess import Announced
    from ashore.pipeline.assess_project import Result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("assess", epilog="Example:  ashore assess --export ./AWSDynamoDB --all --out ./court")(assess)


def assess(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    table: options.Table = None,
    export: options.Export = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=1, help="Read about N items.", show_default="10000")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Read every item: only then is anything proven.")] = False,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="ATTRIBUTE[:S|N|B]", help="A key attribute, partition key first; for an export."),
    ] = None,
    index: Annotated[
        list[str] | None,
        typer.Option(
            "--index", metavar="[NAME=]ATTRIBUTE[,ATTRIBUTE]", help="A secondary index and its key; for an export."
        ),
    ] = None,
    code: Annotated[
        Path | None,
        typer.Option(
            "--code",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Source code to search for what uses each entity.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write the project and the report here.")
    ] = None,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Show example values instead of stand-ins for them.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read, and end.")] = False,
    workers: options.Workers = None,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Assess a table or an export: propose entities, tables and a plan, with the evidence.

    Writes to no table and no database. With `--out`, writes a project that runs as it is; where people edited
    `entities.py`, it is compared with what is seen now and left alone, and differences make the exit code 1.
    """
    from ashore.cli.progress import Watcher  # noqa: PLC0415 (quick start)
    from ashore.pipeline.assess import DEFAULT_SAMPLE, announce, sampled_source  # noqa: PLC0415
    from ashore.pipeline.assess_project import Order, assess_project, attributes_of  # noqa: PLC0415
    from ashore.pipeline.project import item_source  # noqa: PLC0415

    if everything and sample is not None:
        raise typer.BadParameter("--all reads everything, --sample a part: give one of them")
    wanted = None if everything else sample or DEFAULT_SAMPLE
    common = options.common(context, project=project, environment=environment, as_json=as_json)
    settings = common.settings({"table": table, "export": export, "workers": workers}, frozenset({"source"}))
    source = sampled_source(item_source(settings), wanted)
    announced = announce(source, wanted)
    if dry_run or not common.as_json:
        _announce(announced, as_json=common.as_json)
    if dry_run:
        return 0
    with Watcher(items=announced.items, is_quiet=common.as_json or not sys.stderr.isatty()) as watcher:
        result = assess_project(
            Order(
                settings=settings,
                source=source,
                sample=wanted,
                read_units=announced.read_units,
                key=attributes_of(key or ()),
                indexes=tuple(index or ()),
                code=code,
                out=out,
                show_values=show_values,
            ),
            emit=watcher.emit,
        )
    _show(result, as_json=common.as_json)
    return 1 if result.drift is not None and result.drift.findings else 0


_verdicts = {"cross": "cross to PostgreSQL", "stay": "stay on DynamoDB", "undecided": "undecided"}


def _announce(announced: Announced, *, as_json: bool) -> None:
    from ashore.cli.output import print_json, say  # noqa: PLC0415

    if as_json:
        print_json({"dry_run": True, **announced.as_json()})
        return
    units = f", at most {announced.read_units:,.0f} read units" if announced.read_units else ""
    say(f"reads  at most {announced.items:,} of about {announced.of:,} items{units}")


def _show(result: Result, *, as_json: bool) -> None:
    from ashore.cli.output import console, print_json, size, table  # noqa: PLC0415

    if as_json:
        print_json(result.as_json())
        return
    proposal, out = result.proposal, console()
    rows = [
        (
            one.name,
            one.role,
            f"{one.keys[0].partition}  {one.keys[0].sort or ''}",
            len(one.columns),
            sum(copies.key.items for copies in one.copies),
            one.items,
        )
        for one in proposal.entities
    ]
    out.print()
    out.print(table("Entities", ("entity", "is a", "key", "columns", "copies", "items"), rows, numbers=3))
    read = "every item was read" if proposal.complete else f"{proposal.items_read:,} of about {proposal.items:,} read"
    out.print(f"\n{proposal.table}: {len(proposal.entities)} entities, {size(proposal.bytes)}; {read}", markup=False)
    if proposal.rules:
        left = sum(rule.items for rule in proposal.rules)
        out.print(f"{left:,} items are like nothing else: see not_yet in entities.py", markup=False)
    _show_judgement(result.assessment)
    _show_files(result)


def _show_judgement(assessment: Assessment) -> None:
    from ashore.cli.output import console  # noqa: PLC0415

    out = console()
    verdict = assessment.verdict
    out.print(f"verdict: {_verdicts[verdict.word]}", markup=False)
    for reason in verdict.reasons:
        out.print(f"  {reason}", markup=False)
    if assessment.code is not None:
        found = assessment.code.entities
        unnamed = sorted(name for name, uses in found.items() if not uses)
        named = len(found) - len(unnamed)
        out.print(f"code: names {named} of the entities; no file names {', '.join(unnamed) or 'none'}", markup=False)
        for one in assessment.code.transactions:
            file, line = one.places[0]
            out.print(f"code: {', '.join(one.entities)}: one transaction? {file}, line {line}", markup=False)
    for hazard in assessment.proposal.hazards:
        out.print(f"{hazard.severity}: {hazard.what}\n  {hazard.hint}", markup=False)


def _show_files(result: Result) -> None:
    from ashore.cli.output import console  # noqa: PLC0415

    out = console()
    if result.drift is not None:
        for finding in result.drift.findings:
            out.print(f"differs: {finding.where}: {finding.what}\n  {finding.hint}", markup=False)
        if not result.drift.findings:
            out.print("entities.py was edited, and takes all that was seen", markup=False)
    for path in result.written:
        out.print(f"wrote {path}", markup=False)
    if result.written:
        out.print("Next: read entities.py, then ashore load --dry-run in that folder", markup=False)
    else:
        out.print("Write the project and the report with --out DIR", markup=False)
