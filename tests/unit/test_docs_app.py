"""The reference of `ashore.app` says what the code says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from tests.acceptance.docs_pages import DOCS

import ashore.app

REFERENCE: Final = (DOCS / "reference" / "app.md").read_text(encoding="utf-8")
sections: Final = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", REFERENCE, re.DOTALL | re.MULTILINE))
shown: Final = {name: text for name, text in sections.items() if "python signature" in text}


class _Name:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


def plain(parameter: inspect.Parameter) -> inspect.Parameter:
    default = parameter.default
    shown_default = _Name(default.__name__) if inspect.isfunction(default) else default
    return parameter.replace(annotation=parameter.empty, default=shown_default)


def signature_of(called: Callable[..., Any]) -> str:
    signature = inspect.signature(called)
    parameters = [plain(one) for one in signature.parameters.values() if one.name != "self"]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


def test_every_public_name_is_on_the_page() -> None:
    assert [] == [name for name in ashore.app.__all__ if f"`{name}`" not in REFERENCE]
    assert shown.keys() <= set(ashore.app.__all__)


@pytest.mark.parametrize("name", sorted(shown))
def test_a_section_shows_the_signature_and_speaks_of_every_argument(name: str) -> None:
    called = getattr(ashore.app, name)
    found = re.search(r"```python signature\n(.+)\n```", shown[name])
    assert found is not None
    assert f"{name}{signature_of(called)}" == found[1]
    first_table = shown[name].partition("| argument |")[2].partition("| method |")[0]
    assert list(inspect.signature(called).parameters) == re.findall(r"^\| `(\w+)` \|", first_table, re.MULTILINE)


@pytest.mark.parametrize("name", ["reads", "areads", "write", "reader", "writer", "note_write", "forget", "close"])
def test_every_method_of_routes_is_listed_with_its_arguments(name: str) -> None:
    listed = re.search(rf"^\| `{name}\(([^)]*)\)` \|", sections["Routes"], re.MULTILINE)
    assert listed is not None
    if listed[1] != "…":
        method = getattr(ashore.app.Routes, name)
        names = re.findall(r"\w+(?==|,|$)", re.sub(r"=\w+", "", listed[1]))
        assert [one for one in inspect.signature(method).parameters if one != "self"] == names
