"""The limit that a load is measured against: the same processes read the same source and COPY prepared rows.

What is left out is what the load is for: making rows of items, and keeping account. What stays: as many processes, the
same files decompressed by the same library (and thrown away), the same COPY statements of the same bytes, one
transaction for each chunk, the same logged tables without keys or indexes, the same server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Protocol

from isal import igzip
from psycopg import sql

from ashore.bench.errors import MeasuringProcessEnded
from ashore.bench.prepared import PreparedUnit
from ashore.dynamodb.data_file import block_bytes
from ashore.postgres.connect import Conn, connect
from ashore.postgres.copy import copy_binary, copy_text
from ashore.postgres.names import TableName

schema: Final = "bench_limit"
_END_SECONDS: Final = 5.0


class Reading(Protocol):
    """Reads what the load reads of one unit, a chunk's worth at a time, and forgets it; must be picklable."""

    def __call__(self, unit: str) -> Callable[[int], None]:
        """Begin a unit; the function that is returned reads so many (decompressed) bytes."""


@dataclass(frozen=True, slots=True)
class NoReading:
    """COPY alone."""

    def __call__(self, unit: str) -> Callable[[int], None]:  # noqa: ARG002 (as `Reading` has it)
        """Read nothing of `unit`."""
        return _read_nothing


def _read_nothing(_size: int) -> None:
    return


@dataclass(frozen=True, slots=True)
class Gunzip:
    """Decompresses an export's data files; `folder` is the export's own."""

    folder: Path

    def __call__(self, unit: str) -> Callable[[int], None]:
        """Open the data file of `unit`."""
        stream = igzip.IGzipFile(self.folder / "data" / unit, mode="rb")  # type: ignore[no-untyped-call]

        def read(size: int) -> None:
            left = size
            while left > 0 and (block := stream.read(min(left, block_bytes))):
                left -= len(block)

        return read


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitTask:
    """What each process of a limit does; picklable."""

    dsn: str = field(repr=False)
    reading: Reading
    units: Sequence[PreparedUnit]
    columns: Mapping[str, Sequence[str]]
    targets: Mapping[str, TableName]


def make_tables(conn: Conn, tables: Mapping[str, TableName]) -> dict[str, TableName]:
    """Make empty copies of the load's tables, without keys and indexes, in `schema`; return them by full name."""
    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
    conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    made = {}
    for full_name, table in tables.items():
        made[full_name] = TableName(schema, table.name)
        conn.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(made[full_name].identifier, table.identifier))
    return made


def run_limit(task: LimitTask, *, workers: int) -> float:
    """Copy all rows in `workers` processes; return the seconds from the first open to the last commit.

    The target tables are emptied before, outside the measurement. Units are dealt out as the workers ask for them.

    Raises:
        MeasuringProcessEnded: One of the processes failed.
    """
    with connect(task.dsn, application_name="ashore bench limit", autocommit=True) as conn:
        for table in task.targets.values():
            conn.execute(sql.SQL("TRUNCATE {}").format(table.identifier))
        conn.execute("CHECKPOINT")
    context = get_context("spawn")
    turns = context.Queue()
    for number in range(len(task.units)):
        turns.put(number)
    for _ in range(workers):
        turns.put(None)
    channels: list[Connection[None, tuple[float, float]]] = []
    crew = []
    for _ in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(task, turns, theirs), daemon=True)
        process.start()
        theirs.close()
        channels.append(ours)
        crew.append(process)
    try:
        spans = [channel.recv() for channel in channels]
    except EOFError:
        raise MeasuringProcessEnded(doing="COPY of prepared rows") from None
    finally:
        for channel in channels:
            channel.close()
        for process in crew:
            process.join(timeout=_END_SECONDS)
            process.kill()
    return max(last for _, last in spans) - min(first for first, _ in spans)


class _Turns(Protocol):
    def get(self) -> int | None: ...


def _work(task: LimitTask, turns: _Turns, channel: Connection[tuple[float, float], None]) -> None:
    with connect(task.dsn, application_name="ashore bench limit", autocommit=True) as conn:
        began = last = time.monotonic()
        while (turn := turns.get()) is not None:
            unit = task.units[turn]
            read = task.reading(unit.name)
            with unit.lines.open("rb", buffering=0) as lines:
                for size, copies in unit.read(lines):
                    read(size)
                    with conn.transaction():
                        for copy, data in copies:
                            write = copy_binary if copy.is_binary else copy_text
                            write(conn, task.targets[copy.table], task.columns[copy.table], data)
            last = time.monotonic()
    channel.send((began, last))
