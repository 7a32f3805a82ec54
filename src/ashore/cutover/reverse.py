"""Reverse sync: rows that the application writes become items again, so that there is a way back.

One owner at a time reads the committed rows of the keys in the outbox, rebuilds their items, notes what it is about to
write, writes it, and then deletes exactly the entries that it read.
"""

from __future__ import annotations

import os
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from uuid import uuid4

import psycopg

from ashore.cutover.gathering import Gathered, Gatherer, Write
from ashore.cutover.tidying import tidy
from ashore.dynamodb.errors import RequestRefused
from ashore.dynamodb.write_back import REQUEST_SECONDS
from ashore.errors import AshoreError
from ashore.ledger import echoes, outbox
from ashore.ledger.outbox import Account, Entry, Lease
from ashore.mapping.plan import Plan
from ashore.model.item import Item
from ashore.postgres.connect import Conn, one_row
from ashore.postgres.items import RowKey
from ashore.postgres.kept_copies import KeptCopies
from ashore.postgres.names import TableName

LEASE_SECONDS: Final = 60.0
_AT_ONCE: Final = 200


class ItemStore(Protocol):
    """Where items are written back to; see `ashore.dynamodb.write_back.TableWriter`."""

    def put(self, item: Item) -> float:
        """Write an item; return the write units."""

    def remove(self, key: Item) -> float:
        """Delete an item; return the write units."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Entries that were read at a moment, and what to write for them."""

    read_at: datetime
    ids: list[int] = field(default_factory=list)
    gathered: Gathered = field(default_factory=Gathered)


