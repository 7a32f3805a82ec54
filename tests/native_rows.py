"""A reader of binary COPY rows that shares nothing with their writer, and what the native path is compared with."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from tests import mapping_copy

from ashore.mapping.encoded import Encoded, Encoder
from ashore.mapping.encoder import GeneratedEncoder
from ashore.mapping.native import NativeEncoder
from ashore.mapping.plan import Plan

Fields = list[bytes | None]


def native_encoder(plan: Plan, *, sample: int = 0) -> NativeEncoder:
    """An encoder with the native path; `general_only` behind it, so that the two paths are each other's witness."""
    return NativeEncoder(plan, general_only(plan, sample=sample), sample=sample)


def general_only(plan: Plan, *, sample: int = 0) -> GeneratedEncoder:
    """The Python encoder without its own fast path."""
    encoder = GeneratedEncoder(plan, None, None, sample=sample)
    for slot in encoder._slots:
        slot.path = None
    return encoder


def contents(tables: Mapping[str, sa.Table], encoder: Encoder, batch: Encoded) -> dict[str, Counter[Any]]:
    """The rows of a chunk by table, from both formats, such that PostgreSQL would hold equal ones for the same."""
    found: dict[str, Counter[Any]] = {}
    for name, data in batch.copy_data.items():
        rows = [mapping_copy.comparable(tables[name], row) for row in mapping_copy.read(data, encoder.columns[name])]
        found.setdefault(name, Counter()).update(rows)
    for name, binary in batch.binary.items():
        columns, table = encoder.columns[name], tables[name]
        rows = []
        for fields in rows_of(binary.data):
            texts = {one: text_of(table.columns[one].type, field) for one, field in zip(columns, fields, strict=True)}
            rows.append(mapping_copy.comparable(table, texts))
        assert binary.count == len(rows)
        found.setdefault(name, Counter()).update(rows)
    return found


def check(plan: Plan, raws: list[bytes]) -> Counter[str]:
    """Compare both paths, item by item and for all items together; return how many were taken or refused, and why."""
    tables = {table.fullname: table for entity in plan.entities.values() for table in entity.tables}
    native, general = native_encoder(plan), general_only(plan)
    taken: Counter[str] = Counter()
    for items in [*([one] for one in raws), raws]:
        expected, actual = general.encode(items), native.encode(items)
        assert expected.counts == actual.counts
        assert contents(tables, general, expected) == contents(tables, native, actual)
        assert expected.row_counts == actual.row_counts
        assert [(one.reason, one.attribute, one.raw) for one in expected.rejected] == [
            (one.reason, one.attribute, one.raw) for one in actual.rejected
        ]
        if items is not raws:
            taken.update(actual.refused or {"taken": 1})
    return taken


def rows_of(data: bytes) -> Iterator[Fields]:
    """The fields of each row, as PostgreSQL's documentation has the format."""
    at = 0
    while at < len(data):
        (count,) = struct.unpack_from(">h", data, at)
        at += 2
        fields: Fields = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", data, at)
            at += 4
            if length < 0:
                assert -1 == length
                fields.append(None)
                continue
            assert at + length <= len(data)
            fields.append(data[at : at + length])
            at += length
        yield fields


def without_frame(stream: bytes) -> bytes:
    """The rows of a whole binary COPY stream: without its 19 bytes of header and its trailer."""
    assert stream.startswith(b"PGCOPY\n\xff\r\n\0" + bytes(8))
    assert stream.endswith(b"\xff\xff")
    return stream[19:-2]


def framed(rows: bytes) -> bytes:
    """The opposite of `without_frame`."""
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows + b"\xff\xff"


def text_of(kind: Any, field: bytes | None) -> str | None:  # noqa: C901 (a case for each type)
    """A binary field as the text that COPY's text format has for it, unescaped."""
    match kind:
        case _ if field is None:
            return None
        case JSONB():
            assert 1 == field[0]
            return field[1:].decode()
        case sa.ARRAY():
            return _array(kind.item_type, field)
        case sa.Uuid():
            return str(UUID(bytes=field))
        case sa.Boolean():
            return {b"\0": "f", b"\1": "t"}[field]
        case sa.Integer():
            assert {sa.SmallInteger: 2, sa.Integer: 4, sa.BigInteger: 8}[type(kind)] == len(field)
            return str(int.from_bytes(field, "big", signed=True))
        case sa.Numeric():
            return _numeric(field)
        case sa.Date():
            (days,) = struct.unpack(">i", field)
            return (date(2000, 1, 1) + timedelta(days=days)).isoformat()
        case sa.DateTime():
            (micros,) = struct.unpack(">q", field)
            return (datetime(2000, 1, 1, tzinfo=UTC if kind.timezone else None) + timedelta(0, 0, micros)).isoformat()
        case sa.LargeBinary():
            return "\\x" + field.hex()
        case _:
            return field.decode()


def _numeric(field: bytes) -> str:
    count, weight, sign, scale = struct.unpack_from(">hhHH", field)
    digits = struct.unpack_from(f">{count}H", field, 8)
    assert 8 + 2 * count == len(field)
    assert all(digit < 10_000 for digit in digits)
    assert not digits or (digits[0] and digits[-1])
    with localcontext(prec=200):
        parts = [Decimal(digit).scaleb(4 * (weight - place)) for place, digit in enumerate(digits)]
        value = sum(parts, Decimal(0)).quantize(Decimal(1).scaleb(-scale))
    return str(value.copy_negate() if sign == 0x4000 else value)


def _array(item: Any, field: bytes) -> str:
    dimensions, nulls, oid, length, first = struct.unpack_from(">iiIii", field)
    assert (1, 0, 1) == (dimensions, nulls, first)
    oids = {sa.Text: 25, sa.SmallInteger: 21, sa.Integer: 23, sa.BigInteger: 20, sa.Numeric: 1700}
    assert {**oids, sa.LargeBinary: 17}[type(item)] == oid
    (row,) = rows_of(struct.pack(">h", length) + field[20:])
    texts = [text_of(item, one) or "" for one in row]
    return "{" + ",".join('"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in texts) + "}"
