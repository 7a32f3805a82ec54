"""The module `entities.py`: tables and declaration of a proposal, for people to read and edit."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from ashore.assess.proposal import Proposal
from ashore.assess.writing.entities import declaration_lines
from ashore.assess.writing.python import WIDTH, printable
from ashore.assess.writing.scope import Scope
from ashore.assess.writing.tables import table_lines
from ashore.assess.writing.words import counted, size

MODULE: Final = "entities"
"""The module's name; the source in it is ``source``, the tables are in ``metadata``."""

_FOR_EDITORS: Final = (
    "Edit this file freely: `ashore assess`, when it runs again, compares with it and never overwrites it."
    " Comments say what was seen."
)
_dialect: Final = ("ARRAY", "JSONB")


def entities_py(proposal: Proposal) -> str:
    """A module that declares the proposal: it can be imported as it is, and `source` compiles.

    The same proposal gives the same text. Names of tables and attributes may hold anything; templates of keys and of
    derived attributes are taken as they are. `ruff format --line-length 120` leaves the text as it is, but for a path
    of some hundred characters to a column that Python cannot name.

    Raises:
        TypeError: A constant is none that a declaration takes.
    """
    scope = Scope(proposal)
    tables = list(table_lines(scope))
    declaration = list(declaration_lines(scope))
    lines = [*_docstring(proposal), "", *_imports(scope), "", "metadata = sa.MetaData()", *tables]
    return "\n".join([*lines, "", *declaration]) + "\n"


def _docstring(proposal: Proposal) -> Iterator[str]:
    read = f"all {counted(proposal.items, 'item')}"
    if not proposal.complete:
        read = f"{counted(proposal.items_read, 'item')} of about {proposal.items:,}"
    paragraphs = [
        f"The tables that {proposal.table} becomes, and what its items are.",
        f"Proposed by `ashore assess`, which read {read} ({size(proposal.bytes)} in the table).",
        _FOR_EDITORS,
        "ashore.toml names `source`. Alembic, or the application, imports `metadata`.",
    ]
    yield '"""' + _quotable(paragraphs[0])
    for paragraph in paragraphs[1:]:
        yield ""
        yield from textwrap.wrap(_quotable(paragraph), WIDTH, break_long_words=False, break_on_hyphens=False)
    yield '"""'


def _quotable(words: str) -> str:
    return printable(words).replace("\\", "/").replace('"', "'")


def _imports(scope: Scope) -> Iterator[str]:
    yield "import sqlalchemy as sa"
    dialect = sorted(scope.used.intersection(_dialect))
    ours = sorted(scope.used.difference(_dialect))
    line = f"from ashore import {', '.join(ours)}"
    yield from [line] if len(line) <= WIDTH else ["from ashore import (", *(f"    {name}," for name in ours), ")"]
    if dialect:
        yield f"from sqlalchemy.dialects.postgresql import {', '.join(dialect)}"
