"""The row phase: worker processes that read units and write rows. Load and verify share it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Final, assert_never

from ashore.ledger.errors import WorkerEnded
from ashore.ledger.worker import ChunkDone, Ended, Failed, Message, Task, UnitDone, main

_TICK_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 20.0
"""How long a worker may take to finish the chunk that it is at before it is ended (its transaction is rolled back)."""

_context = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class _Worker:
    number: int
    process: Any
    channel: Connection[Task, Message]
    is_open: bool = True
    has_ended: bool = False


def write_rows(
    task: Task,
    *,
    workers: int,
    on_message: Callable[[ChunkDone | UnitDone], None],
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    """Read every unit of `task.load` that is not done and write its rows, in `workers` processes.

    Whatever ends it early, an error or an interrupt included, ends the workers; what they committed stays, and
    calling it again for a newer run goes on from there. Each worker holds one chunk in memory.

    Args:
        task: What the workers need to know.
        workers: How many processes, at least 1.
        on_message: Called in this process for each committed chunk and finished unit. If it raises, all stop.
        on_tick: Called at least once a second.

    Raises:
        AshoreError: The first worker's error.
        WorkerEnded: A worker was killed, or ended by a bug.
    """
    crew: list[_Worker] = []
    try:
        crew.extend(_start(number) for number in range(1, workers + 1))
        for worker in crew:
            _tell(worker, task)
        next_tick = time.monotonic() + _TICK_SECONDS
        while any(worker.is_open for worker in crew):
            for ready in wait([worker.channel for worker in crew if worker.is_open], timeout=_TICK_SECONDS):
                _hear(next(worker for worker in crew if worker.channel is ready), on_message)
            if time.monotonic() >= next_tick:
                on_tick()
                next_tick = time.monotonic() + _TICK_SECONDS
    finally:
        _stop(crew)


def _start(number: int) -> _Worker:
    ours, theirs = _context.Pipe(duplex=True)
    process = _context.Process(target=main, args=(number, theirs), name=f"ashore worker {number}", daemon=True)
    process.start()
    theirs.close()  # so that the worker's end is the only one, and its death closes the pipe
    return _Worker(number, process, ours)


def _tell(worker: _Worker, task: Task) -> None:
    # Not an argument of the process: `Process.start` would wait for ever on a worker that dies before it has read
    # more than a pipe holds, since it keeps the pipe's other end open itself.
    try:
        worker.channel.send(task)
    except OSError:
        raise _ended(worker) from None


def _ended(worker: _Worker) -> WorkerEnded:
    worker.process.join()
    return WorkerEnded(worker=worker.number, exit_status=worker.process.exitcode)


def _hear(worker: _Worker, on_message: Callable[[ChunkDone | UnitDone], None]) -> None:
    try:
        message = worker.channel.recv()
    except (EOFError, OSError):  # OSError: killed in the middle of a message
        worker.is_open = False
        if not worker.has_ended:
            raise _ended(worker) from None
        return
    match message:
        case ChunkDone() | UnitDone():
            on_message(message)
        case Ended():
            worker.has_ended = True
        case Failed(error=error):
            worker.has_ended = True
            raise error
        case _:
            assert_never(message)


def _stop(crew: list[_Worker]) -> None:
    for worker in crew:
        worker.channel.close()  # what a worker looks for between chunks
    give_up_at = time.monotonic() + _STOP_SECONDS
    for worker in crew:
        worker.process.join(timeout=max(0.0, give_up_at - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()
