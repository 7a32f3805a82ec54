"""The second witness: PostgreSQL 15 itself asks for the token, by LDAP, and a responder of its own verifies it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from botocore.credentials import ReadOnlyCredentials
from tests.conftest import DEBIAN_BIN_DIR, missing
from tests.ldap_responder import Responder, responder
from tests.rds_world import HOST, KEY, MINUTE, REGION, of_a_role

from ashore import local
from ashore.local.rds import MovableClock
from ashore.local.rds.certificates import new_authority
from ashore.postgres.iam import IamLogin, Tokens

pytestmark = pytest.mark.needs_debian_postgres
ROLE_KEY = of_a_role(2_000)
LONG_KEY = ReadOnlyCredentials("ASIALONG", KEY.secret_key, of_a_role(20_000).token)
HBA = """\
local   all all trust
hostssl all +rds_iam 127.0.0.1/32 ldap ldapserver=127.0.0.1 ldapport={port} ldapprefix="uid=" ldapsuffix=",ou=court"
host    all all      127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class Witness:
    server: local.LocalPostgres
    ldap: Responder
    port: int
    authority: str
    clock: MovableClock

    def login(self, key: ReadOnlyCredentials = KEY, *, user: str = "app", **more: str) -> IamLogin:
        parameters = {"hostaddr": "127.0.0.1", "sslrootcert": self.authority, **more}
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        address = f"postgresql+iam://{user}@{HOST}:{self.port}/postgres?{query}"
        return IamLogin(address, tokens=Tokens(credentials=lambda: key, clock=self.clock))


@pytest.fixture(scope="module")
def server_and_ldap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    if not (DEBIAN_BIN_DIR / "postgres").exists():
        missing(f"Debian's postgresql-15 is not installed ({DEBIAN_BIN_DIR})")
    folder = tmp_path_factory.mktemp("authority")
    authority = new_authority(folder)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    keys = {str(key.access_key): (str(key.secret_key), key.token) for key in (KEY, ROLE_KEY, LONG_KEY)}
    settings = {"listen_addresses": "127.0.0.1", "port": str(port), "shared_buffers": "32MB"}
    with (
        responder(REGION, keys) as ldap,
        local.embedded_postgres(bin_dir=DEBIAN_BIN_DIR, settings=settings) as server,
    ):
        ldap.netloc = f"{HOST}:{port}"
        (server.data / "pg_hba.conf").write_text(HBA.format(port=ldap.server_address[1]))
        certificate = server.data / "server.pem"
        certificate.write_bytes(authority.certificate_for(HOST))
        certificate.chmod(0o600)
        owner = server.data.stat()
        if owner.st_uid != certificate.stat().st_uid:
            os.chown(certificate, owner.st_uid, owner.st_gid)
        with psycopg.connect(server.dsn, autocommit=True) as conn:
            for statement in (
                "CREATE ROLE rds_iam",
                "CREATE ROLE app LOGIN",
                "GRANT rds_iam TO app",
                "CREATE ROLE boss SUPERUSER LOGIN",
                "ALTER SYSTEM SET ssl_cert_file = 'server.pem'",
                "ALTER SYSTEM SET ssl_key_file = 'server.pem'",
                "ALTER SYSTEM SET ssl = on",
            ):
                conn.execute(statement.encode())
        server.restart("fast")
        yield Witness(server, ldap, port, str(authority.file), MovableClock())


@pytest.fixture
def witness(server_and_ldap: Witness) -> Witness:
    server_and_ldap.ldap.answers.clear()
    server_and_ldap.ldap.ahead = 0.0
    return Witness(**{**vars(server_and_ldap), "clock": MovableClock()})


@pytest.mark.parametrize("key", [KEY, ROLE_KEY, LONG_KEY], ids=["user", "role, 2 kB", "role, 20 kB"])
def test_the_server_takes_our_tokens_whatever_their_length(key: ReadOnlyCredentials, witness: Witness) -> None:
    with witness.login(key).connect() as conn:
        row = conn.execute("SELECT current_user::text, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchall()

    async def with_asyncpg() -> str:
        conn = await witness.login(key).connect_asyncpg()
        try:
            return str(await conn.fetchval("SELECT current_user::text"))
        finally:
            await conn.close()

    assert [("app", True)] == row
    assert "app" == asyncio.run(with_asyncpg())
    assert [("app", True)] * 2 == witness.ldap.answers


@pytest.mark.parametrize(
    "key",
    [
        ReadOnlyCredentials(KEY.access_key, "another", None),
        ReadOnlyCredentials("AKIAUNKNOWN", KEY.secret_key, None),
        ReadOnlyCredentials(ROLE_KEY.access_key, ROLE_KEY.secret_key, "another"),
    ],
    ids=["secret key", "access key", "session token"],
)
def test_the_server_refuses_what_others_signed(key: ReadOnlyCredentials, witness: Witness) -> None:
    with pytest.raises(psycopg.OperationalError, match="authentication failed for user"):
        witness.login(key).connect()
    assert [("app", False)] == witness.ldap.answers


def test_the_server_refuses_a_token_for_another_endpoint(witness: Witness) -> None:
    login = witness.login(sign_for=f"{HOST}:5432")
    with pytest.raises(psycopg.OperationalError, match="LDAP authentication failed"):
        login.connect()


def test_a_token_that_has_expired_is_made_anew_and_a_refused_one_once(witness: Witness) -> None:
    login = witness.login()
    login.connect().close()
    witness.ldap.ahead = 16 * MINUTE
    witness.clock.move(16 * MINUTE)
    login.connect().close()
    assert [("app", True)] * 2 == witness.ldap.answers

    witness.ldap.ahead = 40 * MINUTE
    with pytest.raises(psycopg.OperationalError, match="LDAP authentication failed"):
        login.connect()
    assert [("app", False)] * 2 == witness.ldap.answers[2:], "the kept one, and a fresh one"


def test_a_superuser_is_no_member_of_rds_iam_by_being_one(witness: Witness) -> None:
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "boss"'):
        witness.login(user="boss").connect()
    assert [] == witness.ldap.answers


def test_without_tls_there_is_no_line_that_takes_a_token(witness: Witness) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://app@127.0.0.1:{witness.port}/postgres?sslmode=disable", password="x")
    assert [] == witness.ldap.answers
