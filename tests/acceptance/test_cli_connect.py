"""`ashore connect`: psql, and what other clients need, with tokens that let in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import psycopg
import pytest
from tests.conftest import missing
from tests.rds_world import HOST, KEY, RdsWorld

from ashore.config.secret import Dsn, Secret
from ashore.local.rds.doors import OpenDoor
from ashore.pipeline.connect import at_endpoint
from ashore.pipeline.tunnel import near_end
from ashore.postgres.clients import Client, pgpass

AWS: Final = """#!{python}
# Stands in for the AWS CLI: checks what it is asked for, and forwards the port as its plugin would.
import json, socket, sys, threading
arguments = sys.argv[1:]
assert arguments[:2] == ["ssm", "start-session"], arguments
given = dict(zip(arguments[2::2], arguments[3::2]))
asked = json.loads(given["--parameters"])
assert given["--document-name"] == "AWS-StartPortForwardingSessionToRemoteHost", given
assert asked["host"] == ["{host}"] and asked["portNumber"] == ["5432"], asked
if given["--target"] != "i-0123456789abcdef0":
    sys.exit("An error occurred (TargetNotConnected) when calling the StartSession operation")

def pump(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)

with socket.create_server(("127.0.0.1", int(asked["localPortNumber"][0]))) as listener:
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", {port}))
        for pair in ((near, far), (far, near)):
            threading.Thread(target=pump, args=pair, daemon=True).start()
"""


@pytest.fixture
def door(rds: RdsWorld) -> OpenDoor:
    return rds.open(signed_port=5432)


def ashore(*arguments: str, folder: Path, more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASHORE_", "PG"))}
    signing = {"AWS_ACCESS_KEY_ID": str(KEY.access_key), "AWS_SECRET_ACCESS_KEY": str(KEY.secret_key)}
    return subprocess.run(
        [sys.executable, "-m", "ashore", "connect", *arguments],
        cwd=folder,
        env={**kept, **signing, **(more or {})},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def need_psql() -> None:
    if shutil.which("psql") is None:
        missing("there is no psql on the path (Debian: postgresql-client-15)")


def test_psql_is_logged_in_with_a_token_that_is_not_in_its_command_line(door: OpenDoor, tmp_path: Path) -> None:
    need_psql()
    done = ashore(door.address("app", "court"), "--command", "SELECT current_user", folder=tmp_path)
    assert 0 == done.returncode, done.stderr
    assert "app" in done.stdout
    assert "X-Amz" not in done.stdout + done.stderr
    failed = ashore(door.address("app", "court"), "--command", "SELECT 1 / 0", folder=tmp_path)
    assert 1 == failed.returncode
    assert "division by zero" in failed.stderr


@pytest.mark.parametrize("form", ["url", "env", "pgpass", "tableplus"])
def test_what_is_printed_lets_another_client_in(form: str, door: OpenDoor, tmp_path: Path) -> None:
    done = ashore(door.address("app", "court"), "--print", form, folder=tmp_path)
    assert 0 == done.returncode, done.stderr
    assert "It lets new sessions in until 20" in done.stderr
    text = done.stdout.strip()
    query = "SELECT current_user::text"
    if form == "env":
        script = "import psycopg; print(psycopg.connect('').execute('SELECT current_user::text').fetchall())"
        (tmp_path / "env").write_text(text)
        (tmp_path / "x.py").write_text(script)
        ran = subprocess.run(
            ["sh", "-c", f". ./env && {sys.executable} x.py"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert "[('app',)]\n" == ran.stdout
        return
    if form == "pgpass":
        file = tmp_path / "pgpass"
        file.write_text(text + "\n")
        file.chmod(0o600)
        address = door.address("app", "court").replace("+iam", "").partition("&sign_for")[0] + f"&passfile={file}"
    elif form == "tableplus":
        assert "tLSMode=2" in text, "a name that is not dialled cannot be verified there"
        address = f"{text.partition('?')[0]}?sslmode=require"
    else:
        address = text
    with psycopg.connect(address) as conn:
        assert [("app",)] == conn.execute(query).fetchall()


def test_json_says_until_when(door: OpenDoor, tmp_path: Path) -> None:
    told = json.loads(ashore(door.address("app", "court"), "--json", folder=tmp_path).stdout)
    assert {"form", "text", "expires_at"} == told.keys()
    psycopg.connect(told["text"]).close()


def test_a_private_database_is_reached_through_systems_manager(door: OpenDoor, tmp_path: Path) -> None:
    """The AWS CLI is a stand-in here, which checks what it is asked for; nothing of AWS's own was run."""
    need_psql()
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("aws", "session-manager-plugin"):
        (programs / name).write_text(AWS.format(python=sys.executable, host=HOST, port=door.port))
        (programs / name).chmod(0o755)
    more = {"PATH": f"{programs}:{os.environ['PATH']}"}
    address = f"postgresql+iam://app@{HOST}/court?sslrootcert={door.authority}"
    through = ["--via", "ssm", "--target", "i-0123456789abcdef0"]
    done = ashore(address, *through, "--command", "SELECT current_user", folder=tmp_path, more=more)
    assert 0 == done.returncode, done.stderr
    assert "app" in done.stdout
    assert [] == door.door.refusals

    refused = ashore(address, "--via", "ssm", "--target", "i-1", folder=tmp_path, more=more)
    assert 2 == refused.returncode
    assert "TargetNotConnected" in refused.stderr


def test_what_is_missing_is_named(door: OpenDoor, tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path)}
    address = door.address("app", "court")
    assert "there is no program psql" in ashore(address, folder=tmp_path, more=nothing).stderr
    ssm = ashore(address, "--via", "ssm", "--target", "i-1", folder=tmp_path, more=nothing)
    assert "there is no program aws" in ssm.stderr
    assert 2 == ashore(address, "--via", "ssm", folder=tmp_path).returncode
    assert 2 == ashore(folder=tmp_path).returncode


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (None, "postgresql+iam://app@writer:5433/court?region=us-east-1"),
        ("reader", "postgresql+iam://app@reader:5433/court?region=us-east-1"),
        ("reader:5434", "postgresql+iam://app@reader:5434/court?region=us-east-1"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
    ],
)
def test_an_endpoint_is_another_host_or_a_whole_address(endpoint: str | None, expected: str) -> None:
    dsn = Dsn("postgresql+iam://app@writer:5433/court?region=us-east-1")
    assert expected == at_endpoint(dsn, endpoint).reveal()


def test_a_tunnel_with_a_password_verifies_the_endpoints_name_too() -> None:
    found = near_end(Dsn("postgresql://u:p@db.example.org/d"), 5000).reveal()
    assert "postgresql://u:p@db.example.org:5000/d?hostaddr=127.0.0.1&sslmode=verify-full" == found


def test_a_line_of_pgpass_is_escaped() -> None:
    parameters = {"host": "h", "port": "1", "dbname": "d", "user": "a:b\\c"}
    client = Client(parameters=parameters, password=Secret("x:y"), expires_at=None, dialled="h")
    assert r"h:1:d:a\:b\\c:x\:y" == pgpass(client)
