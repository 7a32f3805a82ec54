"""The Python of the documentation runs, and gives what is shown: blocks `python run` and `pycon`, page by page."""

from __future__ import annotations

import doctest
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from tests.acceptance.docs_pages import ROOT, Block, Page, pages

from ashore.local import LocalPostgres
from ashore.local.export_writer import write_export

EXAMPLE: Final = ROOT / "examples" / "court"
LIBRARY: Final = ROOT / "docs" / "how-to" / "use-as-a-library.md"
APPLICATION: Final = ROOT / "docs" / "how-to" / "teach-the-application.md"
every_page: Final = pages()


def runs(block: Block) -> bool:
    return block.words[:2] == ("python", "run") or block.language == "pycon"


plain: Final = [page for page in every_page if page.path not in {LIBRARY, APPLICATION} and any(map(runs, page.blocks))]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example's folder, as the current one and the first in which modules are looked for."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.chdir(EXAMPLE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.modules.pop("court", None)
    yield EXAMPLE
    sys.modules.pop("court", None)


def run_blocks(page: Page) -> int:
    """Run a page's blocks in one namespace; return how many there are.

    Raises:
        AssertionError: An example gives something else than the page shows.
    """
    namespace: dict[str, Any] = {"__name__": "page"}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    number = 0
    for block in filter(runs, page.blocks):
        number += 1
        if block.language == "pycon":
            test = doctest.DocTestParser().get_doctest(block.text, namespace, page.name, str(page.path), block.line)
            runner.run(test, out=said.append, clear_globs=False)
            namespace = test.globs
        else:
            exec(compile("\n" * block.line + block.text, str(page.path), "exec"), namespace)  # noqa: S102 (our own pages)
    assert not runner.failures, "".join(said)
    return number


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in plain])
def test_every_example_of_a_page_gives_what_it_shows(page: Page, example: Path) -> None:
    assert run_blocks(page) > 0


def test_ashore_is_called_from_python_as_the_page_shows(
    postgres_server: LocalPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [page] = [page for page in every_page if page.path == LIBRARY]
    shutil.copytree(EXAMPLE, tmp_path / "examples" / "court")
    write_export(tmp_path / "exports", (EXAMPLE / "items.jsonl").read_bytes().splitlines(), files=2)
    monkeypatch.chdir(tmp_path)
    for name, value in psycopg.conninfo.conninfo_to_dict(postgres_server.dsn).items():
        monkeypatch.setenv(f"PG{name.upper()}", str(value))
    postgres_server.create_database("court")
    try:
        assert run_blocks(page) > 0
    finally:
        sys.modules.pop("court", None)
        sys.path[:] = [entry for entry in sys.path if not entry.startswith(str(tmp_path))]
        postgres_server.drop_database("court")


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{page.name}:{block.line}")
        for page in every_page
        for block in page.blocks
        if block.language == "python" and "signature" not in block.words
    ],
)
def test_every_block_of_python_can_be_compiled(block: Block) -> None:
    compile(block.text, str(block.page), "exec")


def test_the_example_is_loaded_and_found_equal(postgres_dsn: str, tmp_path: Path) -> None:
    write_export(tmp_path, (EXAMPLE / "items.jsonl").read_bytes().splitlines(), files=2)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "ASHORE_POSTGRES": postgres_dsn}
    options = ["--project", str(EXAMPLE), "--export", str(tmp_path), "--json"]
    for command in ("load", "verify"):
        done = subprocess.run(
            [sys.executable, "-B", "-m", "ashore", command, *options],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        assert 8 == json.loads(done.stdout)["items"]
