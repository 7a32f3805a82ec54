"""Foreign keys of tables that PostgreSQL writes: off while a stream is applied, back at the cutover.

A foreign key is only made between tables whose writes PostgreSQL takes: rows that a stream brings may come before the
rows that they refer to.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import psycopg

from ashore.ledger import taken_off
from ashore.observe.events import Finding
from ashore.postgres import catalog
from ashore.postgres.connect import Conn
from ashore.postgres.errors import refusal
from ashore.postgres.names import TableName
from ashore.postgres.violations import count_orphans

_NAME: Final = r'(?:"(?:[^"]|"")+"|[^\s."(]+)'
_referenced: Final = re.compile(rf"REFERENCES ({_NAME}\.{_NAME})")


def put_back(conn: Conn, source: str, tables: Collection[TableName]) -> None:
    """Make the foreign keys between these tables that are off, not valid yet. The caller's transaction."""
    names = {str(table) for table in tables}
    for definition, state in taken_off.taken_off(conn, source):
        found = _referenced.search(definition.create)
        refers_to = None if found is None else found[1]
        if definition.kind == "foreign_key" and state == "off" and {str(definition.table), refers_to} <= names:
            catalog.create(conn, definition)
            taken_off.set_state(conn, definition, "not_valid")


def validate(conn: Conn, source: str, tables: Collection[TableName]) -> list[Finding]:
    """Let PostgreSQL check the foreign keys that are not valid yet; return those that rows violate. In autocommit mode.

    Writers go on meanwhile.
    """
    findings = []
    for definition, state in taken_off.taken_off(conn, source):
        if definition.kind != "foreign_key" or state != "not_valid" or definition.table not in tables:
            continue
        try:
            with conn.transaction():
                catalog.validate(conn, definition)
                taken_off.is_back(conn, definition)
        except psycopg.errors.ForeignKeyViolation as error:
            rows = count_orphans(conn, definition.table, definition.name)
            table, detail = str(definition.table), refusal(error)
            findings.append(Finding(kind="foreign_key", table=table, name=definition.name, rows=rows, detail=detail))
    return findings


def take_off(conn: Conn, source: str, tables: Collection[TableName]) -> None:
    """Take the foreign keys of these tables off, and those that refer to them. The caller's transaction."""
    found = [one for one in catalog.definitions(conn, tables) if one.kind == "foreign_key"]
    taken_off.keep_definitions(conn, source, found)
    for definition in found:
        catalog.drop(conn, definition)
