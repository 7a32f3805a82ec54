"""The schema as a Mermaid ``erDiagram``, which GitHub and GitLab draw. Source: https://mermaid.js.org/syntax/entityRelationshipDiagram.html."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ashore.assess.report.schema import DrawnColumn, DrawnTable, Reference, Schema
from ashore.assess.report.shown import shortened

_LONGEST = 60


def mermaid(schema: Schema) -> str:
    """The source of the diagram. Of names only letters, digits, ``_`` and ``-`` are kept; another is ``_``."""
    lines = ["erDiagram"]
    for number, table in enumerate(schema.tables):
        lines += _table(number, table)
    lines += [_reference(reference) for reference in schema.references]
    return "\n".join(lines)


def _table(number: int, table: DrawnTable) -> Iterator[str]:
    yield f'    t{number}["{_name(table.name)}"] {{'
    for column in table.columns:
        yield f"        {_type(column.type)} {_attribute(column.name)}{_mark(column)}"
    if table.more:
        yield f'        more columns "{table.more} of them"'
    yield "    }"


def _reference(reference: Reference) -> str:
    line = "--" if reference.enforced else ".."
    columns = ", ".join(_name(column) for column in reference.columns)
    return f'    t{reference.target} ||{line}o{{ t{reference.table} : "{columns}"'


def _mark(column: DrawnColumn) -> str:
    marks = [mark for mark, held in (("PK", column.is_key), ("FK", column.refers)) if held]
    return " " + ", ".join(marks) if marks else ""


def _type(text: str) -> str:
    return re.sub(r"[^a-z_\[\]]", "_", text)


def _name(text: str) -> str:
    return shortened(re.sub(r"[^\w-]", "_", text), _LONGEST).replace("…", "_") or "_"


def _attribute(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", text)[:_LONGEST]
    return name if name[:1].isalpha() else f"c_{name}"
