"""What the documentation's pages show is what happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.docs_pages import ROOT, Page, pages, run_page

running = [page for page in pages() if any(block.words[:2] == ("console", "run") for block in page.blocks)]


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in running])
@pytest.mark.timeout(300)
def test_every_command_of_a_page_prints_what_it_shows(page: Page, tmp_path: Path) -> None:
    assert run_page(page, tmp_path) > 0


def test_the_tutorial_is_among_the_pages_that_run() -> None:
    assert ROOT / "docs/tutorial/first-crossing.md" in [page.path for page in running]
