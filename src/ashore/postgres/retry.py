"""Trying again to connect. Nothing else in Ashore tries again on PostgreSQL: work is resumed instead."""

from __future__ import annotations

import time

from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import CannotConnect

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0


def connect_patiently(
    dsn: str, *, application_name: str, patience_seconds: float = 5.0, autocommit: bool = False
) -> Conn:
    """Open a connection, trying again for as long as `patience_seconds`: a server that restarts refuses for a while.

    Raises:
        CannotConnect: Of the last attempt.
    """
    give_up_at = time.monotonic() + patience_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return connect(dsn, application_name=application_name, autocommit=autocommit)
        except CannotConnect:
            if time.monotonic() + pause > give_up_at:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
