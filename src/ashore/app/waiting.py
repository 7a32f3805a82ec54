"""The same steps in a thread, or in an event loop: they say what they wait for, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

Given = TypeVar("Given")
Steps = Generator[tuple[Future[None], float], None, Given]


def in_thread(steps: Steps[Given]) -> Given:
    """Take the steps, waiting with this thread."""
    while True:
        try:
            told, seconds = next(steps)
        except StopIteration as end:
            given: Given = end.value
            return given
        with suppress(TimeoutError):
            told.result(seconds)


async def in_loop(steps: Steps[Given]) -> Given:
    """Take the steps, waiting in the running event loop."""
    while True:
        try:
            told, seconds = next(steps)
        except StopIteration as end:
            given: Given = end.value
            return given
        with suppress(TimeoutError):
            await asyncio.wait_for(_done(told), seconds)


async def _done(told: Future[None]) -> None:
    """Wait for what other tasks and threads wait for too: giving up must not cancel it."""
    loop = asyncio.get_running_loop()
    waiting = asyncio.Event()

    def wake(_: Future[None]) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(waiting.set)

    told.add_done_callback(wake)
    await waiting.wait()
