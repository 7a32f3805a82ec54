"""`ashore demo` and `ashore bench`, whose modules start servers and are slow to import: only when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import typer

_PASSED_ON: Final = {"ignore_unknown_options": True, "allow_extra_args": True}


def register_demo(app: typer.Typer) -> None:
    """Add `ashore demo`."""
    app.command("demo", context_settings=_PASSED_ON, add_help_option=False)(_demo)


def register_bench(app: typer.Typer) -> None:
    """Add `ashore bench`."""
    app.command("bench", context_settings=_PASSED_ON, add_help_option=False)(_bench)


def demo_app() -> typer.Typer:
    """The command behind `ashore demo`."""
    from ashore.cli.cmd_demo import demo  # noqa: PLC0415 (slow to import)

    app = typer.Typer(rich_markup_mode="rich", add_completion=False)
    app.command()(demo)
    return app


def bench_app() -> typer.Typer:
    """The commands behind `ashore bench`."""
    from ashore.cli.cmd_bench import app  # noqa: PLC0415 (slow to import)

    return app


def _demo(context: typer.Context) -> Any:
    """Watch a DynamoDB table cross into PostgreSQL on this machine, with servers of its own."""
    return _pass_on(context, demo_app(), "ashore demo")


def _bench(context: typer.Context) -> Any:
    """Measure load, sync, connections and more on this machine, each against its limit."""
    return _pass_on(context, bench_app(), "ashore bench")


def _pass_on(context: typer.Context, app: typer.Typer, name: str) -> Any:
    before: Mapping[str, Any] = context.obj or {}
    arguments = [*context.args, *(["--json"] if before.get("as_json") and "--json" not in context.args else [])]
    return typer.main.get_command(app).main(args=arguments, prog_name=name, standalone_mode=False)
