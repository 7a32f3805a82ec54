"""What a pool has to be told so that it fits where it runs. Plain settings; pools themselves are the drivers' own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

Situation = Literal["service", "lambda", "pausing"]
"""Where a pool runs, or what it must not do.

`service`: a process that runs all the time. `lambda`: one that answers one request at a time, and is frozen between
two, for minutes or hours; its sockets are dead when it wakes, and nobody has told it. `pausing`: one whose database
goes to sleep once nobody is connected, so that not one idle connection may stay.
"""

_IDLE_SECONDS: Final = 60.0
_sizes: Final[Mapping[Situation, tuple[int, int]]] = {"service": (1, 8), "lambda": (0, 1), "pausing": (0, 4)}
_waking_seconds: Final = 45.0
"""How long a checkout waits: a paused Aurora database takes some 15 s to come back, longer after a day."""


def psycopg_pool_options(situation: Situation, *, check: Callable[[Any], Any]) -> dict[str, Any]:
    """Arguments of `psycopg_pool.ConnectionPool`, and of its asynchronous twin.

    Args:
        situation: Where it runs.
        check: The pool's own `check_connection`, which is asked at each checkout whether the connection still lives.

    Source: https://www.psycopg.org/psycopg3/docs/api/pool.html
    """
    least, most = _sizes[situation]
    options: dict[str, Any] = {"min_size": least, "max_size": most, "timeout": _waking_seconds, "check": check}
    if situation == "lambda":
        options["num_workers"] = 1
    if situation == "pausing":
        options["max_idle"] = _IDLE_SECONDS
    return options


def engine_options(situation: Situation) -> dict[str, Any]:
    """Arguments of SQLAlchemy's `create_engine` and `create_async_engine`.

    SQLAlchemy's pool closes an idle connection only when somebody next asks for one. So where the database is to pause
    there is no pool: each use opens a connection and closes it.

    Source: https://docs.sqlalchemy.org/en/21/core/pooling.html
    """
    if situation == "pausing":
        from sqlalchemy import NullPool  # noqa: PLC0415 (quick start)

        return {"poolclass": NullPool}
    _, most = _sizes[situation]
    return {
        "pool_size": most,
        "max_overflow": 0,
        "pool_pre_ping": True,
        "pool_timeout": _waking_seconds,
        "pool_use_lifo": True,
    }


def asyncpg_pool_options(situation: Situation) -> dict[str, Any]:
    """Arguments of `asyncpg.create_pool`.

    Source: https://magicstack.github.io/asyncpg/current/api/index.html#connection-pools
    """
    least, most = _sizes[situation]
    options: dict[str, Any] = {"min_size": least, "max_size": most, "max_inactive_connection_lifetime": _IDLE_SECONDS}
    return options