@dataclass(slots=True, kw_only=True)
class ReverseWriter:
    """Writes back over one connection in autocommit mode that went through `postgres.items.prepare`.

    `executor` runs the requests. They take `units_per_second` at most, unless the ledger says otherwise: a batch is
    about what that allows in a second. It can be killed at any instant: what it had noted and not acknowledged is
    written again by the next owner, which begins when no request of this one can be under way any more.
    """

    conn: Conn
    plan: Plan
    tables: Mapping[str, TableName]
    store: ItemStore
    executor: Executor
    clock: Callable[[], float] = time.monotonic
    units_per_second: float | None = None
    at_once: int = _AT_ONCE
    lease_seconds: float = LEASE_SECONDS
    request_seconds: float = REQUEST_SECONDS
    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}")
    _waits_since: float | None = None

    def step(self) -> int:
        """Write back what is next; return how many items were written or deleted.

        0 while another is the owner, and while what was written has to be waited for, for the sake of the cap.

        Raises:
            LeaseLost: It took too long; nothing was acknowledged.
            SourceError: DynamoDB could not be written to; nothing of the failed part was acknowledged.
        """
        source = self.plan.name
        lease_ends = self.clock() + self.lease_seconds
        lease = outbox.lease(
            self.conn, source, self.name, seconds=self.lease_seconds, units_per_second=self.units_per_second
        )
        if lease is None:
            return 0
        if lease.owed_seconds > 0:
            self._waits_since = self.clock() if self._waits_since is None else self._waits_since
            return 0
        waited = 0.0 if self._waits_since is None else self.clock() - self._waits_since
        self._waits_since = None
        fence, most = lease.fence, self._most(lease)
        batch = self._read(most)
        if not batch.ids:
            with self.conn.transaction():
                outbox.account(self.conn, source, self.name, fence, Account(waited=waited, passed_at=batch.read_at))
                echoes.forget_old(self.conn, source)
            return 0
        writes = batch.gathered.writes
        with self.conn.transaction():
            outbox.assert_owner(self.conn, source, self.name, fence)
            echoes.note(self.conn, source, [one.echo for one in writes])
            outbox.refuse(self.conn, source, batch.gathered.unfit)
            self._keep_copies(writes)
        done, refused, failure = self._write(writes, lease_ends)
        untidied, undone = self._tidy(batch.gathered)
        refused |= untidied
        undone |= {number for one in writes if one not in done for number in one.ids} | untidied.keys()
        finished = [number for number in batch.ids if number not in undone and number not in batch.gathered.unfit]
        written = sum(one.item is not None for one in done)
        is_all = len(finished) == len(batch.ids) < most
        account = Account(
            written=written,
            removed=len(done) - written,
            units=sum(done.values()),
            entries=len(finished),
            waited=waited,
            passed_at=batch.read_at if is_all else None,
        )
        with self.conn.transaction():
            outbox.account(self.conn, source, self.name, fence, account)
            self._forget_copies(list(done))
            outbox.acknowledge(self.conn, source, finished)
            outbox.refuse(self.conn, source, refused)
        if failure is not None:
            raise failure
        return len(done)

    def leave(self) -> None:
        """Let another be the owner at once; no `step` is under way."""
        if not self.conn.closed and not self.conn.broken:
            outbox.leave(self.conn, self.plan.name, self.name)

    def _most(self, lease: Lease) -> int:
        """How many entries cost about what the cap allows in a second."""
        if lease.units_per_second is None:
            return self.at_once
        return max(1, min(self.at_once, int(lease.units_per_second / max(lease.units_an_entry, 1e-3))))

    def _read(self, most: int) -> _Batch:
        """The next entries and the rows behind them, all as of one moment, so that no row is older than its entry."""
        with self.conn.transaction():
            self.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            read_at = one_row(self.conn.execute("SELECT clock_timestamp()"))[0]
            batch = _Batch(read_at)
            by_entity: defaultdict[str, defaultdict[RowKey, list[Entry]]] = defaultdict(lambda: defaultdict(list))
            for entry in outbox.entries(self.conn, self.plan.name, most=most):
                by_entity[entry.entity][tuple(entry.key)].append(entry)
                batch.ids.append(entry.id)
            for name, by_key in by_entity.items():
                Gatherer(conn=self.conn, entity=self.plan.entities[name], tables=self.tables).gather(
                    by_key, batch.gathered
                )
        return batch

    def _tidy(self, gathered: Gathered) -> tuple[dict[int, str], set[int]]:
        """Tidy rows; return why PostgreSQL refuses some, and the entries of those that somebody else has in hand."""
        refused: dict[int, str] = {}
        undone: set[int] = set()
        for name, one in gathered.untidy:
            try:
                reason = tidy(self.conn, self.plan.entities[name], self.tables, one)
            except psycopg.errors.LockNotAvailable:
                undone.update(one.ids)
            else:
                refused |= dict.fromkeys(one.ids, reason) if reason is not None else {}
        return refused, undone

    def _keep_copies(self, writes: Sequence[Write]) -> None:
        """Let the tables of copies say what is about to be written; what is to be deleted stays until it is."""
        for kept in self._kept:
            entity = kept.entity.name
            puts = [(one.link, one.item) for one in writes if one.entity == entity and one.item is not None]
            kept.keep(self.conn, [(link, item) for link, item in puts if link is not None])
            kept.keep_promoted(self.conn, [item for link, item in puts if link is None and kept.is_form(item)])

    def _forget_copies(self, done: Sequence[Write]) -> None:
        for kept in self._kept:
            gone = [one.key for one in done if one.item is None and one.entity == kept.entity.name]
            kept.forget(self.conn, [key for key in gone if kept.is_form(key)])

    @property
    def _kept(self) -> list[KeptCopies]:
        entities = self.plan.entities.values()
        return [kept for one in entities if (kept := KeptCopies.of(one, self.tables)) is not None]

    def _write(
        self, writes: Sequence[Write], lease_ends: float
    ) -> tuple[dict[Write, float], dict[int, str], AshoreError | None]:
        """Do the writes; return those that were done with their units, what DynamoDB refuses, and a failure if one."""
        futures = {self.executor.submit(self._send, one, lease_ends): one for one in writes}
        wait(futures)
        done: dict[Write, float] = {}
        refused: dict[int, str] = {}
        failure: AshoreError | None = None
        for future, one in futures.items():
            try:
                units = future.result()
            except RequestRefused as error:
                refused.update(dict.fromkeys(one.ids, error.reason))
            except AshoreError as error:
                failure = failure or error
            else:
                if units is not None:
                    done[one] = units
        return done, refused, failure

    def _send(self, one: Write, lease_ends: float) -> float | None:
        """Do one write; return its units, None where too little of the lease is left to begin it."""
        if self.clock() + self.request_seconds > lease_ends:
            return None
        return self.store.remove(one.key) if one.item is None else self.store.put(one.item)
