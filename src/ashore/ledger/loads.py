"""Loads: what was begun, by whom, from where, and the state of each entity."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ashore.ledger.errors import LeaseLost
from ashore.ledger.locks import wait_in_line
from ashore.ledger.units import take_over_units
from ashore.postgres.connect import Conn, one_row

Purpose = Literal["load", "verify"]
Phase = Literal["rows", "keys", "done", "discarded"]
UNMATCHED: Final = ""
"""Under this name the ledger keeps the state of items that no pattern matches, as if they were an entity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRecord:
    """A row of `ashore.load`."""

    id: int
    source: str
    purpose: Purpose
    attempt: int
    entities: list[str]
    origin: dict[str, Any]
    fingerprint: str
    phase: Phase
    run: int
    host: str
    pid: int
    started_at: datetime
    run_started_at: datetime
    is_captured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityRecord:
    """A row of `ashore.entity`; `tables` are names as `regclass` reads them."""

    entity: str
    tables: list[str]
    state: str
    load: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedLoad:
    """A load whose rows are there, and whose captured changes are not merged yet."""

    load: int
    rows_ended_at: datetime
    entities: list[str]


_DECLARE = """
    INSERT INTO ashore.entity (source, entity, tables, state) VALUES (%(source)s, %(entity)s, %(tables)s, 'declared')
    ON CONFLICT (source, entity) DO NOTHING
"""
_SYNCED_TABLES = """
    SELECT e.tables FROM ashore.entity e JOIN ashore.load l ON l.id = e.load
    WHERE e.source = %s AND l.is_captured AND e.state NOT IN ('declared', 'loaded')
"""
_CAPTURED = """
    SELECT l.id AS load, l.rows_ended_at, array_agg(e.entity ORDER BY e.entity) AS entities
    FROM ashore.entity e JOIN ashore.load l ON l.id = e.load
    WHERE e.source = %s AND e.state = 'merging' AND l.phase = 'done' AND l.rows_ended_at IS NOT NULL
    GROUP BY l.id ORDER BY l.id
"""
_UNFINISHED = """
    SELECT id, source, purpose, attempt, entities, origin, fingerprint, phase, run, host, pid, started_at,
        run_started_at, is_captured FROM ashore.load
    WHERE source = %(source)s AND purpose = %(purpose)s AND phase IN ('rows', 'keys')
"""
_LAST = """
    SELECT id, source, purpose, attempt, entities, origin, fingerprint, phase, run, host, pid, started_at,
        run_started_at, is_captured FROM ashore.load WHERE source = %(source)s AND purpose = %(purpose)s
    ORDER BY attempt DESC LIMIT 1
"""
_BEGIN = """
    INSERT INTO ashore.load (source, purpose, attempt, entities, origin, fingerprint, phase, host, pid, is_captured)
    SELECT %(source)s, %(purpose)s, coalesce(max(attempt), 0) + 1, %(entities)s, %(origin)s, %(fingerprint)s, 'rows',
           %(host)s, %(pid)s, %(is_captured)s
    FROM ashore.load WHERE source = %(source)s AND purpose = %(purpose)s
    RETURNING id, source, purpose, attempt, entities, origin, fingerprint, phase, run, host, pid, started_at,
        run_started_at, is_captured
"""
_TAKE_OVER = """
    UPDATE ashore.load SET run = run + 1, host = %(host)s, pid = %(pid)s, run_started_at = clock_timestamp()
    WHERE id = %(load)s
    RETURNING id, source, purpose, attempt, entities, origin, fingerprint, phase, run, host, pid, started_at,
        run_started_at, is_captured
"""
_ADVANCE = """
    UPDATE ashore.load SET phase = %(phase)s,
        ended_at = CASE WHEN %(phase)s IN ('done', 'discarded') THEN clock_timestamp() END
    WHERE id = %(load)s AND run = %(run)s
"""
_IS_MINE = "SELECT 1 FROM ashore.load WHERE id = %(load)s AND run = %(run)s"
_DISCARD = """
    UPDATE ashore.load SET phase = 'discarded', run = run + 1, ended_at = clock_timestamp() WHERE id = %s RETURNING run
"""
_FORGET_REJECTED = (
    "DELETE FROM ashore.rejected_item WHERE source = %(source)s AND load <> %(load)s"
    " AND (entity = ANY(%(entities)s) OR entity IS NULL)"
)
_DISCARD_REJECTED = "DELETE FROM ashore.rejected_item WHERE load = %s"
_REPORT = "UPDATE ashore.load SET report = %(report)s WHERE id = %(load)s"
_LOCKED_STATES = """
    SELECT e.entity, e.state, e.load, coalesce(l.phase <> 'discarded' AND l.is_captured, false)
    FROM ashore.entity e LEFT JOIN ashore.load l ON l.id = e.load WHERE e.source = %s ORDER BY e.entity
"""
_ENTITIES = "SELECT entity, tables, state, load FROM ashore.entity WHERE source = %s ORDER BY entity"
_SET_ENTITY = """
    INSERT INTO ashore.entity (source, entity, tables, state, load)
    VALUES (%(source)s, %(entity)s, %(tables)s, %(state)s, %(load)s)
    ON CONFLICT (source, entity) DO UPDATE
    SET tables = excluded.tables, state = excluded.state, load = excluded.load, since = clock_timestamp(), as_of = NULL
"""
_SET_STATE = """
    UPDATE ashore.entity SET state = %(state)s, since = clock_timestamp(), as_of = NULL
    WHERE source = %(source)s AND entity = ANY(%(entities)s)
"""
_STOPPED = """
    UPDATE ashore.entity e SET state = 'loaded', since = clock_timestamp(), as_of = f.as_of
    FROM ashore.entity s LEFT JOIN ashore.freshness f ON f.source = s.source AND f.entity = s.entity
    WHERE s.source = %(source)s AND s.entity = ANY(%(entities)s) AND e.source = s.source AND e.entity = s.entity
"""


