"""What a database's roles are and may do now, as the catalog has it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, LiteralString

from ashore.postgres.connect import Conn, one_row

PUBLIC: Final = ""
"""The grantee PUBLIC, under which no role can be named."""

ObjectKind = Literal["table", "sequence"]
Grants = Mapping[str, frozenset[str]]
"""Grantee → privileges."""

_ROLES: Final[LiteralString] = """
    SELECT rolname, rolconnlimit, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
           rolconfig
    FROM pg_catalog.pg_roles WHERE rolname = ANY (%s)
"""
_MEMBERSHIPS: Final[LiteralString] = """
    SELECT member.rolname, granted.rolname
    FROM pg_catalog.pg_auth_members AS m
    JOIN pg_catalog.pg_roles AS member ON member.oid = m.member
    JOIN pg_catalog.pg_roles AS granted ON granted.oid = m.roleid
    WHERE member.rolname = ANY (%s)
"""
_DATABASE: Final[LiteralString] = """
    SELECT coalesce(grantee.rolname, ''), acl.privilege_type
    FROM pg_catalog.pg_database AS d
    CROSS JOIN pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) AS acl
    LEFT JOIN pg_catalog.pg_roles AS grantee ON grantee.oid = acl.grantee
    WHERE d.datname = pg_catalog.current_database()
"""
_SCHEMAS: Final[LiteralString] = """
    SELECT n.nspname, coalesce(grantee.rolname, ''), acl.privilege_type
    FROM pg_catalog.pg_namespace AS n
    LEFT JOIN pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) AS acl ON true
    LEFT JOIN pg_catalog.pg_roles AS grantee ON grantee.oid = acl.grantee
    WHERE n.nspname = ANY (%s)
"""
_OBJECTS: Final[LiteralString] = """
    SELECT n.nspname, c.relname, CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, owner.rolname,
           pg_catalog.pg_has_role(c.relowner, 'USAGE'), coalesce(grantee.rolname, ''), acl.privilege_type
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_roles AS owner ON owner.oid = c.relowner
    LEFT JOIN pg_catalog.aclexplode(c.relacl) AS acl ON true
    LEFT JOIN pg_catalog.pg_roles AS grantee ON grantee.oid = acl.grantee
    WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    ORDER BY n.nspname, c.relname
"""
_DEFAULTS: Final[LiteralString] = """
    SELECT n.nspname, CASE d.defaclobjtype WHEN 'S' THEN 'sequence' ELSE 'table' END,
           coalesce(grantee.rolname, ''), acl.privilege_type
    FROM pg_catalog.pg_default_acl AS d
    JOIN pg_catalog.pg_roles AS owner ON owner.oid = d.defaclrole
    JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace
    CROSS JOIN pg_catalog.aclexplode(d.defaclacl) AS acl
    LEFT JOIN pg_catalog.pg_roles AS grantee ON grantee.oid = acl.grantee
    WHERE owner.rolname = %s AND n.nspname = ANY (%s) AND d.defaclobjtype IN ('r', 'S')
"""
_SEATS: Final[LiteralString] = """
    SELECT coalesce(sum(CASE name WHEN 'max_connections' THEN setting::int ELSE -setting::int END), 0)
    FROM pg_catalog.pg_settings
    WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections',
                   'rds.rds_superuser_reserved_connections')
"""
_SESSION: Final[LiteralString] = """
    SELECT current_user::text, pg_catalog.current_database()::text,
           EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_iam')
"""
_ACTS_AS: Final[LiteralString] = """
    SELECT coalesce(bool_or(pg_catalog.pg_has_role(oid, 'USAGE')), false) FROM pg_catalog.pg_roles WHERE rolname = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleState:
    """One role: attributes by the words of CREATE ROLE, limit (-1: none), settings, and what it is a member of."""

    attributes: frozenset[str]
    connection_limit: int
    settings: frozenset[str]
    member_of: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectState:
    """A table (or view) or a sequence; `is_ours` says whether this session may grant on it."""

    schema: str
    name: str
    kind: ObjectKind
    owner: str
    is_ours: bool
    grants: Grants


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseState:
    """All that a plan goes by.

    `acts_as_migrator` says whether this session has the migrator's privileges; to be able to grant membership in it,
    as whoever made it is since PostgreSQL 16, is not enough. `seats` are the connections that are
    left for roles that are no superusers; `default_grants` are for what the migrator will make.
    """

    session_role: str
    acts_as_migrator: bool
    seats: int
    database: str
    has_rds_iam: bool
    roles: Mapping[str, RoleState]
    grants: Grants
    schemas: Mapping[str, Grants]
    objects: Sequence[ObjectState]
    default_grants: Mapping[tuple[str, ObjectKind], Grants]


def read_state(conn: Conn, *, names: Sequence[str], schemas: Sequence[str], migrator: str) -> DatabaseState:
    """Read the catalog; changes nothing."""
    session_role, database, has_rds_iam = one_row(conn.execute(_SESSION))
    [seats] = one_row(conn.execute(_SEATS))
    [acts_as_migrator] = one_row(conn.execute(_ACTS_AS, (migrator,)))
    wanted = list(schemas)
    return DatabaseState(
        session_role=session_role,
        acts_as_migrator=acts_as_migrator,
        seats=int(seats),
        database=database,
        has_rds_iam=has_rds_iam,
        roles=_roles(conn, names),
        grants=_grants(conn.execute(_DATABASE).fetchall()),
        schemas=_grouped(conn.execute(_SCHEMAS, (wanted,)).fetchall(), 1),
        objects=_objects(conn.execute(_OBJECTS, (wanted,)).fetchall()),
        default_grants=_grouped(conn.execute(_DEFAULTS, (migrator, wanted)).fetchall(), 2),
    )


def _roles(conn: Conn, names: Sequence[str]) -> dict[str, RoleState]:
    member_of = defaultdict(set)
    for member, granted in conn.execute(_MEMBERSHIPS, (list(names),)).fetchall():
        member_of[member].add(granted)
    words = ("LOGIN", "SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS")
    return {
        name: RoleState(
            attributes=frozenset(word for word, has in zip(words, flags, strict=True) if has),
            settings=frozenset(settings or ()),
            connection_limit=limit,
            member_of=frozenset(member_of[name]),
        )
        for name, limit, *flags, settings in conn.execute(_ROLES, (list(names),)).fetchall()
    }


def _grants(rows: Sequence[tuple[Any, ...]]) -> Grants:
    found = defaultdict(set)
    for grantee, privilege in rows:
        if privilege is not None:
            found[grantee].add(privilege)
    return {grantee: frozenset(privileges) for grantee, privileges in found.items()}


def _grouped(rows: Sequence[tuple[Any, ...]], width: int) -> dict[Any, Grants]:
    """The first `width` columns, alone or as a pair → grants."""
    groups = defaultdict(list)
    for row in rows:
        groups[row[0] if width == 1 else row[:width]].append(row[width:])
    return {name: _grants(group) for name, group in groups.items()}


def _objects(rows: Sequence[tuple[Any, ...]]) -> list[ObjectState]:
    groups = defaultdict(list)
    for row in rows:
        groups[row[:5]].append(row[5:])
    return [
        ObjectState(schema=schema, name=name, kind=kind, owner=owner, is_ours=is_ours, grants=_grants(group))
        for (schema, name, kind, owner, is_ours), group in groups.items()
    ]
