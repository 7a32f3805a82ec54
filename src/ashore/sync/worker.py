"""A sync worker: leases shards, reads them, writes what they say; and, one of all, merges and repairs."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from ashore.dynamodb.errors import ShardGone, SourceError, Trimmed
from ashore.ledger import freshness, gaps, leases, loads, pending, records, streams, written
from ashore.ledger.errors import LeaseLost
from ashore.ledger.gaps import GapKind
from ashore.ledger.locks import lock_flow, unlock_flow
from ashore.ledger.streams import ShardRecord, StreamRecord
from ashore.observe.events import Emit, SyncBatch, SyncMerged, SyncStateChanged, SyncTended, silent
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName
from ashore.sync.alarm import AlarmBell
from ashore.sync.batches import CAPTURING, BatchWriter
from ashore.sync.clocks import assert_one_clock
from ashore.sync.errors import GapWhileLoading, NotBegun, PendingTooLarge, RecordsLost, SyncStopped
from ashore.sync.listing import list_shards
from ashore.sync.markers import marked_at, without_markers
from ashore.sync.marking import Marking
from ashore.sync.merge import Merger
from ashore.sync.order import SyncOrder
from ashore.sync.pace import Pace
from ashore.sync.parked import retry_parked
from ashore.sync.prepare import Prepared, Preparer
from ashore.sync.repair import Repairer
from ashore.sync.shards import Read, ShardReader
from ashore.sync.start import assert_same_table

_WAIT_SECONDS: Final = 0.05
_PARENT_SECONDS: Final = 900.0
"""How long a shard waits for its parent to be listed, before the parent counts as come and gone."""
_LOOK_EVERY: Final = 20
"""Rounds of tending between two looks at the alarms, and at how much room the captured changes take."""
_MARK_SECONDS: Final = 600.0


def new_name() -> str:
    """A name that no other worker has."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"


@dataclass(slots=True)
class _Tended:
    """When the worker last looked after each thing, by the order's clock."""

    at: float = 0.0
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class _Page:
    """What was read of a shard, and what became of it before it is written."""

    read: Read
    marked_at: float | None
    prepared: Prepared


