"""The way back: what the application writes in PostgreSQL becomes items again, and is told from what others write."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import cutover_world, sync_world
from tests.cutover_world import MemoryStore, drain, reverse_writer
from tests.database import HasDatabase
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.cutover import gates
from ashore.cutover.reverse import ReverseWriter
from ashore.cutover.switch import Crossing
from ashore.ledger import outbox
from ashore.ledger.errors import LeaseLost
from ashore.postgres.connect import connect


def account(number: int, **attributes: Any) -> dict[str, Any]:
    return {"pk": {"S": f"account|{number}"}, "sk": {"S": "account"}, "balance": {"N": "1"}, **attributes}


def old_account(number: int) -> dict[str, Any]:
    return {**account(number), "pk": {"S": f"ACCOUNT#{number}"}}


def note(number: int, owner: int, **attributes: Any) -> dict[str, Any]:
    item: dict[str, Any] = {"pk": {"S": f"owner|{owner}"}, "sk": {"S": f"note|{number}"}, **attributes}
    return item | {"noteRef": {"S": f"note|{number}"}, "ownerId": {"S": str(owner)}}


class Written(HasDatabase):
    """A world whose entities are written in PostgreSQL."""

    def __init__(self, dsn: str, items: list[dict[str, Any]]) -> None:
        self.dsn = dsn
        self.table = MemoryTable(3)
        sync_world.fresh(dsn)
        for item in items:
            self.table.put(item)
        sync_world.begin(dsn, self.table)
        SteppedLoad(dsn, self.table, ENTITIES).finish()
        sync_world.settle(dsn, self.table)
        cutover_world.write_in_postgres(dsn, *ENTITIES)
        self.store = MemoryStore(self.table)
        self.writer = reverse_writer(dsn, self.store)

    def settle(self) -> None:
        """Let the stream be read, as it is all the while."""
        sync_world.settle(self.dsn, self.table)

    def assert_same(self) -> None:
        drain(self.writer)
        cutover_world.assert_both_hold_the_same(self.dsn, self.table, *ENTITIES)

    def foreign(self) -> list[Any]:
        return self.rows("SELECT entity, key::jsonb #>> '{pk,S}' FROM ashore.foreign_write ORDER BY id")

    def close(self) -> None:
        self.writer.conn.close()


@pytest.fixture
def written(postgres_dsn: str) -> Iterator[Written]:
    items = [account(1, email={"S": "one"}), account(2), old_account(3), note(1, 1, text={"S": "a"})]
    made = Written(postgres_dsn, items)
    yield made
    made.close()


@pytest.fixture
def small(postgres_dsn: str) -> Iterator[Written]:
    made = Written(postgres_dsn, [account(1), old_account(2), account(3), note(1, 1), note(2, 1)])
    for table in ("account", "note"):
        made.do(f"CREATE TABLE world.first_{table} AS TABLE world.{table}")
    yield made
    made.close()


def test_inserts_updates_and_deletions_become_items(written: Written) -> None:
    written.do("INSERT INTO world.account (account_id, balance) VALUES ('9', 9)")
    written.do("UPDATE world.account SET balance = 7 WHERE account_id = '1'")
    written.do("DELETE FROM world.account WHERE account_id = '2'")
    written.assert_same()
    assert json.loads(written.table.items["account|9", "account"]) == account(9, balance={"N": "9"})
    assert json.loads(written.table.items["account|1", "account"])["balance"] == {"N": "7"}
    assert ("account|2", "account") not in written.table.items
    assert written.rows("SELECT written, removed FROM ashore.reverse") == [(2, 1)]


def test_a_row_that_gets_another_key_leaves_nothing_under_the_one_that_it_had(written: Written) -> None:
    written.do("UPDATE world.account SET account_id = '8' WHERE account_id = '1'")
    written.do("UPDATE world.note SET owner_id = '2'")
    written.assert_same()
    assert ("account|1", "account") not in written.table.items
    assert {key for key in written.table.items if key[1].startswith("note")} == {("owner|2", "note|1")}


def test_a_row_of_an_older_form_of_the_key_is_written_and_deleted_under_that_form(written: Written) -> None:
    written.do("UPDATE world.account SET balance = 5 WHERE account_id = '3'")
    written.assert_same()
    assert json.loads(written.table.items["ACCOUNT#3", "account"])["balance"] == {"N": "5"}
    assert ("account|3", "account") not in written.table.items
    written.do("DELETE FROM world.account WHERE account_id = '3'")
    written.assert_same()
    assert ("ACCOUNT#3", "account") not in written.table.items


def test_children_write_the_item_of_their_parent(written: Written) -> None:
    written.do("INSERT INTO world.line (note_id, position, words) VALUES ('1', 0, 'first'), ('1', 1, 'second')")
    written.assert_same()
    written.do("UPDATE world.line SET words = 'other' WHERE position = 1")
    written.do("DELETE FROM world.line WHERE position = 0")
    written.assert_same()
    [item] = [json.loads(raw) for key, raw in written.table.items.items() if key[1] == "note|1"]
    assert item["lines"] == {"L": [{"M": {"words": {"S": "other"}}}]}


def test_a_row_that_is_made_and_deleted_before_anybody_looks_leaves_nothing(written: Written) -> None:
    before = dict(written.table.items)
    written.do("INSERT INTO world.account (account_id) VALUES ('9')")
    written.do("DELETE FROM world.account WHERE account_id = '9'")
    written.assert_same()
    assert written.table.items == before
    assert written.rows("SELECT count(*) FROM ashore.outbox") == [(0,)]


def test_truncate_is_refused(written: Written) -> None:
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="cannot be truncated"):
        written.do("TRUNCATE world.session")


def test_a_key_that_is_written_as_text_does_not_depend_on_the_settings_of_the_session(written: Written) -> None:
    written.do("CREATE TABLE world.dated (day date PRIMARY KEY, at timestamptz)")
    with connect(written.dsn, application_name="test", autocommit=True) as conn:
        [(setting,)] = conn.execute(
            "SELECT string_agg(DISTINCT array_to_string(proconfig, ','), ';') FROM pg_proc"
            " WHERE pronamespace = 'ashore'::regnamespace AND proname LIKE 'outbox%'"
        ).fetchall()
    for name in ("search_path=", "DateStyle=ISO", "TimeZone=UTC", "bytea_output=hex", "extra_float_digits=1"):
        assert name.lower() in setting.lower()


def test_law_16_an_entry_that_is_committed_late_is_not_passed_by(written: Written) -> None:
    with psycopg.connect(written.dsn) as slow:
        slow.execute("UPDATE world.account SET balance = 11 WHERE account_id = '1'")
        written.do("UPDATE world.account SET balance = 22 WHERE account_id = '2'")
        drain(written.writer)
        assert json.loads(written.table.items["account|2", "account"])["balance"] == {"N": "22"}
        slow.commit()
    written.assert_same()
    assert json.loads(written.table.items["account|1", "account"])["balance"] == {"N": "11"}


def test_law_16_a_new_owner_waits_out_the_requests_of_the_old_one_and_writes_its_keys_again(written: Written) -> None:
    written.do("UPDATE world.account SET balance = 5 WHERE account_id = '1'")

    class Dies(MemoryStore):
        def put(self, item: Any) -> float:
            super().put(item)
            raise KeyboardInterrupt

    dying = reverse_writer(written.dsn, Dies(written.table), lease_seconds=0.6, request_seconds=0.1)
    with pytest.raises(KeyboardInterrupt):
        dying.step()
    dying.conn.close()
    assert written.writer.step() == 0, "the lease of the dead one has not run out"
    drain(written.writer)
    assert written.store.requests == 1, "what was not acknowledged was written again"
    written.assert_same()


def test_law_16_an_owner_begins_no_request_that_could_outlive_its_lease(written: Written) -> None:
    written.do("UPDATE world.account SET balance = 5")
    now = iter([0.0, 0.0, 95.0, 95.0])
    slow = reverse_writer(written.dsn, written.store, lease_seconds=100, request_seconds=10, clock=lambda: next(now))
    assert slow.step() == 1, "the others would have to end after the lease"
    assert written.rows("SELECT count(*) FROM ashore.outbox") == [(2,)]
    slow.leave()
    slow.conn.close()
    written.assert_same()


def test_an_owner_whose_lease_was_taken_over_acknowledges_nothing(written: Written) -> None:
    written.do("UPDATE world.account SET balance = 5 WHERE account_id = '1'")

    class Slow(MemoryStore):
        def put(self, item: Any) -> float:
            written.do("UPDATE ashore.reverse SET owner = 'another', fence = fence + 1")
            return super().put(item)

    slow = reverse_writer(written.dsn, Slow(written.table))
    with pytest.raises(LeaseLost):
        slow.step()
    slow.conn.close()
    assert written.rows("SELECT count(*) FROM ashore.outbox") == [(1,)]


def test_law_17_what_was_written_back_is_an_echo_and_what_others_write_is_foreign(written: Written) -> None:
    written.do("UPDATE world.account SET balance = 5 WHERE account_id = '1'")
    written.do("DELETE FROM world.account WHERE account_id = '2'")
    drain(written.writer)
    written.settle()
    assert written.foreign() == []
    assert written.rows("SELECT count(*) FROM ashore.echo") == [(0,)]

    written.table.put(account(1, balance={"N": "6"}))
    written.settle()
    assert written.foreign() == [("account", "account|1")]
    assert written.rows("SELECT balance FROM world.account WHERE account_id = '1'") == [(5,)], "it is not applied"


def test_law_17_a_write_that_changes_nothing_makes_no_record_and_is_not_waited_for(written: Written) -> None:
    written.do("UPDATE world.account SET balance = balance")
    drain(written.writer)
    written.settle()
    assert written.foreign() == []
    assert written.rows("SELECT passed_at > now() - interval '1 min' FROM ashore.reverse") == [(True,)]


def test_law_17_a_foreign_write_between_two_of_ours_is_found_in_one_page(written: Written) -> None:
    written.do("UPDATE world.account SET balance = 5 WHERE account_id = '1'")
    drain(written.writer)
    written.table.put(account(1, balance={"N": "77"}))
    written.do("UPDATE world.account SET balance = 6 WHERE account_id = '1'")
    drain(written.writer)
    written.settle()
    assert written.foreign() == [("account", "account|1")]
    written.assert_same()


def test_law_18_a_row_that_dynamodb_cannot_hold_is_named_and_the_others_go_on(written: Written) -> None:
    written.store.too_large = 1_000
    written.do("UPDATE world.account SET extra = jsonb_build_object('long', repeat('x', 2000)) WHERE account_id = '1'")
    written.do("UPDATE world.account SET balance = 9 WHERE account_id = '2'")
    drain(written.writer)
    assert written.rows("SELECT entity, key, refused FROM ashore.outbox") == [("account", ["1"], "ValidationException")]
    assert json.loads(written.table.items["account|2", "account"])["balance"] == {"N": "9"}

    written.do("UPDATE world.account SET extra = NULL WHERE account_id = '1'")
    written.assert_same()
    assert written.rows("SELECT count(*) FROM ashore.outbox") == [(0,)]


def test_what_the_application_writes_while_its_row_is_put_right_stays(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    written.do("UPDATE world.account SET extra = '{}' WHERE account_id = '1'")
    put = written.store.put

    def put_and_be_overtaken(item: Any) -> float:
        monkeypatch.undo()
        written.do("UPDATE world.account SET extra = '{\"nick\": \"x\"}' WHERE account_id = '1'")
        return put(item)

    monkeypatch.setattr(written.store, "put", put_and_be_overtaken)
    written.assert_same()
    assert written.rows("SELECT extra FROM world.account WHERE account_id = '1'") == [({"nick": "x"},)]
    assert json.loads(written.table.items["account|1", "account"])["nick"] == {"S": "x"}


def test_a_row_of_an_older_key_that_got_a_new_one_is_known_by_it_once_dynamodb_has_the_writes_again(
    written: Written,
) -> None:
    written.do("UPDATE world.account SET account_id = '8' WHERE account_id = '3'")
    written.assert_same()
    assert written.rows("SELECT residue FROM world.account WHERE account_id = '8'") == [(None,)], "as a load leaves it"
    cutover_world.write_in_dynamodb(written.dsn, *ENTITIES)
    written.table.put(account(8, balance={"N": "5"}))
    written.settle()
    assert written.rows("SELECT balance FROM world.account WHERE account_id = '8'") == [(5,)]
    written.table.delete("account|8", "account")
    written.settle()
    assert written.rows("SELECT 1 FROM world.account WHERE account_id = '8'") == []


def test_law_18_a_row_that_is_no_item_is_named(written: Written) -> None:
    written.do("UPDATE world.account SET extra = '[1]' WHERE account_id = '1'")
    drain(written.writer)
    [(refused,)] = written.rows("SELECT refused FROM ashore.outbox")
    assert "extra" in refused


_numbers = st.sampled_from("123456")
_statements = st.one_of(
    st.tuples(
        st.just("INSERT INTO world.account (account_id, balance) VALUES (%s, %s) ON CONFLICT DO NOTHING"),
        st.tuples(_numbers, st.integers(0, 9)),
    ),
    st.tuples(
        st.just("UPDATE world.account SET balance = %s WHERE account_id = %s"), st.tuples(st.integers(0, 9), _numbers)
    ),
    st.tuples(st.just("DELETE FROM world.account WHERE account_id = %s"), st.tuples(_numbers)),
    st.tuples(
        st.just(
            "UPDATE world.account SET account_id = %s WHERE account_id = %s"
            " AND NOT EXISTS (SELECT FROM world.account WHERE account_id = %s)"
        ),
        _numbers.flatmap(lambda new: st.tuples(st.just(new), _numbers, st.just(new))),
    ),
    st.tuples(st.just("UPDATE world.note SET owner_id = %s WHERE note_id = %s"), st.tuples(_numbers, _numbers)),
    st.tuples(
        st.just("INSERT INTO world.note (note_id, owner_id, text) VALUES (%s, %s, 'n') ON CONFLICT DO NOTHING"),
        st.tuples(_numbers, _numbers),
    ),
    st.tuples(
        st.just(
            "INSERT INTO world.line (position, words, note_id) SELECT %s, 'w', note_id FROM world.note"
            " WHERE note_id = %s ON CONFLICT DO NOTHING"
        ),
        st.tuples(st.integers(0, 2), _numbers),
    ),
    st.tuples(st.just("DELETE FROM world.note WHERE note_id = %s"), st.tuples(_numbers)),
    st.tuples(st.just("UPDATE world.account SET residue = NULL"), st.just(())),
)


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(statements=st.lists(st.one_of(_statements, st.just("step")), max_size=25))
def test_whatever_the_application_writes_both_stores_hold_the_same_in_the_end(
    small: Written, statements: list[Any]
) -> None:
    made = small
    made.do("DELETE FROM world.line; DELETE FROM world.note; DELETE FROM world.account")
    made.do("INSERT INTO world.account TABLE world.first_account; INSERT INTO world.note TABLE world.first_note")
    drain(made.writer)
    for one in statements:
        if one == "step":
            made.writer.step()
            continue
        statement, arguments = one
        if statement.startswith("DELETE FROM world.note"):
            made.do("DELETE FROM world.line WHERE note_id = %s", *arguments)
        made.do(statement, *arguments)
    made.assert_same()
    made.settle()
    assert made.foreign() == []


def _rows(made: Written, number: int) -> None:
    made.do(
        "INSERT INTO world.account (account_id, balance) SELECT 'n' || n, 1 FROM generate_series(1, %s) AS n", number
    )


def _drained_in(*writers: ReverseWriter) -> float:
    """Seconds until nothing is left, the writers being owners by turns."""
    began = time.monotonic()
    for turn in itertools.count():
        writer = writers[turn % len(writers)]
        writer.step()
        writer.leave()
        with psycopg.connect(writer.conn.info.dsn) as conn:
            if conn.execute("SELECT 1 FROM ashore.outbox LIMIT 1").fetchone() is None:
                return time.monotonic() - began
    raise AssertionError


def test_law_24_writing_back_holds_its_cap_and_all_owners_hold_it_together(written: Written) -> None:
    _rows(written, 60)
    capped = [reverse_writer(written.dsn, written.store, units_per_second=20) for _ in range(2)]
    seconds = _drained_in(*capped)
    assert seconds >= 60 / 20 - 1, "a second's worth comes at once, what follows at the cap"
    with connect(written.dsn, application_name="test", autocommit=True) as conn:
        standing = outbox.standing(conn, "world")
    assert standing.write_units == 60
    assert standing.units_per_second == 20
    assert 1.0 <= standing.waited_seconds <= 2 * seconds
    for writer in capped:
        writer.conn.close()
    written.assert_same()


def test_law_24_the_cap_can_be_changed_and_taken_off_while_it_is_waited_for(written: Written) -> None:
    _rows(written, 40)
    capped = reverse_writer(written.dsn, written.store, units_per_second=0.01)
    with connect(written.dsn, application_name="test", autocommit=True) as conn:
        assert capped.step() == 1, "a batch costs about a second's worth, and one at least"
        assert capped.step() == 0, "nothing is done while it is waited for"
        standing = outbox.standing(conn, "world")
        assert (standing.entries, standing.estimated_units) == (39, 39.0)
        assert standing.estimated_seconds is not None
        assert 3_900 <= standing.estimated_seconds <= 4_000, "what is owed is part of it"
        outbox.limit(conn, "world", 10_000)
        drain(capped)
        assert written.rows("SELECT units_per_second FROM ashore.reverse") == [(10_000,)]
        outbox.limit(conn, "world", math.inf)
        written.do("UPDATE world.account SET balance = 2")
        drain(capped)
        assert outbox.standing(conn, "world").units_per_second is None
        outbox.limit(conn, "world", None)
        capped.step()
        assert outbox.standing(conn, "world").units_per_second == 0.01, "the worker's own again"
    capped.leave()
    capped.conn.close()
    written.assert_same()


def test_law_24_a_way_back_that_takes_too_long_at_the_cap_is_refused_and_says_how_long(written: Written) -> None:
    _rows(written, 200)
    with connect(written.dsn, application_name="test", autocommit=True) as conn:
        one = Crossing(plan=cutover_world.plan, entities=ENTITIES, tables=sync_world.tables(conn))

        def gate() -> gates.Gate:
            return next(found for found in gates.return_gates(conn, one) if found.name == "written back")

        assert gate().is_open
        outbox.limit(conn, "world", 2)
        assert not gate().is_open
        assert "about 200 write units, which take 100 s at the cap of 2 a second" in gate().found
        outbox.limit(conn, "world", math.inf)
        drain(written.writer)
        assert gate().is_open
