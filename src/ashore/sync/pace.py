"""How many changes a second a worker writes, over the last minute."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

_WINDOW_SECONDS: Final = 60.0


@dataclass(slots=True)
class Pace:
    """Counts changes; `a_second` is to be asked about as often as changes are added, by the same clock."""

    began_at: float
    _added: deque[tuple[float, int]] = field(default_factory=deque)
    _sum: int = 0

    def add(self, changes: int, at: float) -> None:
        """Take note of changes."""
        if changes:
            self._added.append((at, changes))
            self._sum += changes

    def a_second(self, now: float) -> float:
        """The mean over the last minute, or since the beginning where that is less long ago."""
        while self._added and self._added[0][0] <= now - _WINDOW_SECONDS:
            self._sum -= self._added.popleft()[1]
        return self._sum / max(1.0, min(_WINDOW_SECONDS, now - self.began_at))
