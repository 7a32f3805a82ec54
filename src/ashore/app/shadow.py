"""Shadow reads: a sample of the calls is made in both stores, and compared where nobody waits for it."""

from __future__ import annotations

import asyncio
import copy
import heapq
import itertools
import logging
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from ashore.app.compare import Difference, differences
from ashore.app.comparing import Call, Compare, Ran, Rules, Steps, compared
from ashore.app.connecting import Connect, open_connection, reason
from ashore.app.tally import Tally, as_rows
from ashore.ledger.crossing import Store
from ashore.ledger.shadow_reads import note

if TYPE_CHECKING:
    from ashore.app.pairs import Pair

_CLOSE_SECONDS: Final = 5.0
_log: Final = logging.getLogger("ashore.app")


class Shadow:
    """Compares a sample of calls with what the other store would have answered.

    Guarantees:
        - The caller gets the answer of the store that the routes name, and waits for nothing but a copy of it.
        - Whatever the other side does, raise or hang, is counted and never reaches the caller.
        - At most `most_waiting` comparisons wait; what is sampled beyond that is counted as dropped.
        - Answers that differ are read again from both stores, `settle_seconds` later and twice at most: on a live table
          a difference is none before that.
        - The ledger gets counts, names of fields and times, no values.

    Args:
        source: The name of the `Source`.
        connect: As for `Routes`; a connection is opened for each batch and closed again.
        sample_rate: The share of calls that is compared, from 0 to 1; may be changed at any time.
        time_limit_seconds: A side that takes longer is counted as slow, and not compared.
        settle_seconds: How long to wait before both are read again: more than the usual lag of the stream.
        most_waiting: How many comparisons may wait.
        note_every_seconds: How often the counts are written to the ledger.
        compare: Gives the `Difference`s between DynamoDB's answer and PostgreSQL's.
    """

    def __init__(  # noqa: PLR0913 (each has a default of its own)
        self,
        source: str,
        connect: Connect,
        *,
        sample_rate: float = 0.01,
        time_limit_seconds: float = 5.0,
        settle_seconds: float = 5.0,
        most_waiting: int = 100,
        note_every_seconds: float = 30.0,
        compare: Compare = differences,
    ) -> None:
        self.sample_rate = sample_rate
        self.tally = Tally()
        self._source = source
        self._connect = connect
        self._rules = Rules(time_limit_seconds=time_limit_seconds, settle_seconds=settle_seconds, compare=compare)
        self._most = most_waiting
        self._every = note_every_seconds
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, _Comparison]] = []
        self._tasks: dict[asyncio.Task[None], Call] = {}
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._threads: tuple[threading.Thread, ...] = ()

    def is_sampled(self) -> bool:
        """Whether this call is one of the sample."""
        return self.sample_rate > 0 and random.random() < self.sample_rate  # noqa: S311 (a sample)

    def read(
        self, entity: str, pair: Pair[..., Any], store: Store, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Make the call in `store`, return its answer, and have it compared."""
        began = time.perf_counter()
        answer = pair.of(store)(*args, **kwargs)
        seconds = time.perf_counter() - began
        call = Call(entity=entity, name=pair.name, store=store, args=args, kwargs=kwargs)
        self._compare(pair, call, answer, seconds)
        return answer

    async def aread(
        self, entity: str, pair: Pair[..., Any], store: Store, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """The same for coroutine functions; the other side runs as a task of the same loop."""
        began = time.perf_counter()
        answer = await pair.of(store)(*args, **kwargs)
        seconds = time.perf_counter() - began
        call = Call(entity=entity, name=pair.name, store=store, args=args, kwargs=kwargs)
        self._compare(pair, call, answer, seconds)
        return answer

    def write_down(self) -> None:
        """Add what was counted to the ledger. What cannot be written is kept for the next time.

        Raises:
            CannotConnect, psycopg.Error: The ledger could not be reached, or the role may not.
        """
        taken = self.tally.take()
        if not taken:
            return
        try:
            with open_connection(self._connect) as conn:
                note(conn, self._source, as_rows(taken))
        except BaseException:
            self.tally.give_back(taken)
            raise

    def close(self) -> None:
        """End the threads, and write down what was counted if the ledger can be reached.

        A comparison that is being made is waited for, some seconds at most; those that wait are counted as dropped.
        """
        with self._changed:
            given_up = [*(comparison.call for *_, comparison in self._due), *self._tasks.values()]
            for call in given_up:
                self.tally.count(call.entity, call.name, "dropped")
            self._due.clear()
            self._ended.set()
            self._changed.notify_all()
        for task in list(self._tasks):
            with suppress(RuntimeError):  # its loop was closed before
                task.get_loop().call_soon_threadsafe(task.cancel)
        for thread in self._threads:
            thread.join(_CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _compare(self, pair: Pair[..., Any], call: Call, answer: Any, seconds: float) -> None:
        """Have it compared in the background. The caller has its answer: nothing is raised."""
        if self._pid != os.getpid():
            self._begin()  # the parent's threads are not here
        if len(self._due) + len(self._tasks) >= self._most or self._ended.is_set():
            self.tally.count(call.entity, call.name, "dropped")
            return
        try:
            first = Ran(copy.deepcopy(answer), seconds)  # the caller may change its own
        except Exception as error:  # noqa: BLE001 (whatever the copying of an application's objects raises)
            failure = Difference("", f"{type(error).__name__} in the copying")
            self.tally.count(call.entity, call.name, "failed", {failure})
            return
        comparison = _Comparison(pair, call, compared(call, first, self._rules, self.tally))
        self._start_threads()
        if pair.is_async:
            task = asyncio.get_running_loop().create_task(self._compare_in_loop(comparison), context=Context())
            self._tasks[task] = call
            task.add_done_callback(self._tasks.pop)
        else:
            self._put(comparison, 0.0)

    async def _compare_in_loop(self, comparison: _Comparison) -> None:
        step = comparison.go_on(None)
        while step is not None:
            if isinstance(step, str):
                step = comparison.go_on(await comparison.arun(step, self._rules.time_limit_seconds))
            else:
                await asyncio.sleep(step)
                step = comparison.go_on(None)

    def _compare_in_thread(self) -> None:
        while (comparison := self._take()) is not None:
            step = comparison.go_on(None)
            while isinstance(step, str):
                step = comparison.go_on(comparison.run(step))
            if step is not None:
                self._put(comparison, step)

    def _write_down_now_and_then(self) -> None:
        while True:
            is_end = self._ended.wait(self._every)
            if is_end:
                self._threads[0].join(_CLOSE_SECONDS)  # the one that compares
            try:
                self.write_down()
            except Exception as error:  # noqa: BLE001 (the application's own way to connect may raise anything)
                _log.warning("shadow reads of %s were not written to the ledger: %s", self._source, reason(error))
            if is_end:
                return

    def _start_threads(self) -> None:
        with self._changed:
            if self._threads:
                return
            works = (self._compare_in_thread, self._write_down_now_and_then)
            self._threads = tuple(threading.Thread(target=work, name="ashore-shadow", daemon=True) for work in works)
            for thread in self._threads:
                thread.start()

    def _put(self, comparison: _Comparison, seconds: float) -> None:
        with self._changed:
            if self._ended.is_set():
                self.tally.count(comparison.call.entity, comparison.call.name, "dropped")
                return
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), comparison))
            self._changed.notify()

    def _take(self) -> _Comparison | None:
        """The next comparison, once it is due; None at the end."""
        with self._changed:
            while not self._ended.is_set():
                left = self._due[0][0] - time.monotonic() if self._due else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(left)
        return None


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One that is under way."""

    pair: Pair[..., Any]
    call: Call
    steps: Steps

    def go_on(self, ran: Ran | None) -> Store | float | None:
        """The store to be read next, or the seconds that are to pass; None when it is done."""
        try:
            return self.steps.send(ran)
        except StopIteration:
            return None

    def run(self, store: Store) -> Ran:
        """Make the call in a store."""
        began = time.perf_counter()
        try:
            answer = self.pair.of(store)(*self.call.args, **self.call.kwargs)
        except Exception as error:  # noqa: BLE001 (whatever the application's functions raise)
            return Ran(None, time.perf_counter() - began, type(error).__name__)
        return Ran(answer, time.perf_counter() - began)

    async def arun(self, store: Store, limit: float) -> Ran:
        """The same for coroutine functions, which are cancelled at the limit."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(limit):
                answer = await self.pair.of(store)(*self.call.args, **self.call.kwargs)
        except Exception as error:  # noqa: BLE001 (whatever the application's functions raise)
            seconds = time.perf_counter() - began
            is_cut = isinstance(error, TimeoutError) and seconds >= limit
            return Ran(None, seconds, None if is_cut else type(error).__name__)
        return Ran(answer, time.perf_counter() - began)
