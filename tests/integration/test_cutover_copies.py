"""The way back of copies and mirrors: what a row says more than once in DynamoDB is said there, and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests import copied_world, cutover_world, sync_world
from tests.copied_world import COLUMNS, Task
from tests.cutover_world import MemoryStore, drain, reverse_writer
from tests.streamed_table import MemoryTable
from tests.sync_world import ENTITIES, SteppedLoad

from ashore.cutover import noting
from ashore.dynamodb.export import ExportSource
from ashore.ledger import feeds
from ashore.ledger.errors import LeaseLost
from ashore.local.export_writer import write_export
from ashore.pipeline.foreign import overwrite
from ashore.pipeline.reverse import WriteBack
from ashore.pipeline.sync import run_worker
from ashore.pipeline.verify import verify
from ashore.postgres.connect import connect
from ashore.postgres.items import prepare

_TABLES = ("step", "task", "task_copy")


class Copied:
    """A world whose tasks are written in PostgreSQL, and a model of what DynamoDB is to hold."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.table = MemoryTable(3)
        sync_world.fresh(dsn)
        self.model = copied_world.first()
        for item in self.model.items.values():
            self.table.put(item)
        sync_world.begin(dsn, self.table)
        SteppedLoad(dsn, self.table, ENTITIES).finish()
        sync_world.settle(dsn, self.table)
        cutover_world.write_in_postgres(dsn, *ENTITIES)
        self.application = psycopg.connect(dsn, autocommit=True)
        for table in _TABLES:
            self.do(f"CREATE TABLE world.first_{table} AS TABLE world.{table}")
        self.first = dict(self.table.items)
        self.store = MemoryStore(self.table)
        self.writer = reverse_writer(dsn, self.store)

    def begin_again(self) -> None:
        """Everything as it was at first, whatever was done since."""
        self.do("SET session_replication_role = replica")
        for table in _TABLES:
            self.do(f"DELETE FROM world.{table}")
            self.do(f"INSERT INTO world.{table} TABLE world.first_{table}")
        self.do("RESET session_replication_role")
        self.do("TRUNCATE ashore.outbox, ashore.echo, ashore.foreign_write")
        self.model = copied_world.first()
        self.table.items = dict(self.first)
        for shard in self.table.open_shards():
            shard.records.clear()
        self.writer.conn.close()
        self.do("UPDATE ashore.reverse SET owner = NULL")
        self.writer = reverse_writer(self.dsn, self.store, at_once=3)

    def do(self, statement: str, *arguments: Any) -> None:
        self.application.execute(statement.encode(), arguments)

    def rows(self, statement: str) -> list[Any]:
        return self.application.execute(statement.encode()).fetchall()

    # Each statement, in PostgreSQL and in the model.

    def insert(self, name: str, project: str, by: str | None, at: str | None) -> None:
        if name not in self.model.tasks and self._is_free(name, by, at):
            self.do("INSERT INTO world.task (task_id, project, done_by, done_at) VALUES (%s, %s, %s, %s)",
                    name, project, by, at)  # fmt: skip
            self.model.insert(Task(name, project, {**dict.fromkeys(COLUMNS), "done_by": by, "done_at": at}))

    def delete(self, name: str) -> None:
        if name in self.model.tasks:
            with self.application.transaction():
                self.do("DELETE FROM world.step WHERE task_id = %s", name)
                self.do("DELETE FROM world.task WHERE task_id = %s", name)
            self.model.delete(name)

    def rename(self, name: str, to: str) -> None:
        if name in self.model.tasks and to not in self.model.tasks and not self.model.tasks[name].steps:
            self.do("UPDATE world.task SET task_id = %s WHERE task_id = %s", to, name)
            self.model.rename(name, to)

    def update(self, name: str, column: str, value: str | None) -> None:
        if name not in self.model.tasks:
            return
        columns = {**self.model.tasks[name].columns, column: value}
        if self._is_free(name, columns["done_by"], columns["done_at"]):
            self.do(f"UPDATE world.task SET {column} = %s WHERE task_id = %s", value, name)
            self.model.update(name, **{column: value})

    def update_all(self, column: str, value: str | None) -> None:
        """Whatever all rows have, one statement sets."""
        self.do(f"UPDATE world.task SET {column} = %s", value)
        for name in self.model.tasks:
            self.model.update(name, **{column: value})

    def set_extra(self, name: str, extra: dict[str, str]) -> None:
        if name in self.model.tasks:
            self.do("UPDATE world.task SET extra = %s::jsonb WHERE task_id = %s", json.dumps(extra) if extra else None,
                    name)  # fmt: skip
            self.model.update(name, extra=extra)

    def step(self, name: str, words: str) -> None:
        if name in self.model.tasks:
            steps = self.model.tasks[name].steps
            self.do("INSERT INTO world.step (task_id, position, words) VALUES (%s, %s, %s)", name, len(steps), words)
            self.model.update(name, steps=[*steps, words])

    def _is_free(self, name: str, by: str | None, at: str | None) -> bool:
        key = (f"done|{by}", at or "")
        taken = {task.own_key or task.done for task in self.model.tasks.values() if task.id != name}
        others = {other for other, (of, _) in self.model.copies.items() if of != name}
        return key not in taken | others

    # What has to be in the end.

    def settle(self) -> None:
        sync_world.settle(self.dsn, self.table)

    def items(self) -> dict[Any, Any]:
        return {key: json.loads(raw) for key, raw in self.table.items.items()}

    def assert_as_the_model(self) -> None:
        drain(self.writer)
        assert self.model.items == self.items()
        kept = {
            tuple(row[:2]): row[2] for row in self.rows("SELECT partition_key, sort_key, item FROM world.task_copy")
        }
        copies = {*self.model.copies, *(task.own_key for task in self.model.tasks.values() if task.own_key)}
        assert {key: item for key, item in self.model.items.items() if key in copies} == kept

    def foreign(self) -> list[Any]:
        return self.rows("SELECT entity, key::jsonb #>> '{pk,S}' FROM ashore.foreign_write ORDER BY id")

    def close(self) -> None:
        self.writer.conn.close()
        self.application.close()


