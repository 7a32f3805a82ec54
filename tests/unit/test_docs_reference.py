"""The reference of the declaration says what the code says."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.acceptance.docs_pages import DOCS

import ashore
from ashore.mapping import compile as compile_source
from ashore.mapping import compile_entity, compile_rebuilt, compile_record

REFERENCE: Final = DOCS / "reference" / "declaration.md"
sections = dict(
    re.findall(r"^## `([^`]+)`\n(.*?)(?=^## |\Z)", REFERENCE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
)
methods: Final[dict[str, Callable[..., Any]]] = {
    "Source.key": ashore.Source.key,
    "Source.not_yet": ashore.Source.not_yet,
    "Source.leave_out": ashore.Source.leave_out,
    "Source.together": ashore.Source.together,
    "Source.compile": ashore.Source.compile,
}
public: Final[dict[str, Any]] = {name: getattr(ashore, name) for name in ashore.__all__}
callables: Final[dict[str, Callable[..., Any]]] = {
    **{name: found for name, found in public.items() if callable(found)},
    **methods,
}


def signature_of(name: str) -> str:
    """A signature without annotations, its defaults as one writes them."""
    parameters = []
    signature = inspect.signature(callables[name])
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        default = parameter.default
        if isinstance(default, type(ashore.camel_case)):
            default = _Verbatim(default.__name__)
        parameters.append(parameter.replace(annotation=parameter.empty, default=default))
    plain = signature.replace(parameters=parameters, return_annotation=signature.empty)
    return f"{name}{plain}".replace("'", '"')


class _Verbatim:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def test_every_public_name_has_a_section() -> None:
    assert {*ashore.__all__, *methods} == sections.keys()


@pytest.mark.parametrize("name", sorted(callables))
def test_a_section_shows_the_signature(name: str) -> None:
    shown = re.search(r"```python signature\n(.+)\n```", sections[name])

    assert shown is not None
    assert signature_of(name) == shown[1]


@pytest.mark.parametrize("name", sorted(callables))
def test_a_section_speaks_of_every_argument_in_order(name: str) -> None:
    expected = [one for one in inspect.signature(callables[name]).parameters if one != "self"]

    actual = re.findall(r"^\| `(\w+)` \|", sections[name], re.MULTILINE)

    assert expected == actual


def test_every_message_of_the_compiler_is_in_the_reference() -> None:
    listed = REFERENCE.read_text(encoding="utf-8").partition("## What is refused")[2]
    rows = re.finditer(r"^\| (`+)(?P<message>.+?)\1 \|", listed, re.MULTILINE)
    shown = {row["message"].strip() for row in rows}
    expected = set()
    for module in (compile_source, compile_entity, compile_rebuilt, compile_record):
        expected |= set(_messages(ast.parse(Path(inspect.getfile(module)).read_text(encoding="utf-8"))))

    assert [] == sorted(expected - shown), "messages that docs/reference/declaration.md lacks"
    assert [] == sorted(shown - expected), "messages that the compiler no longer has"


def _messages(tree: ast.AST) -> Iterator[str]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            named = {
                target.id: assignment.value
                for assignment in ast.walk(function)
                if isinstance(assignment, ast.Assign)
                for target in assignment.targets
                if isinstance(target, ast.Name)
            }
            for call in ast.walk(function):
                what = _what(call)
                if isinstance(what, ast.Name):
                    what = named.get(what.id)
                if what is not None:
                    yield _text(what)


def _what(node: ast.AST) -> ast.expr | None:
    """What a call of `refuse` (within its class: of `self`) or `Problem` says; None for other nodes."""
    match node:
        case ast.Call(func=ast.Name(id="refuse" | "self") | ast.Attribute(attr="refuse"), args=[what, *_]):
            return what
        case ast.Call(func=ast.Name(id="Problem"), keywords=keywords):
            return next(keyword.value for keyword in keywords if keyword.arg == "what")
        case _:
            return None


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) for value in values)
        case ast.BinOp(left=left, right=right):
            return _text(left) + _text(right)
        case _:
            return "…"
