"""What an address leaves open, and how it is shown."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping

from psycopg import pq

from ashore.config.address import parse


def server_of(dsn: str) -> str:
    """Host, port and database of a DSN, to be shown."""
    settings = resolved(parse(dsn).parameters)
    host = settings.get("host") or settings.get("hostaddr") or "the local socket"
    return f"{host}:{settings.get('port', '5432')}/{settings.get('dbname', '')}"


def host_of(dsn: str) -> str:
    """The host's name in an address; empty for a socket."""
    return resolved(parse(dsn).parameters).get("host", "")


def resolved(parameters: Mapping[str, str]) -> dict[str, str]:
    """These parameters, and those that libpq would take from its environment variables where they say nothing."""
    from_environment = {
        option.keyword.decode(): os.environ[option.envvar.decode()]
        for option in pq.Conninfo.get_defaults()
        if option.envvar is not None and option.envvar.decode() in os.environ
    }
    return {**from_environment, **parameters}


def is_this_machine(host: str) -> bool:
    """Whether a host is a loopback address, or a unix socket."""
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
