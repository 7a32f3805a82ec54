"""From what was declared and what is there to the statements between them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, LiteralString

from psycopg import sql

from ashore.config.users import DeclaredRole, Kind, Users
from ashore.postgres.roles.state import PUBLIC, DatabaseState, Grants, ObjectKind, ObjectState, RoleState

IAM: Final = "rds_iam"
NO_LIMIT: Final = -1
LOGINS_PER_SECOND: Final = 200
"""Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html"""

_read: Final = frozenset({"SELECT"})
_write: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_none: Final[frozenset[str]] = frozenset()

_on_tables: Final[Mapping[Kind, frozenset[str]]] = {
    "application": _write,
    "read-only": _read,
    "person": _read,
    "migrator": _none,
}
_on_sequences: Final[Mapping[Kind, frozenset[str]]] = {
    "application": frozenset({"SELECT", "USAGE"}),
    "read-only": _read,
    "person": _read,
    "migrator": _none,
}
_settings: Final[Mapping[Kind, Mapping[str, str]]] = {
    "application": {},
    "migrator": {},
    "read-only": {"default_transaction_read_only": "on"},
    "person": {
        "default_transaction_read_only": "on",
        "idle_in_transaction_session_timeout": "5min",
        "statement_timeout": "5min",
    },
}
_only_superusers_change: Final = frozenset({"SUPERUSER", "REPLICATION", "BYPASSRLS"})
_granting: Final[Mapping[Literal[True, False], LiteralString]] = {
    True: "GRANT {privileges} ON {what} TO {role}",
    False: "REVOKE {privileges} ON {what} FROM {role}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a plan, and why it is in it."""

    sql: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as declared, and that no statement of this session can put right."""

    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What has to be said so that everything is as declared; both empty where it is.

    `connections` are all that the declared roles may open at once, where it is declared; `seats` those that there are.
    """

    statements: tuple[Statement, ...]
    findings: tuple[Finding, ...]
    connections: int
    seats: int


def plan(users: Users, state: DatabaseState) -> Plan:
    """The statements that make the database as declared, in an order in which they can be run; none where it is.

    Roles that are not declared are left alone, but for PUBLIC: it may not make tables in the schemas, nor temporary
    ones. Nobody is locked out: CONNECT stays as it is for PUBLIC.
    """
    planner = _Planner(users, state)
    return Plan(
        statements=tuple(planner.statements()),
        findings=tuple(planner.findings()),
        connections=sum(one.most for one in users.connections.values()),
        seats=state.seats,
    )


