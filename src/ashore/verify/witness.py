"""The independent witness: items rebuilt from rows, against the items as boto3 reads them.

What loads the shadow is the same mapping that loaded the target, so an attribute that it dropped would be missing on
both sides. The witness compares whole items, and reads the expected one with the standard library and boto3 alone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from ashore.mapping.document import encode
from ashore.mapping.items import RowNotAnItemError, from_rows
from ashore.mapping.match import AsRow, key_texts, matcher
from ashore.mapping.plan import EntityPlan, Plan
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import Rows, stripped, to_rows
from ashore.model.item import Item
from ashore.postgres.items import RowKey, as_text

_deserialize: Callable[[Any], Any] = TypeDeserializer().deserialize


def as_boto3_reads(raw: bytes) -> dict[str, Any]:
    """The Python values that boto3 gives for a raw item."""
    return {name: _deserialize(_with_bytes(value)) for name, value in json.loads(raw).items()}


def _with_bytes(value: Mapping[str, Any]) -> dict[str, Any]:
    """A typed value with its base64 decoded, as botocore's parser hands it to the deserializer."""
    match value:
        case {"B": text}:
            return {"B": base64.b64decode(text)}
        case {"BS": texts}:
            return {"BS": [base64.b64decode(text) for text in texts]}
        case {"M": members}:
            return {"M": {name: _with_bytes(member) for name, member in members.items()}}
        case {"L": members}:
            return {"L": [_with_bytes(member) for member in members]}
        case _:
            return dict(value)


def agree(expected: Any, actual: Any) -> bool:
    """Whether two values that boto3 read are equal and of one type, all the way down (True is not 1)."""
    if type(expected) is not type(actual):
        return False
    match expected:
        case dict():
            return expected.keys() == actual.keys() and all(agree(expected[name], actual[name]) for name in expected)
        case list():
            return len(expected) == len(actual) and all(map(agree, expected, actual))
        case _:
            return bool(expected == actual)


class Witness:
    """Compares raw items with what the rows of one entity give back."""

    def __init__(self, plan: Plan, entity: EntityPlan) -> None:
        self._plan = plan
        self._entity = entity
        self._match = matcher(plan)

    def row_key(self, raw: bytes) -> RowKey | None:
        """The key of the row that the item should be; None where it should be none."""
        rows = expected_rows(self._plan, self._entity, raw, self._match)
        return None if rows is None else row_key(self._entity, rows)

    def refutes(self, raw: bytes, rows: Rows) -> list[str]:
        """The attributes in which the rebuilt item differs from boto3's reading of `raw`; none is what one wants."""
        expected = as_boto3_reads(self._as_declared(raw))
        try:
            actual = as_boto3_reads(encode(from_rows(self._entity, rows)))
        except RowNotAnItemError as error:
            return [error.column]
        names = sorted(expected.keys() | actual.keys())
        return [name for name in names if not agree(expected.get(name, ...), actual.get(name, ...))]

    def _as_declared(self, raw: bytes) -> bytes:
        """The item without what the declaration says to strip."""
        if b"\\u0000" not in raw:
            return raw
        item: Item = json.loads(raw)
        names = {name for name in item if strips(self._entity, name)}
        return encode({name: stripped(value) if name in names else value for name, value in item.items()})


def strips(entity: EntityPlan, attribute: str) -> bool:
    """Whether the declaration takes U+0000 out of an attribute, or out of a part of it."""
    columns = [column for column in entity.record.columns if column.path[0] == attribute]
    children = [child.record for child in entity.children if child.attribute == attribute]
    parts = [column for record in children for column in record.columns]
    if any(column.unfit == "strip" for column in (*columns, *parts)):
        return True
    return not columns and (entity.record if not children else children[0]).unfit_of(attribute) == "strip"


def expected_rows(plan: Plan, entity: EntityPlan, raw: bytes, match: Any) -> Rows | None:
    """The rows that a raw item of the entity should be; None where it is of another, a copy, or unfit."""
    item: Item = json.loads(raw)
    try:
        found = match(*key_texts(plan, item))
        if not isinstance(found, AsRow) or found.entity.name != entity.name:
            return None
        return to_rows(entity, item, found.generation)
    except UnfitError:
        return None


def row_key(entity: EntityPlan, rows: Rows) -> RowKey:
    """A row's key as text that PostgreSQL reads as the same value."""
    return tuple(as_text(rows.row[column.name]) for column in entity.table.primary_key.columns)


def by_shape(found: Iterable[tuple[int, str, bytes]]) -> dict[str, Sequence[bytes]]:
    """Raw samples by their shape."""
    shapes: dict[str, list[bytes]] = {}
    for _, shape, raw in found:
        shapes.setdefault(shape, []).append(raw)
    return dict(shapes)
