"""The PostgreSQL types that a column may have; `column_type` finds the one of an SQLAlchemy column."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from ashore.mapping.types import containers, numbers, texts, times
from ashore.mapping.types.base import ColumnType


def column_type(declared: sa.types.TypeEngine[Any]) -> ColumnType | str:  # noqa: C901 (a table of types)
    """What the SQLAlchemy type of a column means to an attribute, or, as text, why it cannot be used and what can."""
    match declared:
        case sa.Interval():
            return "Interval is not supported: keep the number or the text that the attribute is"
        case sa.types.TypeDecorator():
            return column_type(declared.impl_instance)
        case sa.Float():
            return "a float cannot hold DynamoDB's 38 digits: use Numeric"
        case sa.Enum():
            return texts.enum([str(label) for label in declared.enums])
        case sa.CHAR() | sa.NCHAR():
            return "char(n) pads with blanks: use Text or String(n)"
        case postgresql.CITEXT():
            return "citext makes two DynamoDB keys one: use Text"
        case sa.String():
            return texts.text(declared.length)
        case sa.Uuid():
            return texts.uuid
        case sa.SmallInteger():
            return numbers.integer("smallint", 16)
        case sa.BigInteger():
            return numbers.integer("bigint", 64)
        case sa.Integer():
            return numbers.integer("integer", 32)
        case sa.Numeric():
            return numbers.numeric(declared.precision, declared.scale)
        case sa.Boolean():
            return numbers.boolean
        case sa.Date():
            return times.date_
        case sa.DateTime():
            if getattr(declared, "precision", None) not in {None, 6}:
                return "a timestamp with fewer than six digits rounds: leave its precision out"
            return times.timestamptz if declared.timezone else times.timestamp
        case sa.LargeBinary():
            return containers.bytea
        case postgresql.JSONB():
            return containers.jsonb
        case sa.JSON():
            return "json does not compare: use postgresql.JSONB"
        case sa.ARRAY():
            element = column_type(declared.item_type)
            if isinstance(element, str):
                return element
            if declared.dimensions not in {None, 1} or element.name not in _array_elements:
                return "only one-dimensional arrays of text, integers, numeric and bytea are supported: use JSONB"
            return containers.array(element)
        case _:
            return f"{type(declared).__name__} is not supported: see the reference of column types"


_array_elements = frozenset({"text", "smallint", "integer", "bigint", "numeric", "bytea"})