def unfinished(conn: Conn, source: str, *, purpose: Purpose = "load") -> LoadRecord | None:
    """The load of this source that has not ended, if one."""
    return _one(conn, _UNFINISHED, {"source": source, "purpose": purpose})


def last(conn: Conn, source: str, *, purpose: Purpose = "load") -> LoadRecord | None:
    """The newest load of this source, in whatever phase."""
    return _one(conn, _LAST, {"source": source, "purpose": purpose})


def begin(  # noqa: PLR0913 (the columns of a load)
    conn: Conn,
    *,
    source: str,
    entities: Sequence[str],
    origin: Mapping[str, Any],
    fingerprint: str,
    purpose: Purpose = "load",
    is_captured: bool = False,
) -> LoadRecord:
    """Begin a new attempt. There must be no unfinished one of this source and purpose.

    `is_captured` says that the stream is captured beside it, so that it ends in `merging`.
    """
    arguments = {
        "source": source,
        "purpose": purpose,
        "entities": sorted(entities),
        "origin": Jsonb(dict(origin)),
        "fingerprint": fingerprint,
        "is_captured": is_captured,
        **_this_process(),
    }
    with conn.cursor(row_factory=class_row(LoadRecord)) as cursor:
        return one_row(cursor.execute(_BEGIN, arguments))


def take_over(conn: Conn, load: int) -> LoadRecord:
    """Begin a new run of an unfinished load: from its commit on, no worker of an earlier run can write."""
    with conn.cursor(row_factory=class_row(LoadRecord)) as cursor:
        return one_row(cursor.execute(_TAKE_OVER, {"load": load, **_this_process()}))


def advance(conn: Conn, record: LoadRecord, phase: Phase) -> None:
    """Set the phase of a load.

    Raises:
        LeaseLost: Another run has taken the load over.
    """
    if conn.execute(_ADVANCE, {"load": record.id, "run": record.run, "phase": phase}).rowcount != 1:
        raise LeaseLost(unit=f"the load of {record.source}")


def assert_mine(conn: Conn, record: LoadRecord) -> None:
    """Do nothing while this run is the load's newest.

    Raises:
        LeaseLost: Another run has taken the load over.
    """
    if conn.execute(_IS_MINE, {"load": record.id, "run": record.run}).fetchone() is None:
        raise LeaseLost(unit=f"the load of {record.source}")


