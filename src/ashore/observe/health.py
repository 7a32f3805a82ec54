"""Whether a sync worker is well, told from its events: it is as long as it ends its rounds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ashore.observe import events

PATIENCE_SECONDS: Final = 60.0
"""A round takes a second; one that meets a slow DynamoDB or a large transaction may take many."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether all is well, and what to say of it."""

    is_well: bool
    reason: str


@dataclass(slots=True, kw_only=True)
class WorkerHealth:
    """Listens to a worker. A paused worker is well; one that ended no round for `patience_seconds` is not.

    A named step, such as building a UNIQUE index, may take as long as it likes: to kill a worker in the middle of one
    is to begin it again. `clock` gives seconds and never goes back.
    """

    patience_seconds: float = PATIENCE_SECONDS
    clock: Callable[[], float] = time.monotonic
    _round_ended_at: float | None = None
    _began_at: float = field(init=False)
    _state: str = "starting"
    _step: str | None = None

    def __post_init__(self) -> None:
        self._began_at = self.clock()

    def hear(self, event: events.Event) -> None:
        """Take note of an event."""
        match event:
            case events.SyncTended(state=state):
                self._round_ended_at, self._state = self.clock(), state
            case events.StepStarted(step=step):
                self._step = step
            case events.StepFinished():
                self._step, self._round_ended_at = None, self.clock()
            case _:
                return

    def now(self) -> Health:
        """How the worker is. Safe to call from another thread."""
        step, ended_at = self._step, self._round_ended_at
        if step is not None:
            return Health(is_well=True, reason=f"{self._state}: {step}")
        seconds = self.clock() - (self._began_at if ended_at is None else ended_at)
        if seconds > self.patience_seconds:
            return Health(is_well=False, reason=f"the worker has not ended a round for {seconds:.0f} s")
        return Health(is_well=True, reason=self._state)
