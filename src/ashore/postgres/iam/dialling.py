"""From an address to what is dialled, what TLS verifies, and what is signed."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ashore.config.address import Address, IamSettings
from ashore.postgres.address import resolved
from ashore.postgres.authorities import root_certificate
from ashore.postgres.iam_errors import AddressNotForTokens, TokenWouldBeExposed

DEFAULT_PORT: Final = 5432
SAFE_MODES: Final = frozenset({"verify-full", "verify-ca", "require"})
_DEFAULTS: Final = {
    # an Aurora database that was paused takes some 15 s to come back
    "connect_timeout": "30",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    # and one whose network has forgotten the connection is given up after this, in milliseconds
    "tcp_user_timeout": "15000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialling:
    """One endpoint to connect to.

    Attributes:
        host, port: What is dialled.
        name, signed_port: The endpoint's own name, which TLS verifies, and its port: what is signed.
        user: The role.
        parameters: All of libpq's, TLS included, but for the password.
    """

    host: str
    port: int
    name: str
    signed_port: int
    user: str
    parameters: Mapping[str, str]

    def libpq(self) -> dict[str, str]:
        """The parameters for libpq. Where another host is dialled than is signed for, its name is looked up here.

        Raises:
            OSError: The name of the dialled host cannot be looked up.
        """
        parameters = {**self.parameters, "host": self.name}
        if "hostaddr" not in parameters and self.host != self.name:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
            parameters["hostaddr"] = ",".join(addresses)
            parameters["host"] = ",".join([self.name] * len(addresses))
        return parameters


def dialling(address: Address) -> Dialling:
    """What an address means for a login by IAM.

    Raises:
        AddressNotForTokens: It names no host, several, or no role; or a socket.
        TokenWouldBeExposed: It allows a connection without TLS.
        AuthoritiesMissing: It names no root certificate, and Amazon's bundle is not on this machine.
    """
    given = resolved(address.parameters)
    iam = address.iam or IamSettings()
    host = given.get("host") or given.get("hostaddr") or ""
    server = host or "the local socket"
    if not host or host.startswith(("/", "@")) or "," in host:
        lacks = "it has several hosts" if "," in host else "it has no host"
        raise AddressNotForTokens(server=server, lacks=lacks, remedy="name one host, such as the cluster's endpoint")
    user = given.get("user")
    if not user:
        remedy = "write it as postgresql+iam://ROLE@HOST/DATABASE"
        raise AddressNotForTokens(server=server, lacks="it names no role", remedy=remedy)
    mode = given.get("sslmode", "verify-full")
    if mode not in SAFE_MODES:
        raise TokenWouldBeExposed(server=server, sslmode=mode)
    port = int(given.get("port") or DEFAULT_PORT)
    name, signed_port = _signed(iam.sign_for, host, port)
    parameters = {**_DEFAULTS, **given, "sslmode": mode, "port": str(port), "user": user}
    parameters.pop("password", None)
    if mode != "require" and "sslrootcert" not in parameters:
        parameters["sslrootcert"] = root_certificate(name)
    return Dialling(host=host, port=port, name=name, signed_port=signed_port, user=user, parameters=parameters)


def _signed(sign_for: str | None, host: str, port: int) -> tuple[str, int]:
    if sign_for is None:
        return host, port
    name, colon, number = sign_for.partition(":")
    if colon and not number.isdecimal():
        remedy = "write sign_for as HOST or HOST:PORT"
        raise AddressNotForTokens(server=host, lacks=f"{number!r} is no port", remedy=remedy)
    return name, int(number) if colon else DEFAULT_PORT
