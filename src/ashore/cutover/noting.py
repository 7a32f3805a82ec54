"""Triggers that note in the outbox which rows the application writes; there while PostgreSQL takes the writes.

They are statement-level triggers with transition tables: a statement that writes a million rows makes one INSERT of a
million keys. TRUNCATE is refused, since it tells no keys.

Source: https://www.postgresql.org/docs/current/sql-createtrigger.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from psycopg import sql

from ashore.mapping.plan import EXTRA, RESIDUE, EntityPlan, key_attributes
from ashore.mapping.pointer import token
from ashore.mapping.rebuilt import told_columns
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


def install(
    conn: Conn, source: str, plan: EntityPlan, tables: Mapping[str, TableName], *, to_write_back: bool = True
) -> None:
    """Let every row that is written in the entity's tables be noted from now on. The caller's transaction.

    Without `to_write_back` what is noted is for the feed of OpenSearch alone.

    Idempotent. Takes a SHARE ROW EXCLUSIVE lock on each table: writers that are under way end first.
    """
    refresh(conn, source, plan, tables, to_write_back=to_write_back)
    for fullname in _parts(plan):
        table = tables[fullname]
        for event in _events:
            conn.execute(
                sql.SQL(_TRIGGER).format(
                    trigger=sql.Identifier(_trigger(event)),
                    event=sql.SQL(event),
                    table=table.identifier,
                    transition=sql.SQL(_transitions[event]),
                    function=sql.Identifier("ashore", _name(table, event)),
                )
            )
        conn.execute(sql.SQL(_NO_TRUNCATE).format(trigger=sql.Identifier(_trigger("TRUNCATE")), table=table.identifier))
        _switch(conn, table, "ENABLE")


def refresh(conn: Conn, source: str, plan: EntityPlan, tables: Mapping[str, TableName], *, to_write_back: bool) -> None:
    """Let the triggers that there are note what the declaration, which may have changed, now needs. Locks no table.

    The caller's transaction, and one at a time: PostgreSQL refuses to replace a function that another is replacing.
    """
    for fullname, part in _parts(plan).items():
        for event in _events:
            function = sql.Identifier("ashore", _name(tables[fullname], event))
            body = _body(source, plan.name, event, part, to_write_back=to_write_back)
            conn.execute(sql.SQL(_FUNCTION).format(function=function, body=sql.Literal(body.as_string(conn))))
            conn.execute(sql.SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function))


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


@dataclass(frozen=True, slots=True)
class _Part:
    """What a table's rows say of the row of their item.

    Attributes:
        key: The columns of its primary key.
        was: The columns that keys of its item, copies and mirrors are made of; empty for a table of children.
        pointers: The residue's entries that its item's own key is made of.
        compared: The columns whose changes are told; empty for an entity without copies.
        child: The attribute that rows of a table of children are in, where the entity has copies.
    """

    key: Sequence[str]
    was: Sequence[str] = ()
    pointers: Sequence[str] = ()
    compared: Sequence[str] = ()
    child: str | None = None


def _parts(plan: EntityPlan) -> dict[str, _Part]:
    """The entity's own table and its children's; copies are written by nobody but Ashore."""
    primary = [column.name for column in plan.table.primary_key.columns]
    pointers = [token(key.name) for key in key_attributes(plan)]
    has_copies = plan.copies is not None
    compared = list(plan.column_types) if has_copies else ()
    parts = {plan.table.fullname: _Part(primary, told_columns(plan), pointers, compared)}
    for child in plan.children:
        theirs = {ours: column for column, ours in child.parent}
        name = child.attribute if has_copies else None
        parts[child.record.table.fullname] = _Part([theirs[ours] for ours in primary], child=name)
    return parts


def _body(source: str, entity: str, event: _Event, part: _Part, *, to_write_back: bool) -> sql.Composed:
    """One entry for each row: for one that was there before with what its key was, for a new key without."""
    old, new = _old(part, event), _select("ashore_new", part, _child(part))
    written: sql.Composable = {"INSERT": new, "DELETE": old}.get(event, old)
    if event == "UPDATE":
        written = sql.SQL(
            "{0} UNION ALL SELECT * FROM ({1}) AS n WHERE NOT EXISTS (SELECT FROM ({0}) AS o WHERE o.key = n.key)"
        ).format(old, new)
    return sql.SQL(
        "BEGIN INSERT INTO ashore.outbox (source, entity, key, was, back)"
        " SELECT DISTINCT {}, {}, w.key, w.was, {} FROM ({}) AS w; RETURN NULL; END"
    ).format(sql.Literal(source), sql.Literal(entity), sql.Literal(to_write_back), written)


def _select(table: str, part: _Part, was: sql.Composable) -> sql.Composed:
    key = sql.SQL(", ").join(sql.SQL("r.{}::text").format(sql.Identifier(name)) for name in part.key)
    return sql.SQL("SELECT ARRAY[{}] AS key, {}::jsonb AS was FROM {} AS r").format(key, was, sql.Identifier(table))


def _child(part: _Part) -> sql.Composable:
    return sql.NULL if part.child is None else sql.Literal(json.dumps({"child": part.child}))


def _old(part: _Part, event: _Event) -> sql.Composed:
    """Rows that were there before; where copies may follow them, with what was changed of those that still are."""
    if not part.was:
        return _select("ashore_old", part, _child(part))
    columns = [sql.SQL("{}, r.{}::text").format(sql.Literal(one), sql.Identifier(one)) for one in part.was]
    entries = [sql.SQL("{0}, r.{1} -> {0}").format(sql.Literal(one), sql.Identifier(RESIDUE)) for one in part.pointers]
    was = sql.SQL("'columns', jsonb_build_object({}), 'residue', {}").format(
        sql.SQL(", ").join(columns),
        sql.SQL("jsonb_strip_nulls(jsonb_build_object({}))").format(sql.SQL(", ").join(entries)),
    )
    if not part.compared:
        return _select("ashore_old", part, sql.SQL("jsonb_build_object({})").format(was))
    if event == "DELETE":
        return _select("ashore_old", part, sql.SQL("jsonb_build_object({}, 'gone', true)").format(was))
    is_gone = sql.SQL("n.{} IS NULL").format(sql.Identifier(part.key[0]))
    told = sql.SQL("jsonb_build_object({}, 'gone', {}, 'changed', {})").format(was, is_gone, _changed(part.compared))
    same = [sql.SQL("r.{0} = n.{0}").format(sql.Identifier(name)) for name in part.key]
    return _select("ashore_old", part, told) + sql.SQL(" LEFT JOIN ashore_new AS n ON ") + sql.SQL(" AND ").join(same)


def _changed(columns: Sequence[str]) -> sql.Composed:
    """The names of what differs between an old row r and the new row n of its key."""
    differs = sql.SQL("CASE WHEN r.{0}::text IS DISTINCT FROM n.{0}::text THEN {1} END")
    named = [differs.format(sql.Identifier(name), sql.Literal(name)) for name in columns]
    return sql.SQL(
        "jsonb_build_object('columns', to_jsonb(array_remove(ARRAY[{}]::text[], NULL)), 'extra', {}, 'residue', {})"
    ).format(sql.SQL(", ").join(named), _differing_names(EXTRA), _differing_names(RESIDUE))


def _differing_names(column: str) -> sql.Composed:
    old, new = (
        sql.SQL("CASE WHEN jsonb_typeof({0}.{1}) = 'object' THEN {0}.{1} ELSE '{{}}' END").format(
            sql.SQL(alias), sql.Identifier(column)
        )
        for alias in ("r", "n")
    )
    return sql.SQL(
        "(SELECT coalesce(jsonb_agg(k.name), '[]') FROM ("
        "SELECT jsonb_object_keys({0}) AS name UNION SELECT jsonb_object_keys({1})) AS k"
        " WHERE ({0}) -> k.name IS DISTINCT FROM ({1}) -> k.name)"
    ).format(old, new)


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
