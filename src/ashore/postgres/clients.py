"""What other clients take: psql's environment, a URI, a line of .pgpass, a link for TablePlus. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from psycopg import pq

from ashore.config.secret import Secret

_in_uri: Final = frozenset(
    {"hostaddr", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslnegotiation", "options", "connect_timeout"}
)
_tableplus_modes: Final = {"disable": 0, "allow": 1, "prefer": 1, "require": 2, "verify-ca": 3, "verify-full": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """How to log in once.

    Attributes:
        parameters: libpq's, without the password.
        password: The token, or the address's own password; None where there is none.
        expires_at: Until when a token opens sessions, in seconds since 1970; None for a password.
        dialled: The host that is dialled, which is another than the endpoint's behind a tunnel.
    """

    parameters: Mapping[str, str]
    password: Secret | None
    expires_at: float | None
    dialled: str

    @property
    def is_tunnelled(self) -> bool:
        """Whether the endpoint is not dialled by its own name."""
        return self.dialled not in self.parameters.get("host", "").split(",")


def environment(client: Client) -> dict[str, str]:
    """The variables that libpq reads, password included; they need no quoting.

    Source: https://www.postgresql.org/docs/current/libpq-envars.html
    """
    names = {
        option.keyword.decode(): option.envvar.decode()
        for option in pq.Conninfo.get_defaults()
        if option.envvar is not None
    }
    found = {names[name]: value for name, value in client.parameters.items() if name in names}
    return found if client.password is None else {**found, "PGPASSWORD": client.password.reveal()}


def exports(client: Client) -> str:
    """Lines for a shell."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in sorted(environment(client).items()))


def uri(client: Client) -> str:
    """Libpq's URI, password included."""
    return f"postgresql://{_authority(client, client.parameters.get('host', ''))}?{urlencode(_query(client))}"


def pgpass(client: Client) -> str:
    """A line of .pgpass, which libpq reads from a file with mode 0600.

    Source: https://www.postgresql.org/docs/current/libpq-pgpass.html
    """
    given = client.parameters
    password = "" if client.password is None else client.password.reveal()
    fields = [given.get("host", "").split(",")[0], given.get("port", "5432"), given.get("dbname", "*")]
    return ":".join(re.sub(r"([:\\])", r"\\\1", one) for one in [*fields, given.get("user", "*"), password])


def tableplus(client: Client) -> str:
    """A link that TablePlus opens. It knows no `hostaddr`, so behind a tunnel the endpoint's name is not verified."""
    mode = client.parameters.get("sslmode", "prefer")
    name = client.parameters.get("host", "").split(",")[0]
    query = {"name": name, "tLSMode": str(_tableplus_modes["require" if client.is_tunnelled else mode])}
    return f"postgresql://{_authority(client, client.dialled)}?{urlencode(query)}"


def _authority(client: Client, host: str) -> str:
    given = client.parameters
    password = "" if client.password is None else ":" + quote(client.password.reveal(), safe="")
    database = quote(given.get("dbname", given.get("user", "")), safe="")
    shown = f"[{host}]" if host.count(":") > 1 else quote(host, safe=",")
    return f"{quote(given.get('user', ''), safe='')}{password}@{shown}:{given.get('port', '5432')}/{database}"


def _query(client: Client) -> dict[str, str]:
    return {name: value for name, value in client.parameters.items() if name in _in_uri}
