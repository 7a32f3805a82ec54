"""The feeder: rows that the application writes become documents.

One owner at a time draws a version, reads as of that moment the rows of the keys in the outbox, shapes their documents,
writes them with the version, and is then through with exactly the entries that it read.
"""

from __future__ import annotations

import os
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from uuid import uuid4

import psycopg

from ashore.ledger import feeder
from ashore.ledger.errors import LeaseLost
from ashore.ledger.feeder import STRIDE, FeedAccount
from ashore.ledger.feeds import Feed, feeds
from ashore.ledger.outbox import Entry
from ashore.ledger.written_keys import earlier_rows
from ashore.mapping.declare import Search
from ashore.mapping.items import RowNotAnItemError, from_rows
from ashore.mapping.match import key_texts, matches
from ashore.mapping.plan import EntityPlan, Plan, key_attributes
from ashore.model.item import Item, item_digest
from ashore.opensearch.actions import Action, Conflict, Done, Later, Outcome, Refused
from ashore.opensearch.client import REQUEST_SECONDS
from ashore.opensearch.documents import Unshaped, document, document_id
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowKey, RowReader
from ashore.postgres.names import TableName

LEASE_SECONDS: Final = 60.0
FORGETS_SECONDS: Final = 60.0
"""For how long an index remembers deletions unless `index.gc_deletes` says otherwise."""
_AT_ONCE: Final = 500
_HIGHEST: Final = 2**62


