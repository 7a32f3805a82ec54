"""PostgreSQL on this machine: it answers, it is private, and nothing of it is left."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ashore import local
from ashore.local.errors import DataFolderFromOtherVersion, FolderUnreachable, ServerDidNotStart
from ashore.local.postgres import RestartMode

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")

OWNER = """
import os, sys, time
from ashore.local import embedded_postgres
with embedded_postgres() as server:
    child = os.fork() if "fork" in sys.argv else 0
    if child or "fork" not in sys.argv:
        print(server.pid, server.data.parent.parent, child, flush=True)
    time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(pid: int, folder: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (is_running(pid) or folder.exists()):
        time.sleep(0.05)


def one(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder to be, where every user can come: pytest's own folders are closed to the server's user."""
    base = Path(tempfile.mkdtemp(prefix="ashore-test-"))
    base.chmod(0o755)
    yield base / "data"
    shutil.rmtree(base)


def test_each_server_answers_with_its_version(any_postgres_server: local.LocalPostgres) -> None:
    with psycopg.connect(any_postgres_server.dsn) as connection:
        assert connection.info.server_version // 10_000 == any_postgres_server.major
        assert (connection.info.parameter_status("server_version") or "").startswith(any_postgres_server.version)


def test_only_a_socket_in_a_closed_folder_is_listened_on(postgres_server: local.LocalPostgres) -> None:
    assert one(postgres_server.dsn, "SHOW listen_addresses") == ""
    assert stat.S_IMODE(postgres_server.socket_folder.stat().st_mode) == 0o700


def test_commits_are_as_durable_as_in_production(any_postgres_server: local.LocalPostgres) -> None:
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert one(any_postgres_server.dsn, f"SHOW {name}") == "on", name


def test_settings_reach_the_server() -> None:
    with local.embedded_postgres(settings={"wal_level": "logical"}) as server:
        assert one(server.dsn, "SHOW wal_level") == "logical"


def test_a_new_database_is_a_copy_of_its_template(postgres_server: local.LocalPostgres, postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
    name = one(postgres_dsn, "SELECT current_database()")
    copy = postgres_server.create_database("a copy; of it", template=str(name))
    assert one(copy, "SELECT number FROM kept") == 1
    postgres_server.drop_database("a copy; of it")
    postgres_server.drop_database("a copy; of it")


def test_two_servers_at_once_are_two() -> None:
    with local.embedded_postgres() as one_server, local.embedded_postgres() as other:
        one_server.create_database("mine")
        assert one(one_server.dsn, "SELECT count(*) FROM pg_database WHERE datname = 'mine'") == 1
        assert one(other.dsn, "SELECT count(*) FROM pg_database WHERE datname = 'mine'") == 0


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_committed_rows_outlive_a_restart(
    any_postgres_server: local.LocalPostgres, any_postgres_dsn: str, mode: RestartMode
) -> None:
    with psycopg.connect(any_postgres_dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
    before = any_postgres_server.pid
    any_postgres_server.restart(mode)
    assert before != any_postgres_server.pid
    assert not is_running(before)
    assert one(any_postgres_dsn, "SELECT sum(number) FROM kept") == 500_500


def test_a_restart_ends_open_sessions(postgres_server: local.LocalPostgres, postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        postgres_server.restart("immediate")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_given_data_folder_is_kept_and_used_again(data: Path) -> None:
    with local.embedded_postgres(data) as server:
        dsn = server.create_database("kept")
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
    assert not (data / "postmaster.pid").exists()
    with local.embedded_postgres(data) as server:
        assert one(server.dsn_of("kept"), "SELECT number FROM kept") == 42


def test_a_data_folder_of_another_version_is_refused_and_left_alone(data: Path) -> None:
    data.mkdir()
    (data / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(DataFolderFromOtherVersion, match=r"PostgreSQL 9\.6, but the server is PostgreSQL 18"):
        local.embedded_postgres(data).__enter__()
    assert [data / "PG_VERSION"] == list(data.iterdir())


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Path(tempfile.mkdtemp(prefix="ashore-test-"))
    base.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    with pytest.raises(ServerDidNotStart, match="no_such_setting"):
        local.embedded_postgres(settings={"no_such_setting": "1"}).__enter__()
    with pytest.raises(ServerDidNotStart, match="--no-such-option"):
        local.embedded_postgres(initdb_options=["--no-such-option"]).__enter__()
    assert [] == list(base.iterdir())
    base.rmdir()


def test_a_folder_without_programs_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerDidNotStart, match=str(tmp_path)):
        local.embedded_postgres(bin_dir=tmp_path).__enter__()


def test_nothing_is_left_after_the_context() -> None:
    with local.embedded_postgres() as server:
        assert server.process.is_running
        assert os.getsid(0) != os.getsid(server.pid), "a Ctrl-C in the terminal would reach the server"
    assert not server.process.is_running
    assert not is_running(server.pid)
    assert not server.data.parent.parent.exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGKILL", "SIGHUP"])
@pytest.mark.parametrize("forked", [False, True], ids=["alone", "with a child that lives on"])
def test_nothing_is_left_after_the_owner_was_ended(name: str, forked: bool) -> None:
    command = [sys.executable, "-c", OWNER, *(["fork"] if forked else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        assert owner.stdout is not None
        pid, folder, child = owner.stdout.readline().split()
        try:
            assert is_running(int(pid))
            owner.send_signal(signal.Signals[name])
            wait_until_gone(int(pid), Path(folder))
            assert not is_running(int(pid))
            assert not Path(folder).exists()
        finally:
            owner.kill()
            if int(child):
                os.kill(int(child), signal.SIGKILL)


@NEEDS_ROOT
def test_root_runs_it_as_another_user(postgres_server: local.LocalPostgres) -> None:
    status = Path(f"/proc/{postgres_server.pid}").stat()
    assert status.st_uid != 0


@NEEDS_ROOT
def test_programs_in_a_closed_folder_are_used_all_the_same(tmp_path: Path) -> None:
    package = local.embedded_bin_dir().parents[1]
    closed = tmp_path / "closed"
    for folder in (package, package.with_name("embedded_postgres.libs")):
        if folder.exists():
            shutil.copytree(folder, closed / folder.name, symlinks=True)
    closed.chmod(0o700)
    programs = closed / package.name / "pginstall" / "bin"
    with local.embedded_postgres(bin_dir=programs) as server:
        assert one(server.dsn, "SELECT 1") == 1
        assert programs == server.bin_dir
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@NEEDS_ROOT
def test_a_data_folder_that_the_servers_user_cannot_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(FolderUnreachable, match="nobody"):
        local.embedded_postgres(tmp_path / "data").__enter__()
    assert [] == list(tmp_path.iterdir())