def _page_of(reader: ShardReader, preparer: Preparer) -> _Page:
    """Read and prepare a page, in a thread of its own; raises as `ShardReader.read` and `Preparer.prepare`."""
    read = reader.read()
    plan, changes = reader.order.plan, read.page.changes
    return _Page(read, marked_at(plan, changes), preparer.prepare(without_markers(plan, changes)))


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker over one connection in autocommit mode, which nothing else uses.

    `tables` maps declared tables' full names to tables. `executor` runs the reads; the caller ends it. A worker can be
    killed at any instant: what it had committed stays, and what it had not is read again by whoever has the shard then.
    """

    conn: Conn
    order: SyncOrder
    tables: dict[str, TableName]
    executor: Executor
    emit: Emit = silent
    name: str = field(default_factory=new_name)
    _readers: dict[str, ShardReader] = field(default_factory=dict)
    _reads: dict[Future[_Page], ShardReader] = field(default_factory=dict)
    _tended: _Tended = field(default_factory=_Tended)
    _list_soon: bool = True
    _writer: BatchWriter | None = None
    _merger: Merger | None = None
    _repairer: Repairer | None = None
    _marking: Marking | None = None
    _leads: bool = False
    _bell: AlarmBell = field(default_factory=AlarmBell)
    _pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self._pace = Pace(self.order.clock())

    @property
    def source(self) -> str:
        """The source's name."""
        return self.order.plan.name

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then give the shards back.

        Raises:
            RecordsLost, GapWhileLoading, StreamReplaced, SyncStopped, PendingTooLarge, OtherTable, NotBegun
            ClocksDiffer: Nothing can be said of what has passed.
            SourceError: The stream could not be read for minutes.
            psycopg.Error: PostgreSQL failed; what was committed stays.
        """
        try:
            while not stop.is_set():
                if not self.round():
                    stop.wait(_WAIT_SECONDS)
        finally:
            self.leave()

    def round(self) -> int:
        """Look after what is due, read and write; return how many changes were written or merged."""
        done = self.tend() if self._is_due() else 0
        self._submit()
        if self._reads:
            finished, _ = wait(self._reads, timeout=_WAIT_SECONDS, return_when=FIRST_COMPLETED)
            for future in finished:
                reader = self._reads.pop(future)
                if self._readers.get(reader.shard.shard) is reader:
                    done += self._hear(reader, future)
        self._pace.add(done, self.order.clock())
        return done

    def leave(self) -> None:
        """Give the shards back for others to take at once; idempotent. Where PostgreSQL is gone, leases run out."""
        for future in self._reads:
            future.cancel()
        self._reads.clear()
        self._readers.clear()
        if self._marking is not None:
            self._marking.leave()
        if not self.conn.closed and not self.conn.broken:
            leases.leave(self.conn, self.source, self.name)
            if self._leads:
                unlock_flow(self.conn, f"{self.source} sync")
                self._leads = False

    @property
    def writer(self) -> BatchWriter:
        """What writes the batches; made when it is first needed."""
        if self._writer is None:
            self._writer = BatchWriter(self.conn, self.order.plan, self.tables)
            self._merger = Merger(order=self.order, writer=self._writer, emit=self.emit)
            self._repairer = Repairer(order=self.order, writer=self._writer)
            self._marking = Marking(order=self.order, conn=self.conn, executor=self.executor, emit=self.emit)
        return self._writer

    def _is_due(self) -> bool:
        return self.order.clock() - self._tended.at >= self.order.limits.tend_seconds or self._list_soon

    def tend(self) -> int:
        """Renew and balance leases, list shards, merge and repair; return how many changes were merged."""
        self._tended.at = self.order.clock()
        self._tended.rounds += 1
        assert_one_clock(self.conn, self.order)
        stream = self._stream()
        limits = self.order.limits
        pace = self._pace.a_second(self._tended.at)
        kept = leases.keep_alive(self.conn, self.source, self.name, seconds=limits.lease_seconds, pace=pace)
        for lost in self._readers.keys() - kept:
            del self._readers[lost]
        self._list(stream)
        self._check_alarm()
        done = 0
        if stream.state == "paused":
            self._pause()
        else:
            self._balance(stream)
            self._check_disk()
            done = self._lead()
        self.emit(SyncTended(state=stream.state, shards=len(self._readers)))
        return done

    def _stream(self) -> StreamRecord:
        stream = streams.stream_of(self.conn, self.source)
        if stream is None:
            raise NotBegun(source=self.source)
        if stream.state == "stopped":
            raise SyncStopped(source=self.source)
        assert_same_table(stream, self.order.source)
        return stream

    def _list(self, stream: StreamRecord) -> None:
        seconds = min(1.0, self.order.limits.list_seconds) if self._list_soon else self.order.limits.list_seconds
        if streams.may_list(self.conn, self.source, seconds=seconds):
            self._list_soon = False
            for shard in list_shards(self.conn, self.order, stream):
                self._look_for(ShardReader(order=self.order, arn=stream.arn, shard=shard))
            for shard in streams.without_parent(self.conn, self.source, seconds=_PARENT_SECONDS):
                self._lost(shard, "unlisted_parent")

    def _look_for(self, reader: ShardReader) -> None:
        """A shard is not in the list any more: what counts is whether it can be read."""
        try:
            reader.begin()
        except (Trimmed, ShardGone) as gone:
            self._lost(reader.shard, _kind_of(gone, reader.shard))

    def _pause(self) -> None:
        leases.release(self.conn, self.source, self.name, self._readers)
        self._readers.clear()

    def _balance(self, stream: StreamRecord) -> None:
        """Have a fair share of the shards: no more, so that others get theirs, and no fewer."""
        share = leases.fair_share(self.conn, self.source)
        surplus = sorted(self._readers)[share:]
        leases.release(self.conn, self.source, self.name, surplus)
        for shard in surplus:
            del self._readers[shard]
        taken = leases.take(
            self.conn,
            self.source,
            self.name,
            most=share - len(self._readers),
            seconds=self.order.limits.lease_seconds,
        )
        for record in taken:
            self._readers[record.shard] = ShardReader(order=self.order, arn=stream.arn, shard=record)

    def _check_alarm(self) -> None:
        if self._tended.rounds % _LOOK_EVERY == 1:
            told = self._bell.hear(freshness.unread_seconds(self.conn, self.source))
            if told is not None:
                self.emit(told)

    def _check_disk(self) -> None:
        if self._tended.rounds % _LOOK_EVERY == 1:
            written.mark_written(self.conn, self.source, seconds=_MARK_SECONDS)
            found = pending.pending_bytes(self.conn) // 1_000_000
            if found > self.order.limits.pending_disk_mb:
                raise PendingTooLarge(found_mb=found, most_mb=self.order.limits.pending_disk_mb)

    def _lead(self) -> int:
        """Send markers, merge, repair and try parked changes again, if it is this worker that does."""
        self._leads = self._leads or lock_flow(self.conn, f"{self.source} sync", patience_seconds=0.0)
        writer = self.writer
        if not self._leads or self._merger is None or self._repairer is None or self._marking is None:
            return 0
        self._marking.step()
        merged = self._merger.step()
        if merged.changes:
            self.emit(SyncMerged(changes=merged.changes))
        for entity in merged.syncing:
            self.emit(SyncStateChanged(entity=entity, state="syncing"))
        if pending.count_parked(self.conn, self.source):
            retry_parked(writer)
        repaired = self._repairer.step()
        if merged.changes >= self.order.limits.merge_changes or repaired >= self.order.limits.repairs_at_once:
            self._tended.at = 0.0  # there is more to do: no need to wait for the next round
        return merged.changes + repaired

    def _submit(self) -> None:
        """Begin to read those shards whose turn it is, as many as may be; who waited longest comes first."""
        room = self.order.limits.readers - len(self._reads)
        if room <= 0:
            return
        busy = {id(reader) for reader in self._reads.values()}
        now = self.order.clock()
        due = [one for one in self._readers.values() if id(one) not in busy and one.due_at <= now]
        for reader in sorted(due, key=lambda one: one.due_at)[:room]:
            self._reads[self.executor.submit(_page_of, reader, self.writer.preparer)] = reader

    def _hear(self, reader: ShardReader, future: Future[_Page]) -> int:
        try:
            page = future.result()
        except (Trimmed, ShardGone) as gone:
            self._lost(reader.shard, _kind_of(gone, reader.shard))
            return 0
        progress = reader.progress(page.read, page.marked_at)
        if page.read.page.next is not None:
            self._submit()  # so that it is read on while this page is written
        if progress is None:
            return 0
        try:
            reader.shard, counts = self.writer.write(self.name, reader.shard, page.prepared, progress)
        except LeaseLost:
            self._readers.pop(reader.shard.shard, None)
            return 0
        if progress.ended:
            del self._readers[reader.shard.shard]
            self._list_soon = True
        if changes := len(page.prepared.changes):
            self.emit(
                SyncBatch(
                    shard=reader.shard.shard, changes=changes, bytes=page.read.page.bytes_read, counts=dict(counts)
                )
            )
        return changes

    def _lost(self, shard: ShardRecord, kind: GapKind) -> None:
        """Records are gone that were not read: stop, or go on after them and remember what has to be repaired.

        Where another worker has read on in the shard meanwhile, it is not so.
        """
        self._readers.pop(shard.shard, None)
        if self.order.on_gap == "stop":
            with self.conn.transaction():
                is_lost = streams.is_unread(self.conn, self.source, shard)
                if is_lost:
                    gaps.keep_gap(self.conn, source=self.source, shard=shard, kind=kind, decision=None)
            if is_lost:
                raise RecordsLost(source=self.source, shard=shard.shard, found=_found[kind])
            return
        with self.conn.transaction():
            states = loads.lock_states(self.conn, self.source, exclusively=True)
            if not streams.is_unread(self.conn, self.source, shard):
                return
            caught = {name: state for name, state in states.items() if state.state in CAPTURING and state.is_captured}
            for load in {state.load for state in caught.values() if state.load is not None}:
                loads.discard(self.conn, load)
                pending.forget_pending(self.conn, [load], list(caught))
            loads.set_state(self.conn, source=self.source, entities=list(caught), state="loading")
            gaps.keep_gap(self.conn, source=self.source, shard=shard, kind=kind, decision="repair")
            if kind == "vanished":
                streams.give_up_shard(self.conn, self.source, shard.shard)
            else:
                streams.skip_to_horizon(self.conn, self.source, shard.shard)
            records.audit(self.conn, "sync gap", {"source": self.source, "shard": shard.shard, "kind": kind})
        self._list_soon = True
        if caught:
            raise GapWhileLoading(source=self.source, entities=tuple(sorted(name for name in caught if name)))


def _kind_of(gone: SourceError, shard: ShardRecord) -> GapKind:
    if isinstance(gone, ShardGone):
        return "vanished"
    is_known = shard.position is not None or (shard.first is not None and not shard.at_horizon)
    return "trimmed" if is_known else "unknown_start"


_found: Final[dict[GapKind, str]] = {
    "unlisted_parent": "a shard came whose parent was never listed",
    "trimmed": "records were trimmed from the stream before they were read",
    "vanished": "a shard left the stream before it was read to its end",
    "unknown_start": "what a shard held since it was last read cannot be known any more",
}


def new_executor(order: SyncOrder) -> ThreadPoolExecutor:
    """Threads for a worker's reads."""
    return ThreadPoolExecutor(max_workers=order.limits.readers, thread_name_prefix="ashore shard")
