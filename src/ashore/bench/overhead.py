"""What `ashore.app` costs a call whose answer is cached: microseconds over calling the store's function at once."""

from __future__ import annotations

import operator
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
_QUERY: Final = "SELECT state, since FROM ashore.entity WHERE source = %s AND entity = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOverhead:
    """Microseconds a call.

    The first three are of this thread's processor, medians of rounds in which they take turns.

    Attributes:
        reads_us: `routes.reads(entity)`.
        write_us: Entering and leaving `routes.write(entity)`.
        overhead_us: A function made by `routes.reader`, less the same function called at once, round by round.
        query_us: A query of one row by its key over a local socket, called at once; the median of all calls.
        query_through_app_us: The same by a function made by `routes.reader`, in turns with it, call by call.
    """

    reads_us: float
    write_us: float
    overhead_us: float
    query_us: float
    query_through_app_us: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure_overhead(dsn: str, *, calls: int = _CALLS) -> AppOverhead:
    """Measure it in this process, on a database whose ledger is made, or has an entity more, for it."""
    with connect(dsn, application_name="ashore bench", autocommit=True) as conn, Routes(_SOURCE, dsn) as routes:
        ensure_ledger(conn)
        loads.declare_entities(conn, _SOURCE, {"message": ["message"]})
        loads.set_state(conn, source=_SOURCE, entities=["message"], state="syncing")
        set_validity(conn, _SOURCE, 60_000)

        def plain(key: str) -> str:
            return key

        def query(entity: str) -> Any:
            return conn.execute(_QUERY, (_SOURCE, entity)).fetchone()

        def block() -> None:
            with routes.write("message"):
                pass

        read = routes.reader("message", dynamodb=plain, postgres=plain)
        at_once, through, asked, written = _in_turns(
            lambda: plain("m1"), lambda: read("m1"), lambda: routes.reads("message"), block, calls=calls
        )
        ask = routes.reader("message", dynamodb=query, postgres=query)
        return AppOverhead(
            reads_us=round(statistics.median(asked), 2),
            write_us=round(statistics.median(written), 2),
            overhead_us=round(statistics.median(map(operator.sub, through, at_once)), 2),
            **_queries(lambda: query("message"), lambda: ask("message"), calls=calls // 10),
        )


def _in_turns(*measured: Callable[[], object], calls: int) -> list[list[float]]:
    """What a call took in each round, in microseconds of this thread's processor, for each that is measured."""
    found: list[list[float]] = [[] for _ in measured]
    for call in measured:
        call()
    for _ in range(_ROUNDS):
        for call, rounds in zip(measured, found, strict=True):
            began = time.thread_time()
            for _ in range(calls):
                call()
            rounds.append((time.thread_time() - began) / calls * 1e6)
    return found


def _queries(at_once: Callable[[], object], through: Callable[[], object], *, calls: int) -> dict[str, float]:
    took: dict[str, list[float]] = {"query_us": [], "query_through_app_us": []}
    for _ in range(calls):
        for name, call in zip(took, (at_once, through), strict=True):
            began = time.perf_counter()
            call()
            took[name].append((time.perf_counter() - began) * 1e6)
    return {name: round(statistics.median(times), 1) for name, times in took.items()}
