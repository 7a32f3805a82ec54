"""How long it takes until the stream has passed the present moment: what a cutover will have to wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ashore.ledger.marking import want
from ashore.ledger.passing import Passing, moment_ago, passing
from ashore.postgres.connect import Conn

_PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How long the stream took to pass `moment`, as workers that were running meanwhile have it.

    `seconds` is from the moment until every shard had passed it, or until patience ended. `by_marker` has the seconds
    of each shard that returned a marker; `passed` says how the others are known to have passed, if they have.
    """

    moment: datetime
    seconds: float
    passed: Passing
    by_marker: Mapping[str, float]

    @property
    def is_past(self) -> bool:
        """Whether every shard passed in time."""
        return self.passed.is_past

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "moment": self.moment.isoformat(),
            "seconds": round(self.seconds, 3),
            "is_past": self.is_past,
            **self.passed.as_json(),
            "by_marker": {shard: round(seconds, 3) for shard, seconds in self.by_marker.items()},
        }


def rehearse(
    conn: Conn,
    source: str,
    *,
    patience_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Rehearsal:
    """Take the present moment, and wait until every shard has passed it; workers have to be running.

    Where they write markers, these show it; elsewhere time does, and the seconds include its margin. What is applied by
    then is every change that was committed before the moment, so this is the wait of a drain, without its fence.

    Args:
        conn: In autocommit mode.
        source: The source's name.
        patience_seconds: When to end without all.
        clock: Seconds, from any beginning.
        pause: Lets so many of them pass.
    """
    began = clock()
    moment = moment_ago(conn, 0.0)
    by_marker: dict[str, float] = {}
    waiting: set[str] = set()
    while True:
        found = passing(conn, source, moment)
        seconds = clock() - began
        by_marker |= dict.fromkeys(waiting - set(found.unmarked), seconds)
        waiting = set(found.unmarked)
        if found.is_past or seconds > patience_seconds:
            return Rehearsal(moment=moment, seconds=seconds, passed=found, by_marker=by_marker)
        want(conn, source, moment)
        pause(_PAUSE_SECONDS)
