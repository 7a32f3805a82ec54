"""The report as Markdown, read by a parser of GitHub's tables: no name ends a cell, a code span or a line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.assess_reports import ASSESSMENT, EMPTY, HOSTILE, PROPOSAL, SAMPLED, hostile

from ashore.assess.report.assessment import Assessment
from ashore.assess.report.markdown import as_markdown
from ashore.assess.report.markdown_text import code_text, first_words, plain_text
from ashore.assess.report.shown import shown

OWN_HTML = re.compile(r'<a id="[a-z0-9-]+">|</a>|</?code>')


def parsed(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(markdown)


def inner(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or ()]


def shape(tokens: list[Token]) -> list[str]:
    """What blocks there are, without their texts."""
    return [f"{token.type} {token.tag}" for token in tokens]


def said(tokens: list[Token]) -> str:
    """The words that a reader sees."""
    return "".join(child.content for child in inner(tokens) if child.type in {"text", "code_inline", "text_special"})


@pytest.mark.parametrize("assessment", [ASSESSMENT, SAMPLED, EMPTY], ids=["full", "sampled", "empty"])
def test_every_row_has_as_many_cells_as_its_head(assessment: Assessment) -> None:
    tokens = parsed(as_markdown(assessment))
    counts: list[int] = []
    for token in tokens:
        if token.type == "table_open":
            counts = []
        if token.type == "tr_open":
            counts.append(0)
        if token.type in {"th_open", "td_open"}:
            counts[-1] += 1
        if token.type == "table_close":
            assert len(set(counts)) == 1
            assert len(counts) > 1


def test_all_that_html_says_is_in_markdown_too() -> None:
    markdown = as_markdown(ASSESSMENT)
    headings = re.findall(r"^(#+) (.*)$", markdown, flags=re.MULTILINE)
    assert ("#", "Assessment of `shop-production`") == headings[0]
    assert ("##", "Decision brief") == headings[1]
    for entity in PROPOSAL.entities:
        assert ("###", f"`{entity.name}`") in headings
    assert "| Storage | 20.4 GB | \\$0.25 per GB | \\$5.10 | `20.4 × 0.25` | DescribeTable | 2026-11-01 |" in markdown
    assert "| `customer\\|{customer_id}` | `customer\\|{customer_id}` | 40 |" in markdown
    assert "\n```mermaid\nerDiagram\n" in markdown


def test_links_lead_to_anchors_that_are_there() -> None:
    markdown = as_markdown(ASSESSMENT)
    anchors = re.findall(r'<a id="([\w-]+)"></a>', markdown)
    links = [str(one.attrGet("href")) for one in inner(parsed(markdown)) if one.type == "link_open"]
    assert len(anchors) == len(set(anchors))
    assert links
    assert {link.removeprefix("#") for link in links} <= set(anchors)


def check_hostile(name: str) -> None:
    harmless, tokens = parsed(as_markdown(hostile("harmless"))), parsed(as_markdown(hostile(name)))
    assert shape(harmless) == shape(tokens)
    for token in inner(tokens):
        assert token.type not in {"image", "hardbreak", "em_open"}
        if token.type == "html_inline":
            assert OWN_HTML.fullmatch(token.content), token.content
        if token.type == "link_open":
            assert str(token.attrGet("href")).startswith("#")
    assert all(OWN_HTML.match(token.content) for token in tokens if token.type == "html_block")


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_leave_the_structure_as_it_is(name: str) -> None:
    check_hostile(name)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_read_as_they_are(name: str) -> None:
    visible = said(parsed(as_markdown(hostile(name))))
    assert shown(name).strip() in visible


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab \\`|*_<>[]()!#&~-+=.1:/{}$@\n\u202e\"'"), min_size=1, max_size=12))
def test_any_name_leaves_the_structure_as_it_is(name: str) -> None:
    check_hostile(name)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab \\`|*_<>[]&;#~-1."), max_size=12))
def test_a_name_is_the_same_after_it_was_read(name: str) -> None:
    for in_table in (False, True):
        written = f"x {code_text(name, in_table=in_table)} y"
        tokens = parsed(f"| h |\n|---|\n| {written} |" if in_table else written)
        (line,) = (token for token in tokens if token.type == "inline" and token.content != "h")
        assert f"x {name} y" == "".join(child.content for child in line.children or () if child.type != "html_inline")
    (line,) = (token for token in parsed(f"x {plain_text(name)}y") if token.type == "inline")
    assert f"x {name}y" == "".join(child.content for child in line.children or ())


@pytest.mark.parametrize("text", ["- a", "+ a", "1. a", "12) a", "---", "# a", "> a", "98.2 % of it", "===", "    a"])
def test_a_sentence_begins_no_block(text: str) -> None:
    tokens = parsed(first_words(plain_text(text)))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert text.strip() == said(tokens)


def test_addresses_in_names_do_not_become_links() -> None:
    assert plain_text("http://a www.b") == "http:\\//a www\\.b"
