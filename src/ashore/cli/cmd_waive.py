"""`ashore waive` and `ashore waivers`: what stands in the way of a cutover, passed by for a reason and for a time."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.config.settings import Need

_needs: frozenset[Need] = frozenset({"declarations", "postgres"})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    example = """Example:  ashore waive '{"pk":{"S":"a"},"sk":{"S":"b"}}' --reason 'test data' --until 2030-01-31"""
    app.command("waive", epilog=example)(waive)
    group = typer.Typer(
        no_args_is_help=True,
        help="What stands in the way, and what of it is waived.",
        epilog="Example:  ashore waivers open",
    )
    group.command("open", epilog="Example:  ashore waivers open")(open_)
    group.command("list", epilog="Example:  ashore waivers list")(list_)
    group.command("withdraw", epilog="Example:  ashore waivers withdraw 3")(withdraw)
    app.add_typer(group, name="waivers")


def waive(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    keys: Annotated[list[str], typer.Argument(metavar="KEY…", help="As `ashore waivers open` shows them.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the plan.")],
    until: Annotated[
        datetime,
        typer.Option(
            "--until",
            metavar="DATE",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
            help="When it ends, in UTC unless an offset is given.",
        ),
    ],
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Pass by what stands in the way of a cutover or a way back under some keys, as it is now and nothing later."""
    from ashore.pipeline import waivers  # noqa: PLC0415 (quick start)

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    if not reason.strip():
        message = "say why: every plan shows it"
        raise typer.BadParameter(message, param_hint="--reason")
    numbers = waivers.waive(common.project(_needs), keys, reason=reason, until=until)
    _tell(common, {"waivers": numbers}, f"waived: {', '.join(map(str, numbers)) or 'nothing that was not already'}")
    return 0


def open_(
    *,
    context: typer.Context,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Show by key what stands in the way: rejected items, parked changes, differences, foreign writes, refused rows."""
    from ashore.cli.output import console, print_json, table  # noqa: PLC0415 (quick start)
    from ashore.pipeline.waivers import open_obstacles  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    found = open_obstacles(common.project(_needs))
    if common.as_json:
        print_json([{"kind": one.kind, "entity": one.entity, "key": one.key, "what": one.what} for one in found])
    else:
        rows = [(one.kind, one.entity, one.what, one.key) for one in found]
        console().print(table("In the way", ("kind", "entity", "what", "key"), rows))
    return 1 if found else 0


def list_(
    *,
    context: typer.Context,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Show the waivers that were not withdrawn: of what, why, by whom, and until when."""
    from ashore.cli.output import console, print_json, table  # noqa: PLC0415 (quick start)
    from ashore.pipeline.waivers import list_waivers  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    found = list_waivers(common.project(_needs))
    if common.as_json:
        print_json([asdict(one) | {"until": one.until.isoformat(), "at": one.at.isoformat()} for one in found])
        return 0
    rows = [
        (str(one.id), one.kind, one.entity, one.key, one.reason, one.who, f"{one.until:%Y-%m-%d %H:%M}", one.is_over)
        for one in found
    ]
    console().print(table("Waivers", ("number", "kind", "entity", "key", "reason", "by", "until", "over"), rows))
    return 0


def withdraw(
    *,
    context: typer.Context,
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER…", help="Which, by their numbers.")],
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Let waivers count no more. Ends with 1 where one of the numbers is none."""
    from ashore.pipeline import waivers  # noqa: PLC0415 (quick start)

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    withdrawn = waivers.withdraw(common.project(_needs), numbers)
    _tell(common, {"withdrawn": withdrawn}, f"withdrawn: {', '.join(map(str, withdrawn)) or 'none'}")
    return 0 if len(withdrawn) == len({*numbers}) else 1


def _tell(common: options.Common, told: dict[str, Any], line: str) -> None:
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)

    if common.as_json:
        print_json(told)
    else:
        say(line)
