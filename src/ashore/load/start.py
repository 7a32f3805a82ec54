"""Beginning a load, or taking an unfinished one up again: all in one transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import psycopg
import sqlalchemy as sa

from ashore.ledger import loads, pending, records, taken_off, units
from ashore.ledger.errors import EarlierRunHoldsOn
from ashore.ledger.loads import EntityRecord, LoadRecord
from ashore.ledger.locks import lock_flow
from ashore.load.errors import CannotResume, EntityBeyondLoad, LoadInProgress, TargetHasRows, UnknownEntity
from ashore.load.order import LoadOrder, OpenLoad, fingerprint_of
from ashore.postgres import catalog, tables
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName, table_name

_STATEMENT_TIMEOUT_MS = 600_000
_loadable_states = frozenset({"declared", "loading", "loaded"})
_SET_TIMEOUTS = "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)"


def start_load(conn: Conn, order: LoadOrder) -> OpenLoad:
    """Take the lock of the flow, then begin a load or take up the unfinished one.

    A new load makes the tables that are missing and takes keys, indexes and foreign keys off all targets, after
    writing them down. With `restart`, rows of earlier loads of ours are discarded. Nothing is changed if it raises.

    Args:
        conn: In autocommit mode; it keeps the lock until it is closed.

        order: What is asked for.

    Raises:
        LoadInProgress, CannotResume, TargetHasRows, EntityBeyondLoad, UnknownEntity: As they say.
        EarlierRunHoldsOn: A worker of an earlier run does not end.
        psycopg.Error: PostgreSQL refused something.
    """
    for entity in order.entities:
        if entity not in order.plan.entities:
            raise UnknownEntity(entity=entity, known=sorted(order.plan.entities))
    source = order.plan.name
    if not lock_flow(conn, source, patience_seconds=order.limits.lock_patience_seconds):
        holder = loads.unfinished(conn, source)
        if holder is None:
            raise LoadInProgress(source=source, host=None, pid=None, since=None)
        raise LoadInProgress(source=source, host=holder.host, pid=holder.pid, since=holder.run_started_at)
    parts = order.source.units()
    fingerprint = order.fingerprint or fingerprint_of(order.make_encoding().encoder.columns)
    with conn.transaction():
        conn.execute(_SET_TIMEOUTS, (str(order.limits.lock_timeout_ms), str(_STATEMENT_TIMEOUT_MS)))
        earlier = loads.unfinished(conn, source)
        targets = _targets(conn, order)
        if earlier is not None and not order.restart:
            return _take_up(conn, order, earlier, fingerprint, targets)
        record = _begin(conn, order, earlier, fingerprint, targets)
        units.add_units(conn, record.id, record.run, parts)
        return OpenLoad(record=record, targets=targets, resumed=False)


def _take_up(
    conn: Conn, order: LoadOrder, earlier: LoadRecord, fingerprint: str, targets: Mapping[str, TableName]
) -> OpenLoad:
    difference = None
    if sorted(order.entities) != earlier.entities:
        difference = f"other entities ({', '.join(earlier.entities)})"
    elif _plain(order.source.origin) != earlier.origin:
        difference = "another origin (it reads from another table or export)"
    elif fingerprint != earlier.fingerprint:
        difference = "another declaration (the columns that it writes have changed since)"
    elif order.is_captured is not earlier.is_captured:
        difference = "the stream captured beside it" if earlier.is_captured else "no stream captured beside it"
    if difference is not None:
        raise CannotResume(source=earlier.source, difference=difference)
    record = loads.take_over(conn, earlier.id)
    try:
        units.take_over_units(conn, record.id, record.run)
    except psycopg.errors.LockNotAvailable:
        raise EarlierRunHoldsOn(source=record.source) from None
    return OpenLoad(record=record, targets=targets, resumed=True)


def _begin(
    conn: Conn, order: LoadOrder, earlier: LoadRecord | None, fingerprint: str, targets: Mapping[str, TableName]
) -> LoadRecord:
    source = order.plan.name
    loads.lock_states(conn, source, exclusively=True)
    known = loads.entities_of(conn, source)
    for entity in order.entities:
        if entity in known and known[entity].state not in _loadable_states | _restartable(order):
            raise EntityBeyondLoad(entity=entity, state=known[entity].state)
    given_up = set() if earlier is None else set(earlier.entities) - set(order.entities)
    wanted = set(targets.values())
    discarded = _earlier_targets(conn, known, {*order.entities, *given_up}, wanted)
    for table in sorted(wanted):
        if tables.exists(conn, table) and tables.has_rows(conn, table) and not (order.restart and table in discarded):
            raise TargetHasRows(table=str(table), ours=table in discarded)
    if order.restart:
        _take_off(conn, source, discarded)
        tables.truncate(conn, discarded)
        _put_keys_back(conn, source, discarded)
        if earlier is not None:
            loads.discard(conn, earlier.id)
        loads.set_state(conn, source=source, entities=sorted(given_up), state="declared")
    tables.create_missing(conn, _declared(order), default_schema=tables.current_schema(conn))
    _take_off(conn, source, wanted | (discarded if order.restart else set()))
    record = loads.begin(
        conn,
        source=source,
        entities=order.entities,
        origin=_plain(order.source.origin),
        fingerprint=fingerprint,
        is_captured=order.is_captured,
    )
    loads.forget_rejected(conn, record)
    _set_loading(conn, order, record, known, targets)
    detail = {
        "source": source,
        "load": record.id,
        "entities": record.entities,
        "restart": order.restart,
        "discarded": sorted(map(str, discarded)) if order.restart else [],
    }
    records.audit(conn, "load", detail)
    return record


def _earlier_targets(
    conn: Conn, known: Mapping[str, EntityRecord], entities: Collection[str], wanted: Collection[TableName]
) -> set[TableName]:
    """The tables that earlier loads of these entities filled and that are still there."""
    ours = _tables_of_ours(known)
    by_text = {str(table): table for table in wanted}
    found = set()
    for text in {text for entity in entities for text in ours.get(entity, frozenset())}:
        table = by_text.get(text) or _parsed(conn, text)
        if table is not None and tables.exists(conn, table):
            found.add(table)
    return found


def _set_loading(
    conn: Conn,
    order: LoadOrder,
    record: LoadRecord,
    known: Mapping[str, EntityRecord],
    targets: Mapping[str, TableName],
) -> None:
    """Set the entities' states; what waited for an earlier attempt of theirs counts for nothing now."""
    source = order.plan.name
    names = [*order.entities, *([loads.UNMATCHED] if order.is_captured else [])]
    earlier = {known[name].load for name in names if name in known}
    pending.forget_pending(conn, [load for load in earlier if load is not None], names)
    pending.forget_parked(conn, source, names)
    for name in names:
        declared = order.plan.entities[name].tables if name != loads.UNMATCHED else ()
        found = [str(targets[table.fullname]) for table in declared]
        loads.set_entity(conn, source=source, entity=name, tables=found, state="loading", load=record.id)


