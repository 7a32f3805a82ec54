"""Writing a proposal as a project's files, beside what people wrote and never over it."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import sqlalchemy as sa

from ashore.assess.proposal import Proposal
from ashore.assess.report.assessment import Assessment
from ashore.assess.report.html import as_html
from ashore.assess.report.markdown import as_markdown
from ashore.assess.write_declaration import MODULE, entities_py
from ashore.assess.write_revision import ALEMBIC_INI, ENV_PY, FOLDER, SCRIPT_MAKO, first_revision
from ashore.assess.write_settings import ashore_toml
from ashore.config.layers import FILE_NAME
from ashore.config.settings import Aws, ItemsFrom
from ashore.errors import AshoreError

DECLARATION: Final = f"{MODULE}.py"
PROPOSED: Final = f"{MODULE}.proposed.py"
REPORT_HTML: Final = "report.html"
REPORT_MARKDOWN: Final = "report.md"
_ALEMBIC_INI: Final = "alembic.ini"
_PROPOSED_HEAD: Final = (
    f"# What `ashore assess` would write now. Take from it what {DECLARATION} lacks; it is replaced.\n"
)


@dataclass(eq=False, kw_only=True)
class CannotWriteProject(AshoreError):
    """A file of the project could not be written."""

    path: str
    reason: str

    code: ClassVar[str] = "ASH720"
    exit_code: ClassVar[int] = 2

    def what(self) -> str:
        return f"{self.path} cannot be written: {self.reason}"

    def hint(self) -> str:
        return "make its folder writable, or choose another one; files written before it stay, and are kept next time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of each file, as paths from the project's folder, in the order in which they were looked at.

    `written` are new, but for the file beside an edited declaration, which is replaced. `unchanged` were there, and
    are what would have been written. `kept` were there and say something else: nothing was done to them.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    kept: tuple[str, ...]


def write_project(proposal: Proposal, folder: Path, items_from: ItemsFrom, aws: Aws) -> Written:
    """Write a project that runs as it is: settings, declaration, and Alembic's files with the first revision.

    Where `entities.py` is there and says something else, people have edited it: then only `entities.proposed.py` is
    written, for them to compare. Otherwise files that are missing are written, each whole or not at all, and none
    that is there is touched. Nothing is added to another `alembic.ini`, or to revisions. Called again, it goes on where
    it was stopped.

    Raises:
        DeclarationError: The proposal does not compile; nothing was written.
        CannotWriteProject: The file system refused; what was written before stays.
    """
    declaration = entities_py(proposal)
    metadata = _compiled(declaration)
    there = _read(folder / DECLARATION)
    if there not in {None, declaration}:
        _replace(folder / PROPOSED, _PROPOSED_HEAD + declaration)
        return Written(written=(PROPOSED,), unchanged=(), kept=(DECLARATION,))
    files = {FILE_NAME: ashore_toml(proposal, items_from, aws)}
    if _read(folder / _ALEMBIC_INI) in {None, ALEMBIC_INI} and not _has_revisions(folder):
        revision = first_revision(metadata)
        files |= {_ALEMBIC_INI: ALEMBIC_INI, f"{FOLDER}/env.py": ENV_PY, f"{FOLDER}/script.py.mako": SCRIPT_MAKO}
        files[revision.path] = revision.text
    files[DECLARATION] = declaration  # the last: from then on it is people's
    found = {name: _write_new(folder / name, text) for name, text in files.items()}
    return Written(
        written=tuple(name for name, there in found.items() if there is None),
        unchanged=tuple(name for name, there in found.items() if there == files[name]),
        kept=tuple(name for name, there in found.items() if there not in {None, files[name]}),
    )


def write_reports(assessment: Assessment, folder: Path) -> tuple[str, ...]:
    """Write the report as HTML and as Markdown, in place of those that are there; return their names.

    Raises:
        CannotWriteProject: The file system refused.
    """
    for name, text in ((REPORT_HTML, as_html(assessment)), (REPORT_MARKDOWN, as_markdown(assessment))):
        _replace(folder / name, text)
    return REPORT_HTML, REPORT_MARKDOWN


def _compiled(declaration: str) -> sa.MetaData:
    """The tables of the written module, those that the compiler adds for copies among them."""
    namespace: dict[str, Any] = {"__name__": MODULE}
    exec(compile(declaration, DECLARATION, "exec"), namespace)  # noqa: S102 (its texts are all quoted literals)
    namespace["source"].compile()
    metadata: sa.MetaData = namespace["metadata"]
    return metadata


def _has_revisions(folder: Path) -> bool:
    return any((folder / FOLDER / "versions").glob("*.py"))


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot_write(path, error) from error


def _write_new(path: Path, text: str) -> str | None:
    """Write a file that is not there; return what it holds if it is. A reader never sees a part of it."""
    there = _read(path)
    if there is not None:
        return there
    try:
        with _Beside(path, text) as whole:
            os.link(whole, path)
    except FileExistsError:
        return _read(path) or ""
    except OSError as error:
        raise _cannot_write(path, error) from error
    return None


def _replace(path: Path, text: str) -> None:
    try:
        with _Beside(path, text) as whole:
            whole.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error


class _Beside:
    """A whole file with a name of its own beside the wanted one; gone afterwards unless it was renamed."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        self._text = text

    def __enter__(self) -> Path:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(self._text)
            file.flush()
            os.fsync(file.fileno())
        return self._path

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> CannotWriteProject:
    return CannotWriteProject(path=str(path), reason=error.strerror or type(error).__name__)
