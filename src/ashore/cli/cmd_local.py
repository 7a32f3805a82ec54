"""`ashore local`: servers on this machine that behave like those in the cloud."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.local.rds.cluster import LocalCluster


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Servers on this machine.", epilog="Example:  ashore local up")
    group.command("up", epilog="Example:  ashore local up --database court --far-ms 65")(up)
    app.add_typer(group, name="local")


def up(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    database: Annotated[str, typer.Option("--database", metavar="NAME", help="The database to make.")] = "app",
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Keep the primary's data here.", show_default="nowhere")
    ] = None,
    far_ms: Annotated[float, typer.Option("--far-ms", min=0, help="Milliseconds of a round trip to west.")] = 65.0,
    delay_seconds: Annotated[
        float, typer.Option("--delay-seconds", min=0, help="How far the delayed replica is behind.")
    ] = 60.0,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Run PostgreSQL behind endpoints that behave like RDS with IAM, until Ctrl-C.

    A primary, two streaming replicas (west is in another region), and one that is held back. TLS, tokens and RDS's
    words are as in the cloud, so what works here has signed and verified for real. Nothing listens beyond this machine.
    """
    from ashore.cli.output import print_json  # noqa: PLC0415 (quick start)
    from ashore.local.rds.cluster import local_cluster  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    with local_cluster(database=database, data=data, far_ms=far_ms, delay_seconds=delay_seconds) as cluster:
        if common.as_json:
            print_json(_as_json(cluster))
        else:
            _show(cluster)
        sys.stdout.flush()
        _wait()
    return 0


def _wait() -> None:
    """Until Ctrl-C, or until the terminal or a parent says to end."""

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        while True:
            time.sleep(3_600)
    except KeyboardInterrupt:
        return


def _as_json(cluster: LocalCluster) -> dict[str, Any]:
    endpoints = [
        {
            "name": name,
            "host": door.endpoint.host,
            "port": door.port,
            "region": door.endpoint.region,
            "address": cluster.address(name),
        }
        for name, door in cluster.doors.items()
    ]
    authority = str(cluster.doors["primary"].authority)
    return {"endpoints": endpoints, "environment": dict(cluster.variables), "authority": authority}


def _show(cluster: LocalCluster) -> None:
    from ashore.cli.output import say  # noqa: PLC0415 (quick start)

    say("Log in as this identity, which is made up:\n")
    for name, value in cluster.variables.items():
        say(f"  export {name}={value}")
    say("\nEndpoints (admin owns the database, and may make other roles):\n")
    for name in cluster.doors:
        say(f"  {name:8} {cluster.address(name)}")
    say("\nCtrl-C ends them.")
