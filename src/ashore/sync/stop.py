"""Ending a sync, or letting it wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from ashore.ledger import loads, pending, records, streams, taken_off
from ashore.ledger.streams import StreamRecord, StreamState
from ashore.observe.events import Finding
from ashore.postgres import catalog
from ashore.postgres.catalog import Definition
from ashore.postgres.connect import Conn
from ashore.postgres.errors import refusal
from ashore.postgres.violations import count_orphans
from ashore.sync.batches import APPLYING, CAPTURING
from ashore.sync.errors import NotBegun, StillCrossing, SyncStopped

_BEYOND: Final = frozenset({"draining", "writing", "returning"})
_SETTINGS = "SELECT set_config('lock_timeout', '10s', true), set_config('statement_timeout', '0', true)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What a stop left: entities whose rows are a copy as of now, entities whose load was given up, findings."""

    source: str
    loaded: tuple[str, ...]
    given_up: tuple[str, ...]
    findings: tuple[Finding, ...]


def set_paused(conn: Conn, source: str, *, paused: bool) -> StreamState:
    """Let the workers wait, or go on; idempotent. The stream goes on growing, and keeps 24 hours.

    Raises:
        NotBegun, SyncStopped: There is nothing to pause.
    """
    state: StreamState = "paused" if paused else "running"
    with conn.transaction():
        _known(conn, source)
        streams.set_stream_state(conn, source, state)
        if paused:  # a worker that has not heard of it yet writes no more; from when that is so is what counts
            streams.fence_shards(conn, source)
            streams.set_stream_state(conn, source, state)
        records.audit(conn, "sync pause" if paused else "sync resume", {"source": source})
    return state


def stop(conn: Conn, source: str) -> Stopped:
    """End the sync of a source: no worker writes anything after this.

    Entities that were synced keep their rows as of now, with their foreign keys made again where the rows allow; loads
    that were captured beside are given up, and their rows are discarded by the next `ashore load --sync --restart`.

    Raises:
        NotBegun, SyncStopped: There is nothing to stop.
        StillCrossing: Entities are written in PostgreSQL, or about to be; nothing was changed.
    """
    with conn.transaction():
        _known(conn, source)
        states = loads.lock_states(conn, source, exclusively=True)
        crossing = sorted(name for name, one in states.items() if one.state in _BEYOND)
        if crossing:
            raise StillCrossing(source=source, entities=tuple(crossing))
        caught = {name: one for name, one in states.items() if one.state in CAPTURING and one.is_captured}
        synced = [name for name, one in states.items() if one.state in APPLYING]
        for load in {one.load for one in caught.values() if one.load is not None}:
            loads.discard(conn, load)
            pending.forget_pending(conn, [load], list(caught))
        loads.set_state(conn, source=source, entities=list(caught), state="loading")
        loads.set_stopped(conn, source, synced)
        streams.set_stream_state(conn, source, "stopped")
        records.audit(conn, "sync stop", {"source": source, "loaded": sorted(synced), "given_up": sorted(caught)})
    findings = _put_back(conn, source, {table for name in synced for table in _tables(conn, source, name)})
    return Stopped(
        source=source,
        loaded=tuple(sorted(name for name in synced if name)),
        given_up=tuple(sorted(name for name in caught if name)),
        findings=tuple(findings),
    )


def _known(conn: Conn, source: str) -> StreamRecord:
    stream = streams.stream_of(conn, source)
    if stream is None:
        raise NotBegun(source=source)
    if stream.state == "stopped":
        raise SyncStopped(source=source)
    return stream


def _tables(conn: Conn, source: str, name: str) -> list[str]:
    return loads.entities_of(conn, source)[name].tables


def _put_back(conn: Conn, source: str, tables: set[str]) -> list[Finding]:
    findings: list[Finding] = []
    for definition, state in taken_off.taken_off(conn, source):
        if definition.kind == "foreign_key" and state == "off" and str(definition.table) in tables:
            finding = _made(conn, definition, catalog.create, "refused")
            if finding is None and definition.validate is not None:
                finding = _made(conn, definition, catalog.validate, "not_valid")
            if finding is None:
                taken_off.is_back(conn, definition)
            else:
                findings.append(finding)
    return findings


def _made(
    conn: Conn, definition: Definition, make: Callable[[Conn, Definition], Any], failed: taken_off.State
) -> Finding | None:
    try:
        with conn.transaction():
            conn.execute(_SETTINGS)
            make(conn, definition)
    except psycopg.Error as error:
        taken_off.set_state(conn, definition, failed)
        rows = count_orphans(conn, definition.table, definition.name) if failed == "not_valid" else None
        return Finding(
            kind="foreign_key", table=str(definition.table), name=definition.name, rows=rows, detail=refusal(error)
        )
    return None
