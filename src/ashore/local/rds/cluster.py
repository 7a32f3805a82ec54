"""`ashore local up`: a primary, two replicas and one that is held back, each behind an endpoint like RDS's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from botocore.credentials import ReadOnlyCredentials
from psycopg import sql

from ashore.local.postgres import LocalPostgres, embedded_postgres
from ashore.local.rds.behaviour import Behaviour
from ashore.local.rds.doors import SUPERUSER, Doors, OpenDoor, open_doors, prepare
from ashore.local.rds.verifying import Identity
from ashore.local.replicas import streaming_replica
from ashore.postgres.connect import Conn, connect

KEY: Final = ReadOnlyCredentials("AKIALOCALLOCALLOCAL1", "made/up+for+this+machine+alone", None)
ADMIN: Final = "admin"
NEAR: Final = "us-east-1"
FAR: Final = "us-west-2"
_settings: Final = {"max_connections": "100", "wal_level": "replica", "max_wal_senders": "10"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCluster:
    """What is up.

    Attributes:
        servers, doors: By name: `primary`, `east`, `west`, `delayed`.
        variables: What a process needs in its environment to sign tokens for it.
    """

    servers: Mapping[str, LocalPostgres]
    doors: Mapping[str, OpenDoor]
    keeper: Doors
    database: str
    variables: Mapping[str, str]

    def address(self, name: str, user: str = ADMIN) -> str:
        """Ashore's address of one of them."""
        return self.doors[name].address(user, self.database)


@contextmanager
def local_cluster(
    *, database: str = "app", data: Path | None = None, far_ms: float = 65.0, delay_seconds: float = 60.0
) -> Iterator[LocalCluster]:
    """Run it for as long as the context lasts.

    The role `admin` owns the database, may make roles and databases, and logs in with a token. Whoever signs is the
    identity in `variables`; it may connect as any role.

    Args:
        database: Made where there is none.
        data: The primary's data folder, kept at the end; None for a temporary one. Replicas are copied anew each time.
        far_ms: A round trip to `west`, in another region.
        delay_seconds: How far `delayed` is held back.

    Raises:
        LocalServerError: A server cannot be used.
    """
    with ExitStack() as stack:
        server = stack.enter_context(embedded_postgres(data, settings=_settings, superuser=SUPERUSER))
        prepare(server)
        with connect(server.dsn, application_name="ashore local", autocommit=True) as conn:
            _make_database(conn, database)
        servers = {"primary": server}
        for name, delay in (("east", 0.0), ("west", 0.0), ("delayed", delay_seconds)):
            servers[name] = stack.enter_context(streaming_replica(server, name, delay_ms=round(delay * 1_000)))
        keeper = stack.enter_context(open_doors())
        keeper.identities.append(Identity(key=KEY))
        far = Behaviour(round_trip_ms=far_ms)
        where = {
            "primary": ("local.cluster-ashorelocal", NEAR, None),
            "east": ("local.cluster-ro-ashorelocal", NEAR, None),
            "west": ("local-west.cluster-ro-ashorelocal", FAR, far),
            "delayed": ("delayed.ashorelocal", NEAR, None),
        }
        doors = {
            name: keeper.open(
                servers[name], host=f"{label}.{region}.rds.amazonaws.com", region=region, behaviour=behaviour
            )
            for name, (label, region, behaviour) in where.items()
        }
        variables = {"AWS_ACCESS_KEY_ID": str(KEY.access_key), "AWS_SECRET_ACCESS_KEY": str(KEY.secret_key)}
        yield LocalCluster(servers=servers, doors=doors, keeper=keeper, database=database, variables=variables)


def _make_database(conn: Conn, database: str) -> None:
    admin, name = sql.Identifier(ADMIN), sql.Identifier(database)
    if not conn.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", (ADMIN,)).fetchall():
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB").format(admin))
        conn.execute(sql.SQL("GRANT rds_iam TO {} WITH ADMIN OPTION").format(admin))
    if not conn.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", (database,)).fetchall():
        conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, admin))
