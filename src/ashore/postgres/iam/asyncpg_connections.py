"""Connections of asyncpg that log in with tokens."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asyncpg

from ashore.config.secret import Secret
from ashore.postgres.authorities import SYSTEM
from ashore.postgres.iam.attempts import attempt_async

if TYPE_CHECKING:
    from ashore.postgres.iam.login import IamLogin


async def connect(login: IamLogin, *arguments: Any, **options: Any) -> asyncpg.Connection:
    """Open one; see `IamLogin.connect_asyncpg`."""
    given = parameters(login)

    async def open_with(secret: Secret) -> asyncpg.Connection:
        kept = {"ssl": given["ssl"], "password": secret.reveal()}  # no option may make less of these
        return await asyncpg.connect(*arguments, **{**given, **options, **kept})

    return await attempt_async(login, open_with, asyncpg.PostgresError)


def parameters(login: IamLogin) -> dict[str, Any]:
    """What `asyncpg.connect` takes, but for the password."""
    dialled = login.dialling
    given = dialled.parameters
    made: dict[str, Any] = {
        "host": given.get("hostaddr", dialled.host),
        "port": dialled.port,
        "user": dialled.user,
        "database": given.get("dbname", dialled.user),
        "ssl": tls_context(given, dialled.name),
        "timeout": float(given["connect_timeout"]),
    }
    if given.get("sslnegotiation") == "direct":
        made["direct_tls"] = True
    if "application_name" in given:
        made["server_settings"] = {"application_name": given["application_name"]}
    return made


def tls_context(given: Mapping[str, str], name: str) -> ssl.SSLContext:
    """A context that verifies as libpq would with these parameters, for `name` whatever host is dialled."""
    context = _ContextFor(ssl.PROTOCOL_TLS_CLIENT)
    context.name = name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["postgresql"])  # a server that negotiates TLS directly insists on it
    root = given.get("sslrootcert")
    if given["sslmode"] == "require" and root is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.check_hostname = given["sslmode"] == "verify-full"
    if root == SYSTEM:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=root)
    return context


class _ContextFor(ssl.SSLContext):
    """asyncio verifies the name of the host that it dials; behind a tunnel that is another than the endpoint's."""

    name: str

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return super().wrap_bio(*arguments, **{**options, "server_hostname": self.name})
