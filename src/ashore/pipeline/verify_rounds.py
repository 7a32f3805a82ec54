"""Verifying again and again, for as long as one likes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ashore.verify.errors import VerificationStopped
from ashore.verify.report import VerifyReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """What a number of verifications found. `apart` counts those with differences; `last` is the newest report."""

    rounds: int = 0
    apart: int = 0
    last: VerifyReport | None = None

    @property
    def has_findings(self) -> bool:
        """Whether any of them found a difference, or the last could not decide about a key.

        A key that keeps changing is decided by a later round; a difference is one even if it was repaired after it.
        """
        return bool(self.apart or (self.last is not None and self.last.undecided))


def verify_in_rounds(
    verify_once: Callable[[], VerifyReport],
    stop: threading.Event,
    *,
    pause_seconds: float,
    most: int | None = None,
    on_report: Callable[[int, VerifyReport], None],
) -> Rounds:
    """Verify until `stop` is set or `most` rounds are done, with a pause between two; findings do not end it.

    `on_report` hears of each round, counted from 1. A round under way at the stop is not counted, and keeps no report.

    Raises:
        AshoreError: What `verify_once` raises, but VerificationStopped. The reports of earlier rounds are kept.
    """
    done = Rounds()
    while not stop.is_set():
        try:
            report = verify_once()
        except VerificationStopped:
            break
        is_apart = report.total_differences > 0
        done = Rounds(rounds=done.rounds + 1, apart=done.apart + is_apart, last=report)
        on_report(done.rounds, report)
        if done.rounds == most:
            break
        stop.wait(pause_seconds)
    return done
