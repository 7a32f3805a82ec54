"""A report as one page of HTML: no script, nothing loaded from anywhere, every name escaped."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ashore.assess.report.assessment import Assessment
from ashore.assess.report.content import document
from ashore.assess.report.diagram import svg
from ashore.assess.report.document import Diagram, plain
from ashore.assess.report.mermaid import mermaid
from ashore.assess.writing.words import share

_TEMPLATES: Final = files("ashore.assess.report") / "templates"


def as_html(assessment: Assessment) -> str:
    """The whole page.

    Its Content-Security-Policy allows its own style sheet, by its hash, and nothing else, so that even a name that got
    through as markup could neither run nor load anything.
    """
    style = _file("report.css")
    page = _environment().get_template("report.html.j2")
    return page.render(document=document(assessment), style=Markup(style), style_hash=_hash(style))  # noqa: S704  # our own


def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_file),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"share": share, "drawing": _drawing, "source": _source, "plain": plain}
    return environment


def _file(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _hash(style: str) -> str:
    """Source: https://www.w3.org/TR/CSP3/#match-element-to-source-list."""
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _drawing(diagram: Diagram) -> Markup | None:
    drawn = svg(diagram.schema)
    return None if drawn is None else Markup(drawn)  # noqa: S704  # Graphviz escapes all text, as a test shows


def _source(diagram: Diagram) -> str:
    return mermaid(diagram.schema)
