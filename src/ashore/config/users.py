"""`users.toml`: who may use a database, and as what."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from ashore.errors import Problem, SettingsError

FILE_NAME: Final = "users.toml"
Kind = Literal["application", "read-only", "migrator", "person"]
_kinds: Final[tuple[str, ...]] = get_args(Kind)
_known: Final = frozenset({"schemas", "protected", "resource_id", "account", "region", "roles", "connections"})
_resource_id: Final = re.compile(r"(cluster|db|prx)-[A-Za-z0-9]+")
_longest_name: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRole:
    """One role of the database, and what it is for."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """What a role needs at most: so many clients (processes, or a function's concurrency), a pool each."""

    clients: int
    each: int

    @property
    def most(self) -> int:
        """All of them together."""
        return self.clients * self.each


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Everybody who may use a database.

    Attributes:
        roles: In the order of the file; one of them is the migrator, which owns what is in the schemas.
        schemas: Where they may do what their kind says.
        protected: Tables that an application reads but does not write, such as Alembic's own.
        connections: Role → how many it needs; roles that are not in it have no limit of their own.
        resource_id, account, region: What policies name the database by; None where only the SQL is wanted.
    """

    roles: tuple[DeclaredRole, ...]
    schemas: tuple[str, ...] = ("public",)
    protected: frozenset[str] = frozenset({"alembic_version"})
    connections: Mapping[str, Connections] = field(default_factory=dict)
    resource_id: str | None = None
    account: str | None = None
    region: str | None = None

    @property
    def migrator(self) -> str:
        """The role that changes the schema."""
        return next(role.name for role in self.roles if role.kind == "migrator")


def read_users(path: Path) -> Users:
    """Read a file.

    Raises:
        SettingsError: With everything that is wrong with it.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        hint = "docs/how-to/users-and-grants.md shows one"
        raise SettingsError([Problem(where=str(path), what=what, hint=hint)]) from None
    return _Reader(path, document).users()


class _Reader:
    """Reads one parsed file; gathers what is wrong."""

    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self._path = path
        self._document = document
        self._problems: list[Problem] = []

    def users(self) -> Users:
        for name in sorted(self._document.keys() - _known):
            self._wrong(name, "there is no such setting", f"settings are: {', '.join(sorted(_known))}")
        roles = self._roles()
        found = Users(
            roles=roles,
            schemas=tuple(self._texts("schemas", ["public"])),
            protected=frozenset(self._texts("protected", ["alembic_version"])),
            connections=self._connections({role.name for role in roles}),
            resource_id=self._text("resource_id"),
            account=self._text("account"),
            region=self._text("region"),
        )
        if found.resource_id is not None and _resource_id.fullmatch(found.resource_id) is None:
            hint = "describe-db-clusters prints it as DbClusterResourceId; the cluster's name allows nothing"
            self._wrong("resource_id", "is no resource id, such as cluster-ABCDEFGHIJKL", hint)
        if self._problems:
            raise SettingsError(self._problems)
        return found

    def _roles(self) -> tuple[DeclaredRole, ...]:
        declared = self._document.get("roles")
        if not isinstance(declared, dict):
            self._wrong("roles", "is missing", 'declare [roles], with lines such as app = "application"')
            return ()
        roles = []
        for name, kind in declared.items():
            if kind not in _kinds:
                self._wrong(f"roles.{name}", "is of no known kind", f"kinds are: {', '.join(_kinds)}")
            elif not name or len(name.encode()) > _longest_name or name.startswith(("pg_", "rds")):
                hint = "at most 63 bytes, and not beginning with pg_ or rds, which are the server's own"
                self._wrong(f"roles.{name}", "is no name for a role", hint)
            else:
                roles.append(DeclaredRole(name=name, kind=kind))
        if not self._problems and sum(role.kind == "migrator" for role in roles) != 1:
            hint = "declare one: it owns the tables, and what it makes is granted to the others"
            self._wrong("roles", "exactly one role is the migrator", hint)
        return tuple(roles)

    def _connections(self, roles: Collection[str]) -> dict[str, Connections]:
        declared = self._document.get("connections", {})
        found = {}
        for name, given in declared.items() if isinstance(declared, dict) else [("", declared)]:
            match given:
                case {"clients": int(clients), "each": int(each)} if clients > 0 < each and len(given) == 2:
                    found[name] = Connections(clients=clients, each=each)
                case _:
                    hint = "as in app = { clients = 100, each = 1 }"
                    self._wrong(f"connections.{name}", "must say clients and each, both whole numbers", hint)
            if name not in roles:
                self._wrong(f"connections.{name}", "is no declared role", "declare it in [roles]")
        return found

    def _texts(self, name: str, default: list[str]) -> list[str]:
        given = self._document.get(name, default)
        if isinstance(given, list) and given and all(isinstance(one, str) and one for one in given):
            return given
        if name == "protected" and given == []:
            return []
        self._wrong(name, "must be a list of names", f'as in {name} = ["public"]')
        return default

    def _text(self, name: str) -> str | None:
        given = self._document.get(name)
        if given is None or isinstance(given, str):
            return given
        self._wrong(name, "must be text, in quotes", "put it in quotes")
        return None

    def _wrong(self, name: str, what: str, hint: str) -> None:
        self._problems.append(Problem(where=f"{self._path}: {name}", what=what, hint=hint))
