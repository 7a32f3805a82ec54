"""Opening connections."""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo, pq

from ashore.postgres.errors import CannotConnect

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
    and TLS as `tls_defaults` says. Where the server can, it looks every 2 s whether this client still lives, so that
    the work of a killed process does not hold its locks for long.

    Raises:
        CannotConnect: With libpq's reason.
    """
    try:
        parameters = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise CannotConnect(server="an address that cannot be read", reason="the DSN is malformed") from None
    options: dict[str, Any] = {**_TIMEOUTS, **tls_defaults(dsn), **parameters, "client_encoding": "UTF8"}
    options["application_name"] = application_name
    try:
        connection: Conn = psycopg.connect("", autocommit=True, **options)
        connection.execute("SELECT set_config('ashore.works', 'yes', false)")  # the guard of a cutover lets it write
        # https://www.postgresql.org/docs/current/runtime-config-connection.html: not on every platform
        with suppress(psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject):
            connection.execute("SELECT set_config('client_connection_check_interval', '2s', false)")
    except psycopg.OperationalError as error:
        raise CannotConnect(server=server_of(dsn), reason=str(error).strip().splitlines()[-1]) from None
    connection.autocommit = autocommit
    return connection


def one_row(cursor: psycopg.Cursor[Row]) -> Row:
    """The row of a statement that gives exactly one, such as an aggregate or INSERT … RETURNING."""
    [row] = cursor.fetchall()
    return row


def tls_defaults(dsn: str) -> dict[str, str]:
    """The TLS settings for what the DSN, and libpq's environment, leave open.

    ``verify-full`` unless every host is this machine (a loopback address or a unix socket); with the system's
    authorities unless a root certificate is named or stands where libpq looks for one.
    """
    settings = _resolved(dsn)
    named = settings.get("hostaddr") or settings.get("host") or ""
    if "sslmode" in settings or all(_is_this_machine(host) for host in named.split(",")):
        return {}
    defaults = {"sslmode": "verify-full"}
    if "sslrootcert" not in settings and not (Path.home() / ".postgresql" / "root.crt").exists():
        defaults["sslrootcert"] = "system"
    return defaults


def server_of(dsn: str) -> str:
    """Host, port and database of a DSN, to be shown."""
    settings = _resolved(dsn)
    host = settings.get("host") or settings.get("hostaddr") or "the local socket"
    return f"{host}:{settings.get('port', '5432')}/{settings.get('dbname', '')}"


def _resolved(dsn: str) -> dict[str, str]:
    given = {name: str(value) for name, value in conninfo.conninfo_to_dict(dsn).items() if value is not None}
    from_environment = {
        option.keyword.decode(): os.environ[option.envvar.decode()]
        for option in pq.Conninfo.get_defaults()
        if option.envvar is not None and option.envvar.decode() in os.environ
    }
    return {**from_environment, **given}


def _is_this_machine(host: str) -> bool:
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
