"""The switches themselves: each one transaction that looks at everything it depends on once more, and then moves.

A switch takes the exclusive lock on the states first, so no batch of the stream is under way while it looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg import sql

from ashore.cutover import foreign_keys, guard, noting, sequences
from ashore.cutover.errors import NoWayBack
from ashore.ledger import crossing, echoes, feeds, loads, outbox, pending, records, repairs, waivers
from ashore.ledger.crossing import HeldState, OpenState
from ashore.ledger.errors import StateMoved
from ashore.ledger.passing import passing
from ashore.mapping.plan import Plan
from ashore.postgres.connect import Conn, one_row
from ashore.postgres.names import TableName

_WRITTEN: Final = frozenset({"writing", "returning", "retired"})
_LOCK_TIMEOUT: Final = """
    SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', '30s', true),
           set_config('idle_in_transaction_session_timeout', '15s', true)
"""
"""The last is for a process that is frozen within its transaction, as a laptop's are: it would keep the states locked,
and every application waiting that asks once the hold is overdue."""
_WAITING: Final = """
    SELECT (SELECT count(*) FROM ashore.repair
            WHERE source = %(source)s AND (entity = ANY(%(entities)s) OR entity IS NULL)),
           (SELECT count(*) FROM ashore.gap WHERE source = %(source)s AND repaired_at IS NULL)
"""


class NotYet(Exception):
    """What a switch depends on does not hold at the moment. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A hold of entities' writes: nobody new is told otherwise after `at`; `epochs` tell it from any other."""

    epochs: Mapping[str, int]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Entities whose writes move together, and where their rows are (full names of declared tables → tables).

    `lock_timeout_ms` is how long a switch waits for a table's lock, with its writers behind it: for longer than
    PostgreSQL's `deadlock_timeout`, after which it ends an autovacuum that stands in the way, and no earlier.
    """

    plan: Plan
    entities: tuple[str, ...]
    tables: Mapping[str, TableName]
    lock_timeout_ms: int = 1_500

    @property
    def source(self) -> str:
        """The source's name."""
        return self.plan.name

    @property
    def own_tables(self) -> list[TableName]:
        """All tables of these entities."""
        return [self.tables[table.fullname] for name in self.entities for table in self.plan.entities[name].tables]

    @property
    def written_tables(self) -> list[TableName]:
        """The tables that the application writes: not those of copies."""
        found = []
        for name in self.entities:
            entity = self.plan.entities[name]
            found += [self.tables[one.fullname] for one in (entity.table, *(c.record.table for c in entity.children))]
        return found


def guard_up(conn: Conn, one: Crossing, roles: Sequence[str]) -> None:
    """Keep the application from writing to the tables before anything else is done; idempotent.

    Raises:
        RoleMayStillWrite: Nothing was changed.
        StateMoved: PostgreSQL takes their writes already, or held them a moment ago. Nothing was changed.
    """
    with conn.transaction():
        conn.execute(_LOCK_TIMEOUT, (f"{one.lock_timeout_ms}ms",))
        states = loads.lock_states(conn, one.source)
        if any(name in states and states[name].state in _WRITTEN for name in one.entities):
            raise StateMoved(entities=one.entities, expected=("syncing", "reading"))
        for name in one.entities:
            entity = one.plan.entities[name]
            tables = [one.tables[table.fullname] for table in entity.tables]
            guard.put_up(conn, source=one.source, entity=name, tables=tables, roles=roles)


def hold(conn: Conn, one: Crossing, *, expected: Sequence[str], to: HeldState, seconds: float) -> Held:
    """Hold the writes.

    Raises:
        StateMoved, NoWayBack, RoleMayStillWrite: Nothing was changed.
    """
    with conn.transaction():
        conn.execute(_LOCK_TIMEOUT, ("10s",))
        loads.lock_states(conn, one.source, exclusively=True)
        epochs = crossing.hold(
            conn, source=one.source, entities=one.entities, expected=expected, to=to, seconds=seconds
        )
        if to == "returning":
            if missing := not_written_back(conn, one):
                raise NoWayBack(entities=missing)
            guard.shut_out(conn, one.source, one.entities)
        records.audit(conn, to, {"source": one.source, "entities": list(one.entities), "seconds": seconds})
    return Held(epochs=epochs, at=one_row(conn.execute("SELECT clock_timestamp()"))[0])


def not_written_back(conn: Conn, one: Crossing) -> tuple[str, ...]:
    """Of entities that PostgreSQL writes, those whose rows are not noted to be written back."""
    return tuple(name for name in one.entities if not noting.are_installed(conn, one.plan.entities[name], one.tables))


def to_writing(conn: Conn, one: Crossing, held: Held, fence: datetime, *, has_way_back: bool) -> str:
    """Let PostgreSQL take the writes, if the stream was read past the fence; return how that is known.

    Raises:
        NotYet: Something has to be waited for.
        StateMoved: The entities were sent back meanwhile, be they held again or not.
        psycopg.errors.LockNotAvailable: A table is locked by another session for too long; try again.
    """
    with conn.transaction():
        conn.execute(_LOCK_TIMEOUT, (f"{one.lock_timeout_ms}ms",))
        loads.lock_states(conn, one.source, exclusively=True)
        by = _passed(conn, one, fence)
        _nothing_waits(conn, one)
        sequences.catch_up(conn, one.own_tables)
        echoes.forget_heard(conn, one.source, fence)
        foreign_keys.put_back(conn, one.source, [*one.own_tables, *_written_already(conn, one)])
        for name in one.entities if has_way_back else ():
            noting.install(conn, one.source, one.plan.entities[name], one.tables)
        guard.let_in(conn, one.source, one.entities)
        _move(conn, one, held, "draining", "writing")
        detail = {"source": one.source, "entities": list(one.entities), "passed": by, "way_back": has_way_back}
        records.audit(conn, "writing", detail)
    return by


