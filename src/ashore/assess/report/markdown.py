"""A report as Markdown, for a pull request or a wiki; the schema is a Mermaid diagram."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from ashore.assess.report.assessment import Assessment
from ashore.assess.report.content import document
from ashore.assess.report.document import (
    Bar,
    Block,
    Bullets,
    Callout,
    Code,
    Diagram,
    Figures,
    Link,
    Paragraph,
    Phrase,
    Plain,
    Section,
    Span,
    Table,
    plain,
)
from ashore.assess.report.markdown_text import code_text, first_words, plain_text
from ashore.assess.report.mermaid import mermaid
from ashore.assess.writing.words import share


def as_markdown(assessment: Assessment) -> str:
    """The whole report. Names and values are escaped: none of them can end a cell, a code span or the text."""
    report = document(assessment)
    contents = [f"- {_span(Link(plain(section.title), section.anchor))}" for section in report.sections]
    parts = [
        f"# {_phrase(report.title)}",
        _phrase(report.subtitle),
        *_block(report.banner),
        "\n".join(contents),
        *(part for section in report.sections for part in _section(section, 2)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: Section, depth: int) -> Iterator[str]:
    yield f'<a id="{section.anchor}"></a>'
    yield f"{'#' * depth} {_phrase(section.title)}"
    for block in section.blocks:
        yield from _block(block)
    for inner in section.sections:
        yield from _section(inner, depth + 1)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph():
            yield first_words(_phrase(block.phrase))
        case Bullets():
            yield "\n".join(
                f"{f'{number}.' if block.numbered else '-'} {first_words(_phrase(item))}"
                for number, item in enumerate(block.items, 1)
            )
        case Figures():
            cells = [f"| {_cell(one.value)} | {_cell(one.note)} |" for one in block.items]
            named = [f"| {plain_text(one.label)} {cell}" for one, cell in zip(block.items, cells, strict=True)]
            yield "\n".join(["| At a glance | | |", "|---|---|---|", *named])
        case Callout():
            lines = [f"**{_phrase(block.title)}**", *(_phrase(phrase) for phrase in block.paragraphs)]
            tag = f"{block.tone}: " if block.tone in {"stop", "warning", "note"} else ""
            yield "\n>\n".join([f"> {tag}{lines[0]}", *(f"> {first_words(line)}" for line in lines[1:])])
        case Diagram():
            yield f"```mermaid\n{mermaid(block.schema)}\n```"
        case Table():
            yield f"**{plain_text(block.caption)}**"
            yield _table(block)
        case _:
            assert_never(block)


def _table(table: Table) -> str:
    heads = " | ".join(plain_text(head.label) for head in table.heads)
    rule = "|".join("---:" if head.numeric else "---" for head in table.heads)
    rows = (" | ".join(_cell(cell) for cell in row) for row in table.rows)
    return "\n".join([f"| {heads} |", f"|{rule}|", *(f"| {row} |" for row in rows)])


def _cell(phrase: Phrase) -> str:
    return "".join(_span(span, in_table=True) for span in phrase)


def _phrase(phrase: Phrase) -> str:
    return "".join(_span(span) for span in phrase)


def _span(span: Span, *, in_table: bool = False) -> str:
    match span:
        case Plain():
            return plain_text(span.text)
        case Code():
            return code_text(span.text, in_table=in_table)
        case Link():
            return f"[{plain_text(span.text)}](#{span.anchor})"
        case Bar():
            return share(span.share)
        case _:
            assert_never(span)
