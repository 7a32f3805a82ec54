"""Whether a table's columns have the types that binary rows were made for: binary COPY casts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ashore.mapping.encoded import Encoder
from ashore.mapping.native import NativeEncoder, fastest_encoder
from ashore.mapping.plan import Plan
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName, table_name
from ashore.postgres.tables import current_schema

_TYPES: Final = """
    WITH RECURSIVE base AS (
        SELECT a.attname AS name, a.atttypid AS type FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT b.name, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
    )
    SELECT b.name, CASE WHEN t.typtype = 'e' THEN 'enum'
                        WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname
                        ELSE t.typnamespace::regnamespace || '.' || t.typname END
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype <> 'd'
"""


def binary_types(conn: Conn, table: TableName) -> dict[str, str]:
    """Column → the name of its type, of a domain's base, "enum" for any enum; empty where there is no such table."""
    return dict(conn.execute(_TYPES, {"table": str(table)}).fetchall())


def withhold_misfits(conn: Conn, encoder: Encoder, targets: Mapping[str, TableName]) -> None:
    """Leave those entities to the text path that fill a table whose types are not what their binary rows have.

    `targets` maps the names of the encoder's COPY data to tables; those of other names are not looked at.
    """
    if not isinstance(encoder, NativeEncoder):
        return
    for name, because in misfits(conn, encoder, targets).items():
        encoder.withhold(name, because)


def misfits(conn: Conn, encoder: NativeEncoder, targets: Mapping[str, TableName]) -> dict[str, str]:
    """The name of the COPY data → in which column its table differs; tables that are not there are left out."""
    found: dict[str, str] = {}
    for name, kinds in encoder.types.items():
        actual = binary_types(conn, targets[name]) if name in targets else {}
        for column, fitting in zip(encoder.columns[name], kinds, strict=True):
            kind = actual.get(column)
            if actual and kind not in fitting:
                wanted = " or ".join(sorted(fitting))
                found.setdefault(name, f"column {column!r} of table {targets[name]} is {kind}, not {wanted}")
    return found


def misfit_entities(conn: Conn, plan: Plan) -> dict[str, str]:
    """Entities of a declaration whose tables do not take binary rows, and why; of those that the native path reads."""
    encoder = fastest_encoder(plan)
    if not isinstance(encoder, NativeEncoder):
        return {}
    schema = current_schema(conn)
    owner = {table.fullname: entity.name for entity in plan.entities.values() for table in entity.tables}
    tables = {
        table.fullname: table_name(table, default_schema=schema)
        for entity in plan.entities.values()
        for table in entity.tables
    }
    return {owner[name]: because for name, because in misfits(conn, encoder, tables).items()}
