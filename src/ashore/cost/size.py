"""How large tables become in PostgreSQL: pages, rows, columns, indexes.

Sources: https://www.postgresql.org/docs/current/storage-page-layout.html (pages, tuples),
https://www.postgresql.org/docs/current/storage-toast.html (values out of line),
https://www.postgresql.org/docs/current/btree.html (indexes), and pg_type.typlen, typalign.
Dead rows, the free space map, and compression of long values are not reckoned with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

page_bytes: Final = 8192
_page_header: Final = 24
_item_pointer: Final = 4
_tuple_header: Final = 23
_index_tuple_header: Final = 8
_index_page_special: Final = 16
_index_fill: Final = 0.9
"""Of leaf pages when an index is built; `CREATE INDEX` leaves the rest free."""
_posting_bytes: Final = 812
"""A posting list of equal keys grows to a tenth of a page when an index is built (nbtsort.c)."""
_row_of_an_equal_key: Final = 6
_toast_above: Final = 2032
"""A row longer than this has its long values moved out of line (TOAST_TUPLE_THRESHOLD)."""
_toast_chunk: Final = 1996
_toast_pointer: Final = 18

_fixed: Final[dict[str, tuple[int, int]]] = {
    "smallint": (2, 2),
    "integer": (4, 4),
    "bigint": (8, 8),
    "number_in_text": (8, 8),
    "boolean": (1, 1),
    "date": (4, 4),
    "timestamp": (8, 8),
    "timestamptz": (8, 8),
    "epoch_seconds": (8, 8),
    "epoch_milliseconds": (8, 8),
    "uuid": (16, 1),
}
"""Bytes and alignment; every other kind is of varying length."""
_array_header: Final = 20
_jsonb_growth: Final = 1.1
"""Binary JSON is about a tenth longer than its text: 4 bytes an entry in place of quotes, colons and commas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSize:
    """A column: its kind (as in `ashore.assess.proposal.ColumnKind`), and how long its values are on average.

    `average_bytes` counts UTF-8 or binary bytes; for numeric its digits; for jsonb its text; for arrays their
    elements. Kinds of fixed length leave it aside. `not_null` is the share of rows that have a value.
    """

    kind: str
    average_bytes: float = 0.0
    not_null: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSize:
    """A B-tree over columns. `distinct` is how many keys there are; None for a unique index."""

    columns: tuple[ColumnSize, ...]
    distinct: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """A table: its rows, its columns in order, and its indexes, the primary key's too."""

    name: str
    rows: int
    columns: tuple[ColumnSize, ...]
    indexes: tuple[IndexSize, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes on disk of a table, of its values out of line and of its indexes."""

    name: str
    row_bytes: float
    heap: int
    toast: int
    indexes: int

    @property
    def total(self) -> int:
        return self.heap + self.toast + self.indexes


def table_size(table: TableSize) -> Size:
    """The size of a table as a load leaves it: rows without gaps, indexes built afterwards."""
    columns, toasted = _toasted(table.columns)
    row = _row_bytes(columns)
    toast = sum(_toast_bytes(table.rows, column) for column in toasted)
    return Size(
        name=table.name,
        row_bytes=row,
        heap=_pages(table.rows, row + _item_pointer, page_bytes - _page_header) * page_bytes,
        toast=toast,
        indexes=sum(index_bytes(table.rows, index) for index in table.indexes),
    )


def index_bytes(rows: int, index: IndexSize) -> int:
    """Bytes of a B-tree index after it was built: leaves filled to nine tenths, the pages above, and the meta page."""
    key = _aligned(_data_bytes(index.columns))
    entries = float(rows)
    entry = _index_tuple_header + key
    if index.distinct and rows > index.distinct:
        room = max(1.0, (_posting_bytes - entry) // _row_of_an_equal_key)
        entries = index.distinct * math.ceil(rows / index.distinct / room)
        entry = _aligned(entry + _row_of_an_equal_key * rows / entries)
    room = page_bytes * _index_fill - _page_header - _index_page_special
    pages = level = _pages(entries, entry + _item_pointer, room)
    fan_out = max(2.0, (page_bytes - _page_header - _index_page_special) * 0.7 // (_index_tuple_header + key + 4))
    while level > 1:
        level = math.ceil(level / fan_out)
        pages += level
    return (pages + 1) * page_bytes


def _row_bytes(columns: Sequence[ColumnSize]) -> float:
    has_nulls = any(column.not_null < 1 for column in columns)
    header = _tuple_header + (math.ceil(len(columns) / 8) if has_nulls else 0)
    return _aligned(_aligned(header) + _data_bytes(columns))


def _data_bytes(columns: Sequence[ColumnSize]) -> float:
    """The bytes of values with the gaps between them.

    A gap is exact as long as all before it is of fixed length; behind that it is the mean of what it can be.
    """
    offset = 0.0
    known = 8
    for column in columns:
        size, alignment = _value_bytes(column)
        if known >= alignment:
            gap = -offset % alignment if known > 1 else 0.0
        else:
            gap = (alignment - 1) / 2
            known = alignment if column.kind in _fixed else 1
            offset = math.ceil((offset + gap) / alignment) * alignment - gap if column.kind in _fixed else offset
        offset += (gap + size) * column.not_null
        if column.not_null < 1 or column.kind not in _fixed:
            known = 1
    return offset


def _value_bytes(column: ColumnSize) -> tuple[float, int]:
    """The bytes of a value, and its alignment. Up to 126 bytes a varying length takes one byte, and no alignment."""
    if column.kind in _fixed:
        return _fixed[column.kind]
    length = column.average_bytes
    if column.kind == "numeric":
        length = 2 + 2 * math.ceil(length / 4 + 0.5)
    elif column.kind == "jsonb":
        length = length * _jsonb_growth + 4
    elif column.kind.endswith("[]"):
        length += _array_header
    return (length + 1, 1) if length <= 126 else (length + 4, 4)


def _toasted(columns: Sequence[ColumnSize]) -> tuple[list[ColumnSize], list[ColumnSize]]:
    """The columns as they stay in the row, and those moved out of it: the longest first, until the row is short."""
    kept, moved = list(columns), []
    while _row_bytes(kept) > _toast_above:
        place = max(range(len(kept)), key=lambda at: _value_bytes(kept[at])[0])
        if kept[place].kind in _fixed or _value_bytes(kept[place])[0] <= _toast_pointer + 1:
            break
        moved.append(kept[place])
        kept[place] = replace(kept[place], kind="bytea", average_bytes=_toast_pointer - 1)
    return kept, moved


def _toast_bytes(rows: int, column: ColumnSize) -> int:
    """Chunks of values out of line, each a row of its own with two numbers before it, and their index."""
    length = _value_bytes(column)[0]
    chunks = math.ceil(length / _toast_chunk)
    values = rows * column.not_null
    chunk = _aligned(24 + 8 + 4 + length / chunks) + _item_pointer
    keys = ColumnSize(kind="integer"), ColumnSize(kind="integer")
    heap = _pages(values * chunks, chunk, page_bytes - _page_header) * page_bytes
    return heap + index_bytes(math.ceil(values * chunks), IndexSize(columns=keys))


def _aligned(length: float) -> float:
    """Rounded up to 8 bytes; a mean of several lengths is 3.5 bytes longer on average."""
    return float(-(-length // 8) * 8) if length == int(length) else length + 3.5


def _pages(entries: float, entry: float, room: float) -> int:
    """Pages that hold the entries, each at least one; an average of varying lengths fills a page to the last byte."""
    a_page = room // entry if entry == int(entry) or entry > room / 10 else room / entry - 0.5
    return math.ceil(entries / max(1.0, a_page))
