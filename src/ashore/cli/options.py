"""Options that commands share, and the settings that they make."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ashore.config.settings import Need, Resolved, Settings
    from ashore.pipeline.project import Project


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (the form of Typer's callbacks)
    if wanted:
        from ashore import __version__  # noqa: PLC0415 (not needed to show help)

        sys.stdout.write(f"ashore {__version__}\n")
        raise typer.Exit


ProjectFolder = Annotated[
    Path | None,
    typer.Option(
        "--project", metavar="DIR", help="The project's directory, with ashore.toml.", show_default="this one"
    ),
]
Environment = Annotated[
    str | None, typer.Option("--env", metavar="NAME", help="Which environment of ashore.toml to go by.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print the traceback of a bug. It may hold values of items.")]
ShowVersion = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
]

Entities = Annotated[list[str] | None, typer.Argument(metavar="[ENTITY]…", help="Which entities.", show_default="all")]
Table = Annotated[str | None, typer.Option("--table", metavar="TABLE", help="The table to read: its name or ARN.")]
Export = Annotated[
    str | None, typer.Option("--export", metavar="PATH", help="The export to read: a folder or s3://bucket/prefix.")
]
Workers = Annotated[str | None, typer.Option("--workers", metavar="N", help="How many processes work.")]
ReadUnits = Annotated[
    str | None,
    typer.Option("--read-units", metavar="N", help="The most read units a second to take from the table."),
]
WriteBackUnits = Annotated[
    str | None,
    typer.Option(
        "--write-back-units", metavar="N", help="The most write units a second that writing back to DynamoDB takes."
    ),
]
Segments = Annotated[str | None, typer.Option("--segments", metavar="N", help="How many parts to scan the table in.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What was said of the project and of the output, before the command or after it."""

    folder: Path
    environment: str | None
    as_json: bool

    def settings(self, flags: Mapping[str, Any], needs: frozenset[Need]) -> Settings:
        """The settings of this command.

        Raises:
            SettingsError: With every problem that there is.
        """
        from ashore.config.settings import load_settings  # noqa: PLC0415 (pydantic is slow to import)

        return load_settings(self.folder, environment=self.environment, flags=flags, environ=os.environ, needs=needs)

    def project(self, needs: frozenset[Need], **flags: Any) -> Project:
        """The project as its settings say.

        Raises:
            SettingsError: With every problem that there is.
            DeclarationNotFoundError, DeclarationError, DeclarationRaised: The declaration cannot be had.
        """
        from ashore.pipeline.project import open_project  # noqa: PLC0415 (slow to import)

        return open_project(self.settings(flags, needs))

    def resolved(self, flags: Mapping[str, Any], needs: frozenset[Need]) -> Resolved:
        """The settings of this command, their origins and problems."""
        from ashore.config.settings import resolve  # noqa: PLC0415 (pydantic is slow to import)

        return resolve(self.folder, environment=self.environment, flags=flags, environ=os.environ, needs=needs)


def remember(
    context: typer.Context, *, project: Path | None, environment: str | None, as_json: bool, debug: bool
) -> None:
    """Keep what stood before the command."""
    context.obj = {"project": project, "environment": environment, "as_json": as_json, "debug": debug}


def common(context: typer.Context, *, project: Path | None, environment: str | None, as_json: bool) -> Common:
    """What stood after the command, or before it, or in the environment."""
    before: Mapping[str, Any] = context.obj or {}
    folder = project or before.get("project") or Path(os.environ.get("ASHORE_PROJECT") or ".")
    return Common(
        folder=folder,
        environment=environment or before.get("environment"),
        as_json=as_json or bool(before.get("as_json")),
    )
