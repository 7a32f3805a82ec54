"""`ashore cutover`, `rollback`, `retire` and `foreign`: who takes the writes."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from ashore.cutover.run import Done
    from ashore.pipeline.cutover import Cutover, CutoverPlan, Options
    from ashore.pipeline.project import Project

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it begins.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and its gates, and end.")]
MaxPause = Annotated[
    float, typer.Option("--max-pause", metavar="SECONDS", min=1, help="How long writes may be held; then it goes back.")
]
Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role", metavar="ROLE", help="A role of the application, to be guarded by its privileges. May be repeated."
    ),
]
Validity = Annotated[
    float | None,
    typer.Option(
        "--validity",
        metavar="SECONDS",
        min=0.1,
        max=3600,
        help="How long applications may act on what they were told: the fence waits so long.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Move reads or writes of entities to PostgreSQL.")
    group.command("reads", epilog="Example:  ashore cutover reads message")(reads)
    group.command("writes", epilog="Example:  ashore cutover writes message --restore-point 'snapshot of today'")(
        writes
    )
    app.add_typer(group, name="cutover")
    app.command("rollback", epilog="Example:  ashore rollback message")(rollback)
    app.command("retire", epilog="Example:  ashore retire message")(retire)
    foreign = typer.Typer(help="Writes of others in DynamoDB while PostgreSQL takes the writes.")
    foreign.command("list", epilog="Example:  ashore foreign list")(foreign_list)
    foreign.command("drop", epilog="Example:  ashore foreign drop 17 18")(foreign_drop)
    foreign.command("done", epilog="Example:  ashore foreign done 17")(foreign_done)
    app.add_typer(foreign, name="foreign")


def reads(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entities: options.Entities = None,
    role: Roles = None,
    validity: Validity = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Send calls that only read to PostgreSQL. Writes, and reads that feed a write, stay on DynamoDB."""
    from ashore.pipeline.cutover import Options  # noqa: PLC0415 (quick start)

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    said = Options(roles=tuple(role or ()), validity_seconds=validity)
    with _opened(common, entities, said) as cutover:
        plan = cutover.plan_reads()
        if not _goes_on(common, plan, dry_run=dry_run, yes=yes):
            return 0 if plan.is_open else 3
        cutover.reads()
        _tell(common, {"entities": list(plan.entities), "state": "reading"}, "reads go to PostgreSQL now")
    return 0


