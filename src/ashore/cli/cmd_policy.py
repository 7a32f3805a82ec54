"""`ashore policy`: what AWS has to allow."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from ashore.cli import options

_iam_arn: Final = re.compile(r"arn:[a-z*-]+:iam::[0-9*]+:(role|user)/.+")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("policy", epilog="Example:  ashore policy --table efcms > policy.json")(policy)


def policy(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    table: options.Table = None,
    export: options.Export = None,
    sync: Annotated[bool, typer.Option("--sync", help="Reading the table's stream as well.")] = False,
    markers: Annotated[
        bool, typer.Option("--markers", help="Writing markers to the table as well: nothing else is written.")
    ] = False,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Writing rows back to the table as well, from a cutover of writes on.")
    ] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Deleting items of retired entities as well.")] = False,
    deny: Annotated[
        list[str] | None,
        typer.Option(
            "--deny",
            metavar="ENTITY",
            help="Instead: deny the writes of an entity that is written in PostgreSQL. May be repeated.",
        ),
    ] = None,
    writer: Annotated[
        list[str] | None,
        typer.Option("--writer", metavar="ARN", help="Of --deny: the role that writes rows back. May be repeated."),
    ] = None,
    identity: Annotated[
        bool, typer.Option("--identity", help="Of --deny: to be attached to the application's roles, not to the table.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Of --deny: put it into the table's own policy, beside what is there.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Of --deny: take it out of the table's policy again.")
    ] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Print the least IAM policy with which Ashore can read the table or the export. Asks nobody, writes nothing.

    With --deny it is the policy that keeps all others from writing moved entities in DynamoDB, as far as IAM can tell
    them apart; what it is worth is told on stderr. --apply and --remove change the table's own policy.

    The output is JSON with and without `--json`.
    """
    from ashore.cli.output import print_json  # noqa: PLC0415 (quick start)
    from ashore.pipeline.project import policy as least  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    if deny:
        if not remove and not writer:
            message = "name the role that writes rows back: it must not be denied"
            raise typer.BadParameter(message, param_hint="--writer")
        if wrong := [one for one in writer or () if _iam_arn.fullmatch(one) is None]:
            message = (
                f"{wrong[0]!r} is not the ARN of an IAM role or user, such as arn:aws:iam::123456789012:role/ashore"
            )
            raise typer.BadParameter(message, param_hint="--writer")
        return _deny(common, deny, writer or (), table=table, identity=identity, change=(apply, remove))
    if apply or remove or identity or writer:
        message = "these say how --deny is meant"
        raise typer.BadParameter(message, param_hint="--apply, --remove, --identity, --writer")
    settings = common.settings({"table": table, "export": export}, frozenset({"source"}))
    print_json(least(settings, with_stream=sync, with_markers=markers, with_reverse=reverse, with_purge=purge))
    return 0


def _deny(
    common: options.Common,
    entities: Sequence[str],
    writers: Sequence[str],
    *,
    table: str | None,
    identity: bool,
    change: tuple[bool, bool],
) -> int:
    from ashore.cli.output import print_json  # noqa: PLC0415 (quick start)
    from ashore.config.settings import everything  # noqa: PLC0415
    from ashore.pipeline import deny as denying  # noqa: PLC0415

    project = common.project(everything, table=table)
    is_applied, is_removed = change
    if is_removed:
        print_json({"removed": denying.allow(project, entities)})
        return 0
    if is_applied:
        done = denying.deny(project, entities, writers)
    else:
        done = denying.denied_writes(project, entities, writers, identity=identity)
    for line in done.strength:
        sys.stderr.write(f"fence: {line}\n")
    print_json(done.as_json() if common.as_json or is_applied else done.policy)
    return 0 if not done.detected else 1
