"""`ashore connect`: psql, or what another client needs."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, assert_never

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.postgres.clients import Client

Form = Literal["url", "env", "tableplus", "pgpass"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("connect", epilog="Example:  ashore connect --print tableplus")(connect)


def connect(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    endpoint: Annotated[
        str | None,
        typer.Argument(metavar="[ENDPOINT]", help="Another host, or a whole address.", show_default="the project's"),
    ] = None,
    form: Annotated[Form | None, typer.Option("--print", help="Print this for another client instead.")] = None,
    command: Annotated[str | None, typer.Option("--command", metavar="SQL", help="Run this in psql, and end.")] = None,
    via: Annotated[Literal["ssm"] | None, typer.Option("--via", help="Through AWS Systems Manager.")] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="ID", help="With --via ssm: the instance or task to go through."),
    ] = None,
    fetch_ca: Annotated[
        bool, typer.Option("--fetch-ca", help="Fetch Amazon's certificate authorities for RDS first.")
    ] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Open psql at the project's database, logged in with a fresh token; its exit code is psql's.

    With --print, what another client needs is printed instead, token included; stderr says until when it lets new
    sessions in. A session that was opened goes on after that.
    """
    from ashore.config.secret import Dsn  # noqa: PLC0415 (quick start)
    from ashore.pipeline.connect import at_endpoint, client_of, run_psql  # noqa: PLC0415
    from ashore.pipeline.tunnel import ssm_tunnel  # noqa: PLC0415
    from ashore.postgres.authorities import fetch_bundle  # noqa: PLC0415

    if (via is None) != (target is None):
        message = "--via ssm and --target belong together"
        raise typer.BadParameter(message)
    if fetch_ca:
        sys.stderr.write(f"Amazon's authorities are in {fetch_bundle()}\n")
    common = options.common(context, project=project, environment=environment, as_json=as_json)
    is_whole = endpoint is not None and "://" in endpoint
    settings = common.settings({}, frozenset() if is_whole else frozenset({"postgres"}))
    with ExitStack() as stack:
        try:
            address = at_endpoint(settings.postgres or Dsn(""), endpoint)
        except ValueError as error:
            message = f"ENDPOINT {error}"
            raise typer.BadParameter(message) from None
        if target is not None:
            address = stack.enter_context(ssm_tunnel(address, target=target, profile=settings.aws.profile))
        client = client_of(address)
        if form is None and not common.as_json:
            return run_psql(client, [] if command is None else ["-X", "-c", command])
        _print(client, form or "url", as_json=common.as_json)
        if target is not None:
            sys.stderr.write("The tunnel is open until Enter is pressed.\n")
            sys.stdout.flush()
            sys.stdin.readline()
    return 0


def _print(client: Client, form: Form, *, as_json: bool) -> None:
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.postgres import clients  # noqa: PLC0415

    match form:
        case "url":
            text = clients.uri(client)
        case "env":
            text = clients.exports(client)
        case "tableplus":
            text = clients.tableplus(client)
        case "pgpass":
            text = clients.pgpass(client)
        case _:
            assert_never(form)
    until = (
        None if client.expires_at is None else datetime.fromtimestamp(client.expires_at, UTC).isoformat("T", "seconds")
    )
    if as_json:
        print_json({"form": form, "text": text, "expires_at": until})
        return
    say(text)
    if until is not None:
        sys.stderr.write(f"It lets new sessions in until {until}.\n")