@pytest.fixture
def copied(postgres_dsn: str) -> Iterator[Copied]:
    made = Copied(postgres_dsn)
    yield made
    made.close()


def test_a_change_is_carried_to_copies_and_leaves_the_rest_of_them_as_it_is(copied: Copied) -> None:
    copied.update("1", "title", "new")
    copied.assert_as_the_model()
    seen = copied.items()["seen|2020", "x"]
    assert seen["title"] == {"S": "new"}
    assert seen["ttl"] == {"N": "77"}
    assert seen["headline"] == {"S": "a: new"}, "derived attributes are computed in copies too"
    assert copied.items()["seen|2021", "y"]["colour"] == {"S": "blue"}, "what was not changed stays as it was"
    copied.set_extra("1", {"colour": "green"})
    copied.assert_as_the_model()
    assert copied.items()["seen|2021", "y"]["colour"] == {"S": "green"}


def test_an_attribute_that_its_original_has_no_more_is_taken_from_copies(copied: Copied) -> None:
    copied.set_extra("1", {})
    copied.update("1", "title", None)
    copied.assert_as_the_model()
    assert not {"colour", "title", "headline"} & copied.items()["seen|2020", "x"].keys()


def test_copies_are_rendered_where_their_key_changes_and_deleted_where_it_is_none(copied: Copied) -> None:
    copied.update("1", "done_at", "m9")
    copied.update("3", "done_at", "m3")
    copied.update("2", "done_by", None)
    copied.assert_as_the_model()
    items = copied.items()
    assert ("done|ann", "m1") not in items
    assert items["done|ann", "m9"]["title"] == {"S": "t1"}
    assert ("done|ann", "m3") in items
    assert ("done|bob", "m2") not in items


def test_copies_and_mirrors_go_with_their_row(copied: Copied) -> None:
    copied.delete("1")
    copied.rename("3", "8")
    copied.update("2", "title", "t2")
    copied.assert_as_the_model()
    assert not [key for key in copied.items() if key[0].startswith("seen|")]
    assert ("title|t1", "2") not in copied.items()


def test_a_row_that_is_made_anew_under_its_key_has_none_of_the_copies_of_the_one_before(copied: Copied) -> None:
    copied.delete("1")
    copied.insert("1", "a", "ann", "m1")
    copied.assert_as_the_model()
    assert ("seen|2020", "x") not in copied.items()
    assert "title" not in copied.items()["done|ann", "m1"]


def test_a_promoted_copy_is_written_under_its_own_key_as_long_as_it_is_that(copied: Copied) -> None:
    copied.update("5", "title", "new")
    copied.assert_as_the_model()
    assert copied.items()["done|cid", "m5"]["title"] == {"S": "new"}
    copied.update("5", "project", "d")
    copied.assert_as_the_model()
    assert ("project|d", "task|5") in copied.items()


