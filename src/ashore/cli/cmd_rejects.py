"""`ashore rejects`: items that could not become rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.config.settings import Need

_needs: frozenset[Need] = frozenset({"declarations", "postgres"})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        no_args_is_help=True, help="Items that could not become rows.", epilog="Example:  ashore rejects list"
    )
    group.command("list", epilog="Example:  ashore rejects list --entity case --reason wrong_type")(list_)
    group.command("show", epilog="Example:  ashore rejects show 17 --reveal")(show)
    group.command("retry", epilog="Example:  ashore rejects retry --reason nul_in_text")(retry)
    app.add_typer(group, name="rejects")


def list_(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    entity: Annotated[str | None, typer.Option("--entity", metavar="ENTITY", help="Only items of this entity.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="REASON", help="Only items of this reason.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many items to list.")] = 50,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Count rejected items by entity and reason, and list them. No value of an item is shown."""
    from ashore.cli.output import console, print_json, table  # noqa: PLC0415 (quick start)
    from ashore.pipeline.rejects import explanation, list_rejects  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    opened = common.project(_needs)
    found = list_rejects(opened, entity=entity, reason=reason, limit=limit)
    if common.as_json:
        print_json(found.as_json())
        return 0
    out = console()
    counts = [(of or "(no entity)", why, items, explanation(why)) for (of, why), items in found.counts.items()]
    if not counts:
        out.print("no rejected items", markup=False)
        return 0
    out.print(table(f"Rejected items of {found.source}", ("entity", "reason", "items", "meaning"), counts))
    rows = [
        (str(one.id), one.entity or "", one.key, one.attribute, one.reason, f"{one.rejected_at:%Y-%m-%d %H:%M}")
        for one in found.lines
    ]
    out.print()
    out.print(table("", ("id", "entity", "key", "attribute", "reason", "when"), rows))
    left = sum(found.counts.values()) - len(found.lines)
    if left:
        out.print(f"… and {left:,} more: see --limit", markup=False)
    return 0


def show(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="ID", help="The number in `ashore rejects list`.")],
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the item's values and key.")] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Show one rejected item whole. Stand-ins take the place of its values unless --reveal is given."""
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.pipeline.rejects import explanation, show_reject  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    found = show_reject(common.project(_needs), number, reveal=reveal)
    if common.as_json:
        print_json(found.as_json())
        return 0
    reject = found.reject
    say(f"id         {reject.id}, of load {reject.load}, {reject.rejected_at:%Y-%m-%d %H:%M:%S %Z}")
    say(f"entity     {reject.entity or '(none)'}")
    say(f"key        {reject.key}")
    say(f"attribute  {reject.attribute or '(none in particular)'}")
    say(f"reason     {reject.reason}: {explanation(reject.reason)}")
    say(f"detail     {reject.detail}\nitem")
    print_json(found.item)
    return 0


def retry(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[ID]…", help="Which of them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All rejected items of the source.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", metavar="REASON", help="All of this reason.")] = None,
    table: options.Table = None,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Try rejected items again with the declaration as it is now: each lands as rows, or stays with its reason.

    After a load from a table each item is read from it again, and is let go if it is gone there. Ends with 1 where
    items stay. It can be run again at any time; it is refused while a load of the source runs or is unfinished.
    """
    from ashore.cli.output import console, print_json  # noqa: PLC0415 (quick start)
    from ashore.cli.output import table as table_of  # noqa: PLC0415
    from ashore.pipeline.retry import retry_rejects  # noqa: PLC0415

    if sum((bool(numbers), every, reason is not None)) != 1:
        message = "give the numbers of items, or --all, or --reason REASON"
        raise typer.BadParameter(message)
    common = options.common(context, project=project, environment=environment, as_json=as_json)
    opened = common.project(_needs, table=table)
    report = retry_rejects(opened, numbers=numbers or (), reason=reason)
    if common.as_json:
        print_json(report.as_json())
    else:
        out = console()
        words = f"{report.landed:,} landed, {report.gone:,} gone, {report.needs_no_row:,} need no row"
        if report.queued:
            words += f", {report.queued:,} for the sync to read again"
        out.print(f"{report.tried:,} tried: {words}, {len(report.stays):,} stay", markup=False)
        if report.stays:
            rows = [(str(one.id), one.entity or "(no entity)", one.reason, one.attribute) for one in report.stays]
            out.print(table_of("", ("id", "entity", "reason", "attribute"), rows))
    return 1 if report.stays else 0
