"""A crossing in memory and PostgreSQL that the tests of sync drive a step at a time."""

from __future__ import annotations

from typing import Any

from tests import sync_world
from tests.database import HasDatabase
from tests.streamed_table import MemoryShard, MemoryTable
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.sync.worker import Worker


class Crossing(HasDatabase):
    """A table, its sync and its database."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.table = MemoryTable(1)
        self.workers: list[Worker] = []
        sync_world.fresh(dsn)

    def begin(self) -> Crossing:
        sync_world.begin(self.dsn, self.table)
        return self

    def synced(self) -> Crossing:
        """Loaded and merged: from now on the stream is applied."""
        self.begin()
        SteppedLoad(self.dsn, self.table, ENTITIES).finish()
        self.settle()
        assert self.states() == {*[(name, "syncing") for name in ("", *ENTITIES)]}
        return self

    def worker(self, **limits: Any) -> Worker:
        self.workers.append(sync_world.worker(self.dsn, self.table, **limits))
        return self.workers[-1]

    def settle(self) -> None:
        sync_world.settle(self.dsn, self.table)

    def assert_equal(self) -> None:
        self.settle()
        sync_world.assert_equal(self.dsn, self.table)

    def states(self) -> set[tuple[str, str]]:
        return set(self.rows("SELECT entity, state FROM ashore.entity"))


def account(number: int, *, email: str | None = None, balance: int = 1, old: bool = False) -> dict[str, Any]:
    key = f"ACCOUNT#{number}" if old else f"account|{number}"
    item = {"pk": {"S": key}, "sk": {"S": "account"}, "balance": {"N": str(balance)}}
    return item | ({} if email is None else {"email": {"S": email}})


def note(number: int, owner: int, text: str = "a") -> dict[str, Any]:
    item: dict[str, Any] = {"pk": {"S": f"owner|{owner}"}, "sk": {"S": f"note|{number}"}, "text": {"S": text}}
    return item | {"noteRef": {"S": f"note|{number}"}, "ownerId": {"S": str(owner)}}


def many_rounds(worker: Worker) -> None:
    for _ in range(60):
        worker.round()


def lose_a_record(crossing: Crossing) -> MemoryShard:
    """Let a change of account 1 be trimmed before it was read; its next one is there."""
    crossing.table.put(account(1, balance=2))
    shard = next(one for one in crossing.table.open_shards() if one.records and b"account|1" in one.records[-1].key)
    crossing.table.trim(shard, len(shard.records))
    crossing.table.put(account(1, balance=3))
    return shard


def repairing(crossing: Crossing) -> Worker:
    """A worker that goes on after a gap."""
    worker = crossing.worker()
    worker.order = sync_world.order(crossing.dsn, crossing.table, on_gap="repair")
    return worker
