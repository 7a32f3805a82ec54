"""`ashore connect`: people at a database, with psql or a client of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal
from urllib.parse import urlsplit, urlunsplit

from ashore.config.address import parse
from ashore.config.secret import Dsn, Secret
from ashore.errors import AshoreError
from ashore.postgres.address import resolved
from ashore.postgres.clients import Client, environment
from ashore.postgres.iam import IamLogin
from ashore.postgres.tls import tls_defaults

Form = Literal["url", "env", "tableplus", "pgpass"]
PSQL: Final = "psql"


@dataclass(eq=False, kw_only=True)
class ProgramMissing(AshoreError):
    """A program that is not part of Ashore is not on the path."""

    program: str
    remedy: str

    code: ClassVar[str] = "ASH641"
    exit_code: ClassVar[int] = 2

    def what(self) -> str:
        return f"there is no program {self.program} on the path"

    def hint(self) -> str:
        return self.remedy


def at_endpoint(dsn: Dsn, endpoint: str | None) -> Dsn:
    """The address itself, or a whole other one, or the same with another host: a reader's endpoint.

    Raises:
        ValueError: It is no address; the message holds nothing of it.
    """
    if endpoint is None:
        return dsn
    if "://" in endpoint:
        return Dsn(endpoint)
    parts = urlsplit(dsn.reveal())
    if not parts.scheme:
        message = "can only be replaced in an address that is a URI"
        raise ValueError(message)
    before, at, _ = parts.netloc.rpartition("@")
    host, colon, port = endpoint.partition(":")
    port = port if colon else str(parts.port or "")
    return Dsn(urlunsplit(parts._replace(netloc=f"{before}{at}{host}" + (f":{port}" if port else ""))))


def client_of(dsn: Dsn) -> Client:
    """What a client needs for logging in now: for a login by IAM with a fresh token.

    Raises:
        IamError: No token can be made.
    """
    address = parse(dsn.reveal())
    if address.iam is not None:
        login = IamLogin(dsn.reveal())
        token = login.token()
        dialled = login.dialling
        return Client(
            parameters=dialled.libpq(),
            password=token.secret,
            expires_at=token.expires_at,
            dialled=dialled.parameters.get("hostaddr", dialled.host),
        )
    given = {**tls_defaults(address.parameters), **resolved(address.parameters)}
    password = given.pop("password", None)
    return Client(
        parameters=given,
        password=None if password is None else Secret(password),
        expires_at=None,
        dialled=given.get("hostaddr", given.get("host", "")),
    )


def run_psql(client: Client, arguments: Sequence[str]) -> int:
    """Run psql until it ends; return its exit code. Its password is in its environment, not in its command line.

    Raises:
        ProgramMissing: There is no psql.
    """
    program = shutil.which(PSQL)
    if program is None:
        remedy = "install PostgreSQL's client (on Debian: postgresql-client), or use --print for another one"
        raise ProgramMissing(program=PSQL, remedy=remedy)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG") or name == "PGAPPNAME"}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is psql's, which cancels a query by it
    try:
        return subprocess.run(
            [program, *arguments],
            env={**kept, **environment(client)},
            check=False,
        ).returncode
    finally:
        signal.signal(signal.SIGINT, before)
