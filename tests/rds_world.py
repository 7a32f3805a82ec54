"""A PostgreSQL server behind an endpoint that lets in whom RDS would, and somebody with AWS credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from botocore.credentials import ReadOnlyCredentials

from ashore import local
from ashore.local.rds import Behaviour, Doors, Identity, open_doors
from ashore.local.rds.doors import SUPERUSER, OpenDoor, prepare
from ashore.postgres.iam import IamLogin, Tokens

HOST: Final = "court.cluster-abc123def456.us-east-1.rds.amazonaws.com"
REGION: Final = "us-east-1"
KEY: Final = ReadOnlyCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
MINUTE: Final = 60.0
ROLES: Final = """
    CREATE ROLE app LOGIN; GRANT rds_iam TO app;
    CREATE ROLE other LOGIN; GRANT rds_iam TO other;
    CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'boss-password';
    CREATE ROLE "both" LOGIN PASSWORD 'both-password'; GRANT rds_iam TO "both";
    CREATE DATABASE court;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RdsWorld:
    """One server, prepared once; each test opens doors of its own, with a clock of their own."""

    server: local.LocalPostgres
    doors: Doors

    def open(self, *, host: str = HOST, behaviour: Behaviour | None = None, signed_port: int | None = None) -> OpenDoor:
        """A door of an endpoint in us-east-1, unless its name says another region."""
        region = host.split(".")[-4]
        return self.doors.open(self.server, host=host, region=region, behaviour=behaviour, signed_port=signed_port)

    def server_connection(self, database: str) -> psycopg.Connection[Any]:
        """A connection of the server's own superuser, behind the doors; each statement commits."""
        return psycopg.connect(self.server.dsn_of(database), autocommit=True)

    def tokens(self, key: ReadOnlyCredentials = KEY) -> Tokens:
        """Tokens of somebody with this key, who goes by the endpoints' clock."""
        return Tokens(credentials=lambda: key, clock=self.doors.clock)

    def login(self, door: OpenDoor, user: str = "app", *, tokens: Tokens | None = None, **more: str) -> IamLogin:
        """A login of this role to the database `court`."""
        return IamLogin(door.address(user, "court", **more), tokens=tokens or self.tokens())


@contextmanager
def rds_server(bin_dir: Path | None = None) -> Iterator[local.LocalPostgres]:
    """A server as behind an endpoint, with some roles and a database `court`."""
    settings = {"max_connections": "50", "shared_buffers": "32MB", "log_min_messages": "fatal"}
    with local.embedded_postgres(bin_dir=bin_dir, settings=settings, superuser=SUPERUSER) as server:
        prepare(server)
        with psycopg.connect(server.dsn, autocommit=True) as conn:
            for statement in ROLES.split(";"):
                if statement.strip():
                    conn.execute(statement.encode())
        yield server


@contextmanager
def rds_world(server: local.LocalPostgres) -> Iterator[RdsWorld]:
    """Doors for one test, with one identity that may connect everywhere."""
    with open_doors() as doors:
        doors.identities.append(Identity(key=KEY))
        yield RdsWorld(server=server, doors=doors)


def of_a_role(session_token_bytes: int) -> ReadOnlyCredentials:
    """Credentials as STS gives them, with a session token of so many bytes, `+`, `/` and `=` among them."""
    filler = "IQoJb3JpZ2luX2VjE+/" * (session_token_bytes // 19 + 1)
    return replace_token(KEY, filler[: session_token_bytes - 2] + "==")


def replace_token(key: ReadOnlyCredentials, token: str) -> ReadOnlyCredentials:
    """The same key with another session token."""
    return ReadOnlyCredentials("ASIA" + str(key.access_key)[4:], key.secret_key, token)
