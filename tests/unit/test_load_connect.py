from __future__ import annotations

import pickle

import pytest

from ashore.config.address import parse
from ashore.ledger.errors import WorkerEnded
from ashore.load.errors import LoadInProgress, TooManyRejected
from ashore.postgres.address import server_of
from ashore.postgres.names import TableName
from ashore.postgres.tls import tls_defaults


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u@localhost/db",
        "host=127.0.0.1",
        "host=::1",
        "host=/var/run/postgresql",
        "dbname=x",
        "host=db.example.org sslmode=require",
    ],
)
def test_tls_is_left_as_it_is_on_this_machine_or_where_it_is_set(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    monkeypatch.delenv("PGHOST", raising=False)
    assert {} == tls_defaults(parse(dsn).parameters)


@pytest.mark.parametrize("dsn", ["host=db.example.org", "postgresql://u@localhost,db.example.org/db", "host=10.0.0.1"])
def test_tls_is_verified_in_full_elsewhere(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert "verify-full" == tls_defaults(parse(dsn).parameters)["sslmode"]
    assert "sslrootcert" not in tls_defaults({**parse(dsn).parameters, "sslrootcert": "x"})


def test_libpqs_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert "verify-full" == tls_defaults({"dbname": "x"})["sslmode"]
    monkeypatch.setenv("PGSSLMODE", "require")
    assert {} == tls_defaults({"dbname": "x"})


def test_an_address_is_shown_without_its_password() -> None:
    assert "h:5433/db" == server_of("postgresql://u:hush@h:5433/db")


def test_names_are_quoted_where_they_have_to_be() -> None:
    assert 'public."Case"' == str(TableName("public", "Case"))


def test_errors_cross_the_border_between_processes() -> None:
    for error in (
        TooManyRejected(read=1, rejected={(None, "x"): 1}, share=0.1),
        LoadInProgress(source="s", host=None, pid=None, since=None),
        WorkerEnded(worker=1, exit_status=-9),
    ):
        assert str(error) == str(pickle.loads(pickle.dumps(error)))
