"""Random histories of a table, a load and a sync, with everything that can go wrong; in the end both stores agree.

The model is the simplest there is: each item of the table belongs in one place in PostgreSQL, which `sync_world` works
out from the items alone. A history that fails is shrunk to the steps that it needs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import sync_world
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, MemoryMarkers, SteppedLoad

from ashore.dynamodb.errors import Unreachable
from ashore.sync.worker import Worker

HISTORIES: Final = int(os.environ.get("ASHORE_HISTORIES", "1000" if os.environ.get("CI") == "true" else "40"))
Step = tuple[str, Any]


def _s(text: str) -> dict[str, str]:
    return {"S": text}


def account_item(number: int, email: int, balance: Any, *, is_old: bool) -> dict[str, Any]:
    key = f"ACCOUNT#{number}" if is_old else f"account|{number}"
    item: dict[str, Any] = {"pk": _s(key), "sk": _s("account"), "balance": balance}
    return item | ({"email": _s(f"e{email}")} if email else {})


def note_item(number: int, owner: int, text: str, lines: Sequence[str]) -> dict[str, Any]:
    item: dict[str, Any] = {"pk": _s(f"owner|{owner}"), "sk": _s(f"note|{number}"), **_refers(number, owner)}
    item["text"] = _s(text)
    return item | ({"lines": {"L": [{"M": {"words": _s(words)}} for words in lines]}} if lines else {})


def copy_item(place: tuple[str, int, int], number: int, owner: int, text: str) -> dict[str, Any]:
    folder, year, at = place
    return {"pk": _s(f"{folder}|{year}"), "sk": _s(str(at)), **_refers(number, owner), "text": _s(text)}


def _refers(number: int, owner: int) -> dict[str, Any]:
    return {"noteRef": _s(f"note|{number}"), "ownerId": _s(str(owner))}


balances = st.sampled_from([{"N": "1"}, {"N": "2"}, {"N": "3"}, {"N": "5000"}, {"S": "no number"}])
texts = st.sampled_from(["a", "b", "c", "nul\0"])
few = st.integers(1, 3)
items = st.one_of(
    st.builds(account_item, st.integers(1, 5), st.integers(0, 3), balances, is_old=st.booleans()),
    st.builds(note_item, st.integers(1, 4), st.integers(1, 2), texts, st.lists(st.sampled_from("xyz"), max_size=3)),
    st.builds(
        copy_item,
        st.tuples(st.sampled_from(["archive", "archive", "bin"]), st.integers(1, 2), few),
        st.integers(1, 4),
        st.integers(1, 2),
        texts,
    ),
    st.builds(lambda n, ttl: {"pk": _s(f"session|{n}"), "sk": _s("session"), "ttl": {"N": str(ttl)}}, few, few),
    st.builds(lambda n: {"pk": _s("setting|a"), "sk": _s(str(n))}, few),
    st.builds(lambda n, v: {"pk": _s(f"nobody's {n}"), "sk": _s("z"), "v": {"N": str(v)}}, few, few),
)
steps = st.one_of(
    st.tuples(st.just("put"), items),
    st.tuples(st.just("put"), items),
    st.tuples(st.just("delete"), st.integers(0, 30)),
    st.tuples(st.just("round"), st.integers(0, 1)),
    st.tuples(st.just("round"), st.integers(0, 1)),
    st.tuples(st.just("load"), st.none()),
    st.tuples(st.just("load"), st.none()),
    st.tuples(
        st.sampled_from(["kill", "kill_load", "close", "list", "expire_iterators", "trim", "fail"]),
        st.integers(0, 7),
    ),
)


class History:
    """One table, its loads and its workers, driven a step at a time."""

    def __init__(self, dsn: str, seed: int, loads: list[tuple[str, ...]]) -> None:
        self.dsn = dsn
        self.table = MemoryTable(seed)
        self.table.empties = 3
        self.loads = loads
        self.load: SteppedLoad | None = None
        self.workers: list[Worker] = []
        self.markers = MemoryMarkers(self.table) if seed % 2 else None
        sync_world.fresh(dsn)

    def begin(self) -> None:
        sync_world.begin(self.dsn, self.table)
        self.workers = [self.worker(), self.worker()]

    def worker(self) -> Worker:
        return sync_world.worker(self.dsn, self.table, markers=self.markers, marker_writes=16)

    def take(self, name: str, argument: Any) -> None:
        """Take one step."""
        getattr(self, f"_{name}")(argument)

    def _put(self, item: dict[str, Any]) -> None:
        self.table.put(item)

    def _delete(self, number: int) -> None:
        keys = sorted(self.table.items)
        if keys:
            key = keys[number % len(keys)]
            self.table.delete(*key, is_expiry=key[1] == "session" and number % 2 == 0)

    def _close(self, number: int) -> None:
        open_shards = self.table.open_shards()
        shard = open_shards[number % len(open_shards)]
        self.table.close(shard, children=1 + number % 2, is_listed=number % 3 > 0)

    def _list(self, _: int) -> None:
        self.table.list_all()

    def _expire_iterators(self, _: int) -> None:
        self.table.expire_iterators()

    def _fail(self, _: int) -> None:
        self.table.fail_next(Unreachable("GetRecords", "memory", 1, "made to fail"))

    def _kill(self, number: int) -> None:
        self._replace(number % 2)

    def _kill_load(self, _: int) -> None:
        if self.load is not None:
            self.load.drop()
            self.load = SteppedLoad(self.dsn, self.table, self.load.order.entities)

    def _round(self, number: int) -> None:
        try:
            self.workers[number].round()
        except Unreachable:
            self._replace(number)

    def _replace(self, number: int) -> None:
        """As if the process had been killed: its shards come back when its leases run out."""
        self.workers[number].conn.close()
        self.workers[number] = self.worker()

    def _load(self, _: None) -> None:
        if self.load is None and self.loads:
            self.load = SteppedLoad(self.dsn, self.table, self.loads.pop(0))
        elif self.load is not None:
            self.load.step()
            if self.load.is_done:
                self.load = None

    def _trim(self, _: int) -> None:
        """Drop the records that were read, as DynamoDB does after a day."""
        for shard, position in sync_world.positions(self.dsn).items():
            found = self.table.shards_by_id[shard]
            self.table.trim(found, sum(record.sequence <= position for record in found.records))

    def end(self) -> None:
        self.table.list_all()
        self.table.forget_failures()
        if self.load is not None:
            self.load.finish()
        for entities in self.loads:
            SteppedLoad(self.dsn, self.table, entities).finish()
        for worker in self.workers:
            worker.conn.close()
        sync_world.settle(self.dsn, self.table)
        sync_world.assert_equal(self.dsn, self.table)

    def close(self) -> None:
        for worker in self.workers:
            worker.conn.close()
        if self.load is not None:
            self.load.conn.close()


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@settings(
    max_examples=HISTORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(
    seed=st.integers(0, 10_000),
    before=st.lists(items, max_size=15),
    is_split=st.booleans(),
    history=st.lists(steps, min_size=10, max_size=70),
)
def test_whatever_happens_both_stores_hold_the_same_items_in_the_end(
    postgres_dsn: str, seed: int, before: list[dict[str, Any]], is_split: bool, history: list[Step]
) -> None:
    dsn = f"{postgres_dsn}{'&' if '?' in postgres_dsn else '?'}options=-csynchronous_commit%3Doff"
    one = History(dsn, seed, [("account",), ("note", "session")] if is_split else [ENTITIES])
    try:
        for item in before:
            one.table.put(item)
        one.begin()
        for name, argument in history:
            one.take(name, argument)
        one.end()
    finally:
        one.close()
