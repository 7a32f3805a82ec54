"""The guard: who cannot write to an entity's tables while DynamoDB takes its writes, or while they are held.

By privileges: the application's roles lose theirs, which takes effect on the next statement, whatever the transaction.
Where there is no role to take them from, by a statement-level trigger, which asks the ledger for the entity's state.

Source: https://www.postgresql.org/docs/current/sql-revoke.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal

from psycopg import sql

from ashore.cutover.errors import RoleMayStillWrite
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

_writing: Final = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
_TRIGGER: Final = "aa_ashore_guard"
_CREATE_TRIGGER: Final = """
    CREATE OR REPLACE TRIGGER {} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {}
    FOR EACH STATEMENT EXECUTE FUNCTION ashore.guard({}, {})
"""
_GRANTED: Final = """
    SELECT a.privilege_type FROM pg_catalog.pg_class c, aclexplode(c.relacl) AS a
    WHERE c.oid = %(table)s::regclass AND a.grantee = %(role)s::regrole AND a.privilege_type = ANY(%(writing)s)
    ORDER BY 1
"""
_MAY_WRITE: Final = """
    SELECT bool_or(has_table_privilege(%(role)s, %(table)s::regclass, p)
                   OR p <> 'DELETE' AND p <> 'TRUNCATE' AND has_any_column_privilege(%(role)s, %(table)s::regclass, p))
    FROM unnest(%(writing)s::text[]) AS p
"""
_KEEP: Final = """
    INSERT INTO ashore.guard AS g (source, entity, table_name, role, privileges)
    VALUES (%(source)s, %(entity)s, %(table)s, %(role)s, %(privileges)s)
    ON CONFLICT (source, entity, table_name, role) DO UPDATE
    SET privileges = CASE WHEN excluded.privileges = '{}' THEN g.privileges ELSE excluded.privileges END
"""
_KEPT: Final = """
    SELECT n.nspname, c.relname, g.role, g.privileges, g.entity
    FROM ashore.guard g JOIN pg_catalog.pg_class c ON c.oid = to_regclass(g.table_name)
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE g.source = %(source)s AND g.entity = ANY(%(entities)s) ORDER BY g.table_name, g.role
"""
_FORGET: Final = "DELETE FROM ashore.guard WHERE source = %(source)s AND entity = ANY(%(entities)s)"


def put_up(conn: Conn, *, source: str, entity: str, tables: Iterable[TableName], roles: Sequence[str]) -> None:
    """Keep the application off an entity's tables: these roles, or with none everybody but Ashore. Idempotent.

    The caller's transaction.

    Raises:
        RoleMayStillWrite: A role can write all the same; the transaction must be rolled back.
    """
    for table in tables:
        for role in roles:
            _take(conn, source, entity, table, role)
        if not roles:
            _keep(conn, source, entity, table, "", ())
            conn.execute(
                sql.SQL(_CREATE_TRIGGER).format(
                    sql.Identifier(_TRIGGER), table.identifier, sql.Literal(source), sql.Literal(entity)
                )
            )


def let_in(conn: Conn, source: str, entities: Collection[str]) -> None:
    """Give the roles back what they had: PostgreSQL takes the writes of these entities. The caller's transaction."""
    for table, role, privileges, _ in _kept(conn, source, entities):
        if role:
            _change(conn, "GRANT", privileges, table, role)


def shut_out(conn: Conn, source: str, entities: Collection[str]) -> None:
    """Take from the roles what they have by now, be it more than they were given. The caller's transaction.

    Raises:
        RoleMayStillWrite: A role can write all the same; the transaction must be rolled back.
    """
    for table, role, _, entity in _kept(conn, source, entities):
        if role:
            _take(conn, source, entity, table, role)


def take_down(conn: Conn, source: str, entities: Collection[str]) -> None:
    """Guard these entities no more; idempotent. The caller's transaction."""
    for table, role, privileges, _ in _kept(conn, source, entities):
        if role:
            _change(conn, "GRANT", privileges, table, role)
        else:
            conn.execute(sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(_TRIGGER), table.identifier))
    conn.execute(_FORGET, {"source": source, "entities": list(entities)})


def how(conn: Conn, source: str, entities: Collection[str]) -> str:
    """How these entities are guarded, in words."""
    roles = sorted({role for _, role, _, _ in _kept(conn, source, entities)})
    if not roles:
        return "not guarded"
    if roles == [""]:
        return "guarded by a trigger: every role but Ashore's sessions is refused"
    return f"guarded by privileges: {', '.join(role for role in roles if role)} cannot write"


def _take(conn: Conn, source: str, entity: str, table: TableName, role: str) -> None:
    """Take from a role what it has, and keep what that was."""
    granted = _granted(conn, table, role)
    _keep(conn, source, entity, table, role, granted)
    _change(conn, "REVOKE", granted, table, role)
    if _may_write(conn, table, role):
        raise RoleMayStillWrite(role=role, table=str(table))


def _granted(conn: Conn, table: TableName, role: str) -> tuple[str, ...]:
    arguments = {"table": str(table), "role": _role(conn, role), "writing": list(_writing)}
    return tuple(row[0] for row in conn.execute(_GRANTED, arguments))


def _role(conn: Conn, role: str) -> str:
    """The role's name as `regrole` reads it."""
    return sql.Identifier(role).as_string(conn)


def _may_write(conn: Conn, table: TableName, role: str) -> bool:
    row = conn.execute(_MAY_WRITE, {"table": str(table), "role": role, "writing": list(_writing)}).fetchone()
    return row is not None and bool(row[0])


def _keep(
    conn: Conn, source: str, entity: str, table: TableName, role: str, privileges: Sequence[str]
) -> None:  # fmt: skip
    arguments = {"source": source, "entity": entity, "table": str(table), "role": role, "privileges": list(privileges)}
    conn.execute(_KEEP, arguments)


def _kept(conn: Conn, source: str, entities: Collection[str]) -> list[tuple[TableName, str, list[str], str]]:
    rows = conn.execute(_KEPT, {"source": source, "entities": list(entities)}).fetchall()
    return [(TableName(schema, name), role, privileges, entity) for schema, name, role, privileges, entity in rows]


def _change(
    conn: Conn, verb: Literal["GRANT", "REVOKE"], privileges: Sequence[str], table: TableName, role: str
) -> None:  # fmt: skip
    known = [sql.SQL(one) for one in _writing if one in privileges]
    if known:
        statement = {"GRANT": sql.SQL("GRANT {} ON {} TO {}"), "REVOKE": sql.SQL("REVOKE {} ON {} FROM {}")}[verb]
        conn.execute(statement.format(sql.SQL(", ").join(known), table.identifier, sql.Identifier(role)))
