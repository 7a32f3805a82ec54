"""Random histories of a table, a load and a sync, with everything that can go wrong; in the end both stores agree.

The model is the simplest there is: each item of the table belongs in one place in PostgreSQL, which `sync_world` works
out from the items alone. A history that fails is shrunk to the steps that it needs.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests import sync_world
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, MemoryMarkers, SteppedLoad

from ashore.dynamodb.errors import Unreachable
from ashore.ledger import leases, streams
from ashore.ledger.errors import LeaseLost
from ashore.model.change import ChangePage
from ashore.observe.events import Event, SyncBatch, SyncMerged
from ashore.postgres.connect import connect
from ashore.sync import worker
from ashore.sync.contested import Contest
from ashore.sync.errors import GapWhileLoading
from ashore.sync.repair import Repairer
from ashore.sync.stop import set_paused, stop
from ashore.sync.worker import Worker

_ENOUGH: Final = 1_000
_THROUGH: Final = 30
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
    st.tuples(st.just("through"), st.none()),
    st.tuples(st.just("burst"), st.lists(items, min_size=8, max_size=16)),
    st.tuples(
        st.sampled_from(["kill", "kill_load", "close", "list", "hide", "expire_iterators", "trim", "fail", "pause"]),
        st.integers(0, 7),
    ),
    st.tuples(
        st.sampled_from(
            ["kill", "close", "list", "lose", "vanish", "repair_all", "reload", "stop", "overtake", "orphan"]
        ),
        st.integers(0, 7),
    ),
)
seen: Counter[str] = Counter()
"""What happened, and in how many histories; printed at the end for all of `WANTED`: enough histories reach each."""
WANTED: Final = (
    "captured while merging",
    "changes of a whole batch merged",
    "items contested a row",
    "a promoted copy",
    "children",
    "a parked change got its row",
    "a shard was taken over",
    "a batch met the fence",
    "a shard waited for a parent that was not listed",
    "records were trimmed after they were read",
    "records were lost and gone on after",
    "a shard vanished",
    "a load was ended by a gap",
    "every key was repaired after a gap",
    "a key left the repair queue",
    "the sync was paused",
    "the sync was stopped and begun anew",
    "entities were loaded anew while they were synced",
    "other entities were loaded later",
    "a load was killed and taken up",
    "an expiry was applied",
)


class History:
    """One table, its loads and its workers, driven a step at a time."""

    def __init__(self, dsn: str, seed: int, loads: list[tuple[str, ...]]) -> None:
        self.dsn = dsn
        self.table = MemoryTable(seed)
        self.table.empties = 3
        self.loads: list[tuple[tuple[str, ...], bool]] = [(names, False) for names in loads]
        self.load: SteppedLoad | None = None
        self.happened: set[str] = set()
        self.is_hurt = False
        """Whether records were dropped that may not have been read."""
        self.workers: list[Worker] = []
        self.markers = MemoryMarkers(self.table) if seed % 2 else None
        sync_world.emptied(dsn)
        self.eyes = psycopg.connect(dsn, autocommit=True)

    def begin(self) -> None:
        sync_world.begin(self.dsn, self.table)
        self.workers = [self._worker() for _ in range(2)]

    def _worker(self) -> Worker:
        made = sync_world.worker(self.dsn, self.table, on_gap="repair", markers=self.markers, marker_writes=16)
        made.emit = self._heard
        return made

    def _heard(self, event: Event) -> None:
        match event:
            case SyncMerged(changes=changes) if changes >= sync_world.LIMITS.merge_changes:
                self.happened.add("changes of a whole batch merged")
            case SyncBatch(counts=counts) if any(outcome == "captured" for _, outcome in counts):
                if "captured while merging" not in self.happened and self._rows(
                    "SELECT FROM ashore.entity WHERE state = 'merging'"
                ):
                    self.happened.add("captured while merging")
            case _:
                return

    def _rows(self, statement: str) -> list[Any]:
        return self.eyes.execute(statement.encode()).fetchall()

    def take(self, name: str, argument: Any) -> None:
        """Take one step."""
        getattr(self, f"_{name}")(argument)

    def _put(self, item: dict[str, Any]) -> None:
        self.table.put(item)

    def _burst(self, put: Sequence[dict[str, Any]]) -> None:
        for item in put:
            self.table.put(item)

    def _delete(self, number: int) -> None:
        keys = sorted(self.table.items)
        if keys:
            key = keys[number % len(keys)]
            is_expiry = key[1] == "session" and number % 2 == 0
            self.table.delete(*key, is_expiry=is_expiry)
            if is_expiry:
                self.happened.add("an expiry was applied")

    def _close(self, number: int) -> None:
        open_shards = self.table.open_shards()
        shard = open_shards[number % len(open_shards)]
        self.table.close(shard, children=1 + number % 2, is_listed=number % 3 > 0)

    def _list(self, _: int) -> None:
        self.table.list_all()

    def _orphan(self, number: int) -> None:
        """Let the listing show a shard and not yet its parent, which has records of its own."""
        open_shards = self.table.open_shards()
        shard = open_shards[number % len(open_shards)]
        known = set(self.table.shards_by_id)
        self.table.close(shard, children=1, is_listed=False)
        (parent,) = self.table.shards_by_id.keys() - known
        self._burst([account_item(account, 0, {"N": str(number)}, is_old=False) for account in range(1, 6)])
        self.table.close(self.table.shards_by_id[parent], children=1)
        self._round(number % 2)
        if self._rows(
            "SELECT FROM ashore.shard c WHERE state = 'open' AND NOT at_horizon AND parent IS NOT NULL AND NOT EXISTS"
            " (SELECT FROM ashore.shard p WHERE p.shard = c.parent)"
        ):
            self.happened.add("a shard waited for a parent that was not listed")

    def _hide(self, number: int) -> None:
        """Let the listing leave out a shard for a while."""
        shards = list(self.table.shards_by_id.values())
        shards[-1 - number % len(shards)].is_listed = False

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
            self.happened.add("a load was killed and taken up")

    def _round(self, number: int) -> None:
        try:
            self.workers[number].round()
        except Unreachable:
            self._replace(number)
        except GapWhileLoading as ended:
            self._replace(number)
            self._again(ended.entities)
            self.happened.add("a load was ended by a gap")

    def _through(self, _: None) -> None:
        """Load to the end what is being loaded, and let the workers merge it; a gap or a failure leaves it as it is."""
        while self.load is not None:
            self._load(None)
        for number in range(_THROUGH):
            if not self._rows("SELECT FROM ashore.entity WHERE state = 'merging'"):
                return
            self._round(number % 2)

    def _overtake(self, number: int) -> None:
        """Let a worker be so slow to read that another takes its shards over before it can write."""
        slow, read = number % 2, self.table.read

        def read_late(iterator: str, *, limit: int | None = None) -> ChangePage:
            page = read(iterator, limit=limit)
            del self.table.__dict__["read"]
            self.eyes.execute("UPDATE ashore.shard SET lease_until = clock_timestamp() WHERE owner IS NOT NULL")
            self._round(1 - slow)
            return page

        self.table.__dict__["read"] = read_late
        try:
            self._round(slow)
        finally:
            self.table.__dict__.pop("read", None)

    def _again(self, entities: Sequence[str]) -> None:
        """Load these anew, since their attempt has ended."""
        if self.load is not None:
            self.load.drop()
            self.load = None
        self.loads.insert(0, (tuple(entities), True))

    def _replace(self, number: int) -> None:
        """As if the process had been killed: its shards come back when its leases run out."""
        self.workers[number].conn.close()
        self.workers[number] = self._worker()

    def _load(self, _: None) -> None:
        if self.load is None and self.loads:
            entities, is_again = self.loads.pop(0)
            if self._rows("SELECT FROM ashore.entity WHERE state = 'syncing'"):
                again = "entities were loaded anew while they were synced"
                self.happened.add(again if is_again else "other entities were loaded later")
            self.load = SteppedLoad(self.dsn, self.table, entities, restart=is_again)
        elif self.load is not None:
            self.load.step()
            if self.load.is_done:
                self.load = None

    def _trim(self, _: int) -> None:
        """Drop the records that were read, as DynamoDB does after a day."""
        for shard, position in sync_world.positions(self.dsn).items():
            found = self.table.shards_by_id[shard]
            read = sum(record.sequence <= position for record in found.records)
            self.table.trim(found, read)
            if read:
                self.happened.add("records were trimmed after they were read")

    def _lose(self, number: int) -> None:
        """Drop all records of a shard, read or not.

        Not of one that is to be read from its oldest record on: none of it is trimmed for a day after it was listed.
        """
        young = {
            shard for (shard,) in self._rows("SELECT shard FROM ashore.shard WHERE position IS NULL AND at_horizon")
        }
        shards = [one for one in self.table.shards_by_id.values() if one.id not in young]
        if shards:
            shard = shards[number % len(shards)]
            self.table.trim(shard, len(shard.records))
            self.is_hurt = True

    def _vanish(self, number: int) -> None:
        """Drop a closed shard whole; one that was listed: none vanishes before those that it came from have."""
        known = {shard for (shard,) in self._rows("SELECT shard FROM ashore.shard")}
        closed = [one for one in self.table.shards_by_id.values() if one.last is not None and one.id in known]
        if closed:
            self.table.vanish(closed[number % len(closed)])
            self.is_hurt = True

    def _repair_all(self, _: int) -> None:
        if sync_world.ask_every_key(self.dsn, self.table):
            self.happened.add("every key was repaired after a gap")

    def _pause(self, number: int) -> None:
        with connect(self.dsn, application_name="test", autocommit=True) as conn:
            set_paused(conn, "world", paused=number % 2 == 0)
        self.happened.add("the sync was paused")

    def _reload(self, number: int) -> None:
        """Load some entities anew, whatever they are doing; an unfinished load has to end first."""
        if self.load is None and not self.loads:
            self.loads.append((("account",) if number % 2 else ENTITIES, True))

    def _stop(self, number: int) -> None:
        """End the sync and begin another."""
        if number % 4:
            return
        with connect(self.dsn, application_name="test", autocommit=True) as conn:
            stop(conn, "world")
        self.table.forget_failures()
        sync_world.begin(self.dsn, self.table)
        if self.load is not None:
            self.load.drop()
            self.load = None
        self.loads = [(ENTITIES, True)]
        self.happened.add("the sync was stopped and begun anew")

    def end(self) -> None:
        self.table.list_all()
        self.table.forget_failures()
        with connect(self.dsn, application_name="test", autocommit=True) as conn:
            set_paused(conn, "world", paused=False)
        for one in self.workers:
            one.conn.close()
        while True:
            if self.load is not None:
                self.load.finish()
                self.load = None
            for entities, is_again in self.loads:
                SteppedLoad(self.dsn, self.table, entities, restart=is_again).finish()
            self.loads = []
            try:
                sync_world.settle(self.dsn, self.table, on_gap="repair" if self.is_hurt else "stop")
            except GapWhileLoading as ended:  # at most once a shard: it is read on after its gap
                self._again(ended.entities)
                self.happened.add("a load was ended by a gap")
            else:
                break
        if self.is_hurt:
            self._repair_all(0)
            sync_world.settle(self.dsn, self.table)
        sync_world.assert_equal(self.dsn, self.table)
        self._look_back()

    def _look_back(self) -> None:
        found = {kind for (kind,) in self._rows("SELECT DISTINCT kind FROM ashore.gap WHERE decision IS NOT NULL")}
        self.happened |= {"records were lost and gone on after"} if found else set()
        self.happened |= {"a shard vanished"} if "vanished" in found else set()
        self.happened |= {"children"} if self._rows("SELECT FROM world.line LIMIT 1") else set()
        if self._rows("SELECT FROM world.note_copy WHERE promoted LIMIT 1"):
            self.happened.add("a promoted copy")

    def close(self) -> None:
        for one in self.workers:
            one.conn.close()
        if self.load is not None:
            self.load.conn.close()
        self.eyes.close()


@settings(
    max_examples=HISTORIES,
    deadline=None,
    derandomize=os.environ.get("CI")
    == "true",  # there the same histories each time; new ones elsewhere, and by `make chaos`
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(
    seed=st.integers(0, 10_000),
    before=st.lists(items, max_size=15),
    is_split=st.booleans(),
    history=st.lists(steps, min_size=10, max_size=70),
)
def _histories(dsn: str, seed: int, before: list[dict[str, Any]], is_split: bool, history: list[Step]) -> None:
    one = History(dsn, seed, [("account",), ("note", "session", "task")] if is_split else [ENTITIES])
    try:
        for item in before:
            one.table.put(item)
        one.begin()
        for name, argument in history:
            one.take(name, argument)
        one.end()
    finally:
        one.close()
    seen.update(one.happened)
    for what in one.happened:
        event(what)


@pytest.mark.slow
@pytest.mark.histories
@pytest.mark.timeout(3_000)
def test_whatever_happens_both_stores_hold_the_same_items_in_the_end(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen.clear()
    _watch(monkeypatch)
    _histories(f"{postgres_dsn}{'&' if '?' in postgres_dsn else '?'}options=-csynchronous_commit%3Doff")
    print("\n".join(f"{seen[what]:6} {what}" for what in WANTED))  # noqa: T201 (how often, of so many histories)
    if HISTORIES >= _ENOUGH:
        assert [what for what in WANTED if not seen[what]] == [], "what the histories never reach, they do not test"


def _watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count what only shows inside."""

    def counted(owner: Any, name: str, what: str, happened: Callable[[Any], Any], *, error: Any = ()) -> None:
        plain = getattr(owner, name)

        def counting(*arguments: Any, **named: Any) -> Any:
            try:
                result = plain(*arguments, **named)
            except error:
                seen[what] += 1
                raise
            seen[what] += bool(happened(result))
            return result

        monkeypatch.setattr(owner, name, counting)

    counted(Contest, "settle", "items contested a row", lambda found: found[1])
    counted(worker, "retry_parked", "a parked change got its row", lambda found: any(o == "rows" for _, o in found))
    counted(leases, "take", "a shard was taken over", lambda found: any(one.batches and one.fence > 1 for one in found))
    counted(streams, "advance", "a batch met the fence", lambda _: False, error=LeaseLost)
    counted(Repairer, "step", "a key left the repair queue", lambda found: found)
