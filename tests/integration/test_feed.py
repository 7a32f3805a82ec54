"""Law 21: the outbox feeds OpenSearch, once the feed that did so before is off, with versions that only grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from tests import cutover_world
from tests.cutover_world import MemoryStore
from tests.feed_world import FedWorld, id_of, plan, search_index
from tests.search_server import SearchServer

from ashore import local
from ashore.cutover import noting
from ashore.ledger import feeder, feeds, outbox
from ashore.ledger.errors import LeaseLost
from ashore.ledger.feeder import STRIDE
from ashore.mapping import declare
from ashore.opensearch.errors import IndexMissing, SearchForbidden
from ashore.opensearch.rebuild import Rebuild
from ashore.pipeline.index import Feeding
from ashore.postgres.connect import connect


@pytest.fixture(scope="module")
def made(postgres_server: local.LocalPostgres) -> Iterator[FedWorld]:
    with SearchServer() as server, FedWorld(postgres_server.create_database("feed"), server) as one:
        yield one


@pytest.fixture
def world(made: FedWorld) -> FedWorld:
    made.reset()
    return made


def version_of(world: FedWorld, index: str, one: str) -> int:
    return world.server.indexes[index].documents[one][0]


def left(world: FedWorld) -> list[Any]:
    return world.rows("SELECT entity, key, back, fed, feed_refused FROM ashore.outbox ORDER BY id")


def test_inserts_updates_and_deletions_become_documents(world: FedWorld) -> None:
    world.do("INSERT INTO world.account (account_id, balance) VALUES ('9', 9)")
    world.do("UPDATE world.account SET balance = 7 WHERE account_id = '2'")
    world.do("UPDATE world.note SET text = 'b'")
    world.drain()
    assert {"balance": 7, "email": None} == world.server.documents("accounts")["account|2~account"]
    assert {"account|9~account", "account|2~account"} == world.server.documents("accounts").keys()
    world.do("DELETE FROM world.account WHERE account_id = '2'")
    world.drain()
    assert {"account|9~account"} == world.server.documents("accounts").keys()
    assert {"b"} == {one["text"] for one in world.server.documents("notes").values()}
    [(indexed, deleted)] = world.rows("SELECT indexed, deleted FROM ashore.feeder")
    assert (indexed, deleted) == (5, 1)


def test_children_make_the_document_of_their_parent(world: FedWorld) -> None:
    world.do("INSERT INTO world.line (note_id, position, words) VALUES ('1', 0, 'first'), ('1', 1, 'second')")
    world.drain()
    assert ["first", "second"] == world.server.documents("notes")["owner|1~note|1"]["lines"]
    world.do("DELETE FROM world.line WHERE position = 0")
    world.drain()
    assert ["second"] == world.server.documents("notes")["owner|1~note|1"]["lines"]


def test_a_row_that_gets_another_key_leaves_no_document_under_the_one_that_it_had(world: FedWorld) -> None:
    world.fill()
    world.do("UPDATE world.note SET owner_id = '2' WHERE note_id = '1'")
    world.do("UPDATE world.note SET note_id = '8' WHERE note_id = '2'")
    world.drain()
    world.assert_same()
    assert {"owner|2~note|1", "owner|1~note|8", "owner|1~note|3"} == world.server.documents("notes").keys()


def test_an_item_of_which_the_function_makes_no_document_has_none(world: FedWorld) -> None:
    world.fill()
    world.do("UPDATE world.account SET balance = 0 WHERE account_id = '2'")
    world.drain()
    world.assert_same()
    assert "account|2~account" not in world.server.documents("accounts")


def test_numbers_keep_all_their_digits(world: FedWorld) -> None:
    kept: list[bytes] = []
    index = search_index(world.server)

    class Watched:
        def write(self, actions: Any, may_begin: Any) -> Any:
            kept.extend(one.source for one in actions)
            return index.write(actions, may_begin)

        versions, assert_there = index.versions, index.assert_there

    world.do("UPDATE world.note SET extra = '{\"weight\": 12345678901234567890.123}' WHERE note_id = '1'")
    world.drain(world.feeder(Watched()))
    assert [b'{"text":"a","lines":[],"weight":12345678901234567890.123}'] == kept


def test_law_21_of_two_snapshots_the_later_one_has_the_higher_version(world: FedWorld) -> None:
    """A slow reader cannot draw a version that is higher than that of a snapshot taken after its own."""
    with (
        connect(world.dsn, application_name="a", autocommit=True) as slow,
        connect(world.dsn, application_name="b", autocommit=True) as quick,
    ):
        fence = feeder.lease(slow, "world", "me", seconds=30)
        assert fence is not None
        with slow.transaction():
            slow.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            slow.execute("SELECT 1")  # its snapshot is taken
            with quick.transaction():
                quick.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                feeder.draw(quick, "world", "me", fence, busy_seconds=1)
            with pytest.raises(psycopg.errors.SerializationFailure):
                feeder.draw(slow, "world", "me", fence, busy_seconds=1)


def test_law_21_versions_grow_when_the_clock_is_put_back_and_when_the_ledger_is_restored(world: FedWorld) -> None:
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    world.drain()
    first = version_of(world, "accounts", "account|2~account")
    assert abs(first / 1e6 - time.time()) < 60, "microseconds since 1970"
    ahead = first + 3_600 * 1_000_000
    world.do("UPDATE ashore.feeder SET version = %s", ahead)
    world.do("UPDATE world.account SET balance = 6 WHERE account_id = '2'")
    world.drain()
    assert ahead + STRIDE <= version_of(world, "accounts", "account|2~account") < ahead + 10 * STRIDE
    world.server.create("accounts")
    world.do("UPDATE world.account SET balance = 7 WHERE account_id = '2'")
    world.do("DELETE FROM ashore.feeder")
    world.drain()
    assert first < version_of(world, "accounts", "account|2~account") < ahead


@pytest.mark.parametrize("about", [{}, {"version": 1_700_000_000_000, "version_type": "external"}], ids=["", "ms"])
def test_law_21_versions_of_the_old_feed_are_below(world: FedWorld, about: dict[str, Any]) -> None:
    for one in ("account|2~account", "account|3~account"):
        for _ in range(3):
            world.server.write("accounts", "index", {"_id": one, **about}, {"old": True})
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    world.do("DELETE FROM world.account WHERE account_id = '3'")
    world.drain()
    documents = world.server.documents("accounts")
    assert {"account|2~account": {"balance": 5, "email": None}} == documents


def test_law_21_a_version_of_another_feed_that_is_above_is_overtaken_and_counted(world: FedWorld) -> None:
    above = int(time.time() * 1e9)  # nanoseconds
    world.server.write(
        "accounts",
        "index",
        {"_id": "account|2~account", "version": above, "version_type": "external"},
        {"old": True},
    )
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    one = world.feeder()
    waits = one.step().waits
    assert waits is not None
    assert "another feed" in waits
    world.drain(one)
    assert {"balance": 5, "email": None} == world.server.documents("accounts")["account|2~account"]
    assert above < version_of(world, "accounts", "account|2~account")
    [(others,)] = world.rows("SELECT versions_of_others FROM ashore.feeder")
    assert others == 1


def test_law_21_a_feed_that_still_writes_beside_ours_is_found(world: FedWorld) -> None:
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    world.drain()
    assert world.rows("SELECT versions_of_others FROM ashore.feeder") == [(0,)]
    world.server.write("accounts", "index", {"_id": "account|2~account"}, {"old": True})  # internal: ours plus 1
    world.do("UPDATE world.account SET balance = 6 WHERE account_id = '2'")
    world.drain()
    assert world.rows("SELECT versions_of_others FROM ashore.feeder") == [(1,)]
    assert {"balance": 6, "email": None} == world.server.documents("accounts")["account|2~account"]


def test_law_21_a_feeder_that_dies_before_it_acknowledges_is_followed_by_one_that_feeds_again(world: FedWorld) -> None:
    world.fill()
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    world.do("DELETE FROM world.account WHERE account_id = '3'")
    index = search_index(world.server)

    class Dies:
        versions, assert_there = index.versions, index.assert_there

        def write(self, actions: Any, may_begin: Any) -> Any:
            index.write(actions, may_begin)
            raise KeyboardInterrupt

    dying = world.feeder(Dies(), lease_seconds=0.6, request_seconds=0.1)
    with pytest.raises(KeyboardInterrupt):
        dying.step()
    dying.conn.close()
    first = version_of(world, "accounts", "account|2~account")
    other = world.feeder()
    assert not other.step().is_owner, "the lease of the dead one has not run out"
    time.sleep(0.7)
    assert other.step().entries == 2
    assert first < version_of(world, "accounts", "account|2~account")
    world.assert_same()


def test_law_21_one_that_was_overtaken_while_it_slept_brings_nothing_back(world: FedWorld) -> None:
    """Its write comes when the index has forgotten the deletion: whoever finds that its lease is lost asks again."""
    world.fill()
    now = [0.0]
    world.server.clock = lambda: now[0]
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    index = search_index(world.server)
    others = world.feeder()

    class Sleeps:
        versions, assert_there = index.versions, index.assert_there

        def write(self, actions: Any, may_begin: Any) -> Any:
            world.do("UPDATE ashore.feeder SET lease_until = clock_timestamp() - interval '1 s'")
            world.do("DELETE FROM world.account WHERE account_id = '2'")
            others.step()
            assert "account|2~account" not in world.server.documents("accounts")
            now[0] += 61.0
            return index.write(actions, may_begin)

    sleeper = world.feeder(Sleeps())
    with pytest.raises(LeaseLost):
        sleeper.step()
    assert "account|2~account" in world.server.documents("accounts"), "the index had forgotten it"
    world.drain()
    world.assert_same()
    world.server.clock = time.monotonic


def test_law_21_an_answer_that_took_too_long_acknowledges_nothing(world: FedWorld) -> None:
    world.fill()
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    times = iter([0.0, 1.0, 31.0])
    slow = world.feeder(clock=lambda: next(times), forgets_seconds=60.0)
    waits = slow.step().waits
    assert waits is not None
    assert "too late" in waits
    assert len(left(world)) == 1
    world.drain()
    world.assert_same()


def test_no_request_is_begun_that_could_outlive_the_lease(world: FedWorld) -> None:
    world.do("UPDATE world.account SET balance = 5")
    times = iter([0.0, 51.0, 52.0])
    late = world.feeder(clock=lambda: next(times), lease_seconds=60, request_seconds=10, forgets_seconds=1e9)
    assert late.step().waits == "no time was left"
    assert world.server.bulk_requests == 0 or not world.server.documents("accounts")
    assert len(left(world)) == 3


def test_of_two_feeders_one_feeds(world: FedWorld) -> None:
    world.do("UPDATE world.account SET balance = 5")
    one, other = world.feeder(), world.feeder()
    assert one.step().entries == 3
    assert not other.step().is_owner
    one.leave()
    assert other.step().is_owner


@pytest.mark.parametrize("fault", ["reset before", "reset after", "429", "503", "413", "garbage", "some items 429"])
def test_a_request_that_fails_is_done_again(world: FedWorld, fault: Any) -> None:
    world.fill()
    world.do("UPDATE world.account SET balance = 5")
    world.do("DELETE FROM world.note WHERE note_id = '2'")
    world.server.faults = [fault, fault, None]
    one = world.feeder()
    assert one.step().waits is not None
    assert one.step().waits is not None
    world.drain(one)
    world.assert_same()
    assert sorted(left(world)) == [("account", [number], True, True, None) for number in ("1", "2", "3")] + [
        ("note", ["2"], True, True, None)
    ], "and what is to be written back stays"


def test_what_the_index_refuses_is_kept_and_shown_and_does_not_block_others(world: FedWorld) -> None:
    world.server.create("notes", text="long")
    world.do("UPDATE world.note SET text = '17' WHERE note_id <> '2'")
    world.do("UPDATE world.note SET text = 'secret' WHERE note_id = '2'")
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    world.drain()
    assert {"owner|1~note|1", "owner|1~note|3"} == world.server.documents("notes").keys()
    assert {"account|2~account"} == world.server.documents("accounts").keys()
    [(entity, key, reason)] = feeder.refused(world.conn, "world")
    assert (entity, key, reason) == ("note", ["2"], "400 mapper_parsing_exception (field text)")
    assert "secret" not in reason

    world.do("UPDATE world.note SET text = '18' WHERE note_id = '2'")
    world.drain()
    assert "18" == world.server.documents("notes")["owner|1~note|2"]["text"]
    assert feeder.refused(world.conn, "world") == []


def test_what_was_refused_can_be_tried_again(world: FedWorld) -> None:
    world.server.create("notes", text="long")
    world.do("UPDATE world.note SET text = 'x' WHERE note_id = '2'")
    world.drain()
    world.server.indexes["notes"].mappings.clear()
    assert feeder.try_again(world.conn, "world", ["note"]) == 1
    world.drain()
    assert {"owner|1~note|2"} == world.server.documents("notes").keys()


def test_an_index_that_is_gone_is_not_made_anew_by_a_write(world: FedWorld) -> None:
    world.do("UPDATE world.note SET text = 'x' WHERE note_id = '2'")
    del world.server.indexes["notes"]
    with pytest.raises(IndexMissing):
        world.feeder().step()
    assert "notes" not in world.server.indexes
    assert len(left(world)) == 1


def test_a_caller_who_may_not_is_told(world: FedWorld) -> None:
    world.do("UPDATE world.note SET text = 'x' WHERE note_id = '2'")
    world.server.login = "ashore:right"
    try:
        with pytest.raises(SearchForbidden, match="401"):
            world.feeder().step()
    finally:
        world.server.login = None
    assert len(left(world)) == 1


def test_reverse_sync_and_the_feed_are_each_through_with_an_entry_by_themselves(world: FedWorld) -> None:
    store = MemoryStore(world.table)
    writer = cutover_world.reverse_writer(world.dsn, store)
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    writer.step()
    assert left(world) == [("account", ["2"], False, False, None)], "it waits for the feed"
    world.drain()
    assert left(world) == []

    world.do("UPDATE world.account SET balance = 6 WHERE account_id = '2'")
    world.drain()
    assert left(world) == [("account", ["2"], True, True, None)], "it waits for the way back"
    cutover_world.drain(writer)
    assert left(world) == []
    writer.conn.close()


def test_an_entry_that_both_are_through_with_at_once_does_not_stay(world: FedWorld) -> None:
    for at in range(20):
        world.do("UPDATE world.account SET balance = %s", at)
        ids = [number for (number,) in world.rows("SELECT id FROM ashore.outbox")]

        def through(acknowledge: Any, ids: list[int] = ids) -> None:
            with connect(world.dsn, application_name="t", autocommit=True) as conn, conn.transaction():
                acknowledge(conn, "world", ids)

        threads = [threading.Thread(target=through, args=(one,)) for one in (outbox.acknowledge, feeder.acknowledge)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert left(world) == []


def test_an_entry_of_which_dynamodb_cannot_hold_the_row_is_fed_and_kept(world: FedWorld) -> None:
    store = MemoryStore(world.table, too_large=10)
    writer = cutover_world.reverse_writer(world.dsn, store)
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    writer.step()
    world.drain()
    assert 5 == world.server.documents("accounts")["account|2~account"]["balance"]
    assert world.rows("SELECT refused, fed FROM ashore.outbox") == [("ValidationException", True)]
    writer.conn.close()


def test_a_rebuild_makes_every_document_and_goes_on_where_it_was_killed(world: FedWorld) -> None:
    rebuild = world.rebuild("account", at_once=2)
    assert rebuild.step()
    again = replace(rebuild, conn=world.feeder().conn)
    world.do("INSERT INTO world.account (account_id, balance) VALUES ('0', 10), ('25', 11)")
    while again.step():
        pass
    assert not again.step(), "there is no more"
    world.drain()
    expected = world.expected()["accounts"]
    assert len(expected) == 5
    assert expected == world.server.documents("accounts")
    feed = feeds.feeds(world.conn, "world")["account"]
    assert (feed.rebuild_is_read, feeds.rebuild_left(world.conn, "world", feed)) == (True, (0, 0))
    assert feeds.end_rebuild(world.conn, "world", feed)
    assert feeds.feeds(world.conn, "world")["account"].rebuilt_at is not None


def test_a_rebuild_into_another_index_feeds_both_until_it_takes_over(world: FedWorld) -> None:
    world.fill()
    world.server.create("accounts-2")
    feeds.begin_rebuild(world.conn, "world", "account", "accounts-2")
    feed = feeds.feeds(world.conn, "world")["account"]
    assert feed.indexes == ("accounts", "accounts-2")
    world.do("UPDATE world.account SET balance = 50 WHERE account_id = '2'")
    world.drain()
    for index in feed.indexes:
        assert 50 == world.server.documents(index)["account|2~account"]["balance"]
    assert feed.rebuild_began_at is not None
    rebuild = Rebuild(
        conn=world.conn,
        source="world",
        entity=plan.entities["account"],
        tables=world.tables,
        began=feed.rebuild_began_at,
    )
    rebuild.step()
    world.drain()
    feeds.end_rebuild(world.conn, "world", feeds.feeds(world.conn, "world")["account"])
    assert feeds.feeds(world.conn, "world")["account"].indexes == ("accounts-2",)
    assert world.expected()["accounts"] == world.server.documents("accounts-2")


def test_retiring_leaves_the_notes_for_the_feed_alone(world: FedWorld) -> None:
    world.fill()
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    with world.conn.transaction():
        assert feeds.notes_are_for_feed_only(world.conn, "world", ["account", "session"]) == ["account"]
        noting.install(world.conn, "world", plan.entities["account"], world.tables, to_write_back=False)
        outbox.let_go(world.conn, "world", ["account"])
    world.do("UPDATE world.account SET balance = 6 WHERE account_id = '3'")
    assert [row[:3] for row in left(world)] == [("account", ["2"], False), ("account", ["3"], False)]
    assert outbox.standing(world.conn, "world").entries == 0
    world.drain()
    world.assert_same()
    assert left(world) == []


def test_when_the_feed_ends_nothing_is_left_but_what_is_to_be_written_back(world: FedWorld) -> None:
    world.rebuild("account").step()
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    with world.conn.transaction():
        assert feeds.end(world.conn, "world", ["account"])[0] == ["account"]
    assert left(world) == [("account", ["2"], True, False, None)]
    assert world.feeder().step().entries == 0
    outbox.acknowledge(world.conn, "world", [number for (number,) in world.rows("SELECT id FROM ashore.outbox")])
    assert left(world) == []


def test_law_21_rows_are_not_read_for_a_feed_that_ends_meanwhile(world: FedWorld) -> None:
    """A draw that waits for the end has its snapshot from before it, and would read the feed as it was."""
    fence = feeder.lease(world.conn, "world", "me", seconds=60)
    assert fence is not None
    found: list[Any] = []

    def draw() -> None:
        with connect(world.dsn, application_name="draws", autocommit=True) as conn:
            try:
                with conn.transaction():
                    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    feeder.draw(conn, "world", "me", fence, busy_seconds=1)
                    found.append(sorted(feeds.feeds(conn, "world")))
            except psycopg.errors.SerializationFailure:
                found.append("reads again")

    thread = threading.Thread(target=draw)
    with connect(world.dsn, application_name="ends", autocommit=True) as ending, ending.transaction():
        feeds.end(ending, "world", ["account"])
        thread.start()
        give_up_at = time.monotonic() + 30
        while world.rows("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
            assert time.monotonic() < give_up_at
            time.sleep(0.02)
    thread.join()
    assert ["reads again"] == found


def test_law_21_a_request_that_is_under_way_when_the_feed_ends_is_waited_for(world: FedWorld) -> None:
    world.do("UPDATE world.account SET balance = 5 WHERE account_id = '2'")
    index = search_index(world.server)
    feeding = Feeding(
        conn=world.conn,
        project=SimpleNamespace(plan=plan),  # type: ignore[arg-type]
        entities=("account", "note"),
        tables=world.tables,
    )
    seen: list[Any] = []
    begun, may_go_on = threading.Event(), threading.Event()

    class Slow:
        versions, assert_there = index.versions, index.assert_there

        def write(self, actions: Any, may_begin: Any) -> Any:
            begun.set()
            assert may_go_on.wait(30)
            return index.write(actions, may_begin)

    def sleep(_: float) -> None:
        seen.append(world.server.documents("accounts"))
        may_go_on.set()
        time.sleep(0.05)

    thread = threading.Thread(target=world.feeder(Slow()).step)
    thread.start()
    assert begun.wait(30)
    assert ["account", "note"] == feeding.end(sleep=sleep)
    thread.join()
    assert seen[0] == {}
    assert {"account|2~account"} == world.server.documents("accounts").keys(), "it was there before the end returned"
    assert left(world) == [("account", ["2"], True, True, None)]


def test_a_function_that_raises_costs_its_document_alone_and_tells_no_value(world: FedWorld) -> None:
    def of(item: dict[str, Any]) -> dict[str, Any]:
        if item.get("text") == "secret":
            raise ValueError(item["text"])
        return {"text": item.get("text")}

    search = declare.Search(index="notes", id=id_of, document=of)
    one = world.feeder()
    one.plan = replace(plan, entities={**plan.entities, "note": replace(plan.entities["note"], search=search)})
    world.do("UPDATE world.note SET text = 'secret' WHERE note_id = '2'")
    world.do("UPDATE world.note SET text = 'open' WHERE note_id = '3'")
    world.drain(one)
    assert {"owner|1~note|3": {"text": "open"}} == world.server.documents("notes")
    [(_, _, reason)] = feeder.refused(world.conn, "world")
    assert reason.startswith("the document function raised ValueError at test_feed.py line ")
    assert "secret" not in reason