def writes(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entities: options.Entities = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Measure how long writes would be held; nothing is held.")
    ] = False,
    max_pause: MaxPause = 60.0,
    validity: Validity = None,
    role: Roles = None,
    restore_point: Annotated[
        str | None,
        typer.Option("--restore-point", metavar="TEXT", help="What PostgreSQL could be restored to, in your words."),
    ] = None,
    writes_from: Annotated[
        str | None,
        typer.Option("--writes-from", metavar="REGION", help="Of a global table: the only region that is written in."),
    ] = None,
    no_way_back: Annotated[
        bool, typer.Option("--no-way-back", help="Write nothing back to DynamoDB: there is no rollback.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Send writes to PostgreSQL, after holding them for seconds; every row is written back to DynamoDB from then on.

    Where a gate is closed, or the pause would become longer than it may be, writes stay on DynamoDB.
    """
    from ashore.cli.output import duration  # noqa: PLC0415 (quick start)
    from ashore.pipeline.cutover import Options  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    said = Options(
        roles=tuple(role or ()),
        max_pause_seconds=max_pause,
        validity_seconds=validity,
        has_way_back=not no_way_back,
        restore_point=restore_point,
        writes_from=writes_from,
    )
    with _opened(common, entities, said) as cutover:
        if rehearse:
            done = cutover.rehearse()
            line = f"writes would be held for {duration(done.pause_seconds)} (the stream passed {done.passed})"
            _tell(common, asdict(done), line)
            return 0
        plan = cutover.plan_writes()
        if not _goes_on(common, plan, dry_run=dry_run, yes=yes):
            return 0 if plan.is_open else 3
        return _done(common, cutover.writes(), "writes go to PostgreSQL now")


def rollback(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entities: options.Entities = None,
    max_pause: MaxPause = 60.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Go one step back: reads to DynamoDB; or writes, once DynamoDB holds everything that PostgreSQL was given."""
    from ashore.pipeline.cutover import Options  # noqa: PLC0415 (quick start)

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    with _opened(common, entities, Options(max_pause_seconds=max_pause)) as cutover:
        plan = cutover.plan_back()
        if not _goes_on(common, plan, dry_run=dry_run, yes=yes):
            return 0 if plan.is_open else 3
        return _done(common, cutover.back(), "writes and reads go to DynamoDB now")


def retire(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entities: options.Entities = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Close the way back for good: nothing is written to DynamoDB any more. Its items stay until you delete them."""
    from ashore.pipeline.cutover import Options  # noqa: PLC0415 (quick start)

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    with _opened(common, entities, Options()) as cutover:
        plan = cutover.plan_retire()
        if not _goes_on(common, plan, dry_run=dry_run, yes=yes):
            return 0 if plan.is_open else 3
        cutover.retire()
        _tell(common, {"entities": list(plan.entities), "state": "retired"}, "the way back is closed")
    return 0


def foreign_list(
    *,
    context: typer.Context,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Show what others wrote to DynamoDB, and nobody has decided on. Keys are shown, values are not kept."""
    from ashore.cli.output import console, print_json, table  # noqa: PLC0415 (quick start)
    from ashore.pipeline.foreign import foreign_writes  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    found = foreign_writes(_project(common))
    if common.as_json:
        print_json([asdict(one) for one in found])
    else:
        rows = [(one.number, one.entity, one.key, one.at, one.is_expiry) for one in found]
        console().print(table("Writes of others", ("number", "entity", "key", "at", "expired"), rows))
    return 1 if found else 0


def foreign_drop(
    *,
    context: typer.Context,
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER…", help="Which, by their numbers.")],
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Overwrite what others wrote with what PostgreSQL holds."""
    return _decide(context, numbers, project, environment, as_json=as_json, drop=True)


def foreign_done(
    *,
    context: typer.Context,
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER…", help="Which, by their numbers.")],
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Say that you took care of what others wrote. Nothing is changed in either store."""
    return _decide(context, numbers, project, environment, as_json=as_json, drop=False)


def _decide(
    context: typer.Context,
    numbers: list[int],
    project: Path | None,
    environment: str | None,
    *,
    as_json: bool,
    drop: bool,
) -> int:
    from ashore.pipeline.foreign import decide  # noqa: PLC0415 (quick start)

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    decided = decide(_project(common), numbers, drop=drop)
    what = "will be overwritten" if drop else "taken care of"
    _tell(common, {"decided": decided, "decision": "dropped" if drop else "taken"}, f"{decided} {what}")
    return 0 if decided == len(set(numbers)) else 1


def _project(common: options.Common) -> Project:
    from ashore.config.settings import everything  # noqa: PLC0415 (quick start)

    return common.project(everything)


def _opened(common: options.Common, entities: list[str] | None, said: Options) -> AbstractContextManager[Cutover]:
    from ashore.pipeline.cutover import opened  # noqa: PLC0415 (quick start)

    return opened(_project(common), entities or (), said)


def _goes_on(common: options.Common, plan: CutoverPlan, *, dry_run: bool, yes: bool) -> bool:
    """Show the plan; whether to do it. A closed gate is left to the command, which refuses with all reasons."""
    from ashore.cli.output import console, print_json, table  # noqa: PLC0415 (quick start)

    if common.as_json:
        if dry_run:
            print_json(plan.as_json())
        return not dry_run
    rows = [("open" if gate.is_open else "CLOSED", gate.name, gate.found) for gate in plan.gates]
    out = console()
    out.print(f"{plan.doing} of {', '.join(plan.entities)}", markup=False)
    if plan.max_pause_seconds:
        out.print(f"writes are held for {plan.max_pause_seconds:g} s at most", markup=False)
    for line in plan.fence:
        out.print(f"  fence: {line}", markup=False)
    for line in plan.cost:
        out.print(f"  cost: {line}", markup=False)
    for line in plan.waived:
        out.print(f"  {line}", markup=False)
    out.print(table("Gates", ("", "gate", "found"), rows))
    if dry_run:
        return False
    if plan.is_open and not yes and sys.stdin.isatty() and not typer.confirm("Go on?", err=True):
        raise typer.Abort
    return True


def _done(common: options.Common, done: Done, what: str) -> int:
    from ashore.cli.output import duration  # noqa: PLC0415 (quick start)

    told = asdict(done)
    lines = [f"{what}; they were held for {duration(done.pause_seconds)} (the stream passed the fence: {done.passed})"]
    lines += [f"{one.kind} {one.name} of {one.table}: {one.detail}" for one in done.findings]
    _tell(common, told, *lines)
    return 1 if done.findings else 0


def _tell(common: options.Common, told: dict[str, Any], *lines: str) -> None:
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)

    if common.as_json:
        print_json(told)
        return
    for line in lines:
        say(line)
