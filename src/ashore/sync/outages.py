"""A worker outlives its connection: PostgreSQL restarts, fails over or ends a deadlock, or the network fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from ashore.ledger import leases
from ashore.observe.events import Emit, SyncReconnecting
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import CannotConnect, ConnectionLost, PostgresError, StatementRefused, translated
from ashore.sync.order import SyncOrder

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 2.0
_FIRST_CONNECTION_SECONDS: Final = 5.0
_PASSING: Final = frozenset({"25006", "40P01", "40001"})
"""Refusals that another try need not meet: a failover has made a replica of what was the writer; a deadlock was ended,
or transactions could not be put in an order, at this one's expense."""
_FROZEN_SECONDS: Final = 30
"""After which PostgreSQL ends a session that says nothing within a transaction. A worker that is frozen with its
machine, or cut off, would else keep the states locked, and every application waiting that asks once a hold is overdue.
"""

Alive = Callable[[], None]


def over_outages(
    order: SyncOrder, worker: str, stop: threading.Event, work: Callable[[Conn, Alive], None], emit: Emit
) -> None:
    """Do `work` over a connection in autocommit mode, and anew over another where that one was lost or met a deadlock.

    `work` says by calling its second argument that PostgreSQL answers. Leases of `worker` from an earlier connection
    are given back first, so that it need not wait for them to run out. Returns when `work` does, or when `stop` is set
    while PostgreSQL is away.

    Raises:
        CannotConnect, ConnectionLost: PostgreSQL was away for longer than the order's `away_seconds` (at the
            beginning, for 5 s).
        AshoreError, psycopg.Error: As `work`.
    """
    away_since: float | None = None
    patience, pause = _FIRST_CONNECTION_SECONDS, _FIRST_PAUSE_SECONDS

    def alive() -> None:
        nonlocal away_since, pause
        away_since, pause = None, _FIRST_PAUSE_SECONDS

    while True:
        try:
            name = f"ashore sync {order.plan.name}"
            with connect(order.dsn, application_name=name, autocommit=True) as conn, translated("syncing"):
                patience = order.limits.away_seconds
                conn.execute(
                    "SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (f"{_FROZEN_SECONDS}s",)
                )
                leases.leave(conn, order.plan.name, worker)
                return work(conn, alive)
        except PostgresError as error:
            now = time.monotonic()
            away_since = now if away_since is None else away_since
            if not _is_outage(error) or now + pause > away_since + patience:
                raise
            emit(SyncReconnecting(reason=error.what()))
        if stop.wait(pause):
            return None
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _is_outage(error: PostgresError) -> bool:
    """Whether another connection may find what this one lost: a server that is there, and takes writes."""
    if isinstance(error, StatementRefused):
        return error.sqlstate in _PASSING
    return isinstance(error, CannotConnect | ConnectionLost)
