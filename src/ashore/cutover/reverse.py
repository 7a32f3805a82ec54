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
from uuid import UUID, uuid4

from ashore.cutover.written_keys import earlier_keys
from ashore.dynamodb.errors import RequestRefused
from ashore.dynamodb.write_back import REQUEST_SECONDS
from ashore.errors import AshoreError
from ashore.ledger import echoes, outbox
from ashore.ledger.outbox import Account, Entry
from ashore.mapping.items import RowNotAnItemError, from_rows
from ashore.mapping.plan import EntityPlan, Plan, key_attributes
from ashore.model.item import Item, item_digest
from ashore.postgres.connect import Conn, one_row
from ashore.postgres.items import RowKey, RowReader
from ashore.postgres.names import TableName

LEASE_SECONDS: Final = 60.0
_AT_ONCE: Final = 200


class ItemStore(Protocol):
    """Where items are written back to; see `ashore.dynamodb.write_back.TableWriter`."""

    def put(self, item: Item) -> float:
        """Write an item; return the write units."""

    def remove(self, key: Item) -> float:
        """Delete an item; return the write units."""


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    """What becomes of one key of DynamoDB: an item, or None where it is to be deleted; and the entries behind it."""

    key: Item = field(repr=False)
    item: Item | None = field(repr=False)
    ids: tuple[int, ...]

    @property
    def echo(self) -> tuple[UUID, bytes | None]:
        """What the stream will tell of it."""
        return key_of(self.key), None if self.item is None else item_digest(self.item)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Entries that were read at a moment, what to write for them, and why some of them cannot be written."""

    read_at: datetime
    ids: list[int] = field(default_factory=list)
    writes: list[_Write] = field(default_factory=list)
    unfit: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class ReverseWriter:
    """Writes back over one connection in autocommit mode that went through `postgres.items.prepare`.

    `executor` runs the requests. It can be killed at any instant: what it had noted and not acknowledged is written
    again by the next owner, which begins when no request of this one can be under way any more.
    """

    conn: Conn
    plan: Plan
    tables: Mapping[str, TableName]
    store: ItemStore
    executor: Executor
    clock: Callable[[], float] = time.monotonic
    pace: Callable[[float], None] = lambda _units: None
    at_once: int = _AT_ONCE
    lease_seconds: float = LEASE_SECONDS
    request_seconds: float = REQUEST_SECONDS
    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}")

    def step(self) -> int:
        """Write back what is next; return how many items were written or deleted. 0 while another is the owner.

        Raises:
            LeaseLost: It took too long; nothing was acknowledged.
            SourceError: DynamoDB could not be written to; nothing of the failed part was acknowledged.
        """
        source = self.plan.name
        lease_ends = self.clock() + self.lease_seconds
        fence = outbox.lease(self.conn, source, self.name, seconds=self.lease_seconds)
        if fence is None:
            return 0
        batch = self._read()
        if not batch.ids:
            with self.conn.transaction():
                outbox.account(self.conn, source, self.name, fence, Account(passed_at=batch.read_at))
                echoes.forget_old(self.conn, source)
            return 0
        with self.conn.transaction():
            outbox.assert_owner(self.conn, source, self.name, fence)
            echoes.note(self.conn, source, [one.echo for one in batch.writes])
            outbox.refuse(self.conn, source, batch.unfit)
        done, refused, failure = self._write(batch.writes, lease_ends)
        undone = {number for one in batch.writes if one not in done for number in one.ids}
        finished = [number for number in batch.ids if number not in undone and number not in batch.unfit]
        written = sum(one.item is not None for one in done)
        is_all = len(finished) == len(batch.ids) < self.at_once
        account = Account(
            written=written,
            removed=len(done) - written,
            units=sum(done.values()),
            passed_at=batch.read_at if is_all else None,
        )
        with self.conn.transaction():
            outbox.account(self.conn, source, self.name, fence, account)
            outbox.acknowledge(self.conn, source, finished)
            outbox.refuse(self.conn, source, refused)
        if failure is not None:
            raise failure
        return len(done)

    def leave(self) -> None:
        """Let another be the owner at once; no `step` is under way."""
        if not self.conn.closed and not self.conn.broken:
            outbox.leave(self.conn, self.plan.name, self.name)

    def _read(self) -> _Batch:
        """The next entries and the rows behind them, all as of one moment, so that no row is older than its entry."""
        with self.conn.transaction():
            self.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            read_at = one_row(self.conn.execute("SELECT clock_timestamp()"))[0]
            batch = _Batch(read_at)
            by_entity: defaultdict[str, defaultdict[RowKey, list[Entry]]] = defaultdict(lambda: defaultdict(list))
            for entry in outbox.entries(self.conn, self.plan.name, most=self.at_once):
                by_entity[entry.entity][tuple(entry.key)].append(entry)
                batch.ids.append(entry.id)
            for name, by_key in by_entity.items():
                self._gather(self.plan.entities[name], by_key, batch)
        return batch

    def _gather(self, entity: EntityPlan, by_key: Mapping[RowKey, list[Entry]], batch: _Batch) -> None:
        """What to write for rows of one entity: the item that is there now, and no item under a key that it left."""
        rows = dict(RowReader(plan=entity, tables=self.tables).by_key(self.conn, list(by_key)))
        was = earlier_keys(self.conn, entity, [one for ones in by_key.values() for one in ones])
        for key, ones in by_key.items():
            ids = tuple(one.id for one in ones)
            left = {key_of(old): old for one in ones if (old := was.get(one.id)) is not None}
            if key in rows:
                try:
                    item = from_rows(entity, rows[key])
                except RowNotAnItemError as error:
                    batch.unfit.update(dict.fromkeys(ids, error.what()))
                    continue
                now = {one.name: item[one.name] for one in key_attributes(entity)}
                left.pop(key_of(now), None)
                batch.writes.append(_Write(now, item, ids))
            batch.writes.extend(_Write(old, None, ids) for old in left.values())

    def _write(
        self, writes: Sequence[_Write], lease_ends: float
    ) -> tuple[dict[_Write, float], dict[int, str], AshoreError | None]:
        """Do the writes; return those that were done with their units, what DynamoDB refuses, and a failure if one."""
        futures = {self.executor.submit(self._send, one, lease_ends): one for one in writes}
        wait(futures)
        done: dict[_Write, float] = {}
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

    def _send(self, one: _Write, lease_ends: float) -> float | None:
        """Do one write; return its units, None where too little of the lease is left to begin it."""
        if self.clock() + self.request_seconds > lease_ends:
            return None
        units = self.store.remove(one.key) if one.item is None else self.store.put(one.item)
        self.pace(units)
        return units


def key_of(key: Item) -> UUID:
    """The digest of a key by which an echo is known: equal for two spellings of a number."""
    return UUID(bytes=item_digest(key))