def test_after_the_way_back_a_verification_finds_no_difference_and_the_stream_goes_on(
    copied: Copied, tmp_path: Path
) -> None:
    copied.update("1", "title", "new")
    copied.update("2", "done_at", "m9")
    copied.update("5", "project", "d")
    copied.delete("4")
    copied.rename("3", "8")
    copied.insert("9", "a", "ann", "m7")
    copied.do("UPDATE world.task SET extra = '{}' WHERE task_id = '2'")
    copied.assert_as_the_model()
    copied.settle()
    cutover_world.write_in_dynamodb(copied.dsn, *ENTITIES)
    write_export(tmp_path / "export", list(copied.table.items.values()))
    report = verify(
        plan=sync_world.plan,
        reference=sync_world.reference,
        source=ExportSource(path=str(tmp_path / "export")),
        dsn=copied.dsn,
        entities=["task"],
        workers=1,
    )
    assert (report.total_differences, report.undecided) == (0, 0), report.as_json()

    copied.table.put({**copied.items()["done|cid", "m5"], "title": {"S": "of DynamoDB"}})
    copied.table.put({**copied.items()["project|d", "task|5"], "title": {"S": "of DynamoDB"}})
    copied.table.delete("done|bob", "m9")
    copied.settle()
    assert copied.rows("SELECT title FROM world.task WHERE task_id = '5'") == [("of DynamoDB",)]
    kept = copied.rows("SELECT partition_key, item #>> '{title,S}' FROM world.task_copy WHERE sort_key IN ('m5', 'm9')")
    assert kept == [("done|cid", "of DynamoDB")]


@pytest.mark.parametrize(
    "key", [("seen|2021", "y"), ("done|bob", "m2"), ("done|cid", "m5"), ("title|t1", "1"), ("project|a", "task|1")]
)
def test_what_others_wrote_over_a_copy_or_a_mirror_is_overwritten_if_one_says_so(copied: Copied, key: Any) -> None:
    strangers = [key, ("seen|1999", "new"), ("title|new", "7"), ("title|t4", "7")]
    for one in strangers:
        copied.table.put({"pk": {"S": one[0]}, "sk": {"S": one[1]}, "by": {"S": "another"}})
    copied.settle()
    assert sorted(copied.foreign()) == sorted(("task", one[0]) for one in strangers)
    with connect(copied.dsn, application_name="test", autocommit=True) as conn:
        prepare(conn)
        for entity, told in copied.rows("SELECT entity, key FROM ashore.foreign_write"):
            overwrite(conn, sync_world.plan, entity, told)
    copied.assert_as_the_model()


def test_echoes_of_copies_and_mirrors_are_told_from_writes_of_others(copied: Copied) -> None:
    copied.update("1", "title", "new")
    copied.delete("2")
    drain(copied.writer)
    copied.settle()
    assert copied.foreign() == []
    assert copied.rows("SELECT count(*) FROM ashore.echo") == [(0,)]
    for key in (("seen|2021", "y"), ("title|new", "1")):
        copied.table.put({**copied.items()[key], "by": {"S": "another"}})
    copied.settle()
    assert sorted(copied.foreign()) == [("task", "seen|2021"), ("task", "title|new")]


def test_a_copy_whose_time_is_over_in_dynamodb_is_not_kept_and_is_nobodys_write(copied: Copied) -> None:
    copied.table.delete("seen|2020", "x", is_expiry=True)
    copied.settle()
    assert copied.foreign() == []
    del copied.model.copies["seen|2020", "x"]
    copied.update("1", "title", "new")
    copied.assert_as_the_model()