def _restartable(order: LoadOrder) -> frozenset[str]:
    """The states, besides those that are loadable, in which an attempt may be given up for a new one."""
    return frozenset({"merging", "syncing"}) if order.restart else frozenset()


def _put_keys_back(conn: Conn, source: str, emptied: Collection[TableName]) -> None:
    """Make the keys of emptied tables again: a table that is about to be made may refer to them."""
    for definition, state in taken_off.taken_off(conn, source):
        if state == "off" and definition.table in emptied and definition.kind in {"primary_key", "unique"}:
            catalog.create(conn, definition)
            taken_off.is_back(conn, definition)


def _take_off(conn: Conn, source: str, targets: set[TableName]) -> None:
    found = catalog.definitions(conn, targets)
    taken_off.keep_definitions(conn, source, found)
    taken_off.try_again(conn, source, targets)
    for definition in found:
        catalog.drop(conn, definition)


def _targets(conn: Conn, order: LoadOrder) -> dict[str, TableName]:
    default_schema = tables.current_schema(conn)
    return {table.fullname: table_name(table, default_schema=default_schema) for table in _declared(order)}


def _declared(order: LoadOrder) -> list[sa.Table]:
    return [table for entity in order.entities for table in order.plan.entities[entity].tables]


def _tables_of_ours(known: Mapping[str, EntityRecord]) -> dict[str, frozenset[str]]:
    ours = {"loading", "loaded", "merging", "syncing"}
    return {name: frozenset(record.tables) for name, record in known.items() if record.state in ours}


def _parsed(conn: Conn, text: str) -> TableName | None:
    row = conn.execute(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)",
        (text,),
    ).fetchone()
    return None if row is None else TableName(row[0], row[1])


def _plain(origin: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(origin)))
    return plain
