"""Triggers that note in the outbox which rows the application writes; there while PostgreSQL takes the writes.

They are statement-level triggers with transition tables: a statement that writes a million rows makes one INSERT of a
million keys. TRUNCATE is refused, since it tells no keys.

Source: https://www.postgresql.org/docs/current/sql-createtrigger.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from psycopg import sql

from ashore.mapping.plan import RESIDUE, EntityPlan, key_attributes
from ashore.mapping.pointer import token
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

_Event = Literal["INSERT", "UPDATE", "DELETE"]
_events: Final[tuple[_Event, ...]] = ("INSERT", "UPDATE", "DELETE")
_transitions: Final[dict[_Event, str]] = {
    "INSERT": "NEW TABLE AS ashore_new",
    "UPDATE": "OLD TABLE AS ashore_old NEW TABLE AS ashore_new",
    "DELETE": "OLD TABLE AS ashore_old",
}
_FUNCTION: Final = """
    CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO' SET timezone = 'UTC' SET intervalstyle = 'postgres' SET bytea_output = 'hex'
    SET extra_float_digits = 1 AS {body}
"""
_TRIGGER: Final = """
    CREATE OR REPLACE TRIGGER {trigger} AFTER {event} ON {table} REFERENCING {transition}
    FOR EACH STATEMENT EXECUTE FUNCTION {function}()
"""
_NO_TRUNCATE: Final = """
    CREATE OR REPLACE TRIGGER {trigger} BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION ashore.no_truncate()
"""


def install(conn: Conn, source: str, plan: EntityPlan, tables: Mapping[str, TableName]) -> None:
    """Let every row that is written in the entity's tables be noted from now on. The caller's transaction.

    Idempotent. Takes a SHARE ROW EXCLUSIVE lock on each table: writers that are under way end first.
    """
    for fullname, parts in _parts(plan).items():
        table = tables[fullname]
        for event in _events:
            function = sql.Identifier("ashore", _name(table, event))
            body = _body(source, plan.name, event, parts)
            conn.execute(sql.SQL(_FUNCTION).format(function=function, body=sql.Literal(body.as_string(conn))))
            conn.execute(sql.SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function))
            conn.execute(
                sql.SQL(_TRIGGER).format(
                    trigger=sql.Identifier(_trigger(event)),
                    event=sql.SQL(event),
                    table=table.identifier,
                    transition=sql.SQL(_transitions[event]),
                    function=function,
                )
            )
        conn.execute(sql.SQL(_NO_TRUNCATE).format(trigger=sql.Identifier(_trigger("TRUNCATE")), table=table.identifier))
        _switch(conn, table, "ENABLE")


def suspend(conn: Conn, plan: EntityPlan, tables: Mapping[str, TableName]) -> None:
    """Note nothing until `install` is called again. The caller's transaction. Locks as `install` does."""
    for fullname in _parts(plan):
        _switch(conn, tables[fullname], "DISABLE")


def remove(conn: Conn, plan: EntityPlan, tables: Mapping[str, TableName]) -> None:
    """Take everything off; idempotent. The caller's transaction. Takes an ACCESS EXCLUSIVE lock on each table."""
    for fullname in _parts(plan):
        table = tables[fullname]
        for event in (*_events, "TRUNCATE"):
            conn.execute(
                sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(_trigger(event)), table.identifier)
            )
        for event in _events:
            conn.execute(sql.SQL("DROP FUNCTION IF EXISTS {}()").format(sql.Identifier("ashore", _name(table, event))))


def are_installed(conn: Conn, plan: EntityPlan, tables: Mapping[str, TableName]) -> bool:
    """Whether every table has all its triggers, switched on."""
    wanted = [_trigger(event) for event in (*_events, "TRUNCATE")]
    for fullname in _parts(plan):
        row = conn.execute(
            "SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid = %s::regclass AND tgname = ANY(%s)"
            " AND tgenabled IN ('O', 'A')",
            (str(tables[fullname]), wanted),
        ).fetchone()
        if row is None or row[0] != len(wanted):
            return False
    return True


