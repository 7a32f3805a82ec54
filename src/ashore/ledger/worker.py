"""A worker process: takes units, one after another, and writes their chunks until there are none left."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol, TypeAlias

from ashore.errors import AshoreError
from ashore.ledger import units
from ashore.ledger.chunk import ChunkWriter, Encoding
from ashore.ledger.errors import UnitCutShort
from ashore.mapping.encoded import Encoded
from ashore.model.chunk import ItemSource
from ashore.postgres.binary import withhold_misfits
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated
from ashore.postgres.names import TableName

_PR_SET_PDEATHSIG: Final = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


class OnEncoded(Protocol):
    """A hook of verify's: called in each chunk's transaction, after its rows; must be picklable."""

    def __call__(self, conn: Conn, encoded: Encoded) -> None:
        """Look at what became of a chunk's items, and write about it if need be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a worker process needs to know; picklable. `make_encoding` is called once in each worker."""

    dsn: str = field(repr=False)
    load: int
    run: int
    name: str
    source: ItemSource
    make_encoding: Callable[[], Encoding]
    targets: Mapping[str, TableName]
    keep_rejected: bool = True
    on_encoded: OnEncoded | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkDone:
    """A chunk was committed."""

    items: int
    bytes: int
    read_units: float
    throttled: int
    counts: Mapping[tuple[str | None, str], int]
    rejected: Mapping[tuple[str | None, str], int]
    native_items: int
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class UnitDone:
    """A unit was read to its end, and all of it committed."""

    unit: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker stops, for this reason."""

    error: AshoreError


@dataclass(frozen=True, slots=True)
class Ended:
    """The worker found no more units, or was told to stop."""


Message = ChunkDone | UnitDone | Failed | Ended
Channel: TypeAlias = "Connection[Message, Task]"


def main(number: int, channel: Channel) -> None:
    """Take a task from `channel` and work until no unit is left or it closes; the body of a worker process.

    The coordinator handles the interrupt of a terminal for all. A worker whose coordinator died stops after its
    chunk (on Linux: at once); if it did not, it could write nothing once a newer run has begun.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    try:
        _send(channel, _outcome(_receive(channel), number, channel))
    except _CoordinatorGone:
        return


class _CoordinatorGone(Exception):
    """Nobody listens any more."""


def _receive(channel: Channel) -> Task:
    try:
        return channel.recv()
    except (EOFError, OSError):
        raise _CoordinatorGone from None


def _send(channel: Channel, message: Message) -> None:
    try:
        channel.send(message)
    except OSError:
        raise _CoordinatorGone from None


def _outcome(task: Task, number: int, channel: Channel) -> Failed | Ended:
    try:
        with translated("writing rows"):
            _work(task, number, channel)
    except AshoreError as error:
        return Failed(error)
    return Ended()


def _work(task: Task, number: int, channel: Channel) -> None:
    encoding = task.make_encoding()
    name = f"ashore {task.name} load {task.load} run {task.run} worker {number}"
    with connect(task.dsn, application_name=name, autocommit=True) as conn:
        withhold_misfits(conn, encoding.encoder, task.targets)
        writer = ChunkWriter(
            conn=conn,
            load=task.load,
            run=task.run,
            source=task.name,
            encoding=encoding,
            targets=task.targets,
            keep_rejected=task.keep_rejected,
        )
        hook: Any = None if task.on_encoded is None else partial(task.on_encoded, conn)
        while (claim := units.claim(conn, load=task.load, run=task.run, worker=number)) is not None:
            if not _read(task, writer, claim, channel, hook):
                return
            _send(channel, UnitDone(claim.unit.name))


def _read(
    task: Task,
    writer: ChunkWriter,
    claim: units.Claim,
    channel: Channel,
    hook: Callable[[Encoded], None] | None,
) -> bool:
    for number, chunk in enumerate(task.source.read(claim.unit, claim.position), start=claim.chunks):
        if channel.poll():
            return False
        encoded = writer.write(claim.unit.name, number, chunk, on_encoded=hook)
        _send(
            channel,
            ChunkDone(
                items=len(chunk.items),
                bytes=chunk.bytes_read,
                read_units=chunk.read_units,
                throttled=chunk.throttled,
                counts=encoded.counts,
                rejected=Counter((item.entity, item.reason) for item in encoded.rejected),
                native_items=encoded.native_items,
                refused=encoded.refused,
            ),
        )
        if chunk.last:
            return True
    raise UnitCutShort(unit=claim.unit.name)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
