"""Roles as declared: each can do what it must and nothing else, tried on both servers statement by statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql
from tests.rds_world import KEY, RdsWorld

from ashore.config.secret import Dsn
from ashore.errors import SettingsError
from ashore.local.rds import Identity
from ashore.pipeline.users import NotAsDeclared, UsersPlan, apply_users, plan_users
from ashore.postgres.errors import StatementRefused
from ashore.postgres.iam import IamLogin

_numbers = count(1)
DECLARATION: Final = """
schemas = ["public", "court"]
resource_id = "cluster-ASHORELOCAL"
account = "123456789012"

[roles]
app{n} = "application"
reports{n} = "read-only"
migrator{n} = "migrator"
"ada{n}@example.org" = "person"
"""


@dataclass(frozen=True)
class Database:
    """A new database, owned by a role as RDS gives one: not a superuser, but one that makes roles."""

    rds: RdsWorld
    name: str
    number: int
    file: Path

    @property
    def admin(self) -> str:
        return f"admin{self.number}"

    @property
    def dsn(self) -> Dsn:
        return Dsn(self.rds.server.dsn_of(self.name, user=self.admin))

    def as_superuser(self) -> psycopg.Connection[Any]:
        return self.rds.server_connection(self.name)

    def role(self, kind: str) -> str:
        names = {
            "application": "app{}",
            "read-only": "reports{}",
            "migrator": "migrator{}",
            "person": "ada{}@example.org",
        }
        return names[kind].format(self.number)

    def login(self, kind: str) -> psycopg.Connection[Any]:
        """A session of a declared role, logged in with a token."""
        door = self.rds.open()
        return IamLogin(door.address(self.role(kind), self.name), tokens=self.rds.tokens()).connect(autocommit=True)

    def apply(self) -> UsersPlan:
        return apply_users(self.dsn, self.file)

    def plan(self) -> UsersPlan:
        return plan_users(self.dsn, self.file)


@pytest.fixture
def database(any_rds: RdsWorld, tmp_path: Path) -> Iterator[Database]:
    number = next(_numbers)
    made = Database(any_rds, f"users{number}", number, tmp_path / "users.toml")
    made.file.write_text(DECLARATION.format(n=number))
    with any_rds.server_connection("postgres") as conn:
        admin, name = sql.Identifier(made.admin), sql.Identifier(made.name)
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(admin))
        conn.execute(sql.SQL("GRANT rds_iam TO {} WITH ADMIN OPTION").format(admin))
        conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, admin))
    with psycopg.connect(made.dsn.reveal(), autocommit=True) as conn:
        for statement in (
            "CREATE TABLE loaded (number int)",
            "CREATE SEQUENCE loaded_number",
            "CREATE TABLE alembic_version ()",
        ):
            conn.execute(statement.encode())
    yield made
    any_rds.server.drop_database(made.name)


def test_what_was_applied_is_as_declared_and_applying_again_does_nothing(database: Database) -> None:
    planned = database.plan()
    assert not planned.is_as_declared
    done = database.apply()
    assert planned.plan.statements == done.plan.statements
    assert database.plan().is_as_declared
    assert () == database.apply().plan.statements
    with database.as_superuser():
        assert plan_users(Dsn(database.rds.server.dsn_of(database.name)), database.file).is_as_declared


def test_the_plan_is_a_script_that_psql_can_run(database: Database) -> None:
    with psycopg.connect(database.dsn.reveal(), autocommit=True) as conn:
        for statement in database.plan().plan.statements:
            conn.execute(statement.sql.encode())
    assert database.plan().is_as_declared


SETUP: Final = [
    "CREATE TABLE court.later (number int)",
    "CREATE SEQUENCE court.later_number",
    "INSERT INTO court.later VALUES (1)",
    "CREATE TABLE public.later (number serial)",
]
ALLOWED: Final = {
    "SELECT * FROM {table}": {"application", "read-only", "migrator", "person"},
    "INSERT INTO {table} VALUES (1)": {"application", "migrator"},
    "UPDATE {table} SET number = 2": {"application", "migrator"},
    "DELETE FROM {table}": {"application", "migrator"},
    "MERGE INTO {table} USING (SELECT 1) AS one ON false WHEN NOT MATCHED THEN INSERT VALUES (1)": {
        "application",
        "migrator",
    },
    "SELECT * FROM {table} FOR UPDATE": {"application", "migrator"},
    "COPY {table} TO STDOUT": {"application", "read-only", "migrator", "person"},
    "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE": {"application", "migrator"},
    "TRUNCATE {table}": {"migrator"},
    "ALTER TABLE {table} ADD more int": {"migrator"},
    "CREATE INDEX ON {table} (number)": {"migrator"},
    "CREATE TRIGGER t BEFORE INSERT ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()": {"migrator"},
    "DROP TABLE {table}": {"migrator"},
}
ELSEWHERE: Final = {
    "SELECT nextval('court.later_number')": {"application", "migrator"},
    "SELECT last_value FROM court.later_number": {"application", "read-only", "migrator", "person"},
    "SELECT setval('court.later_number', 9)": {"migrator"},
    "INSERT INTO public.later DEFAULT VALUES": {"application", "migrator"},
    "SELECT * FROM alembic_version": {"application", "read-only", "person"},
    "INSERT INTO alembic_version DEFAULT VALUES": set[str](),
    "INSERT INTO loaded VALUES (nextval('loaded_number'))": {"application"},
    "SELECT * FROM loaded": {"application", "read-only", "person"},
    "TRUNCATE loaded": set[str](),
    "CREATE TABLE public.mine ()": {"migrator"},
    "CREATE TABLE court.mine ()": {"migrator"},
    "CREATE TEMPORARY TABLE mine ()": {"migrator"},
    "CREATE SCHEMA mine": set[str](),
    "CREATE ROLE mine": set[str](),
    "CREATE DATABASE mine": set[str](),
    "CREATE EXTENSION pg_trgm": set[str](),
    "ALTER SYSTEM SET work_mem = '1GB'": set[str](),
    "COPY loaded FROM '/etc/passwd'": set[str](),
    "COPY loaded TO PROGRAM 'true'": set[str](),
    "SELECT pg_read_file('/etc/passwd')": set[str](),
    "SELECT rolpassword FROM pg_authid": set[str](),
    "SET ROLE rds_iam": {"application", "read-only", "migrator", "person"},
    "SET SESSION AUTHORIZATION rdsadmin": set[str](),
    "ALTER DEFAULT PRIVILEGES FOR ROLE rdsadmin GRANT ALL ON TABLES TO PUBLIC": set[str](),
    "GRANT rds_iam TO rdsadmin": set[str](),
}


def is_allowed(conn: psycopg.Connection[Any], statement: str) -> bool:
    """Try a statement, and take it back; those that cannot be taken back are allowed to nobody."""
    try:
        if statement.startswith(("CREATE DATABASE", "ALTER SYSTEM")):
            conn.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
            conn.execute(statement.encode())
            return True
        with conn.transaction(force_rollback=True):
            conn.execute("SET TRANSACTION READ WRITE")
            if "STDOUT" in statement:
                with conn.cursor().copy(statement.encode()) as copy:
                    list(copy)
            else:
                conn.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def test_each_role_can_do_what_it_must_and_nothing_else(database: Database) -> None:
    database.apply()
    with database.login("migrator") as conn:
        for statement in SETUP:
            conn.execute(statement.encode())
    assert database.plan().is_as_declared, "what the migrator made is granted already"

    tried = {statement.format(table="court.later"): kinds for statement, kinds in ALLOWED.items()} | ELSEWHERE
    for kind in ("application", "read-only", "migrator", "person"):
        with database.login(kind) as conn:
            found = {statement: is_allowed(conn, statement) for statement in tried}
        wrong = {statement: may for statement, may in found.items() if may != (kind in tried[statement])}
        assert {} == wrong, kind


def test_a_role_that_only_reads_is_read_only_even_where_it_might_write(database: Database) -> None:
    database.apply()
    for kind in ("read-only", "person"):
        with database.login(kind) as conn:
            with database.as_superuser() as superuser:
                name = sql.Identifier(database.role(kind))
                superuser.execute(sql.SQL("GRANT INSERT ON loaded TO {}").format(name))
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                conn.execute("INSERT INTO loaded VALUES (1)")


DRIFT: Final = {
    'GRANT TRUNCATE ON loaded TO "{application}"': 'REVOKE TRUNCATE ON TABLE "public"."loaded" FROM "{application}"',
    'REVOKE UPDATE ON loaded FROM "{application}"': 'GRANT UPDATE ON TABLE "public"."loaded" TO "{application}"',
    'GRANT INSERT ON alembic_version TO "{application}"': (
        'REVOKE INSERT ON TABLE "public"."alembic_version" FROM "{application}"'
    ),
    'GRANT USAGE ON SEQUENCE loaded_number TO "{read-only}"': (
        'REVOKE USAGE ON SEQUENCE "public"."loaded_number" FROM "{read-only}"'
    ),
    'GRANT CREATE ON SCHEMA court TO "{application}"': 'REVOKE CREATE ON SCHEMA "court" FROM "{application}"',
    'REVOKE USAGE ON SCHEMA public FROM "{person}"': 'GRANT USAGE ON SCHEMA "public" TO "{person}"',
    "GRANT CREATE ON SCHEMA public TO PUBLIC": 'REVOKE CREATE ON SCHEMA "public" FROM PUBLIC',
    'GRANT "{migrator}" TO "{application}"': 'REVOKE "{migrator}" FROM "{application}"',
    'REVOKE rds_iam FROM "{person}"': 'GRANT "rds_iam" TO "{person}"',
    'ALTER ROLE "{read-only}" CREATEROLE': 'ALTER ROLE "{read-only}" NOCREATEROLE',
    'ALTER ROLE "{application}" NOLOGIN': 'ALTER ROLE "{application}" LOGIN',
    'ALTER ROLE "{read-only}" RESET ALL': 'ALTER ROLE "{read-only}" SET "default_transaction_read_only" = \'on\'',
    'ALTER DEFAULT PRIVILEGES FOR ROLE "{migrator}" IN SCHEMA court GRANT DELETE ON TABLES TO "{person}"': (
        'ALTER DEFAULT PRIVILEGES FOR ROLE "{migrator}" IN SCHEMA "court" REVOKE DELETE ON TABLES FROM "{person}"'
    ),
}


def test_drift_is_found_named_and_put_right(database: Database) -> None:
    database.apply()
    names = {kind: database.role(kind) for kind in ("application", "read-only", "migrator", "person")}
    for drift, remedy in DRIFT.items():
        with psycopg.connect(database.dsn.reveal(), autocommit=True) as conn:
            conn.execute(drift.format(**names).encode())
        assert [remedy.format(**names)] == [one.sql for one in database.plan().plan.statements], drift
        database.apply()
        assert database.plan().is_as_declared, drift


def test_what_only_others_can_put_right_is_a_finding(database: Database) -> None:
    database.apply()
    app = sql.Identifier(database.role("application"))
    with database.as_superuser() as conn:
        conn.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(app))
        conn.execute("CREATE TABLE court.of_the_superuser ()")
        conn.execute(sql.SQL("CREATE TABLE court.of_the_app (); ALTER TABLE court.of_the_app OWNER TO {}").format(app))
    done = database.apply()
    told = [one.what for one in done.plan.findings]
    assert 4 == len(told), told
    assert f"role {database.role('application')} has BYPASSRLS" == told[0]
    assert any("court.of_the_superuser are not as declared, and it is rdsadmin's" in one for one in told)
    assert any("court.of_the_app is owned by" in one for one in told)


def test_a_session_that_may_not_is_refused_and_nothing_is_kept(database: Database) -> None:
    other = Dsn(database.rds.server.dsn_of(database.name, user="other"))
    with pytest.raises(StatementRefused, match="CREATE ROLE"):
        apply_users(other, database.file)
    with database.as_superuser() as conn:
        found = conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (database.role("application"),)).fetchall()
    assert [] == found


def test_grants_that_somebody_else_gave_are_not_silently_left(database: Database) -> None:
    database.apply()
    app, other = sql.Identifier(database.role("application")), sql.Identifier(database.role("migrator"))
    with database.as_superuser() as conn:
        conn.execute(sql.SQL("GRANT TRUNCATE ON loaded TO {} WITH GRANT OPTION").format(other))
        conn.execute(sql.SQL("SET ROLE {}").format(other))
        conn.execute(sql.SQL("GRANT TRUNCATE ON loaded TO {}").format(app))
    with pytest.raises((NotAsDeclared, StatementRefused)):
        database.apply()


def test_the_policies_let_each_in_as_themselves_alone(database: Database) -> None:
    policies = database.apply().policies
    assert {"app", "reports", "migrator", "ada"} == {
        name.rstrip("0123456789").split(str(database.number))[0] for name in policies
    }
    [statement] = policies[database.role("application")]["Statement"]
    database.rds.doors.identities[:] = [
        Identity(key=KEY, may_connect=[statement["Resource"].replace(":*:", ":us-east-1:")])
    ]
    database.login("application").close()
    with pytest.raises(psycopg.OperationalError, match="PAM authentication failed"):
        database.login("migrator")


def test_the_budget_of_connections_is_held_by_the_server_and_checked_against_it(database: Database) -> None:
    declared = database.file.read_text()
    app = database.role("application")
    database.file.write_text(f"{declared}[connections]\n{app} = {{ clients = 1, each = 2 }}\n")
    done = database.apply()
    assert () == done.plan.findings
    seats = 50 - 3
    assert (2, seats) == (done.plan.connections, done.plan.seats)
    too_many = pytest.raises(psycopg.OperationalError, match=f'too many connections for role "{app}"')
    with database.login("application"), database.login("application"), too_many:
        database.login("application")

    database.file.write_text(f"{declared}[connections]\n{app} = {{ clients = 300, each = 1 }}\n")
    assert [
        f"300 connections may be needed ({app} 300 × 1), and the server has {seats}",
        f"300 clients of {app} may log in within one second",
    ] == [one.what for one in database.plan().plan.findings]

    database.file.write_text(declared)
    assert [f'ALTER ROLE "{app}" CONNECTION LIMIT -1'] == [one.sql for one in database.plan().plan.statements]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('[roles]\nm = "migrator"\n[connections]\nm = { clients = 0, each = 1 }', "connections.m: must say clients"),
        ('[roles]\nm = "migrator"\n[connections]\nx = { clients = 1, each = 1 }', "connections.x: is no declared"),
        ("", "roles: is missing"),
        ('[roles]\napp = "application"', "exactly one role is the migrator"),
        ('[roles]\napp = "owner"\nm = "migrator"', "roles.app: is of no known kind"),
        ('[roles]\npg_app = "application"\nm = "migrator"', "roles.pg_app: is no name for a role"),
        ('resource_id = "court"\n[roles]\nm = "migrator"', "is no resource id"),
        ('schemas = []\n[roles]\nm = "migrator"', "schemas: must be a list of names"),
        ('passwords = true\n[roles]\nm = "migrator"', "passwords: there is no such setting"),
        ("[roles", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_told(text: str, wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "users.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=wrong):
        plan_users(Dsn("host=nowhere"), file)


def test_names_are_quoted_whatever_they_are(database: Database) -> None:
    weird = f'Robert"); DROP ROLE x{database.number} --'
    database.file.write_text(
        f"""schemas = ['Schema "x"; y']\n[roles]\n'{weird}' = "application"\nmigrator{database.number} = "migrator"\n"""
    )
    database.apply()
    assert database.plan().is_as_declared
    with database.as_superuser() as conn:
        assert [(True,)] == conn.execute("SELECT pg_has_role(%s, 'rds_iam', 'MEMBER')", (weird,)).fetchall()
