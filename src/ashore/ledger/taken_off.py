"""What was taken off a table for a load, kept until it is back, so that a killed load still restores it exactly."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

from ashore.postgres.catalog import Definition
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

State = Literal["off", "not_valid", "refused"]

_KEEP = """
    INSERT INTO ashore.taken_off (source, schema_name, table_name, kind, name, drop_ddl, create_ddl, after_ddl,
                                  validate_ddl, tablespace)
    VALUES (%(source)s, %(schema)s, %(table)s, %(kind)s, %(name)s, %(drop)s, %(create)s, %(after)s, %(validate)s,
            %(tablespace)s)
    ON CONFLICT (schema_name, table_name, name) DO UPDATE
    SET source = excluded.source, kind = excluded.kind, drop_ddl = excluded.drop_ddl,
        create_ddl = excluded.create_ddl, after_ddl = excluded.after_ddl,
        validate_ddl = coalesce(excluded.validate_ddl, taken_off.validate_ddl), tablespace = excluded.tablespace,
        state = 'off', taken_off_at = clock_timestamp()
"""
_ALL = """
    SELECT schema_name, table_name, kind, name, drop_ddl, create_ddl, after_ddl, validate_ddl, tablespace, state
    FROM ashore.taken_off WHERE source = %s ORDER BY id
"""
_BACK = "DELETE FROM ashore.taken_off WHERE schema_name = %(schema)s AND table_name = %(table)s AND name = %(name)s"
_SET = """
    UPDATE ashore.taken_off SET state = %(state)s
    WHERE schema_name = %(schema)s AND table_name = %(table)s AND name = %(name)s
"""
_TRY_AGAIN = """
    UPDATE ashore.taken_off SET state = 'off'
    WHERE source = %(source)s AND state = 'refused' AND schema_name || '.' || table_name = ANY(%(tables)s)
"""


def keep_definitions(conn: Conn, source: str, definitions: Sequence[Definition]) -> None:
    """Write down what is about to be dropped, in the transaction that drops it."""
    with conn.cursor() as cursor:
        cursor.executemany(_KEEP, [{"source": source, **_arguments(definition)} for definition in definitions])


def taken_off(conn: Conn, source: str) -> list[tuple[Definition, State]]:
    """What is off, or not valid yet, for this source, in the order in which it was taken off."""
    return [(_definition(row), row[9]) for row in conn.execute(_ALL, (source,))]


def is_back(conn: Conn, definition: Definition) -> None:
    """Forget a definition, in the transaction that put it back whole."""
    conn.execute(_BACK, _name(definition))


def set_state(conn: Conn, definition: Definition, state: State) -> None:
    """Note that a definition is back but not valid, or that PostgreSQL refused to make it again."""
    conn.execute(_SET, {"state": state, **_name(definition)})


def try_again(conn: Conn, source: str, tables: Collection[TableName]) -> None:
    """Put what was refused in an earlier attempt among what is to be made again."""
    conn.execute(_TRY_AGAIN, {"source": source, "tables": [f"{table.schema}.{table.name}" for table in tables]})


def _name(definition: Definition) -> dict[str, str]:
    return {"schema": definition.table.schema, "table": definition.table.name, "name": definition.name}


def _arguments(definition: Definition) -> dict[str, Any]:
    return {
        **_name(definition),
        "kind": definition.kind,
        "drop": definition.drop,
        "create": definition.create,
        "after": list(definition.after),
        "validate": definition.validate,
        "tablespace": definition.tablespace,
    }


def _definition(row: tuple[Any, ...]) -> Definition:
    return Definition(
        table=TableName(row[0], row[1]),
        kind=row[2],
        name=row[3],
        drop=row[4],
        create=row[5],
        after=tuple(row[6]),
        validate=row[7],
        tablespace=row[8],
    )
