"""The lock of a flow: one process at a time works on one source."""

from __future__ import annotations

import hashlib
import time

from ashore.postgres.connect import Conn

_TRY = "SELECT pg_try_advisory_lock(%s)"
_ALONE = "SELECT pg_advisory_xact_lock(%s)"
_SHARED = "SELECT pg_advisory_xact_lock_shared(%s)"
_PAUSE_SECONDS = 0.1


def lock_flow(conn: Conn, source: str, *, patience_seconds: float) -> bool:
    """Take the lock for as long as the connection lives; False if another session keeps it.

    Waits `patience_seconds`, in which the server notices that a killed holder is gone.
    """
    give_up_at = time.monotonic() + patience_seconds
    while True:
        row = conn.execute(_TRY, (lock_number(source),)).fetchone()
        if row is not None and row[0]:
            return True
        if time.monotonic() > give_up_at:
            return False
        time.sleep(_PAUSE_SECONDS)


def unlock_flow(conn: Conn, source: str) -> None:
    """Give the lock back before the connection ends."""
    conn.execute("SELECT pg_advisory_unlock(%s)", (lock_number(source),))


def lock_homes(conn: Conn, source: str, *, alone: bool) -> None:
    """Keep out, until the transaction ends, whoever moves other keys than its own between their homes.

    Batches share the lock, since each has its own keys; who rejects, parks or takes back other keys holds it `alone`.
    """
    conn.execute(_ALONE if alone else _SHARED, (lock_number(f"{source} homes"),))


def wait_in_line(conn: Conn, source: str, *, alone: bool) -> None:
    """Lock what comes before the rows of a source's states, until the transaction ends; who waits longest is the next.

    https://www.postgresql.org/docs/current/explicit-locking.html: locks of rows have no such line.
    """
    conn.execute(_ALONE if alone else _SHARED, (lock_number(f"{source} states"),))


def lock_number(source: str) -> int:
    """The advisory lock of a source: 64 bits of a hash of its name."""
    digest = hashlib.blake2b(f"ashore flow {source}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