def test_law_16_an_owner_that_dies_before_it_acknowledges_leaves_no_copy_behind(copied: Copied) -> None:
    class Dies(MemoryStore):
        def remove(self, key: Any) -> float:
            super().remove(key)
            raise KeyboardInterrupt

    copied.update("1", "done_at", "m9")
    copied.update("1", "title", "new")
    copied.delete("2")
    dying = reverse_writer(copied.dsn, Dies(copied.table), lease_seconds=0.2, request_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        dying.step()
    dying.conn.close()
    copied.update("1", "done_at", "m8")
    copied.assert_as_the_model()


def test_law_18_a_copy_that_dynamodb_cannot_hold_closes_the_way_back_with_its_rows_key(copied: Copied) -> None:
    copied.update("1", "title", "")
    copied.update("4", "title", "other")
    drain(copied.writer)
    [(key, refused)] = copied.rows("SELECT DISTINCT key, refused FROM ashore.outbox")
    assert key == ["1"]
    assert "copy or mirror" in refused
    copied.update("1", "title", "t1")
    copied.assert_as_the_model()


def test_what_an_earlier_declaration_noted_is_written_back_and_the_outbox_learns_the_new_one(copied: Copied) -> None:
    bare = replace(sync_world.plan.entities["task"], copies=None, mirrors=())
    with connect(copied.dsn, application_name="test", autocommit=True) as conn:
        noting.refresh(conn, "world", bare, sync_world.tables(conn), to_write_back=True)
    copied.update("2", "title", "noted before")
    begin_to_work(copied)
    drain(copied.writer)
    assert copied.items()["project|a", "task|2"]["title"] == {"S": "noted before"}
    copied.update("2", "title", "noted after")
    copied.update("2", "done_at", "m9")
    drain(copied.writer)
    assert copied.items()["done|bob", "m9"]["title"] == {"S": "noted after"}
    assert ("title|noted before", "2") not in copied.items()


def test_what_is_noted_for_a_feed_alone_stays_so_when_a_worker_begins(copied: Copied) -> None:
    task = sync_world.plan.entities["task"]
    with connect(copied.dsn, application_name="test", autocommit=True) as conn, conn.transaction():
        noting.install(conn, "world", task, sync_world.tables(conn), to_write_back=False)
        feeds.begin(conn, "world", "task", index="tasks", old_feed="none", notes_for_feed_only=True)
    begin_to_work(copied)
    copied.update("2", "title", "for the index")
    assert copied.rows("SELECT DISTINCT back FROM ashore.outbox WHERE entity = 'task'") == [(False,)]


def begin_to_work(copied: Copied) -> None:
    """A worker that begins, and ends at once."""
    order = sync_world.order(copied.dsn, copied.table)
    run_worker(order, threading.Event(), until=lambda _: True, write_back=WriteBack(store=copied.store))


def test_of_two_rows_that_give_one_copy_one_has_it_and_keeps_it_until_it_leaves(copied: Copied) -> None:
    copied.do("UPDATE world.task SET done_by = 'eve', done_at = 'same' WHERE task_id IN ('1', '2')")
    drain(copied.writer)
    assert ("done|eve", "same") in copied.items()
    [(owner,)] = copied.rows("SELECT task_id FROM world.task_copy WHERE partition_key = 'done|eve'")
    other = {"1": "2", "2": "1"}[owner]
    copied.do("UPDATE world.task SET done_by = NULL WHERE task_id = %s", other)
    drain(copied.writer)
    assert copied.items()["done|eve", "same"]["taskRef"] == {"S": f"task|{owner}"}


_names = st.sampled_from("123456")
_people = st.sampled_from(["ann", "bob", "cid", None])
_moments = st.sampled_from(["m1", "m2", "m3", "m4", "m5", "m6", None])
_steps = st.one_of(
    st.tuples(st.just("insert"), st.tuples(_names, st.sampled_from("abc"), _people, _moments)),
    st.tuples(st.just("delete"), st.tuples(_names)),
    st.tuples(st.just("rename"), st.tuples(_names, st.sampled_from("12346"))),
    st.tuples(st.just("update"), st.tuples(_names, st.just("title"), st.sampled_from(["t1", "t2", None]))),
    st.tuples(st.just("update"), st.tuples(_names, st.just("done_by"), _people)),
    st.tuples(st.just("update"), st.tuples(_names, st.just("done_at"), _moments)),
    st.tuples(st.just("project"), st.tuples(_names, st.sampled_from("abc"))),
    st.tuples(st.just("update_all"), st.tuples(st.just("title"), st.sampled_from(["t1", "t2", None]))),
    st.tuples(
        st.just("set_extra"),
        st.tuples(_names, st.dictionaries(st.sampled_from(["colour", "size"]), st.sampled_from("xy"))),
    ),
    st.tuples(st.just("step"), st.tuples(_names, st.sampled_from(["one", "two"]))),
    st.tuples(st.sampled_from(["back", "die", "hear"]), st.tuples()),
)


def _project(copied: Copied, name: str, project: str) -> None:
    """Not back to where the promoted copy came from: its key would be its own again, if nobody looked in between."""
    if name in copied.model.tasks and (name, project) != ("5", "c"):
        copied.do("UPDATE world.task SET project = %s WHERE task_id = %s", project, name)
        copied.model.update(name, project=project)


def _die(copied: Copied) -> None:
    """Reverse sync dies after some of its requests, and none of them is acknowledged."""

    class Dies(MemoryStore):
        def put(self, item: Any) -> float:
            super().put(item)
            if self.requests > 2:
                raise KeyboardInterrupt
            return 1.0

    copied.writer.leave()
    dying = reverse_writer(copied.dsn, Dies(copied.table), at_once=3, lease_seconds=0.0, request_seconds=-1.0)
    try:
        dying.step()
    except (KeyboardInterrupt, LeaseLost):
        event("reverse sync died")
    dying.conn.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(_steps, max_size=25))
def test_whatever_is_written_dynamodb_holds_exactly_what_the_rows_give(copied: Copied, steps: list[Any]) -> None:
    copied.begin_again()
    for name, arguments in steps:
        match name:
            case "back":
                copied.writer.step()
            case "die":
                _die(copied)
            case "hear":
                copied.settle()
            case "project":
                _project(copied, *arguments)
            case _:
                getattr(copied, name)(*arguments)
    copied.assert_as_the_model()
    copied.settle()
    assert copied.foreign() == []
