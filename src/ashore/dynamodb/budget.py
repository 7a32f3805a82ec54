"""Holding a number of capacity units a second, and when to try again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

Clock = Callable[[], float]
Sleep = Callable[[float], None]


page_units: Final = 256.0
"""What a whole page costs at most: 1 MB, read consistently.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
"""


class ReadBudget:
    """Keeps one process below a number of read units a second, by what DynamoDB says that each request consumed.

    Write units can be held as well; then one budget is for writes alone.

    Guarantees:
        - What was consumed since the first request never exceeds `units_per_second` times the seconds since then
          by more than one request of each thread.
        - There is no saving up: a pause is not followed by a burst.

    Threads of a process may share one budget.
    """

    def __init__(self, units_per_second: float | None, *, clock: Clock = time.monotonic, sleep: Sleep = time.sleep):
        self._rate = units_per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()
        self._units_per_item = 1.0

    def wait(self) -> float:
        """Wait until what was consumed is paid for; return the seconds that this took."""
        with self._lock:
            seconds = self._free_at - self._clock()
        if seconds <= 0:
            return 0.0
        self._sleep(seconds)
        return seconds

    def consumed(self, units: float, items: int) -> None:
        """Say what a request consumed, and how many items it read for that."""
        if self._rate is None:
            return
        with self._lock:
            self._free_at = max(self._free_at, self._clock()) + units / self._rate
            if items:
                self._units_per_item = max(units / items, 1e-3)

    def page_limit(self) -> int | None:
        """How many items a page may have so that it costs about a second of the budget; None: a whole page is less.

        Judged by the page before; the first page is taken to cost one read unit an item.
        """
        if self._rate is None or self._rate >= page_units:
            return None
        return max(1, int(self._rate / self._units_per_item))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential back-off with full jitter, until `give_up_after` seconds have passed since the first failure.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    first: float = 0.05
    longest: float = 20.0
    give_up_after: float = 300.0
    clock: Clock = time.monotonic
    sleep: Sleep = time.sleep
    chance: Callable[[], float] = field(default=random.random)

    def pause(self, failures: int) -> None:
        """Wait for a random time, longer on average after each failure."""
        self.sleep(self.chance() * min(self.longest, self.first * 2.0 ** min(failures, 32)))
