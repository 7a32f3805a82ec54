"""The row phase of a load, and its guard against too many rejected items."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ashore.ledger import loads, rejected, units
from ashore.ledger.errors import CountMismatch
from ashore.ledger.work import write_rows
from ashore.ledger.worker import ChunkDone, Task, UnitDone
from ashore.load.errors import TooManyRejected
from ashore.load.order import Limits, LoadOrder, OpenLoad
from ashore.observe.events import Emit, ItemsRejected, Progress, UnitFinished
from ashore.postgres.connect import Conn
from ashore.postgres.errors import translated


@dataclass(slots=True, kw_only=True)
class RejectedGuard:
    """Stops a load of which more than a share is rejected."""

    limits: Limits
    read: int
    rejected: Counter[tuple[str | None, str]] = field(default_factory=Counter)

    @classmethod
    def of_load(cls, conn: Conn, load: int, limits: Limits) -> RejectedGuard:
        """What the ledger says of a load so far."""
        so_far = Counter(rejected.rejected_by_reason(conn, load))
        return cls(limits=limits, read=units.tally(conn, load).items_read, rejected=so_far)

    def check(self) -> None:
        """Do nothing while the share of rejected items is within its limit.

        Raises:
            TooManyRejected: It is not, and enough items were read to tell.
        """
        share = self.limits.max_rejected_share
        if self.read >= self.limits.counted_from and self.rejected.total() > share * self.read:
            raise TooManyRejected(read=self.read, rejected=dict(self.rejected), share=share)


@dataclass(slots=True, kw_only=True)
class Paths:
    """Which path encoded the items of this run: how many the native one took, and how many it refused, by kind."""

    native_items: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def load_rows(conn: Conn, order: LoadOrder, load: OpenLoad, emit: Emit) -> Paths:
    """Write the rows of every unit that is not done, then set the load's phase to ``keys``.

    Raises:
        TooManyRejected: What was committed stays.
        AshoreError: As `ashore.ledger.work.write_rows`.
    """
    record = load.record
    guard = RejectedGuard.of_load(conn, record.id, order.limits)
    guard.check()
    paths = Paths()

    def hear(message: ChunkDone | UnitDone) -> None:
        if isinstance(message, UnitDone):
            emit(UnitFinished(unit=message.unit))
            return
        guard.read += message.items
        guard.rejected.update(message.rejected)
        paths.native_items += message.native_items
        paths.refused.update(message.refused)
        emit(
            Progress(
                items=message.items,
                bytes=message.bytes,
                read_units=message.read_units,
                throttled=message.throttled,
                rejected=sum(message.rejected.values()),
                native_items=message.native_items,
                refused=message.refused,
            )
        )
        for (entity, reason), items in message.rejected.items():
            emit(ItemsRejected(entity=entity, reason=reason, items=items))
        guard.check()

    def look_after_the_lock() -> None:
        with translated("keeping the lock of the load"):
            loads.assert_mine(conn, record)

    before = units.tally(conn, record.id)
    if before.units_done < before.units:
        task = Task(
            dsn=order.dsn,
            load=record.id,
            run=record.run,
            name=record.source,
            source=order.source,
            make_encoding=order.make_encoding,
            targets=dict(load.targets),
        )
        workers = max(1, min(order.workers, before.units - before.units_done))
        write_rows(task, workers=workers, on_message=hear, on_tick=look_after_the_lock)
    with conn.transaction():
        after = units.tally(conn, record.id)
        if after.units_done != after.units:
            raise CountMismatch(where=f"units of {record.source}", expected=after.units, actual=after.units_done)
        loads.rows_ended(conn, record)
        loads.advance(conn, record, "keys")
    return paths
