"""Where settings come from: the file, the environment, the flags; the stronger layer wins."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ashore.config import values
from ashore.config.values import UNKNOWN, Values
from ashore.errors import Problem

FILE_NAME: Final = "ashore.toml"
PREFIX: Final = "ASHORE_"
_PROJECT_ONLY: Final = "default_environment"
_heading: Final = re.compile(r"\s*\[\s*(?P<name>[^\[\]]+?)\s*\]\s*(#.*)?$")
_assignment: Final = re.compile(r"""\s*["']?(?P<name>[A-Za-z0-9_-]+)["']?\s*=""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Settings that came from one place. `shown` gives a setting's name in that place."""

    values: Values
    shown: Mapping[str, str] = field(default_factory=dict)
    place: str = ""

    def origin(self, name: str) -> str:
        """Where a setting of this layer was written."""
        return self.shown.get(name, self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What `ashore.toml` says. `is_there` is False where there is none."""

    path: Path
    is_there: bool
    project: Layer
    environments: Mapping[str, Layer]
    default_environment: str | None
    problems: tuple[Problem, ...]


def read_file(folder: Path) -> File:
    """Read `ashore.toml` of a project's directory; what is wrong with it is told, not raised."""
    path = folder / FILE_NAME
    project = Layer(values=Values(), place=FILE_NAME)
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except FileNotFoundError:
        return File(path=path, is_there=False, project=project, environments={}, default_environment=None, problems=())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        problem = Problem(where=str(path), what=what, hint="correct the file: https://toml.io describes its form")
        return File(
            path=path, is_there=True, project=project, environments={}, default_environment=None, problems=(problem,)
        )
    return _Reader(path, document, _lines(text)).file()


class _Reader:
    """Reads one parsed file."""

    def __init__(self, path: Path, document: dict[str, Any], lines: Mapping[tuple[str, str], int]) -> None:
        self._path = path
        self._document = document
        self._lines = lines
        self._problems: list[Problem] = []

    def file(self) -> File:
        for name in self._document.keys() - {"project", "environment"}:
            known = "the tables are [project] and [environment.NAME]"
            self._problem("", name, UNKNOWN if not isinstance(self._document[name], dict) else "no such table", known)
        project = self._table("", "project", self._document.get("project", {}))
        default = project.pop(_PROJECT_ONLY, None)
        if default is not None and not isinstance(default, str):
            self._problem("project", _PROJECT_ONLY, "must be text, in quotes", "name one of the environments")
            default = None
        environments = self._table("", "environment", self._document.get("environment", {}))
        layers = {
            name: self._layer(f"environment.{name}", self._table("environment", name, content), ())
            for name, content in environments.items()
        }
        if isinstance(default, str) and default not in layers:
            hint = did_you_mean(default, layers) or f"environments are: {', '.join(layers) or 'none'}"
            self._problem("project", _PROJECT_ONLY, f"there is no environment {default!r}", hint)
            default = None
        return File(
            path=self._path,
            is_there=True,
            project=self._layer("project", project, (_PROJECT_ONLY,)),
            environments=layers,
            default_environment=default,
            problems=tuple(self._problems),
        )

    def _table(self, section: str, name: str, content: Any) -> dict[str, Any]:
        if isinstance(content, dict):
            return dict(content)
        full = f"{section}.{name}" if section else name
        hint = "write [environment.NAME], and settings below it" if name == "environment" else f"write [{full}]"
        self._problem(section, name, "must be a table", hint)
        return {}

    def _layer(self, section: str, content: Mapping[str, Any], more: Iterable[str]) -> Layer:
        read, wrong = values.read(content, typed=True)
        for name, what in wrong:
            hint = unknown_hint(name, more) if what == UNKNOWN else f"see `{name}` in docs/reference/configuration.md"
            self._problem(section, name, what, hint)
        shown = {name: f"{FILE_NAME}, {self._place(section, name)}" for name in content}
        return Layer(values=read, shown=shown, place=FILE_NAME)

    def _place(self, section: str, name: str) -> str:
        line = self._lines.get((section, name)) or self._lines.get((f"{section}.{name}".strip("."), ""))
        heading = f"[{section}]" if section else "top level"
        return heading if line is None else f"{heading} line {line}"

    def _problem(self, section: str, name: str, what: str, hint: str) -> None:
        self._problems.append(
            Problem(where=f"{self._path}, {self._place(section, name)}: {name}", what=what, hint=hint)
        )


def _lines(text: str) -> dict[tuple[str, str], int]:
    """(table, key) → line, for keys that stand on lines of their own; ("table", "") for its heading."""
    found: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if heading := _heading.match(line):
            section = ".".join(part.strip().strip("\"'") for part in heading["name"].split("."))
            found.setdefault((section, ""), number)
        elif assignment := _assignment.match(line):
            found.setdefault((section, assignment["name"]), number)
    return found


def read_variables(environ: Mapping[str, str]) -> tuple[Layer, list[Problem]]:
    """The layer of `ASHORE_*` variables. An empty one says nothing.

    A variable that is no setting is a problem only if it looks like a slip: platforms set some of their own (for a
    service named ashore, Kubernetes sets ASHORE_PORT).
    """
    variables = {variable_of(name): name for name in values.names}
    given = {variables[name]: value for name, value in environ.items() if name in variables and value}
    read, wrong = values.read(given, typed=False)
    hint = "correct the variable, or unset it"
    problems = [Problem(where=variable_of(name), what=what, hint=hint) for name, what in wrong]
    known = {*variables, "ASHORE_PROJECT", "ASHORE_ENV", "ASHORE_DYNAMODB_LOCAL"}
    for name in sorted(environ.keys() - known):
        meant = difflib.get_close_matches(name.removeprefix(PREFIX).lower(), values.names, n=1, cutoff=0.85)
        if name.startswith(PREFIX) and meant:
            hint = f"did you mean {variable_of(meant[0])}?"
            problems.append(Problem(where=name, what="is not read", hint=hint))
    return Layer(values=read, shown={name: variable_of(name) for name in given}, place="the environment"), problems


def read_flags(flags: Mapping[str, Any]) -> tuple[Layer, list[Problem]]:
    """The layer of command-line flags; None means that a flag was not given."""
    given = {name: value for name, value in flags.items() if value is not None}
    read, wrong = values.read(given, typed=False)
    problems = [Problem(where=flag_of(name), what=what, hint="see `--help`") for name, what in wrong]
    return Layer(values=read, shown={name: flag_of(name) for name in given}, place="flags"), problems


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def flag_of(name: str) -> str:
    """The flag of a setting, for those that have one."""
    return f"--{name.replace('_', '-')}"


def unknown_hint(name: str, more: Iterable[str] = ()) -> str:
    """What to say of a setting that there is not."""
    known = [*values.names, *more]
    return did_you_mean(name, known) or f"settings are: {', '.join(known)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """“did you mean …?”, or nothing where no known name is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""