class _Part:
    """How a table's rows name the row of their item: the columns of its primary key, and what its key is made of."""

    def __init__(self, key: Sequence[str], was: Sequence[str], pointers: Sequence[str]) -> None:
        self.key = key
        self.was = was
        self.pointers = pointers


def _parts(plan: EntityPlan) -> dict[str, _Part]:
    """The entity's own table and its children's; copies are written by nobody but Ashore."""
    primary = [column.name for column in plan.table.primary_key.columns]
    pointers = [token(key.name) for key in key_attributes(plan)]
    parts = {plan.table.fullname: _Part(primary, [column.column for column in plan.key], pointers)}
    for child in plan.children:
        theirs = {ours: column for column, ours in child.parent}
        parts[child.record.table.fullname] = _Part([theirs[ours] for ours in primary], (), ())
    return parts


def _body(source: str, entity: str, event: _Event, part: _Part) -> sql.Composed:
    """One entry for each row: for one that was there before with what its key was, for a new key without."""
    old, new = _select("ashore_old", part, has_was=bool(part.was)), _select("ashore_new", part, has_was=False)
    written: sql.Composable = {"INSERT": new, "DELETE": old}.get(event, old)
    if event == "UPDATE":
        written = sql.SQL(
            "{0} UNION ALL SELECT * FROM ({1}) AS n WHERE NOT EXISTS (SELECT FROM ({0}) AS o WHERE o.key = n.key)"
        ).format(old, new)
    return sql.SQL(
        "BEGIN INSERT INTO ashore.outbox (source, entity, key, was)"
        " SELECT DISTINCT {}, {}, w.key, w.was FROM ({}) AS w; RETURN NULL; END"
    ).format(sql.Literal(source), sql.Literal(entity), written)


def _select(table: str, part: _Part, *, has_was: bool) -> sql.Composed:
    key = sql.SQL(", ").join(sql.SQL("r.{}::text").format(sql.Identifier(name)) for name in part.key)
    was: sql.Composable = sql.SQL("NULL::jsonb")
    if has_was:
        columns = [sql.SQL("{}, r.{}::text").format(sql.Literal(one), sql.Identifier(one)) for one in part.was]
        entries = [
            sql.SQL("{0}, r.{1} -> {0}").format(sql.Literal(one), sql.Identifier(RESIDUE)) for one in part.pointers
        ]
        was = sql.SQL("jsonb_build_object('columns', jsonb_build_object({}), 'residue', {})").format(
            sql.SQL(", ").join(columns),
            sql.SQL("jsonb_strip_nulls(jsonb_build_object({}))").format(sql.SQL(", ").join(entries)),
        )
    return sql.SQL("SELECT ARRAY[{}] AS key, {} AS was FROM {} AS r").format(key, was, sql.Identifier(table))


def _switch(conn: Conn, table: TableName, verb: Literal["ENABLE", "DISABLE"]) -> None:
    verbs = {"ENABLE": sql.SQL("ENABLE TRIGGER"), "DISABLE": sql.SQL("DISABLE TRIGGER")}
    parts = [sql.SQL("{} {}").format(verbs[verb], sql.Identifier(_trigger(event))) for event in (*_events, "TRUNCATE")]
    conn.execute(sql.SQL("ALTER TABLE {} {}").format(table.identifier, sql.SQL(", ").join(parts)))


def _trigger(event: str) -> str:
    """Triggers fire in the order of their names: after the application's own, whose changes count too."""
    return f"zz_ashore_outbox_{event.lower()}"


def _name(table: TableName, event: str) -> str:
    digest = hashlib.blake2b(str(table).encode(), digest_size=8).hexdigest()
    return f"outbox_{digest}_{event.lower()}"
