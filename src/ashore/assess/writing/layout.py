"""Calls, lists and dicts, laid out as `ruff format` does: on one line where that fits, else one part a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ashore.assess.writing.python import WIDTH, columns, comment, text

_INDENT: Final = 4


@dataclass(frozen=True, slots=True)
class Group:
    """Parts between brackets: ``sa.Column(`` … ``)``. With `always`, one part a line even where they would fit."""

    opening: str
    parts: tuple[Part, ...]
    closing: str
    always: bool = False


Code = str | Group


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a group: ``null=``, then its code, and what there is to say of it."""

    code: Code
    label: str = ""
    note: str = ""


def call(function: str, *parts: Part | Code, always: bool = False) -> Group:
    """A call, or whatever else has round brackets."""
    return Group(f"{function}(", tuple(map(_part, parts)), ")", always)


def list_of(parts: Iterable[Part | Code]) -> Group:
    """A list."""
    return Group("[", tuple(map(_part, parts)), "]")


def dict_of(parts: Iterable[tuple[str, Code, str]]) -> Group:
    """A dict of (key as code, value, note)."""
    return Group("{", tuple(Part(code, f"{key}: ", note) for key, code, note in parts), "}")


def value(constant: Any) -> Code:
    """A constant: text, a number, a boolean, or a typed value of them.

    Raises:
        TypeError: It is something else, which no declaration takes.
    """
    match constant:
        case str():
            return text(constant)
        case bool() | int() | None:
            return repr(constant)
        case Decimal():
            return value({"N": str(constant)})
        case list():
            return list_of(map(value, constant))
        case dict():
            return dict_of((text(name), value(one), "") for name, one in constant.items())
        case _:
            message = f"a constant is a {type(constant).__name__}"
            raise TypeError(message)


def argument(name: str, code: Code, note: str = "") -> Part:
    """A named argument."""
    return Part(code, f"{name}=", note)


def lines_of(code: Code, *, before: str = "", after: str = "", indent: int = 0) -> list[str]:
    """The lines of some code, `before` and `after` on the first and the last of them, each indented."""
    margin = " " * indent
    if isinstance(code, str):
        return [margin + before + code + after]
    if not _needs_lines(code):
        line = margin + before + _on_one_line(code) + after
        if columns(line) <= WIDTH or not code.parts:
            return [line]
    lines = [margin + before + code.opening]
    for part in code.parts:
        lines += _part_lines(part, indent + _INDENT)
    return [*lines, margin + code.closing + after]


def _part_lines(part: Part, indent: int) -> Sequence[str]:
    margin = " " * indent
    lines = lines_of(part.code, before=part.label, after=",", indent=indent)
    said = comment(part.note, indent=indent)
    if len(said) == 1 and len(lines) == 1 and columns(behind := f"{lines[0]}  {said[0]}") <= WIDTH:
        return [behind]
    return [*(margin + line for line in said), *lines]


def _needs_lines(group: Group) -> bool:
    return group.always or any(
        part.note or (isinstance(part.code, Group) and _needs_lines(part.code)) for part in group.parts
    )


def _on_one_line(code: Code) -> str:
    if isinstance(code, str):
        return code
    return code.opening + ", ".join(_parts(code)) + code.closing


def _parts(group: Group) -> Iterator[str]:
    for part in group.parts:
        yield part.label + _on_one_line(part.code)


def _part(part: Part | Code) -> Part:
    return part if isinstance(part, Part) else Part(part)
