"""`ashore users`: who may use the database, and as what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.config.secret import Dsn
    from ashore.pipeline.users import UsersPlan

File = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="The declaration.", show_default="users.toml of the project"),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Roles, grants and policies.", epilog="Example:  ashore users plan")
    group.command("plan", epilog="Example:  ashore users plan > users.sql")(plan)
    group.command("apply", epilog="Example:  ashore users apply --env prod")(apply)
    group.command("check", epilog="Example:  ashore users check --env prod --json")(check)
    app.add_typer(group, name="users")


def plan(
    *,
    context: typer.Context,
    file: File = None,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Print the SQL that makes the database's roles and grants as declared, and the policies. Changes nothing.

    The output is a script that psql can run; findings and policies are comments in it.
    """
    from ashore.pipeline.users import plan_users  # noqa: PLC0415 (quick start)

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    _show(plan_users(_database(common), file or common.folder / "users.toml"), as_json=common.as_json)
    return 0


def apply(
    *,
    context: typer.Context,
    file: File = None,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Run what `ashore users plan` prints, in one transaction. Ends with 1 where something is left for people to do."""
    from ashore.pipeline.users import apply_users  # noqa: PLC0415 (quick start)

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    done = apply_users(_database(common), file or common.folder / "users.toml")
    _show(done, as_json=common.as_json)
    return 1 if done.plan.findings else 0


def check(
    *,
    context: typer.Context,
    file: File = None,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """As `ashore users plan`, but end with 1 where anything is not as declared: for a pipeline that looks for drift."""
    from ashore.pipeline.users import plan_users  # noqa: PLC0415 (quick start)

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    found = plan_users(_database(common), file or common.folder / "users.toml")
    _show(found, as_json=common.as_json)
    return 0 if found.is_as_declared else 1


def _database(common: options.Common) -> Dsn:
    settings = common.settings({}, frozenset({"postgres"}))
    assert settings.postgres is not None  # noqa: S101 (the settings would not have been made without it)
    return settings.postgres


def _show(found: UsersPlan, *, as_json: bool) -> None:
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)

    if as_json:
        print_json(found.as_json())
        return
    say(f"-- {found.server}: {'as declared' if not found.plan.statements else 'what makes it as declared'}")
    if found.plan.connections:
        say(f"-- connections: {found.plan.connections:,} may be open at once, of {found.plan.seats:,}")
    for statement in found.plan.statements:
        say(f"{statement.sql};  -- {statement.because}".replace("\n", " "))
    for finding in found.plan.findings:
        say(f"-- FINDING: {finding.what}".replace("\n", " "))
        say(f"--          {finding.hint}".replace("\n", " "))
    for role, policy in found.policies.items():
        say(f"-- IAM policy for whoever logs in as {role}:".replace("\n", " "))
        say("--   " + json.dumps(policy))
