"""What `ashore.app` costs a call whose answer is cached: microseconds over calling the store's function at once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from ashore.app import Routes
from ashore.ledger import loads
from ashore.ledger.crossing import set_validity
from ashore.ledger.schema import ensure_ledger
from ashore.postgres.connect import connect

_SOURCE: Final = "bench-app"
_CALLS: Final = 20_000
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOverhead:
    """Microseconds a call, medians of five rounds.

    Attributes:
        reads_us: `routes.reads(entity)`.
        write_us: Entering and leaving `routes.write(entity)`.
        overhead_us: A function made by `routes.reader`, less the same function called at once.
    """

    reads_us: float
    write_us: float
    overhead_us: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure_overhead(dsn: str, *, calls: int = _CALLS) -> AppOverhead:
    """Measure it in this process, on a database whose ledger is made, or has an entity more, for it."""
    with connect(dsn, application_name="ashore bench", autocommit=True) as conn:
        ensure_ledger(conn)
        loads.declare_entities(conn, _SOURCE, {"message": ["message"]})
        loads.set_state(conn, source=_SOURCE, entities=["message"], state="syncing")
        set_validity(conn, _SOURCE, 60_000)
    with Routes(_SOURCE, dsn) as routes:

        def plain(key: str) -> str:
            return key

        read = routes.reader("message", dynamodb=plain, postgres=plain)

        def block() -> None:
            with routes.write("message"):
                pass

        at_once = _microseconds(lambda: plain("m1"), calls)
        return AppOverhead(
            reads_us=round(_microseconds(lambda: routes.reads("message"), calls), 2),
            write_us=round(_microseconds(block, calls), 2),
            overhead_us=round(_microseconds(lambda: read("m1"), calls) - at_once, 2),
        )


def _microseconds(call: Callable[[], object], calls: int) -> float:
    """The median of what a call took in each round, by the time of this thread's processor."""
    call()
    rounds = []
    for _ in range(_ROUNDS):
        began = time.thread_time()
        for _ in range(calls):
            call()
        rounds.append((time.thread_time() - began) / calls * 1e6)
    return statistics.median(rounds)
