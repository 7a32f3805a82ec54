"""Rows prepared beforehand, for the limit: COPY lines of the same items, in the same chunks as the load writes them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

from ashore.mapping.declared import PlanReference, load_plan
from ashore.mapping.native import fastest_encoder
from ashore.model.chunk import ItemSource, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCopy:
    """One COPY of a chunk: a table's full name, its rows, and where in the unit's file they are, in which format."""

    table: str
    is_binary: bool
    rows: int
    start: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedChunk:
    """One transaction. `bytes_read` is what the load decompresses for it."""

    bytes_read: int
    copies: tuple[PreparedCopy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedUnit:
    """One unit of the source: the file that the load reads, and the file of its COPY lines."""

    name: str
    lines: Path
    chunks: tuple[PreparedChunk, ...]

    @property
    def rows(self) -> int:
        return sum(copy.rows for chunk in self.chunks for copy in chunk.copies)

    def read(self, content: BinaryIO) -> Iterator[tuple[int, list[tuple[PreparedCopy, bytes]]]]:
        """For each chunk: the bytes that the load decompresses, and the COPYs with their data."""
        for chunk in self.chunks:
            yield chunk.bytes_read, [(copy, content.read(copy.length)) for copy in chunk.copies]


def prepare(
    source: ItemSource, reference: PlanReference, folder: Path, *, workers: int
) -> tuple[list[PreparedUnit], dict[str, tuple[str, ...]]]:
    """Encode every unit of a source into a file of its own under `folder`; return them, and the columns of each table.

    Takes about as long as the load itself and is not part of any measurement.
    """
    task = partial(_prepare_unit, source, reference, folder)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        units = list(pool.map(task, source.units()))
    return units, dict(load_plan(reference).encoder().columns)


def _prepare_unit(source: ItemSource, reference: PlanReference, folder: Path, unit: Unit) -> PreparedUnit:
    encoder = fastest_encoder(load_plan(reference))
    path = folder / f"{unit.name}.copy"
    chunks: list[PreparedChunk] = []
    with path.open("wb") as lines:
        for chunk in source.read(unit, None):
            encoded = encoder.encode(chunk.items)
            copies = []
            for table, rows in encoded.binary.items():
                copies.append(_kept(lines, table, rows.count, rows.data, is_binary=True))
            for table, data in encoded.copy_data.items():
                in_text = encoded.row_counts[table] - (encoded.binary[table].count if table in encoded.binary else 0)
                copies.append(_kept(lines, table, in_text, data, is_binary=False))
            chunks.append(PreparedChunk(bytes_read=chunk.bytes_read, copies=tuple(copies)))
    return PreparedUnit(name=unit.name, lines=path, chunks=tuple(chunks))


def _kept(lines: BinaryIO, table: str, rows: int, data: bytes, *, is_binary: bool) -> PreparedCopy:
    copy = PreparedCopy(table=table, is_binary=is_binary, rows=rows, start=lines.tell(), length=len(data))
    lines.write(data)
    return copy
