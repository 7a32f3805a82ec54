"""What an application asks before it reads or writes: which store."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar

from ashore.app.answer import (
    Answer,
    Reading,
    Wait,
    where_to_read,
    where_to_read_for_a_write,
    where_to_read_in_an_outage,
    where_to_write,
)
from ashore.app.asker import SLOW_SECONDS, Asker
from ashore.app.callers import RecentWrites
from ashore.app.clock import Clock, Instant, now
from ashore.app.connecting import Connect
from ashore.app.errors import RoutesVoid, WritesHeld
from ashore.app.pairs import Pair, reader, writer
from ashore.app.permit import Permit, Writing, permit_of
from ashore.app.shadow import Shadow
from ashore.app.waiting import Steps, in_loop, in_thread
from ashore.ledger.crossing import Store

Arguments = ParamSpec("Arguments")
Given = TypeVar("Given")


class Routes:
    """Which store each entity's calls go to, as the ledger says; for threads and for event loops.

    Guarantees:
        - What the ledger said is acted on for as long as it is valid, counted from before the question was sent. After
          that writes, and reads that feed a write, wait.
        - A permit to write to DynamoDB is only given if the write, retries included, ends within that time.
        - No permit is given while writes are held, and none on a guess: an entity that is not known is an error.
        - A call that takes a valid answer does no I/O. A thread asks for the next one ahead of time.

    Args:
        source: The name of the `Source`.
        connect: How to reach the primary: a DSN, or what returns a new psycopg connection (with a new token, say). It
            is one connection, not one of a pool that shares it between transactions.
        write_seconds: How long the writes to DynamoDB of one block take at most, retries included.
        hold_seconds: How long a caller waits at most.
        lag_margin_seconds: How much longer than the stream's lag a caller that wrote is sent to DynamoDB.
        outage_read_seconds: For how long calls that only read go on where the writes were last known to be, once the
            ledger does not answer. 0 has them wait as writes do.
        idle_seconds: After how long without a call the connection is closed.
        clock: What counts the time.
    """

    def __init__(  # noqa: PLR0913 (each is a time with a default of its own)
        self,
        source: str,
        connect: Connect,
        *,
        write_seconds: float = 2.0,
        hold_seconds: float = 30.0,
        lag_margin_seconds: float = 2.0,
        outage_read_seconds: float = 900.0,
        idle_seconds: float = 60.0,
        clock: Clock = now,
    ) -> None:
        self.source = source
        self.connect = connect
        self.clock = clock
        self.hold_seconds = hold_seconds
        self._write_seconds = write_seconds
        self._reading = Reading(lag_margin_seconds=lag_margin_seconds, outage_read_seconds=outage_read_seconds)
        self._asker = Asker(source, connect, write_seconds=write_seconds, idle_seconds=idle_seconds, clock=clock)
        self._writes = RecentWrites()
        _all.add(self)

    @property
    def latest(self) -> Answer | None:
        """The newest answer, valid or not."""
        return self._asker.latest

    def reads(self, entity: str, *, feeds_write: bool = False, wait_seconds: float | None = None) -> Store:
        """The store that a read goes to.

        A read whose result is written back, or decides what is written, feeds a write, and waits while those are held.
        Other calls only read: a caller that wrote itself is sent to DynamoDB until that has arrived. Inside of a
        `write` block for the entity every read goes where the block writes.

        Raises:
            EntityNotRouted: The ledger does not know the entity.
            RoutesVoid: There was no valid answer for `wait_seconds` (`hold_seconds` if None).
            WritesHeld: It feeds a write, and waited for as long.
        """
        decide = self._read(entity, feeds_write=feeds_write)
        self._asker.is_used = True
        found = decide(self._asker.latest, self.clock())
        return found if not isinstance(found, Wait) else in_thread(self._steps(decide, (entity,), wait_seconds))

    async def areads(self, entity: str, *, feeds_write: bool = False, wait_seconds: float | None = None) -> Store:
        """The same as `reads`, waiting in the event loop."""
        decide = self._read(entity, feeds_write=feeds_write)
        self._asker.is_used = True
        found = decide(self._asker.latest, self.clock())
        return found if not isinstance(found, Wait) else await in_loop(self._steps(decide, (entity,), wait_seconds))

    def write(self, *entities: str, write_seconds: float | None = None, wait_seconds: float | None = None) -> Writing:
        """A block that writes: ``with routes.write("message") as permit``, or ``async with``.

        Waits while writes are held or the ledger does not answer.

        Args:
            entities: All that the block writes. If they are several, their writes are in one store.
            write_seconds: How long its writes to DynamoDB take at most, all together, retries included.
            wait_seconds: How long to wait at most; `hold_seconds` if None.

        Raises:
            EntityNotRouted: The ledger does not know an entity.
            StoresDiffer: The entities are written in different stores.
            WritesHeld, RoutesVoid: It waited in vain; the block was not begun.
            WriteTooLong: No answer is ever valid for `write_seconds`.
        """
        if not entities:
            message = "write() needs the entities that are written"
            raise TypeError(message)
        seconds = self._write_seconds if write_seconds is None else write_seconds

        def decide(answer: Answer | None, at: Instant) -> Permit | Wait:
            found = where_to_write(answer, entities, at, write_seconds=seconds)
            if isinstance(found, Wait) or answer is None:
                return found if isinstance(found, Wait) else Wait.VOID
            return Permit(entities=entities, store=found, answer=answer, routes=self)

        self._asker.is_used = True
        return Writing(self, entities, self._steps(decide, entities, wait_seconds))

    def reader(
        self,
        entity: str,
        *,
        dynamodb: Callable[Arguments, Given],
        postgres: Callable[Arguments, Given],
        shadow: Shadow | None = None,
        feeds_write: bool = False,
    ) -> Callable[Arguments, Given]:
        """One function of two that read the same: each call goes where the entity's reads are.

        Args:
            entity: What they read.
            dynamodb: The one that reads DynamoDB.
            postgres: The one that reads PostgreSQL; both are coroutine functions, or neither is.
            shadow: Where a sample of the calls is compared with the other function's; only for calls that only read.
            feeds_write: Whether what they return is written back or decides what is written.
        """
        made: Callable[Arguments, Given] = reader(
            self, entity, Pair(dynamodb, postgres), shadow=shadow, feeds_write=feeds_write
        )
        return made

    def writer(
        self,
        *entities: str,
        dynamodb: Callable[Arguments, Given],
        postgres: Callable[Arguments, Given],
        write_seconds: float | None = None,
        wait_seconds: float | None = None,
    ) -> Callable[Arguments, Given]:
        """One function of two that write the same: each call goes where the entities' writes are.

        If PostgreSQL refuses a call because the writes moved while it was under way, it is made again where they are
        then. So `postgres` has to be one transaction, which it begins and commits itself.

        Args:
            entities: All that they write.
            dynamodb: The one that writes to DynamoDB, within `write_seconds`.
            postgres: The one that writes to PostgreSQL; both are coroutine functions, or neither is.
            write_seconds: As for `write`.
            wait_seconds: As for `write`.
        """
        block = partial(self.write, *entities, write_seconds=write_seconds, wait_seconds=wait_seconds)
        made: Callable[Arguments, Given] = writer(block, self.forget, Pair(dynamodb, postgres))
        return made

    def note_write(self, entities: Sequence[str]) -> None:
        """Note that the current caller may just have written these to DynamoDB; a block of `write` does so itself."""
        at = self.clock()
        for entity in entities:
            self._writes.note(entity, at)

    def forget(self) -> None:
        """Act on no answer that was asked for before now: a store has just refused what it should have taken."""
        self._asker.forget()

    def close(self) -> None:
        """End the thread and its connection. What is asked afterwards waits in vain."""
        self._asker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def after_fork(self) -> None:
        """Begin anew in a forked process."""
        self._asker.after_fork()
        self._writes.after_fork()

    def _read(self, entity: str, *, feeds_write: bool) -> Callable[[Answer | None, Instant], Store | Wait]:
        permit = permit_of(entity)
        if permit is not None:
            return lambda _answer, _at: permit.store
        if feeds_write:
            return lambda answer, at: where_to_read_for_a_write(answer, entity, at)
        wrote_at = self._writes.last(entity)

        def decide(answer: Answer | None, at: Instant) -> Store | Wait:
            found = where_to_read(answer, entity, at, wrote_at=wrote_at, reading=self._reading)
            if found is Wait.VOID and self._asker.is_unreachable():
                self._asker.want()
                return where_to_read_in_an_outage(answer, entity, at, reading=self._reading)
            return found

        return decide

    def _steps(
        self, decide: Callable[[Answer | None, Instant], Given | Wait], entities: Sequence[str], seconds: float | None
    ) -> Steps[Given]:
        limit = self.hold_seconds if seconds is None else seconds
        began = self.clock()
        while True:
            following = self._asker.following  # before the answer is looked at, so that none is missed
            at = self.clock()
            found = decide(self._asker.latest, at)
            if not isinstance(found, Wait):
                return found
            waited = at.steady - began.steady
            if waited >= limit:
                raise self._refused(found, entities, waited)
            self._asker.want()
            yield following, min(limit - waited, SLOW_SECONDS)

    def _refused(self, wait: Wait, entities: Sequence[str], waited: float) -> RoutesVoid | WritesHeld:
        if wait is Wait.HELD:
            return WritesHeld(entities=tuple(entities), waited_seconds=waited)
        reason = self._asker.failure if wait is Wait.VOID else wait.value
        return RoutesVoid(source=self.source, waited_seconds=waited, reason=reason)


_all: Final[weakref.WeakSet[Routes]] = weakref.WeakSet()


def _after_fork() -> None:
    for routes in list(_all):
        routes.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
