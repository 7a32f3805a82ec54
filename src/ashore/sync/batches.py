"""One batch of a shard into PostgreSQL: states locked, changes routed, captured or applied, position moved."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import psycopg

from ashore.ledger import loads, pending, streams
from ashore.ledger.counts import keep_counts
from ashore.ledger.loads import UNMATCHED, LockedState
from ashore.ledger.locks import lock_homes
from ashore.ledger.pending import Capture
from ashore.ledger.repairs import key_hash
from ashore.ledger.streams import Progress, ShardRecord
from ashore.mapping.plan import Plan
from ashore.model.item import Item
from ashore.postgres.connect import Conn
from ashore.postgres.kept_copies import KeptCopies
from ashore.postgres.names import TableName
from ashore.sync.apply import Applier, NotAlone
from ashore.sync.lines import LineMaker, Lines
from ashore.sync.prepare import Prepared, Preparer
from ashore.sync.routing import Keyed, KeyRouter, watched_entity
from ashore.sync.watch import WATCHED, watch

CAPTURING: Final = frozenset({"loading", "merging"})
APPLYING: Final = frozenset({"syncing", "reading", "draining"})
_TRIES: Final = 5

Result = TypeVar("Result")
Counts = Counter[tuple[str, str]]


class _NotOpen(Exception):
    """An entity is applied that the session has no stages for yet."""

    def __init__(self, entities: frozenset[str]) -> None:
        super().__init__()
        self.entities = entities


class BatchWriter:
    """Writes batches over one connection in autocommit mode."""

    def __init__(self, conn: Conn, plan: Plan, tables: Mapping[str, TableName]) -> None:
        self.conn = conn
        self.source = plan.name
        self.router = KeyRouter(plan)
        self._plan, self._tables = plan, tables
        maker = LineMaker(plan)
        self.preparer = Preparer(plan, maker)
        self.applier = Applier(conn, plan, tables, maker)
        self._is_alone = False
        pending.make_stage(conn)

    def write(self, owner: str, shard: ShardRecord, page: Prepared, progress: Progress) -> tuple[ShardRecord, Counts]:
        """Write what one page of a shard says and move the shard past it, or do neither.

        Returns:
            The shard as it is then, and the number of changes by entity and outcome.

        Raises:
            LeaseLost: Another worker has the shard; nothing was written.
            psycopg.Error: Nothing was written.
        """

        def work() -> tuple[ShardRecord, Counts]:
            counts: Counts = Counter()
            if page.newest:
                states = self.lock_states()
                self.preparer.applying = frozenset(name for name, one in states.items() if one.state in APPLYING)
                counts = self._route(page, states, shard.shard)
            moved = streams.advance(self.conn, source=self.source, owner=owner, shard=shard, progress=progress)
            return moved, counts

        return self.in_transaction(work)

    def in_transaction(self, work: Callable[[], Result], *, alone: bool = False) -> Result:
        """Do `work` in a transaction, again where PostgreSQL resolved a deadlock against it.

        `work` begins with `lock_states`. It has the homes of keys `alone` from the first where that is asked for or
        was needed last time; where it turns out to be needed, the work is begun again.
        """
        self._is_alone = alone or self.applier.crossed
        for attempt in range(_TRIES):
            try:
                with self.conn.transaction():
                    return work()
            except _NotOpen as not_open:
                self.applier.open(not_open.entities)
            except NotAlone:
                self._is_alone = True
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if attempt == _TRIES - 1:
                    raise
        with self.conn.transaction():
            return work()

    def lock_states(self, *, exclusively: bool = False) -> dict[str, LockedState]:
        """The states of the source's entities, and the homes of its keys, locked until the transaction ends."""
        states = loads.lock_states(self.conn, self.source, exclusively=exclusively)
        lock_homes(self.conn, self.source, alone=self._is_alone)
        return states

    def apply(
        self,
        changes: Sequence[Keyed],
        states: Mapping[str, LockedState],
        *,
        tries: Mapping[bytes, int] | None = None,
        is_repair: bool = False,
        lines: Lines | None = None,
    ) -> Counts:
        """Apply changes of entities whose states the caller has locked; each is newer than what its key has."""
        names = frozenset(keyed.entity for keyed in changes if keyed.entity)
        if not_open := names - self.applier.opened:
            raise _NotOpen(not_open)
        numbers = {name: found.load for name, found in states.items() if found.load is not None}
        return self.applier.apply(
            changes, numbers, tries=tries, is_repair=is_repair, is_alone=self._is_alone, lines=lines
        )

    def _route(self, page: Prepared, states: Mapping[str, LockedState], shard: str) -> Counts:
        counts: Counts = Counter()
        captured: list[Capture] = []
        applied: list[Keyed] = []
        for keyed in page.newest:
            name = keyed.entity
            mirrored = None if name is not None else states.get(watched_entity(keyed) or "")
            if mirrored is not None and mirrored.state in WATCHED:
                continue
            found = None if name is None else states.get(name)
            if name is None or found is None or found.load is None:
                counts[name or "", "passed_by"] += 1
            elif found.state in APPLYING:
                applied.append(keyed)
            elif found.state in WATCHED:
                continue
            elif found.state in CAPTURING and found.is_captured:
                counts[name, "captured"] += 1
                key = keyed.key
                hashed = key_hash(key)
                captured.append(Capture(load=found.load, entity=name, key_hash=hashed, key=key, change=keyed.change))
            else:
                counts[name, "passed_by"] += 1
        if captured:
            pending.capture(self.conn, shard, captured)
        if applied:
            counts.update(self.apply(applied, states, lines=page.lines))
        counts += watch(self.conn, self.router, page.changes, states, self._forget_copies)
        keep_counts(self.conn, self.source, counts, shard=shard)
        return counts

    def _forget_copies(self, conn: Conn, entity: str, keys: Sequence[Item]) -> None:
        kept = KeptCopies.of(self._plan.entities[entity], self._tables)
        if kept is not None:
            kept.forget(conn, [key for key in keys if kept.is_form(key)], is_expiry=True)


def by_entity(counts: Counts) -> dict[str, dict[str, int]]:
    """Counts as plain values: entity → outcome → changes; items that no pattern matches are under "(no entity)"."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (entity, outcome), number in counts.items():
        found[entity if entity != UNMATCHED else "(no entity)"][outcome] = number
    return dict(found)