def wait_for_writers(conn: Conn, one: Crossing) -> None:
    """Return once every transaction has ended that wrote to the tables before their writers were shut out.

    Raises:
        psycopg.errors.LockNotAvailable: One has not; try again.
    """
    for table in one.written_tables:
        with conn.transaction():
            conn.execute(_LOCK_TIMEOUT, (f"{one.lock_timeout_ms}ms",))
            conn.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(table.identifier))


def assert_written_back(conn: Conn, one: Crossing) -> None:
    """Do nothing once everything that these entities' rows say is in DynamoDB.

    Raises:
        NotYet: Something is not.
    """
    left = outbox.count_entries(conn, one.source, one.entities)
    if left:
        raise NotYet(f"{left:,} rows are not in DynamoDB yet")


def to_syncing(conn: Conn, one: Crossing, held: Held, fence: datetime) -> str:
    """Let DynamoDB take the writes again, if the stream was read past the fence; return how that is known.

    Raises as `to_writing`.
    """
    with conn.transaction():
        conn.execute(_LOCK_TIMEOUT, (f"{one.lock_timeout_ms}ms",))
        loads.lock_states(conn, one.source, exclusively=True)
        by = _passed(conn, one, fence)
        assert_written_back(conn, one)
        if fed := sorted(feeds.feeds(conn, one.source).keys() & set(one.entities)):
            raise NotYet(f"Ashore feeds an index with {', '.join(fed)}")
        foreign, _ = waivers.count_obstacles(conn, one.source, "foreign", one.entities)
        if foreign:
            raise NotYet(f"{foreign:,} writes of others in DynamoDB are not decided on")
        for name in one.entities:
            noting.suspend(conn, one.plan.entities[name], one.tables)
        outbox.forget(conn, one.source, one.entities)
        repairs.ask_for_parked(conn, one.source, one.entities)
        foreign_keys.take_off(conn, one.source, one.own_tables)
        _move(conn, one, held, "returning", "syncing")
        records.audit(conn, "syncing", {"source": one.source, "entities": list(one.entities), "passed": by})
    return by


def to_retired(conn: Conn, one: Crossing) -> None:
    """Close the way back for good: nothing is noted for it any more, and nothing guarded.

    Raises:
        StateMoved: PostgreSQL does not take the writes. Nothing was changed.
        psycopg.errors.LockNotAvailable: A table is locked by another session for too long; try again.
    """
    with conn.transaction():
        conn.execute(_LOCK_TIMEOUT, (f"{one.lock_timeout_ms}ms",))
        loads.lock_states(conn, one.source, exclusively=True)
        crossing.move(conn, source=one.source, entities=one.entities, expected="writing", to="retired")
        fed = feeds.notes_are_for_feed_only(conn, one.source, one.entities)
        for name in one.entities:
            entity = one.plan.entities[name]
            if name in fed:
                noting.install(conn, one.source, entity, one.tables, to_write_back=False)
            else:
                noting.remove(conn, entity, one.tables)
        outbox.let_go(conn, one.source, one.entities)
        guard.take_down(conn, one.source, one.entities)


def give_up(conn: Conn, one: Crossing, held: Held) -> None:
    """Open the writes again where they were open before, without waiting for the deadline; idempotent.

    Raises:
        psycopg.errors.LockNotAvailable: Another session keeps the states locked: they are left to their deadline.
    """
    with conn.transaction():
        conn.execute(_LOCK_TIMEOUT, ("10s",))
        loads.lock_states(conn, one.source, exclusively=True)
        crossing.give_up(conn, one.source, held.epochs)
        crossing.return_overdue(conn, one.source)


def _move(conn: Conn, one: Crossing, held: Held, expected: HeldState, to: OpenState) -> None:
    crossing.move(conn, source=one.source, entities=one.entities, expected=expected, to=to, epochs=held.epochs)


def _passed(conn: Conn, one: Crossing, fence: datetime) -> str:
    found = passing(conn, one.source, fence)
    if not found.is_past:
        raise NotYet(f"{found.not_passed} shards have not been read past the fence")
    return found.how


def _nothing_waits(conn: Conn, one: Crossing) -> None:
    names = {"source": one.source, "entities": list(one.entities)}
    keys, gaps = one_row(conn.execute(_WAITING, names))
    rejected, _ = waivers.count_obstacles(conn, one.source, "rejected", one.entities)
    parked, _ = waivers.count_obstacles(conn, one.source, "parked", one.entities)
    states = crossing.crossing_states(conn, one.source)
    known = loads.entities_of(conn, one.source)
    numbers = [load for name in one.entities if (load := known[name].load) is not None]
    captured = sum(pending.count_pending(conn, numbers).get(name, 0) for name in one.entities)
    waits = {
        "rejected items": rejected,
        "parked changes": parked,
        "keys to repair": keys,
        "gaps in the stream": gaps,
        "captured changes": captured,
    }
    found = [f"{number:,} {what}" for what, number in waits.items() if number]
    if found or any(name not in states for name in one.entities):
        raise NotYet(", ".join(found) or "unknown entities")


def _written_already(conn: Conn, one: Crossing) -> list[TableName]:
    """The tables of entities whose writes PostgreSQL takes already."""
    states = crossing.crossing_states(conn, one.source)
    names = [name for name, found in states.items() if found.state in {"writing", "retired"}]
    return [
        one.tables[table.fullname]
        for name in names
        if name in one.plan.entities
        for table in one.plan.entities[name].tables
        if table.fullname in one.tables
    ]
