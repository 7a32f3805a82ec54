"""Opening connections."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from ashore.config.address import Address, parse
from ashore.postgres.address import server_of
from ashore.postgres.errors import CannotConnect
from ashore.postgres.tls import tls_defaults

Row = TypeVar("Row")
Conn = psycopg.Connection[tuple[Any, ...]]

_TIMEOUTS: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def connect(dsn: str, *, application_name: str, autocommit: bool = False) -> Conn:
    """Open a connection.

    What the DSN leaves open gets a timeout of 10 s for connecting, keepalives that find a dead peer within a minute,
    and TLS as `tls_defaults` says. One that begins with ``postgresql+iam://`` is connected to with a token, see
    `IamLogin`. Where the server can, it looks every 2 s whether this client still lives, so that
    the work of a killed process does not hold its locks for long.

    Raises:
        CannotConnect: With libpq's reason.
        IamError: No token could be made, or the server refused it.
    """
    try:
        address = parse(dsn)
    except psycopg.ProgrammingError:
        raise CannotConnect(server="an address that cannot be read", reason="the DSN is malformed") from None
    options = {"client_encoding": "UTF8", "application_name": application_name, "autocommit": True}
    try:
        connection = _with_password(address, options) if address.iam is None else _with_token(dsn, options)
        connection.execute("SELECT set_config('ashore.works', 'yes', false)")  # the guard of a cutover lets it write
        # https://www.postgresql.org/docs/current/runtime-config-connection.html: not on every platform
        with suppress(psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject):
            connection.execute("SELECT set_config('client_connection_check_interval', '2s', false)")
    except (psycopg.OperationalError, OSError) as error:
        raise CannotConnect(server=server_of(dsn), reason=str(error).strip().splitlines()[-1]) from None
    connection.autocommit = autocommit
    return connection


def _with_password(address: Address, options: Mapping[str, Any]) -> Conn:
    parameters: dict[str, Any] = {**_TIMEOUTS, **tls_defaults(address.parameters), **address.parameters, **options}
    return psycopg.connect("", **parameters)


def _with_token(dsn: str, options: Mapping[str, Any]) -> Conn:
    from ashore.postgres.iam.attempts import is_refusal  # noqa: PLC0415 (applications without tokens need no botocore)
    from ashore.postgres.iam.login import IamLogin  # noqa: PLC0415
    from ashore.postgres.iam_errors import TokenRefused  # noqa: PLC0415

    login = IamLogin(dsn)
    try:
        return login.connect(**options)
    except psycopg.OperationalError as error:
        if not is_refusal(error):
            raise
        reason = str(error).strip().splitlines()[-1]
        raise TokenRefused(server=server_of(dsn), user=login.dialling.user, reason=reason) from None


def one_row(cursor: psycopg.Cursor[Row]) -> Row:
    """The row of a statement that gives exactly one, such as an aggregate or INSERT … RETURNING."""
    [row] = cursor.fetchall()
    return row
