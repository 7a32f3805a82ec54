"""`ashore index`: feeding OpenSearch from PostgreSQL once the feed that did so before is off."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.config.settings import Need
    from ashore.pipeline.index import BeginPlan

_ledger: frozenset[Need] = frozenset({"declarations", "postgres"})
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it begins.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and end.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Feed an index of OpenSearch with what is written in PostgreSQL.")
    group.command("begin", epilog="Example:  ashore index begin message --old-feed-off 'mapping disabled at 10:40'")(
        begin
    )
    group.command("run", epilog="Example:  ashore index run")(run)
    group.command("rebuild", epilog="Example:  ashore index rebuild message")(rebuild)
    group.command("retry", epilog="Example:  ashore index retry message")(retry)
    group.command("end", epilog="Example:  ashore index end message")(end)
    app.add_typer(group, name="index")


def begin(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entities: options.Entities = None,
    old_feed_off: Annotated[
        str | None,
        typer.Option(
            "--old-feed-off", metavar="TEXT", help="How the feed from DynamoDB was switched off, in your words."
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Note what is written for the index from now on, once the old feed is off. `index run` feeds it."""
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.pipeline.index import opened  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    with opened(common.project(_ledger), entities or ()) as feeding:
        plan = feeding.plan_begin(old_feed_off)
        if not _goes_on(common, plan, dry_run=dry_run, yes=yes):
            return 0 if plan.is_open else 3
        new = feeding.begin(old_feed_off)
    if common.as_json:
        print_json({"begun": new, "indexes": dict(plan.indexes)})
    elif new:
        say(f"what is written to {', '.join(new)} is noted for the index from now on")
        say("let `ashore index run` run, and make every document once with `ashore index rebuild`")
    else:
        say("was begun before")
    return 0


def run(
    *,
    context: typer.Context,
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="End once nothing waits but what is refused.")
    ] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Feed until told to end by Ctrl-C or SIGTERM. Several may run: one feeds, and another takes over when it dies."""
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.pipeline.index_run import run_feed  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    found = run_feed(common.project(_ledger), _stopped(), until_empty=until_empty, tell=_tell)
    if common.as_json:
        print_json(found.as_json())
    else:
        say(f"{found.indexed:,} documents written and {found.deleted:,} deleted so far; {found.waiting:,} wait")
        if found.refused:
            say(f"{found.refused:,} are refused: `ashore status` names them")
    return 1 if found.refused else 0


def rebuild(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entities: options.Entities = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin with the first row, where an unfinished rebuild would go on.")
    ] = False,
    dry_run: DryRun = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Make every document anew from PostgreSQL while the feed goes on, in the same index or in one declared instead."""
    from ashore.cli.output import console, print_json, say, table  # noqa: PLC0415 (quick start)
    from ashore.pipeline.index_run import plan_rebuild  # noqa: PLC0415
    from ashore.pipeline.index_run import rebuild as rebuild_index  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    opened = common.project(_ledger)
    if dry_run:
        plans = plan_rebuild(opened, entities or ())
        if common.as_json:
            print_json([one.as_json() for one in plans])
        else:
            rows = [(one.entity, one.index, one.takes_over_from, one.rows, one.goes_on_after_rows) for one in plans]
            headings = ("entity", "index", "takes over from", "rows, about", "read already")
            console().print(table("Rebuild", headings, rows, numbers=2))
        return 0
    done = rebuild_index(opened, entities or (), _stopped(), restart=restart, tell=_tell)
    if common.as_json:
        print_json([one.as_json() for one in done])
    else:
        for one in done:
            state = "is complete" if one.is_complete else "is not complete: run the same command again"
            refused = f"; {one.refused:,} entries are refused, see `ashore status`" if one.refused else ""
            say(f"{one.entity}: {one.rows:,} rows read; index {one.index} {state}{refused}")
    return 0 if all(one.is_complete for one in done) else 1


def retry(
    *,
    context: typer.Context,
    entities: options.Entities = None,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Let documents that were refused be tried again, once the index's mapping or your function was corrected."""
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.pipeline.index import opened  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    with opened(common.project(_ledger), entities or ()) as feeding:
        number = feeding.retry()
    if common.as_json:
        print_json({"entries": number})
    else:
        say(f"{number:,} entries will be tried again")
    return 0


def end(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entities: options.Entities = None,
    yes: Yes = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Feed no more, and return when no request is under way: then the old feed may be switched on again."""
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.pipeline.index import opened  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    with opened(common.project(_ledger), entities or ()) as feeding:
        if not yes and not as_json and sys.stdin.isatty():
            typer.confirm(f"Feed no index with {', '.join(feeding.entities)} any more?", abort=True, err=True)
        ended = feeding.end()
    if common.as_json:
        print_json({"ended": ended})
    else:
        say(f"Ashore feeds no index with {', '.join(ended)} any more" if ended else "none of these was fed")
    return 0


def _goes_on(common: options.Common, plan: BeginPlan, *, dry_run: bool, yes: bool) -> bool:
    from ashore.cli.output import console, print_json, table  # noqa: PLC0415 (quick start)

    if common.as_json:
        if dry_run:
            print_json(plan.as_json())
        return not dry_run
    rows = [("open" if gate.is_open else "CLOSED", gate.name, gate.found) for gate in plan.gates]
    console().print(table("Gates", ("", "gate", "found"), rows))
    if dry_run:
        return False
    if plan.is_open and not yes and sys.stdin.isatty() and not typer.confirm("Go on?", err=True):
        raise typer.Abort
    return True


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _stopped() -> threading.Event:
    """Set by SIGTERM, as by the first Ctrl-C."""
    stop = threading.Event()

    def stopping(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGTERM, stopping)
    signal.signal(signal.SIGINT, stopping)
    return stop
