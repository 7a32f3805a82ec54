"""Opening the connections over which the ledger is asked and told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import psycopg

from ashore.config.address import with_defaults
from ashore.errors import AshoreError
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import refusal

Connect = str | Callable[[], psycopg.Connection[Any]]
_DEFAULTS: Final = {"connect_timeout": "3", "tcp_user_timeout": "5000", "target_session_attrs": "primary"}
"""A dead peer is noticed within seconds, and of several hosts the primary is taken.
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS"""


def open_connection(how: Connect) -> Conn:
    """Open a connection in autocommit, whose transactions are READ COMMITTED whatever the role's default is."""
    if isinstance(how, str):
        conn = connect(with_defaults(how, _DEFAULTS), application_name="ashore.app", autocommit=True)
    else:
        conn = how()
        conn.autocommit = True
    conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    conn.read_only = False
    return conn


def reason(error: Exception) -> str:
    """Why it failed, without a value: the condition of PostgreSQL, or what was raised instead."""
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return refusal(error)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return "there is no connection to PostgreSQL"
    if isinstance(error, AshoreError):
        return error.what()
    return f"connecting raised {type(error).__name__}"
