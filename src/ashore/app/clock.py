"""The time that an answer's validity is counted in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)
"""Counts while the machine sleeps, which `time.monotonic` does not: Linux has CLOCK_BOOTTIME for that, and on macOS
CLOCK_MONOTONIC does. https://man7.org/linux/man-pages/man3/clock_gettime.3.html"""


class Instant(NamedTuple):
    """A moment on two clocks, in seconds: one that never goes back, and the wall's.

    The wall's is there for processes that are frozen with their machine, as those of AWS Lambda are between two
    invocations: nobody promises that a steady clock counts meanwhile.
    """

    steady: float
    wall: float

    def age(self, now: Instant) -> float:
        """The seconds that have passed since, by whichever clock says that it is more."""
        return max(now.steady - self.steady, now.wall - self.wall)


Clock = Callable[[], Instant]


def now() -> Instant:
    """This moment."""
    steady = time.monotonic() if _STEADY is None else time.clock_gettime(_STEADY)
    return Instant(steady, time.time())
