"""Permission to write: for which entities, to which store, until when."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final

from ashore.app.answer import Answer
from ashore.app.errors import PermitTooShort
from ashore.app.waiting import in_loop, in_thread
from ashore.ledger.crossing import Store

if TYPE_CHECKING:
    from ashore.app.routes import Routes

_open: Final[ContextVar[tuple[Permit, ...]]] = ContextVar("ashore_permits", default=())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Permit:
    """Where the writes of a block go. `store` is also where a read that feeds one of them is to be made."""

    entities: tuple[str, ...]
    store: Store
    answer: Answer = field(repr=False)
    routes: Routes = field(repr=False)

    @property
    def epochs(self) -> tuple[int, ...]:
        """How often each entity had changed its state when the permit was given."""
        return tuple(self.answer.route(entity).epoch for entity in self.entities)

    def seconds_left(self) -> float:
        """For how much longer a write to DynamoDB may be under way; infinite for PostgreSQL.

        A newer answer prolongs it, as long as no entity has changed its state.
        """
        if self.store == "postgres":
            return math.inf
        return self._newest().seconds_left(self.routes.clock())

    def require(self, seconds: float) -> None:
        """Make sure that a write to DynamoDB which may take so long, retries included, may be started.

        Raises:
            PermitTooShort: It may not.
        """
        left = self.seconds_left()
        if left < seconds:
            raise PermitTooShort(needed_seconds=seconds, left_seconds=left)

    def _newest(self) -> Answer:
        newest = self.routes.latest
        if newest is None or newest is self.answer:
            return self.answer
        mine, its = self.answer.routes, newest.routes
        for entity in self.entities:
            then, since = mine[entity], its.get(entity)
            if since is None or (then.epoch, then.writes) != (since.epoch, since.writes):
                return self.answer
        return newest


def permit_of(entity: str) -> Permit | None:
    """The innermost open permit for an entity, in this thread or task."""
    return next((permit for permit in reversed(_open.get()) if entity in permit.entities), None)


def innermost_permit(store: Store) -> Permit | None:
    """The innermost open permit for a store, in this thread or task."""
    return next((permit for permit in reversed(_open.get()) if permit.store == store), None)


class Writing:
    """A block that writes: ``with``, or ``async with`` where the waiting must not stop the event loop."""

    __slots__ = ("_entities", "_permit", "_routes", "_steps", "_token")

    def __init__(
        self, routes: Routes, entities: Sequence[str], steps: Generator[tuple[Future[None], float], None, Permit]
    ) -> None:
        self._routes = routes
        self._entities = entities
        self._steps = steps
        self._permit: Permit | None = None
        self._token: Token[tuple[Permit, ...]] | None = None

    def __enter__(self) -> Permit:
        return self._opened(in_thread(self._steps))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed()

    async def __aenter__(self) -> Permit:
        return self._opened(await in_loop(self._steps))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed()

    def _opened(self, permit: Permit) -> Permit:
        self._permit = permit
        self._token = _open.set((*_open.get(), permit))
        return permit

    def _closed(self) -> None:
        if self._token is not None:
            _open.reset(self._token)
            self._token = None
        if self._permit is not None and self._permit.store == "dynamodb":
            self._routes.note_write(self._entities)  # whatever the block raised: its write may have arrived
