"""Ashore takes live applications off DynamoDB and onto PostgreSQL.

The names here are what a declaration needs; the command is ``ashore``.
"""

from ashore.errors import AshoreError, DeclarationError, Problem
from ashore.mapping.declare import (
    Child,
    Copy,
    Entity,
    KeyAttribute,
    Source,
    epoch_milliseconds,
    epoch_seconds,
    explicit,
    maybe,
    promote,
    reject,
    remainder,
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
    "Problem",
    "Source",
    "camel_case",
    "epoch_milliseconds",
    "epoch_seconds",
    "explicit",
    "maybe",
    "pascal_case",
    "promote",
    "reject",
    "remainder",
    "residue",
    "same_name",
    "strip",
]
