"""text, varchar(n), enum and uuid: what is text to DynamoDB."""

from __future__ import annotations

import re
from typing import Any, Final
from uuid import UUID

from ashore.mapping.types.base import ColumnType, content, escape, unfit
from ashore.model.attribute import TypedValue

_canonical_uuid: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_any_uuid: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch


def _text_of(value: TypedValue) -> str:
    text: str = content(value, "S")
    if "\0" in text:
        raise unfit("nul_in_text")
    return text


def _as_text(value: str) -> TypedValue:
    return {"S": value}


def text(longest: int | None = None) -> ColumnType:
    """Text; `longest` counts characters, as varchar(n) does."""

    def checked(text: str) -> str:
        if "\0" in text:
            raise unfit("nul_in_text")
        if longest is not None and len(text) > longest:
            raise unfit("too_long", f"{len(text)} characters, the column takes {longest}")
        return text

    return ColumnType(
        name="text" if longest is None else f"varchar({longest})",
        wire="S",
        to_column=lambda value: checked(content(value, "S")),
        to_attribute=_as_text,
        copy=escape,
        longest=longest,
        parse=checked,
        render=str,
    )


def enum(labels: list[str]) -> ColumnType:
    """One of some labels."""
    known = frozenset(labels)

    def label(text: str) -> str:
        if text not in known:
            raise unfit("not_a_label")
        return text

    return ColumnType(
        name="enum",
        wire="S",
        to_column=lambda value: label(_text_of(value)),
        to_attribute=_as_text,
        copy=escape,
        fast={one: escape(one) for one in labels}.get,
        labels=tuple(labels),
        parse=label,
        render=str,
    )


def _parse_uuid(text: str) -> UUID:
    if _any_uuid(text) is None:
        raise unfit("not_a_uuid")
    return UUID(text)


def _fast_uuid(text: str) -> str | None:
    return text if _canonical_uuid(text) is not None else None


def _copy_uuid(value: Any) -> str:
    return str(value)


uuid: Final = ColumnType(
    name="uuid",
    wire="S",
    to_column=lambda value: _parse_uuid(content(value, "S")),
    to_attribute=lambda value: {"S": str(value)},
    copy=_copy_uuid,
    fast=_fast_uuid,
    parse=_parse_uuid,
    render=str,
)
