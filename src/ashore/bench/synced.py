"""The flat entity's rows and ledger, as a sync finds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from psycopg import sql

from ashore.bench.flat import flat, metadata
from ashore.ledger import loads
from ashore.ledger.schema import ensure_ledger
from ashore.local.postgres import LocalPostgres
from ashore.mapping.copy_text import entity_columns
from ashore.model.change import ChangeSource
from ashore.model.item import Item
from ashore.pipeline.load import tables_of
from ashore.postgres.connect import Conn, connect
from ashore.postgres.copy import copy_text
from ashore.postgres.names import TableName
from ashore.postgres.tables import create_missing
from ashore.sync.start import ensure_stream

plan: Final = flat.compile()
entity: Final = plan.entities["docket_entry"]


def make_table(server: LocalPostgres, base: Sequence[bytes]) -> TableName:
    """Make the ledger and the table, with the rows of these items."""
    with connect(server.dsn, application_name="ashore bench", autocommit=True) as conn:
        ensure_ledger(conn)
        create_missing(conn, list(metadata.tables.values()), default_schema="public")
        target = tables_of(conn, entity)[entity.table.fullname]
        fill(conn, target, base)
        return target


def fill(conn: Conn, target: TableName, base: Sequence[bytes]) -> None:
    """Put the rows of these items, and no others, into the table."""
    conn.execute(sql.SQL("TRUNCATE {}").format(target.identifier))
    lines = plan.encoder().encode(base).copy_data.get(entity.table.fullname, b"")
    copy_text(conn, target, entity_columns(entity), lines)
    conn.execute(sql.SQL("VACUUM ANALYZE {}").format(target.identifier))


def row_key(key: Item) -> tuple[str, str]:
    """The key of the row of an item, of which the key is enough."""
    return key["pk"]["S"].partition("|")[2], key["sk"]["S"].partition("|")[2]


def begin(conn: Conn, source: ChangeSource, *, state: str) -> int:
    """A ledger in which the entity has just been loaded, and no record has been read."""
    conn.execute("TRUNCATE ashore.stream, ashore.shard, ashore.entity, ashore.pending_change CASCADE")
    ensure_stream(conn, plan, source, {"docket_entry": []})
    record = loads.begin(conn, source=plan.name, entities=["docket_entry"], origin={}, fingerprint="", is_captured=True)
    loads.rows_ended(conn, record)
    loads.advance(conn, record, "done")
    for name, tables in (("docket_entry", [entity.table.fullname]), (loads.UNMATCHED, [])):
        loads.set_entity(conn, source=plan.name, entity=name, tables=tables, state=state, load=record.id)
    return record.id
