"""What stands around a login: roles that are assumed, global databases, authorities, Alembic, the documentation."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import boto3
import pytest
from alembic import command
from alembic.config import Config
from moto.rds.models import rds_backends
from tests.acceptance.docs_pages import DOCS, read_page
from tests.rds_world import HOST, KEY, RdsWorld

from ashore import local
from ashore.local.rds.certificates import new_authority
from ashore.postgres.authorities import fetch_bundle, kept_bundle
from ashore.postgres.iam import Chain, IamLogin, Tokens
from ashore.postgres.iam_errors import BundleNotFetched, CredentialsMissing, GlobalEndpointUnresolved

ACCOUNT: Final = "123456789012"
GLOBAL_HOST: Final = "court.global-abc123def456.global.rds.amazonaws.com"

ENV: Final = """
import sqlalchemy as sa
from alembic import context

from ashore.postgres.iam import IamLogin

engine = sa.create_engine("postgresql+psycopg://", poolclass=sa.NullPool)
IamLogin(context.config.attributes["address"], tokens=context.config.attributes["tokens"]).attach(engine)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION: Final = """
from alembic import op

revision = "1"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE made_by_alembic AS SELECT current_user::text AS role")
"""


@pytest.fixture
def aws(moto: local.LocalAws, monkeypatch: pytest.MonkeyPatch) -> local.LocalAws:
    """Emulated AWS, as this process's own."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return moto


def test_a_chain_of_roles_signs(aws: local.LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"[profile deploy]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/deploy\ncredential_source = Environment\n"
        f"[profile app]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/app\nsource_profile = deploy\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    login = IamLogin(f"postgresql+iam://app@{HOST}/court?profile=app&sslrootcert=x")

    token = login.token().secret.reveal()
    assert "X-Amz-Security-Token=" in token
    assert "X-Amz-Credential=ASIA" in token
    assert token == login.token().secret.reveal(), "the role is not assumed again"


def test_the_identity_of_a_pipeline_or_a_pod_signs(
    aws: local.LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OIDC from CI, and IRSA: a file with a web identity's token, and a role to assume with it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "token").write_text("a.web.identity")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", f"arn:aws:iam::{ACCOUNT}:role/ci")

    assert str(Chain()().access_key).startswith("ASIA")


class Container(http.server.BaseHTTPRequestHandler):
    """The credentials of an ECS task, which are others each time, and end soon."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)
        body = json.dumps(
            {
                "AccessKeyId": f"ASIAECS{self.asked}",
                "SecretAccessKey": "secret",
                "Token": f"session {self.asked}",
                "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Container) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/credentials")
        yield
        server.shutdown()
        thread.join()


def test_no_token_outlives_the_credentials_that_signed_it(container: None, rds: RdsWorld) -> None:
    """The session ends in five minutes: botocore renews it, and the kept token of the old one is not used."""
    tokens = Tokens(credentials=Chain(), clock=rds.doors.clock)
    login = rds.login(rds.open(), tokens=tokens)
    first, second = login.token(), login.token()

    assert (False, False) == (first.was_kept, second.was_kept)
    assert "ASIAECS" in second.secret.reveal()
    assert first.secret != second.secret


def test_a_role_that_may_not_be_assumed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    (tmp_path / "config").write_text("[profile app]\nrole_arn = arn:aws:iam::1:role/app\nsource_profile = gone\n")
    with pytest.raises(CredentialsMissing, match="gone"):
        Chain(profile="app")()


@pytest.fixture
def global_database(aws: local.LocalAws) -> Iterator[dict[str, Any]]:
    """A global database with clusters in two regions: region → moto's cluster, of which one is the writer."""
    east, west = (boto3.client("rds", region_name=region) for region in ("us-east-1", "us-west-2"))
    engine = {"Engine": "aurora-postgresql", "EngineVersion": "15.4"}
    made = east.create_db_cluster(
        DBClusterIdentifier="court-east", MasterUsername="x", MasterUserPassword="open-sesame", **engine
    )["DBCluster"]
    east.create_global_cluster(GlobalClusterIdentifier="court", SourceDBClusterIdentifier=made["DBClusterArn"])
    west.create_db_cluster(DBClusterIdentifier="court-west", GlobalClusterIdentifier="court", **engine)
    clusters = {
        region: next(iter(rds_backends[ACCOUNT][region].clusters.values())) for region in ("us-east-1", "us-west-2")
    }
    for region, cluster in clusters.items():
        cluster.is_writer = region == "us-east-1"
    yield clusters
    for backend in rds_backends[ACCOUNT].values():
        backend.reset()


def test_behind_a_global_writer_endpoint_the_regional_cluster_is_signed_for(
    global_database: dict[str, Any], rds: RdsWorld
) -> None:
    """And after a switchover, as soon as the old region's token is refused, the new one."""
    names = {region: cluster.endpoint for region, cluster in global_database.items()}
    login = IamLogin(f"postgresql+iam://app@{GLOBAL_HOST}/court?sslrootcert=x", tokens=rds.tokens())
    assert login.token().secret.reveal().startswith(f"{names['us-east-1']}:5432/?")
    assert "/us-east-1/rds-db/" in unquote(login.token().secret.reveal())

    global_database["us-east-1"].is_writer, global_database["us-west-2"].is_writer = False, True
    kept = login.token()
    assert kept.secret.reveal().startswith(names["us-east-1"])
    fresh = login.token(refused=kept).secret.reveal()
    assert fresh.startswith(f"{names['us-west-2']}:5432/?")
    assert "/us-west-2/rds-db/" in unquote(fresh)


def test_a_global_database_without_a_writer_at_the_moment_is_told(global_database: dict[str, Any]) -> None:
    global_database["us-east-1"].is_writer = False
    with pytest.raises(GlobalEndpointUnresolved, match="it has 0 writers"):
        IamLogin(f"postgresql+iam://app@{GLOBAL_HOST}/court?sslrootcert=x").token()


def test_a_global_database_that_is_not_there_is_told(aws: local.LocalAws) -> None:
    with pytest.raises(GlobalEndpointUnresolved, match="rds:DescribeGlobalClusters"):
        IamLogin(f"postgresql+iam://app@{GLOBAL_HOST}/court?sslrootcert=x").token()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder that is served, and a cache of its own."""
    folder = tmp_path / "web"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    new_authority(folder)
    (folder / "page.html").write_text("<h1>Please log in to this network</h1>")
    (folder / "cut.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_amazons_authorities_are_fetched_whole_or_not_at_all(web: str, tmp_path: Path) -> None:
    for name in ("page.html", "cut.pem", "gone.pem"):
        with pytest.raises(BundleNotFetched, match="fetch it on a machine that reaches it"):
            fetch_bundle(f"{web}/{name}")
        assert not kept_bundle().exists()
    assert kept_bundle() == fetch_bundle(f"{web}/ca.pem")
    with pytest.raises(BundleNotFetched):
        fetch_bundle(f"{web}/page.html")
    assert (tmp_path / "web" / "ca.pem").read_text() == kept_bundle().read_text()
    assert [kept_bundle()] == list(kept_bundle().parent.iterdir())


def test_alembic_logs_in_with_a_token(rds: RdsWorld, tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENV)
    (tmp_path / "versions" / "1.py").write_text(REVISION)
    with rds.server_connection("court") as conn:
        conn.execute("GRANT CREATE ON SCHEMA public TO app")
    config = Config(attributes={"address": rds.open().address("app", "court"), "tokens": rds.tokens()})
    config.set_main_option("script_location", str(tmp_path))
    command.upgrade(config, "head")
    with rds.server_connection("court") as conn:
        assert [("app",)] == conn.execute("SELECT role FROM made_by_alembic").fetchall()
        conn.execute("DROP TABLE made_by_alembic, alembic_version")


def test_the_pages_examples_log_in(rds: RdsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", str(KEY.access_key))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", str(KEY.secret_key))
    page = read_page(DOCS / "how-to" / "log-in-with-iam.md")
    door = rds.open()
    shown = f"postgresql+iam://app@{HOST}/court"
    namespace: dict[str, Any] = {}
    blocks = [block for block in page.blocks if block.words == ("python",)]
    assert any(shown in block.text for block in blocks)
    for block in blocks:
        exec(block.text.replace(shown, door.address("app", "court")), namespace)  # noqa: S102 (our own page)
    asyncio.run(namespace["main"]())
    assert (4, []) == (door.door.logins, door.door.refusals)
