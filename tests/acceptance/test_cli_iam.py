"""Ashore's own commands at a database that lets in by tokens alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from tests.rds_world import KEY, RdsWorld

from ashore.local.rds.doors import OpenDoor

_numbers = count(1)


@pytest.fixture
def signing(rds: RdsWorld) -> Iterator[tuple[OpenDoor, dict[str, str]]]:
    """An endpoint, and the environment of a command that logs in there, to a new database of the role `app`."""
    name = f"iam{next(_numbers)}"
    door = rds.open()
    with rds.server_connection("postgres") as conn:
        conn.execute(f"CREATE DATABASE {name} OWNER app".encode())
    yield (
        door,
        {
            "SHOP_DSN": door.address("app", name),
            "AWS_ACCESS_KEY_ID": str(KEY.access_key),
            "AWS_SECRET_ACCESS_KEY": str(KEY.secret_key),
        },
    )
    rds.server.drop_database(name)


def test_a_project_is_checked_loaded_and_verified_with_tokens(
    shop: Any, make: Any, signing: tuple[OpenDoor, dict[str, str]]
) -> None:
    door, environ = signing
    export = shop.export(make.many(30))
    assert 0 == shop.run("check", "--export", export, environ=environ).returncode
    loaded = shop.json("load", "--export", export, "--workers", "2", environ=environ)
    assert 92 == loaded["items"]
    assert shop.json("verify", "--export", export, environ=environ)["equal"]
    assert [] == door.door.refusals
    assert 5 < door.door.logins, "workers log in by themselves"


def test_a_refused_token_is_a_problem_that_is_told_and_no_bug(
    shop: Any, make: Any, rds: RdsWorld, signing: tuple[OpenDoor, dict[str, str]]
) -> None:
    _, environ = signing
    rds.doors.identities.clear()
    export = shop.export(make.many(1))
    checked = shop.run("check", "--export", export, environ=environ)
    assert 2 == checked.returncode
    assert "refused the token of role app" in checked.stdout + checked.stderr
    error = shop.json("load", "--export", export, exit_code=2, environ=environ)["error"]
    assert ("ASH417", "TokenRefused") == (error["code"], error["name"])
    for output in (checked.stdout, checked.stderr, str(error)):
        assert "X-Amz" not in output


def test_settings_show_the_address_without_a_password(shop: Any) -> None:
    shown = shop.run(
        "config", "show", environ={"ASHORE_POSTGRES": "postgresql+iam://app@h/d?sign_for=x&sslmode=require"}
    )
    assert "(IAM, sign_for=x)" in shown.stdout