class _Planner:
    def __init__(self, users: Users, state: DatabaseState) -> None:
        self._users = users
        self._state = state
        self._declared = {role.name: role for role in users.roles}

    def statements(self) -> Iterator[Statement]:
        for role in self._users.roles:
            yield from self._role(role)
        yield from self._session()
        yield from self._database()
        for schema in self._users.schemas:
            yield from self._schema(schema)
        for one in self._state.objects:
            if one.is_ours:
                yield from self._object(one)
        for schema in self._users.schemas:
            for kind in ("table", "sequence"):
                yield from self._defaults(schema, kind)

    def findings(self) -> Iterator[Finding]:
        if not self._state.has_rds_iam:
            hint = "on RDS it is there once IAM authentication is on; elsewhere: CREATE ROLE rds_iam NOLOGIN"
            yield Finding(what="there is no role rds_iam", hint=hint)
        yield from self._budget()
        for name in self._declared:
            found = self._state.roles.get(name)
            for word in sorted(_only_superusers_change & found.attributes if found else ()):
                what = f"role {name} has {word}"
                yield Finding(what=what, hint=f"as a superuser: ALTER ROLE {_name(name)} NO{word}")
        for one in self._state.objects:
            if not one.is_ours and self._differs(one):
                what = f"grants on {one.schema}.{one.name} are not as declared, and it is {one.owner}'s"
                yield Finding(what=what, hint=f"run this as {one.owner} or a member of it")
            if one.owner in self._declared and one.owner != self._users.migrator:
                what = f"{one.schema}.{one.name} is owned by {one.owner}, who may therefore drop it"
                hint = f"ALTER TABLE … OWNER TO {_name(self._users.migrator)}"
                yield Finding(what=what, hint=hint)

    def _budget(self) -> Iterator[Finding]:
        declared = self._users.connections
        needed, seats = sum(one.most for one in declared.values()), self._state.seats
        if needed > seats:
            parts = " + ".join(f"{name} {one.clients} × {one.each}" for name, one in declared.items())
            what = f"{needed} connections may be needed ({parts}), and the server has {seats}"
            yield Finding(what=what, hint="use smaller pools or less concurrency, or a larger server")
        for name, one in declared.items():
            if one.clients > LOGINS_PER_SECOND:
                what = f"{one.clients} clients of {name} may log in within one second"
                hint = "AWS advises fewer than 200 logins by IAM a second: let the clients start more slowly"
                yield Finding(what=what, hint=hint)

    def _role(self, role: DeclaredRole) -> Iterator[Statement]:
        name = _identifier(role.name)
        found = self._state.roles.get(role.name)
        if found is None:
            yield _statement("CREATE ROLE {} LOGIN", name, because=f"{role.name} is declared: {role.kind}")
            found = RoleState(
                attributes=frozenset({"LOGIN"}), connection_limit=NO_LIMIT, settings=_none, member_of=_none
            )
        if "LOGIN" not in found.attributes:
            yield _statement("ALTER ROLE {} LOGIN", name, because="it has to log in")
        for word in sorted(found.attributes & {"CREATEDB", "CREATEROLE"}):
            no_more = sql.SQL("NOCREATEDB" if word == "CREATEDB" else "NOCREATEROLE")
            yield _statement("ALTER ROLE {} {}", name, no_more, because=f"{role.kind} is not for that")
        if IAM not in found.member_of:
            yield _statement("GRANT {} TO {}", _identifier(IAM), name, because="it logs in with IAM, not a password")
        for other in sorted(found.member_of - {IAM}):
            yield _statement("REVOKE {} FROM {}", _identifier(other), name, because="membership is not declared")
        declared = self._users.connections.get(role.name)
        limit = NO_LIMIT if declared is None else declared.most
        if limit != found.connection_limit:
            because = (
                "no limit is declared" if declared is None else f"{declared.clients} clients, {declared.each} each"
            )
            yield Statement(sql=f"ALTER ROLE {name.as_string()} CONNECTION LIMIT {limit:d}", because=because)
        for setting, value in _settings[role.kind].items():
            if f"{setting}={value}" not in found.settings:
                because = f"{role.kind} has it so unless it says otherwise"
                yield _statement(
                    "ALTER ROLE {} SET {} = {}", name, _identifier(setting), sql.Literal(value), because=because
                )

    def _session(self) -> Iterator[Statement]:
        session, migrator = self._state.session_role, self._users.migrator
        if not self._state.acts_as_migrator:
            because = "grants on what the migrator makes are given in its name"
            yield _statement("GRANT {} TO {}", _identifier(migrator), _identifier(session), because=because)

    def _database(self) -> Iterator[Statement]:
        what = _on("DATABASE {}", self._state.database)
        wanted = {
            name: frozenset({"CONNECT", "TEMPORARY"} if role.kind == "migrator" else {"CONNECT"})
            for name, role in self._declared.items()
        }
        public = self._state.grants.get(PUBLIC, _none) - {"TEMPORARY"}
        yield from self._differences(what, self._state.grants, {**wanted, PUBLIC: public})

    def _schema(self, schema: str) -> Iterator[Statement]:
        found = self._state.schemas.get(schema)
        if found is None:
            migrator = _identifier(self._users.migrator)
            yield _statement(
                "CREATE SCHEMA {} AUTHORIZATION {}", _identifier(schema), migrator, because="it is declared"
            )
            found = {self._users.migrator: frozenset({"USAGE", "CREATE"})}
        wanted = {
            name: frozenset({"USAGE", "CREATE"} if role.kind == "migrator" else {"USAGE"})
            for name, role in self._declared.items()
        }
        public = found.get(PUBLIC, _none) - {"CREATE"}
        yield from self._differences(_on("SCHEMA {}", schema), found, {**wanted, PUBLIC: public})

    def _object(self, one: ObjectState) -> Iterator[Statement]:
        what = _on("TABLE {}" if one.kind == "table" else "SEQUENCE {}", one.schema, one.name)
        yield from self._differences(what, one.grants, self._wanted(one))

    def _differs(self, one: ObjectState) -> bool:
        return any(True for _ in self._object(one))

    def _wanted(self, one: ObjectState) -> Grants:
        by_kind = _on_tables if one.kind == "table" else _on_sequences
        is_protected = one.kind == "table" and one.name in self._users.protected
        return {
            name: by_kind[role.kind] & _read if is_protected else by_kind[role.kind]
            for name, role in self._declared.items()
            if name != one.owner
        }

    def _defaults(self, schema: str, kind: ObjectKind) -> Iterator[Statement]:
        found = self._state.default_grants.get((schema, kind), {})
        by_kind = _on_tables if kind == "table" else _on_sequences
        wanted = {name: by_kind[role.kind] for name, role in self._declared.items() if role.kind != "migrator"}
        before = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} ").format(
            _identifier(self._users.migrator), _identifier(schema)
        )
        what = sql.SQL("TABLES" if kind == "table" else "SEQUENCES")
        yield from self._differences(what, found, wanted, before=before)

    def _differences(
        self, what: sql.Composable, found: Grants, wanted: Grants, *, before: sql.Composable | None = None
    ) -> Iterator[Statement]:
        """GRANT what is missing, REVOKE what is too much; of the grantees in `wanted` alone."""
        for grantee, privileges in wanted.items():
            has = found.get(grantee, _none)
            for is_grant, some in ((True, privileges - has), (False, has - privileges)):
                if some:
                    text = sql.SQL(_granting[is_grant]).format(
                        privileges=sql.SQL(", ").join(map(_privilege, sorted(some))),
                        what=what,
                        role=sql.SQL("PUBLIC") if grantee == PUBLIC else _identifier(grantee),
                    )
                    whole = text if before is None else before + text
                    yield Statement(sql=whole.as_string(), because=self._because(grantee, is_grant=is_grant))

    def _because(self, grantee: str, *, is_grant: bool) -> str:
        if grantee == PUBLIC:
            return "anybody could make tables"
        kind = self._declared[grantee].kind
        return f"{kind} needs it" if is_grant else f"{kind} is not for that"


_privileges: Final[Mapping[str, LiteralString]] = {
    "SELECT": "SELECT",
    "INSERT": "INSERT",
    "UPDATE": "UPDATE",
    "DELETE": "DELETE",
    "TRUNCATE": "TRUNCATE",
    "REFERENCES": "REFERENCES",
    "TRIGGER": "TRIGGER",
    "MAINTAIN": "MAINTAIN",
    "USAGE": "USAGE",
    "CREATE": "CREATE",
    "CONNECT": "CONNECT",
    "TEMPORARY": "TEMPORARY",
}
"""Source: https://www.postgresql.org/docs/current/ddl-priv.html"""


def _privilege(name: str) -> sql.SQL:
    return sql.SQL(_privileges[name])


def _identifier(*names: str) -> sql.Identifier:
    return sql.Identifier(*names)


def _name(role: str) -> str:
    return sql.Identifier(role).as_string()


def _on(form: LiteralString, *names: str) -> sql.Composed:
    return sql.SQL(form).format(sql.Identifier(*names))


def _statement(form: LiteralString, *parts: sql.Composable, because: str) -> Statement:
    return Statement(sql=sql.SQL(form).format(*parts).as_string(), because=because)
