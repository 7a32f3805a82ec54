"""`ashore users`: the roles of a database as they were declared."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ashore.config.secret import Dsn
from ashore.config.users import Users, read_users
from ashore.errors import AshoreError
from ashore.postgres.address import host_of, server_of
from ashore.postgres.connect import Conn, connect
from ashore.postgres.endpoints import region_of
from ashore.postgres.errors import translated
from ashore.postgres.roles.plan import Plan, plan
from ashore.postgres.roles.policies import policies
from ashore.postgres.roles.state import read_state


@dataclass(eq=False, kw_only=True)
class NotAsDeclared(AshoreError):
    """Every statement was run, and the database is not as declared all the same; nothing of it was kept."""

    statements: list[str]

    code: ClassVar[str] = "ASH640"
    exit_code: ClassVar[int] = 3

    def what(self) -> str:
        return f"after all statements were run, {len(self.statements)} would have to be run again: {self.statements[0]}"

    def hint(self) -> str:
        return "another role gave these grants, so only it can take them back: run this as that role, or a superuser"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersPlan:
    """What is to be said to the database, or was; what cannot be; and a policy for each role."""

    server: str
    plan: Plan
    policies: dict[str, dict[str, Any]]

    @property
    def is_as_declared(self) -> bool:
        """Whether nothing differs."""
        return not self.plan.statements and not self.plan.findings

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"server": self.server, **asdict(self.plan), "policies": self.policies}


def plan_users(dsn: Dsn, file: Path) -> UsersPlan:
    """Compare a database with what was declared; changes nothing.

    Raises:
        SettingsError: The file is wrong.
        CannotConnect, IamError
    """
    users = read_users(file)
    with _connected(dsn) as conn, translated("reading roles and grants"):
        return _planned(dsn, users, _plan(conn, users))


def apply_users(dsn: Dsn, file: Path) -> UsersPlan:
    """Make a database as declared, in one transaction; without effect where it is.

    Returns:
        What was said, and what could not be put right.

    Raises:
        SettingsError: The file is wrong.
        StatementRefused: The session's role may not do it. Nothing was kept.
        NotAsDeclared: See there.
    """
    users = read_users(file)
    with _connected(dsn) as conn, translated("reading roles and grants"), conn.transaction():
        found = _plan(conn, users)
        for one in found.statements:
            with translated(one.sql):
                conn.execute(one.sql)  # made of quoted identifiers, see `plan`
        after = _plan(conn, users)
        if after.statements:
            raise NotAsDeclared(statements=[one.sql for one in after.statements])
        return _planned(dsn, users, replace(after, statements=found.statements))


def _plan(conn: Conn, users: Users) -> Plan:
    names = [role.name for role in users.roles]
    return plan(users, read_state(conn, names=names, schemas=users.schemas, migrator=users.migrator))


def _planned(dsn: Dsn, users: Users, found: Plan) -> UsersPlan:
    region = region_of(host_of(dsn.reveal()))
    return UsersPlan(server=server_of(dsn.reveal()), plan=found, policies=policies(users, region=region))


def _connected(dsn: Dsn) -> Conn:
    return connect(dsn.reveal(), application_name="ashore users", autocommit=True)
