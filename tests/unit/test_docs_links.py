"""Links of the documentation resolve, its reasons are the code's, and its commands and options exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest
import typer
from tests.acceptance.docs_pages import DOCS, Page, commands_of, pages, read_page

from ashore.cli import app, local_commands
from ashore.mapping.native_library import REFUSALS
from ashore.mapping.reasons import explanations

every_page: Final = pages()
by_page: Final = [pytest.param(page, id=page.name) for page in every_page]
of_others: Final = frozenset({"--recursive", "--autogenerate"})
"""Options of aws, alembic and others that the pages speak of."""
_option: Final = re.compile(r"--[a-z][a-z-]*")


@pytest.mark.parametrize("page", by_page)
def test_every_link_of_a_page_resolves(page: Page) -> None:
    broken = []
    for link in page.links:
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.path.parent / unquote(target)).resolve() if target else page.path
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in read_page(path).anchors):
            broken.append(link)

    assert [] == broken


def test_every_page_is_on_the_map() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in read_page(DOCS / "README.md").links}

    assert [] == sorted(str(path) for path in set(DOCS.rglob("*.md")) - linked - {DOCS / "README.md"})


def test_every_kind_of_refusal_is_listed() -> None:
    text = (DOCS / "how-to" / "use-the-native-path.md").read_text(encoding="utf-8")

    assert list(REFUSALS[1:]) == re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)


def test_every_reason_is_listed_with_its_meaning() -> None:
    text = (DOCS / "how-to" / "rejected-items.md").read_text(encoding="utf-8").partition("## The reasons")[2]

    assert explanations == dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE))


@pytest.mark.parametrize("page", by_page)
def test_every_command_that_a_page_speaks_of_exists(page: Page) -> None:
    assert [] == [wrong for command in _commands(page) for wrong in _unknown(command)]


@pytest.mark.parametrize("page", by_page)
def test_every_option_that_a_page_speaks_of_exists(page: Page) -> None:
    known = set(_every_option(_root())) | of_others
    spoken = {found for span in page.code_spans if span.startswith("--") for found in _option.findall(span)}

    assert [] == sorted(spoken - known)


def test_a_command_that_does_not_exist_is_found() -> None:
    assert ["ashore lode"] == list(_unknown("ashore lode --table x"))
    assert ["ashore load --tabel"] == list(_unknown("ashore load case --tabel x"))
    assert [] == list(_unknown("ashore rejects show 17 --reveal"))


def _commands(page: Page) -> Iterator[str]:
    for block in page.blocks:
        if block.language == "console":
            for command in commands_of(block):
                yield from (part.strip() for part in re.split(r"&&|\||;", command.text))
    yield from page.code_spans


def _unknown(text: str) -> Iterator[str]:
    """The parts of a command of ours that do not exist."""
    try:
        words = shlex.split(text.replace("…", " "), comments=True)
    except ValueError:
        return
    if not words or words[0] != "ashore":
        return
    command, names, seen = _root(), ["ashore"], [_root()]
    for word in words[1:]:
        if word.startswith("--"):
            if word.partition("=")[0] not in {name for one in seen for name in _options(one)}:
                yield " ".join([*names, word])
        elif (children := _children(command)) and not word.startswith(("-", "[")):
            if word not in children:
                if word.isupper() or Path(word).exists():
                    continue
                yield " ".join([*names, word])
                return
            command = children[word]
            names.append(word)
            seen.append(command)


@cache
def _root() -> Any:
    return typer.main.get_command(app)


@cache
def _stand_ins() -> dict[str, Any]:
    return {
        "demo": typer.main.get_command(local_commands.demo_app()),
        "bench": typer.main.get_command(local_commands.bench_app()),
    }


def _children(command: Any) -> dict[str, Any]:
    children = dict(getattr(command, "commands", {}))
    return children | _stand_ins() if "demo" in children else children


def _options(command: Any) -> Iterator[str]:
    yield from ("--help", "-h")
    for parameter in command.params:
        yield from [*parameter.opts, *parameter.secondary_opts]


def _every_option(command: Any) -> Iterator[str]:
    yield from _options(command)
    for child in _children(command).values():
        yield from _every_option(child)
