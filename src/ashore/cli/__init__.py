"""The command `ashore`: one file a command, each of which parses, makes settings, calls one pipeline, and renders.

Modules here import at their top only what is quick to import; a command imports the rest when it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from ashore.cli import (
    cmd_assess,
    cmd_check,
    cmd_config,
    cmd_connect,
    cmd_cutover,
    cmd_index,
    cmd_load,
    cmd_local,
    cmd_policy,
    cmd_probe,
    cmd_purge,
    cmd_rejects,
    cmd_status,
    cmd_sync,
    cmd_users,
    cmd_verify,
    cmd_waive,
    local_commands,
)
from ashore.cli.failures import BUG, INTERRUPTED, USAGE, tell_bug, tell_error, tell_interrupted, tell_usage
from ashore.cli.options import AsJson, Debug, Environment, ProjectFolder, ShowVersion, remember
from ashore.errors import AshoreError

__all__ = ["app", "main"]

app = typer.Typer(
    name="ashore",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(epilog="Example:  ashore demo")
def _ashore(
    *,
    context: typer.Context,
    project: ProjectFolder = None,
    environment: Environment = None,
    as_json: AsJson = False,
    debug: Debug = False,
    version: ShowVersion = False,  # noqa: ARG001 (its callback prints and ends)
) -> None:
    """Take a live application off DynamoDB and onto PostgreSQL, one entity at a time, with a way back.

    Exit codes: 0 done, 1 findings, 2 usage or configuration, 3 refused by a gate, 4 too many rejected items,
    70 a bug of Ashore, 130 interrupted.
    """
    remember(context, project=project, environment=environment, as_json=as_json, debug=debug)


local_commands.register_demo(app)
cmd_assess.register(app)
cmd_check.register(app)
cmd_load.register(app)
cmd_sync.register(app)
cmd_verify.register(app)
cmd_cutover.register(app)
cmd_purge.register(app)
cmd_waive.register(app)
cmd_index.register(app)
cmd_rejects.register(app)
cmd_status.register(app)
cmd_config.register(app)
cmd_policy.register(app)
cmd_connect.register(app)
cmd_users.register(app)
cmd_local.register(app)
cmd_probe.register(app)
local_commands.register_bench(app)

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (0 to 4, 70 a bug, 130 interrupted)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json, debug = "--json" in given, "--debug" in given
    command = typer.main.get_command(app)
    try:
        returned = command.main(args=given, prog_name="ashore", standalone_mode=False)
        if returned == INTERRUPTED:  # how newer versions of Typer end on Ctrl-C; older ones raise Abort
            tell_interrupted(given, as_json=as_json)
        sys.stdout.flush()
    except AshoreError as error:
        return tell_error(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        tell_interrupted(given, as_json=as_json)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its end
        return 0
    except _UsageError as error:
        tell_usage(error, as_json=as_json)
        return USAGE
    except Exception as error:  # noqa: BLE001 (the one place where a bug becomes a message)
        tell_bug(error, as_json=as_json, debug=debug)
        return BUG
    return returned if isinstance(returned, int) else 0
