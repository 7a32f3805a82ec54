"""Who calls, and when they last wrote: so that they find what they wrote."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from ashore.app.clock import Instant, now

_MOST_CALLERS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever a process works for at the moment, and when it last wrote as far as the application itself knows."""

    name: Hashable
    wrote_at: Instant | None = None


_anybody: Final = Caller(None)
_current: Final[ContextVar[Caller]] = ContextVar("ashore_caller", default=_anybody)


@contextmanager
def caller(name: Hashable, *, wrote_seconds_ago: float | None = None) -> Iterator[None]:
    """Say for whom the calls inside are made, such as a user or a session; other callers' writes do not matter then.

    Without it every write of this process counts as the caller's own.

    Args:
        name: Anything that can be a key of a dictionary.
        wrote_seconds_ago: When it last wrote through whichever process, if the application keeps that (in its session,
            say). This process knows of its own writes by itself.
    """
    at = None
    if wrote_seconds_ago is not None:
        this = now()
        at = Instant(this.steady - wrote_seconds_ago, this.wall - wrote_seconds_ago)
    token = _current.set(Caller(name, at))
    try:
        yield
    finally:
        _current.reset(token)


class RecentWrites:
    """When whom last wrote which entity to DynamoDB, through this process.

    Remembers a hundred thousand callers an entity; of the others it knows the latest, and takes that.
    """

    def __init__(self, most: int = _MOST_CALLERS) -> None:
        self._most = most
        self._of_all: dict[str, Instant] = {}
        self._of_one: dict[str, dict[Hashable, Instant]] = {}
        self._of_forgotten: dict[str, Instant] = {}
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        """Make a new lock: the parent's may have been taken."""
        self._lock = threading.Lock()

    def note(self, entity: str, at: Instant) -> None:
        """Note that the current caller has written."""
        self._of_all[entity] = at
        name = _current.get().name
        if name is None:
            return
        with self._lock:
            callers = self._of_one.setdefault(entity, {})
            callers.pop(name, None)
            callers[name] = at
            if len(callers) > self._most:
                self._of_forgotten[entity] = callers.pop(next(iter(callers)))

    def last(self, entity: str) -> Instant | None:
        """When the current caller last wrote, at the latest that it can have been; None if it did not."""
        current = _current.get()
        if current.name is None:
            return self._of_all.get(entity)
        own = self._of_one.get(entity, {}).get(current.name) or self._of_forgotten.get(entity)
        known = [at for at in (own, current.wrote_at) if at is not None]
        return max(known, default=None)
