"""A reader of COPY text that shares nothing with its writer, and a way to compare what two writers wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def read(data: bytes, columns: tuple[str, ...]) -> list[dict[str, str | None]]:
    """Rows of COPY's text format, as PostgreSQL's documentation has it."""
    if not data:
        return []
    assert data.endswith(b"\n")
    rows = []
    for line in data.decode()[:-1].split("\n"):
        assert "\r" not in line
        assert line != "\\."
        fields = line.split("\t")
        assert len(fields) == len(columns)
        rows.append({name: unescape(field) for name, field in zip(columns, fields, strict=True)})
    return rows


def unescape(field: str) -> str | None:
    """One field of COPY text; None for NULL."""
    if field == "\\N":
        return None
    return re.sub(r"\\(.)", lambda match: _ESCAPES[match[1]], field, flags=re.DOTALL)


def comparable(table: sa.Table, row: Mapping[str, str | None]) -> tuple[Any, ...]:
    """A row such that two are equal exactly when PostgreSQL would hold the same values."""
    return tuple(_value(table.columns[name].type, text) for name, text in sorted(row.items()))


def _value(kind: Any, text: str | None) -> Any:
    if text is None:
        return None
    match kind:
        case JSONB():
            return _frozen(json.loads(text, parse_float=Decimal, parse_int=Decimal))
        case sa.Numeric() | sa.Integer():
            return Decimal(text)
        case sa.DateTime():
            return datetime.fromisoformat(text)
        case sa.ARRAY() if isinstance(kind.item_type, sa.Numeric | sa.Integer):
            return tuple(Decimal(one.strip('"')) for one in text[1:-1].split(",") if one)
        case _:
            return text


def _frozen(value: Any) -> Any:
    match value:
        case dict():
            return frozenset((name, _frozen(member)) for name, member in value.items())
        case list():
            return tuple(map(_frozen, value))
        case _:
            return (type(value).__name__, value)