def discard(conn: Conn, load: int) -> None:
    """Mark a load as discarded: its rows and rejected items count for nothing, and its workers can write no more.

    Waits for transactions of these.
    """
    [(run,)] = conn.execute(_DISCARD, (load,)).fetchall()
    take_over_units(conn, load, run)
    conn.execute(_DISCARD_REJECTED, (load,))


def forget_rejected(conn: Conn, record: LoadRecord) -> None:
    """Drop the rejected items of earlier loads of the same entities, or of none: the new load meets them again."""
    conn.execute(_FORGET_REJECTED, {"source": record.source, "load": record.id, "entities": record.entities})


def keep_report(conn: Conn, load: int, report: Mapping[str, Any]) -> None:
    """Store a load's report."""
    conn.execute(_REPORT, {"load": load, "report": Jsonb(dict(report))})


def entities_of(conn: Conn, source: str) -> dict[str, EntityRecord]:
    """The entities of a source that the ledger knows, by name; "" are the items that no pattern matches."""
    with conn.cursor(row_factory=class_row(EntityRecord)) as cursor:
        return {record.entity: record for record in cursor.execute(_ENTITIES, (source,))}


@dataclass(frozen=True, slots=True)
class LockedState:
    """An entity's state while it is locked. `is_captured` says that its load goes on beside a captured stream."""

    state: str
    load: int | None
    is_captured: bool


def lock_states(conn: Conn, source: str, *, exclusively: bool = False) -> dict[str, LockedState]:
    """The states of a source's entities, which stay as they are until the caller's transaction ends.

    Share locks do not keep each other out; an exclusive one waits for all, and no state changes under a share lock. Who
    comes after one that waits for an exclusive lock comes behind it: locks of rows alone would let batches that overlap
    each other keep a cutover waiting for as long as they go on.
    """
    wait_in_line(conn, source, alone=exclusively)
    lock = " FOR UPDATE OF e" if exclusively else " FOR SHARE OF e"
    rows = conn.execute(f"{_LOCKED_STATES}{lock}".encode(), (source,))
    return {entity: LockedState(state, load, is_captured) for entity, state, load, is_captured in rows}


def declare_entities(conn: Conn, source: str, entities: Mapping[str, Sequence[str]]) -> None:
    """Let the ledger know entities (name → tables) that it has not met, as declared."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _DECLARE, [{"source": source, "entity": name, "tables": list(found)} for name, found in entities.items()]
        )


def captured_loads(conn: Conn, source: str) -> list[CapturedLoad]:
    """The loads of entities that are merging."""
    with conn.cursor(row_factory=class_row(CapturedLoad)) as cursor:
        return cursor.execute(_CAPTURED, (source,)).fetchall()


def synced_tables(conn: Conn, source: str) -> set[str]:
    """The tables of the entities into which the stream flows, now or once they are merged."""
    rows = conn.execute(_SYNCED_TABLES, (source,))
    return {table for (tables,) in rows for table in tables}


def rows_ended(conn: Conn, record: LoadRecord) -> None:
    """Note the moment after which this load read nothing more."""
    conn.execute("UPDATE ashore.load SET rows_ended_at = clock_timestamp() WHERE id = %s", (record.id,))


def set_entity(conn: Conn, *, source: str, entity: str, tables: Sequence[str], state: str, load: int | None) -> None:
    """Write an entity's tables, state and load."""
    conn.execute(
        _SET_ENTITY, {"source": source, "entity": entity, "tables": list(tables), "state": state, "load": load}
    )


def set_state(conn: Conn, *, source: str, entities: Sequence[str], state: str) -> None:
    """Write the state of entities that the ledger knows."""
    conn.execute(_SET_STATE, {"source": source, "entities": list(entities), "state": state})


def set_stopped(conn: Conn, source: str, entities: Sequence[str]) -> None:
    """Let synced entities be copies as of now, and remember which moment that is for their rows."""
    conn.execute(_STOPPED, {"source": source, "entities": list(entities)})


def _one(conn: Conn, statement: LiteralString, arguments: Mapping[str, Any]) -> LoadRecord | None:
    with conn.cursor(row_factory=class_row(LoadRecord)) as cursor:
        return cursor.execute(statement, arguments).fetchone()


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid()}
