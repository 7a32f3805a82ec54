"""Ashore takes live applications off DynamoDB and onto PostgreSQL.

The names here are what a declaration needs; the command is ``ashore``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ashore.errors import AshoreError, DeclarationError, Problem
    from ashore.mapping.declare import (
        Child,
        Copy,
        Entity,
        KeyAttribute,
        Mirror,
        Search,
        Source,
        carry,
        epoch_milliseconds,
        epoch_seconds,
        explicit,
        maybe,
        number_in_text,
        promote,
        reject,
        remainder,
        render,
        residue,
        strip,
    )
    from ashore.mapping.names import camel_case, pascal_case, same_name

__version__ = "0.1.0"

__all__ = [
    "AshoreError",
    "Child",
    "Copy",
    "DeclarationError",
    "Entity",
    "KeyAttribute",
    "Mirror",
    "Problem",
    "Search",
    "Source",
    "camel_case",
    "carry",
    "epoch_milliseconds",
    "epoch_seconds",
    "explicit",
    "maybe",
    "number_in_text",
    "pascal_case",
    "promote",
    "reject",
    "remainder",
    "render",
    "residue",
    "same_name",
    "strip",
]

_homes: Final = ("ashore.errors", "ashore.mapping.names", "ashore.mapping.declare")


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: SQLAlchemy takes longer to import than `ashore --help` may take."""
    if name in __all__:
        for home in map(importlib.import_module, _homes):
            if name in vars(home):
                return vars(home)[name]
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
