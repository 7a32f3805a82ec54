"""What an endpoint does beside letting in: how far away it is, how many it takes a second, when it goes to sleep."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How an endpoint behaves.

    Attributes:
        round_trip_ms: How far away it is. Opening the TCP connection takes one round trip too.
        new_connections_per_second: How many logins it takes; more are refused, as if their tokens were bad. AWS advises
            fewer than 200 a second, and promises no number: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/
            UsingWithRDS.IAMDBAuth.html
        pauses_after_seconds: Without a session for so long, it pauses, as Aurora Serverless does at 0 ACU.
        resume_seconds: How long the next connection then waits: some 15 s on AWS.
    """

    round_trip_ms: float = 0.0
    new_connections_per_second: int | None = None
    pauses_after_seconds: float | None = None
    resume_seconds: float = 15.0


class MovableClock:
    """The wall clock, which tests can move; shared by the endpoints and by whoever signs."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._stopped_at: float | None = None

    def __call__(self) -> float:
        """Seconds since 1970."""
        return (time.time() if self._stopped_at is None else self._stopped_at) + self._ahead

    def stop(self) -> None:
        """Let time pass by `move` alone from now on."""
        self._stopped_at = time.time()

    def move(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._ahead += seconds


class Rate:
    """How many logins there were within the last second of a clock."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._moments: deque[float] = deque()

    def takes_one_more(self, now: float) -> bool:
        """Whether there is room for one more at this moment; it then counts."""
        if self._most is None:
            return True
        with self._lock:
            while self._moments and now - self._moments[0] >= 1.0:
                self._moments.popleft()
            if len(self._moments) >= self._most:
                return False
            self._moments.append(now)
            return True