class Documents(Protocol):
    """Where documents are written; see `ashore.opensearch.index.SearchIndex`."""

    def write(self, actions: Sequence[Action], may_begin: Callable[[], bool]) -> list[Outcome]:
        """Do each; return what came of each."""

    def versions(self, documents: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """(index, id) → version, of those that are there."""

    def assert_there(self, index: str) -> None:
        """Do nothing where there is such an index."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one document is to be, in each index that its entity is fed to; and the entries that ask for it."""

    ids: tuple[int, ...]
    source: bytes | None = field(repr=False)
    feed: Feed


@dataclass(slots=True)
class _Batch:
    """Entries that were read at a moment, the documents that they ask for, and why some cannot be made."""

    version: int
    read_at: datetime
    ids: list[int] = field(default_factory=list)
    rows: list[_Rows] = field(default_factory=list)
    wanted: dict[tuple[str, str], _Wanted] = field(default_factory=dict)
    unfit: dict[int, str] = field(default_factory=dict)

    def want(self, id_: str, wanted: _Wanted) -> None:
        """Ask for a document; where it is both made and deleted, it is made."""
        for index in wanted.feed.indexes:
            earlier = self.wanted.get((index, id_))
            ids = wanted.ids if earlier is None else (*earlier.ids, *wanted.ids)
            source = wanted.source if earlier is None or wanted.source is not None else earlier.source
            self.wanted[index, id_] = _Wanted(ids, source, wanted.feed)


@dataclass(frozen=True, slots=True)
class _Rows:
    """An item as of the batch's moment, None where its row is gone; and the keys that its entries say it had."""

    entity: EntityPlan
    search: Search
    feed: Feed
    row: RowKey = field(repr=False)
    ids: tuple[int, ...]
    item: Item | None = field(repr=False)
    left: tuple[Item, ...] = field(repr=False)

    @property
    def key(self) -> Item | None:
        """The key of the item that is there now."""
        return None if self.item is None else {one.name: self.item[one.name] for one in key_attributes(self.entity)}

    @property
    def keys(self) -> tuple[Item, ...]:
        """Every key that the item has or had."""
        return self.left if self.key is None else (*self.left, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step did. `waits` says why something has to be tried again later, None where nothing has."""

    is_owner: bool
    entries: int = 0
    waits: str | None = None


@dataclass(slots=True, kw_only=True)
class Feeder:
    """Feeds over one connection in autocommit mode that went through `postgres.items.prepare`.

    It can be killed at any instant: the next owner reads the entries again that were not acknowledged, with a higher
    version. `forgets_seconds` is for how long the indexes remember deletions: an answer that came after half of that
    acknowledges nothing, so that a deletion which was overtaken by what it deletes is done once more.
    """

    conn: Conn
    plan: Plan
    tables: Mapping[str, TableName]
    index: Documents
    clock: Callable[[], float] = time.monotonic
    at_once: int = _AT_ONCE
    lease_seconds: float = LEASE_SECONDS
    request_seconds: float = REQUEST_SECONDS
    forgets_seconds: float = FORGETS_SECONDS
    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}")
    _most: int = 0

    def step(self) -> Step:
        """Feed what is next.

        Raises:
            LeaseLost: It took too long, or another took over; nothing was acknowledged.
            SearchError: The index cannot be written to; nothing was acknowledged.
        """
        source = self.plan.name
        began = self.clock()
        fence = feeder.lease(self.conn, source, self.name, seconds=self.lease_seconds)
        if fence is None:
            return Step(is_owner=False)
        batch = self._read(fence)
        self._shape(batch)
        if not batch.ids:
            self._account(fence, FeedAccount(passed_at=batch.read_at), [], {})
            return Step(is_owner=True)
        for index in {index for index, _ in batch.wanted}:
            self.index.assert_there(index)
        before = self.index.versions(list(batch.wanted))
        actions = [
            Action(index=index, id=one, version=batch.version, source=wanted.source)
            for (index, one), wanted in batch.wanted.items()
        ]
        last = began + self.lease_seconds - self.request_seconds
        outcomes = self.index.write(actions, lambda: self.clock() <= last)
        result = self._judged(batch, actions, outcomes)
        written = {(one.index, one.id) for one, outcome in zip(actions, outcomes, strict=True) if outcome == Done()}
        result.note_others(batch, {place: version for place, version in before.items() if place in written})
        if self.clock() - began > self.forgets_seconds / 2:
            result.give_up(batch, "the answer came too late to be relied on")
        self._adapt(outcomes, result)
        refused = {one: reason for one, reason in result.refused.items() if one not in result.undone}
        finished = [one for one in batch.ids if one not in result.undone and one not in refused]
        is_all = len(finished) == len(batch.ids) < self._at_once
        counted = FeedAccount(
            indexed=result.indexed,
            deleted=result.deleted,
            others=result.others,
            highest=result.highest,
            passed_at=batch.read_at if is_all else None,
        )
        try:
            self._account(fence, counted, finished, refused)
        except LeaseLost:
            self._ask_again(batch)
            raise
        return Step(is_owner=True, entries=len(finished) + len(refused), waits=result.waits)

    def leave(self) -> None:
        """Let another be the owner at once; no `step` is under way."""
        if not self.conn.closed and not self.conn.broken:
            feeder.leave(self.conn, self.plan.name, self.name)

    @property
    def _at_once(self) -> int:
        return self._most or self.at_once

    def _read(self, fence: int) -> _Batch:
        """Draw a version, and read the next entries and the rows behind them as of that moment."""
        source = self.plan.name
        try:
            with self.conn.transaction():
                self.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                version, read_at = feeder.draw(self.conn, source, self.name, fence, busy_seconds=self.lease_seconds)
                batch = _Batch(version, read_at)
                fed = feeds(self.conn, source)
                by_entity: defaultdict[str, defaultdict[RowKey, list[Entry]]] = defaultdict(lambda: defaultdict(list))
                searches = {name: one.search for name, one in self.plan.entities.items() if one.search is not None}
                for entry in feeder.entries(self.conn, source, list(searches), most=self._at_once):
                    by_entity[entry.entity][tuple(entry.key)].append(entry)
                for name, by_key in by_entity.items():
                    self._gather(self.plan.entities[name], searches[name], fed[name], by_key, batch)
        except psycopg.errors.SerializationFailure:
            raise LeaseLost(unit=f"the feed of {source}") from None
        return batch

    def _gather(
        self,
        entity: EntityPlan,
        search: Search,
        feed: Feed,
        by_key: Mapping[RowKey, list[Entry]],
        batch: _Batch,
    ) -> None:
        rows = dict(RowReader(plan=entity, tables=self.tables).by_key(self.conn, [key for key in by_key if key]))
        was = earlier_rows(self.conn, entity, [one for ones in by_key.values() for one in ones])
        for key, ones in by_key.items():
            ids = tuple(one.id for one in ones)
            batch.ids += ids
            if not key:  # asked for a copy, of which there is no document
                continue
            left = tuple(was[one.id].keys[0] for one in ones if one.id in was and _is_own(entity, one))
            try:
                item = from_rows(entity, rows[key]) if key in rows else None
            except RowNotAnItemError as error:
                batch.unfit.update(dict.fromkeys(ids, error.what()))
                continue
            batch.rows.append(_Rows(entity, search, feed, key, ids, item, left))

    @staticmethod
    def _shape(batch: _Batch) -> None:
        """What documents are to be: the one of the item that is there now, and none under an id that it left."""
        for rows in batch.rows:
            wanted: dict[str, bytes | None] = {}
            try:
                for old in rows.left:
                    wanted[document_id(rows.search, old)] = None
                if rows.item is not None and rows.key is not None:
                    wanted[document_id(rows.search, rows.key)] = document(rows.search, rows.item)
            except Unshaped as error:
                batch.unfit.update(dict.fromkeys(rows.ids, str(error)))
                continue
            for id_, source in wanted.items():
                batch.want(id_, _Wanted(rows.ids, source, rows.feed))

    def _judged(self, batch: _Batch, actions: Sequence[Action], outcomes: Sequence[Outcome]) -> _Result:
        """What the answers say of the entries. A conflict is settled by the version that the index holds."""
        result = _Result(refused=dict(batch.unfit))
        doubtful = [
            (one.index, one.id) for one, outcome in zip(actions, outcomes, strict=True) if outcome == Conflict()
        ]
        held = self.index.versions(doubtful)
        for action, outcome in zip(actions, outcomes, strict=True):
            wanted = batch.wanted[action.index, action.id]
            match outcome:
                case Done():
                    result.done(action)
                case Conflict():
                    result.conflict(action, wanted, held.get((action.index, action.id)))
                case Later(reason):
                    result.later(wanted, reason)
                case Refused(reason):
                    result.refused.update(dict.fromkeys(wanted.ids, reason))
        return result

    def _adapt(self, outcomes: Sequence[Outcome], result: _Result) -> None:
        """Read less at once where a request was too large or too slow, more again where all went well."""
        if any(isinstance(one, Later) and one.is_too_large for one in outcomes) or result.is_given_up:
            self._most = max(1, self._at_once // 2)
        elif self._most and result.waits is None:
            self._most = min(self.at_once, self._most * 2)

    def _ask_again(self, batch: _Batch) -> None:
        """Have all of a batch done once more, that was written after another had taken over.

        It may have brought documents back whose deletion the index had forgotten already.
        """
        keys = {(rows.entity.name, rows.row, item_digest(key)): key for rows in batch.rows for key in rows.keys}
        with self.conn.transaction():
            feeder.ask(self.conn, self.plan.name, [(entity, row, key) for (entity, row, _), key in keys.items()])

    def _account(self, fence: int, done: FeedAccount, ids: Sequence[int], refused: Mapping[int, str]) -> None:
        with self.conn.transaction():
            feeder.account(self.conn, self.plan.name, self.name, fence, done)
            if ids:
                feeder.acknowledge(self.conn, self.plan.name, ids)
            feeder.refuse(self.conn, self.plan.name, refused)


def _is_own(entity: EntityPlan, entry: Entry) -> bool:
    """Whether the first key that an entry tells is its row's own, and not that of a copy or mirror."""
    was = entry.was or {}
    if "item" not in was or was.get("is_own"):
        return True
    texts = key_texts(entity, was["item"])
    return any(matches(form, *texts) is not None for form in entity.generations)


@dataclass(slots=True, kw_only=True)
class _Result:
    """What came of a batch."""

    refused: dict[int, str]
    undone: set[int] = field(default_factory=set)
    indexed: int = 0
    deleted: int = 0
    others: int = 0
    highest: int = 0
    waits: str | None = None
    is_given_up: bool = False

    def done(self, action: Action) -> None:
        self.indexed += action.source is not None
        self.deleted += action.source is None

    def later(self, wanted: _Wanted, reason: str) -> None:
        self.undone.update(wanted.ids)
        self.waits = self.waits or reason

    def conflict(self, action: Action, wanted: _Wanted, held: int | None) -> None:
        """The index has this version already, or one that Ashore did not draw, which the next draw is above."""
        if held == action.version:
            self.done(action)
        elif held is not None and held >= _HIGHEST:
            reason = "the index holds a version of another feed that none can follow: feed another index"
            self.refused.update(dict.fromkeys(wanted.ids, reason))
        else:
            self.highest = max(self.highest, held or 0)
            self.later(wanted, "the index holds a version of another feed")

    def note_others(self, batch: _Batch, before: Mapping[tuple[str, str], int]) -> None:
        """Count the documents that somebody else wrote after this feed was begun."""
        for place, version in before.items():
            began = int(batch.wanted[place].feed.since.timestamp() * 1000) * STRIDE
            self.others += version > began and (version % STRIDE != 0 or version > batch.version)

    def give_up(self, batch: _Batch, reason: str) -> None:
        self.is_given_up = True
        self.undone.update(batch.ids)
        self.refused.clear()
        self.waits = reason
