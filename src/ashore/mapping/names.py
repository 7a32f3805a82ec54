"""Naming conventions: from a column's name to the attribute's."""

from __future__ import annotations

from collections.abc import Callable

Convention = Callable[[str], str]


def camel_case(column: str) -> str:
    """``docket_number`` → ``docketNumber``."""
    first, *rest = column.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def pascal_case(column: str) -> str:
    """``docket_number`` → ``DocketNumber``."""
    return "".join(word[:1].upper() + word[1:] for word in column.split("_"))


def same_name(column: str) -> str:
    """``docket_number`` → ``docket_number``."""
    return column
