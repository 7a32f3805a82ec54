"""Every command, option, setting and error is in the reference, and the reference speaks of no others."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.markup import render

import ashore
from ashore.cli import app
from ashore.cli.local_commands import bench_app, demo_app
from ashore.config import values
from ashore.config.layers import variable_of
from ashore.errors import AshoreError

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference"
EVERYWHERE = {"--project", "--env", "--json", "--debug"}


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@cache
def commands() -> dict[str, Any]:
    """Every command under its whole name; the stand-ins for demo and bench give way to what they call."""
    found = dict(walk(typer.main.get_command(app), "ashore"))
    found |= dict(walk(typer.main.get_command(demo_app()), "ashore demo"))
    del found["ashore bench"]
    return found | dict(walk(typer.main.get_command(bench_app()), "ashore bench"))


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if not children:
        yield name, command
        return
    for child_name, child in children.items():
        yield from walk(child, f"{name} {child_name}")


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def section(heading: str) -> str:
    parts = re.split(r"^## ", page("command-line.md"), flags=re.MULTILINE)
    return next((part for part in parts if part.split("\n")[0] == heading), "")


def test_the_reference_has_exactly_the_commands_that_there_are() -> None:
    documented = re.findall(r"^## (ashore .+)$", page("command-line.md"), flags=re.MULTILINE)
    assert sorted(commands()) == sorted(documented)


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_reference_has_exactly_the_options_of_each_command(name: str) -> None:
    documented = set(re.findall(r"`(--[a-z-]+)", section(name)))
    assert options_of(commands()[name]) - EVERYWHERE == documented - EVERYWHERE


def test_options_of_all_commands_are_documented_once() -> None:
    before = page("command-line.md").split("\n## ")[0]
    root = typer.main.get_command(app)
    assert {
        option for option in options_of(root) if f"`{option}" not in before and f" {option}`" not in before
    } == set()


@pytest.mark.parametrize("name", sorted(commands()))
def test_nothing_of_a_help_is_taken_for_markup(name: str) -> None:
    command = commands()[name]
    texts = [command.help or "", *(getattr(parameter, "help", None) or "" for parameter in command.params)]
    assert texts == [render(text).plain for text in texts]


@pytest.mark.parametrize("name", sorted(commands()))
def test_help_of_every_command_says_what_it_does_and_gives_an_example(name: str) -> None:
    command = commands()[name]
    assert command.help
    assert f"Example:  {name}" in f"{command.help}\n{command.epilog}"


@pytest.mark.parametrize(
    "name", sorted(set(commands()) - {name for name in commands() if name.split()[1] in {"demo", "bench"}})
)
def test_every_command_of_a_project_takes_the_options_of_all(name: str) -> None:
    assert options_of(commands()[name]) >= EVERYWHERE


def test_the_reference_has_exactly_the_settings_that_there_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*)$", page("configuration.md"), flags=re.MULTILINE)
    assert list(values.names) == [name for name, _ in rows]
    for name, row in rows:
        default = getattr(values.defaults, name)
        assert f"`{variable_of(name)}`" in row
        assert default is None or f" {default} |" in row


def test_the_reference_has_exactly_the_errors_that_there_are() -> None:
    for module in pkgutil.walk_packages(ashore.__path__, prefix="ashore."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, left = set(), [AshoreError]
    while left:
        error = left.pop()
        left += error.__subclasses__()
        if error.__module__.startswith("ashore.") and "code" in vars(error):
            found.add((error.code, error.__name__, str(error.exit_code)))
    found.add((AshoreError.code, AshoreError.__name__, str(AshoreError.exit_code)))
    rows = re.findall(r"^\| (ASH\d{3}) \| `(\w+)` \| (\d+) \|", page("exit-codes-and-errors.md"), flags=re.MULTILINE)
    assert sorted(found) == sorted(rows)
    assert len({code for code, _, _ in rows}) == len(rows)
