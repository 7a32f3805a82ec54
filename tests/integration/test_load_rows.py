from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.integration import load_world as world

from ashore import local
from ashore.errors import AshoreError
from ashore.ledger.errors import WorkerEnded
from ashore.load.errors import CannotResume, LoadInProgress, SourceRepeatsItems, TargetHasRows, TooManyRejected
from ashore.load.order import Limits
from ashore.load.run import run_load
from ashore.observe.events import Event, Progress, StepStarted
from ashore.postgres.errors import ConnectionLost, PostgresError


def counts(report: Any) -> dict[tuple[str | None, str], int]:
    return {(one.entity, one.outcome): one.items for one in report.counts}


def test_every_item_lands_or_is_kept_with_its_reason(any_postgres_dsn: str) -> None:
    stray = [world.raw({"pk": {"S": "x"}, "sk": {"S": "\x00"}})]
    report = run_load(world.order(any_postgres_dsn, world.MemorySource(items=world.items(600) + stray)))
    assert 601 == report.items
    assert 601 == sum(counts(report).values())
    assert counts(report)["customer", "rows"] == world.one(any_postgres_dsn, "SELECT count(*) FROM shop.customer")
    assert counts(report)["purchase", "rows"] == world.one(any_postgres_dsn, "SELECT count(*) FROM shop.purchase")
    assert 1 == counts(report)[None, "rejected"]
    rejected = "SELECT convert_from(item, 'UTF8') FROM ashore.rejected_item WHERE reason = 'unmatched'"
    assert stray[0].decode() == world.one(any_postgres_dsn, rejected)
    assert () == report.findings
    assert "loaded" == world.one(any_postgres_dsn, "SELECT min(state) FROM ashore.entity")
    assert 0 == world.one(any_postgres_dsn, "SELECT count(*) FROM ashore.taken_off")


def test_rows_refused_by_postgres_are_rejected_alone(postgres_dsn: str) -> None:
    old = [world.raw(world.a_customer(number, age={"N": "300"})) for number in (100_000, 100_001, 100_002)]
    good = world.items(600, seed=2)
    source = world.MemorySource(items=[*good[:50], *old[:2], *good[50:], old[2]], unit_count=2)
    report = run_load(world.order(postgres_dsn, source))
    refused = [one for one in report.rejected if one.reason == "refused_by_postgres"]
    assert [("customer", 3)] == [(one.entity, one.items) for one in refused]
    detail = world.one(
        postgres_dsn, "SELECT min(detail) FROM ashore.rejected_item WHERE reason = 'refused_by_postgres'"
    )
    assert "23514 check violation (table customer, constraint customer_age)" == detail
    run_load(world.order(postgres_dsn, world.MemorySource(items=good), restart=True))
    rows = world.one(postgres_dsn, "SELECT count(*) FROM shop.customer")
    assert rows == counts(report)["customer", "rows"]


def test_two_items_of_one_row_key_are_both_rejected_whole(any_postgres_dsn: str) -> None:
    other = world.a_customer(3, pk={"S": "CUSTOMER#000003"}, email={"S": "other@example.org"})
    report = run_load(
        world.order(any_postgres_dsn, world.MemorySource(items=[*world.items(300, seed=3), world.raw(other)]))
    )
    assert 301 == sum(counts(report).values())
    assert [("customer", 2)] == [(one.entity, one.items) for one in report.rejected if one.reason == "duplicate_key"]
    assert 0 == world.one(any_postgres_dsn, "SELECT count(*) FROM shop.customer WHERE customer_id = '000003'")
    kept = world.one(
        any_postgres_dsn,
        "SELECT count(DISTINCT key) FROM ashore.rejected_item"
        " WHERE reason = 'duplicate_key' AND convert_from(item, 'UTF8')::jsonb->'age'->>'N' = '3'",
    )
    assert 2 == kept
    # the purchases of the rejected customer are there and cannot refer to it
    assert [("foreign_key", 2)] == [(finding.kind, finding.rows) for finding in report.findings]
    assert report.rows["shop.customer"] == world.one(any_postgres_dsn, "SELECT count(*) FROM shop.customer")


def test_a_source_that_repeats_items_is_an_error(postgres_dsn: str) -> None:
    items = world.items(30, seed=3)
    with pytest.raises(SourceRepeatsItems):
        run_load(world.order(postgres_dsn, world.MemorySource(items=[*items, *items])))


def test_a_unique_constraint_that_cannot_be_built_is_a_finding(postgres_dsn: str) -> None:
    twin = world.a_customer(9_000, email={"S": "3@example.org"})
    report = run_load(world.order(postgres_dsn, world.MemorySource(items=[*world.items(30), world.raw(twin)])))
    assert [("unique", "customer_email")] == [(one.kind, one.name) for one in report.findings]
    assert "refused" == world.one(postgres_dsn, "SELECT state FROM ashore.taken_off WHERE name = 'customer_email'")
    assert 1 == world.one(postgres_dsn, "SELECT count(*) FROM pg_indexes WHERE indexname = 'customer_name'")


def test_rows_without_their_parent_are_a_finding_and_the_key_stays_not_valid(postgres_dsn: str) -> None:
    orphans = [world.raw(world.a_purchase(777_000, number)) for number in (1, 2, 3)]
    report = run_load(world.order(postgres_dsn, world.MemorySource(items=[*world.items(30), *orphans])))
    assert [("foreign_key", 3)] == [(one.kind, one.rows) for one in report.findings]
    valid = world.one(postgres_dsn, "SELECT convalidated FROM pg_constraint WHERE conname = 'purchase_customer'")
    assert valid is False
    again = run_load(world.order(postgres_dsn, world.MemorySource(items=world.items(30)), restart=True))
    assert () == again.findings
    assert world.one(postgres_dsn, "SELECT convalidated FROM pg_constraint WHERE conname = 'purchase_customer'")


def test_too_many_rejected_items_stop_a_load_that_a_higher_limit_resumes(postgres_dsn: str) -> None:
    source = world.MemorySource(items=[*world.items(900), *[b'{"pk":{"S":"?"},"sk":{"S":"?"}}'] * 50])
    order = world.order(postgres_dsn, source, limits=Limits(max_rejected_share=0.01, counted_from=100))
    with pytest.raises(TooManyRejected) as caught:
        run_load(order)
    assert 4 == caught.value.exit_code
    assert (None, "unmatched") in caught.value.rejected
    with pytest.raises(TooManyRejected):
        run_load(order)
    report = run_load(replace(order, limits=Limits(max_rejected_share=0.5)))
    assert 950 == report.items == sum(counts(report).values())
    assert 1 == report.attempt


def test_foreign_rows_are_never_discarded(postgres_dsn: str) -> None:
    source = world.MemorySource(items=world.items(60))
    with psycopg.connect(postgres_dsn) as conn:
        conn.execute("CREATE SCHEMA shop")
        world.metadata.create_all(_engine(conn), [world.customer])
        conn.execute("INSERT INTO shop.customer (customer_id, name) VALUES ('mine', 'Mine')")
    for restart in (False, True):
        with pytest.raises(TargetHasRows) as caught:
            run_load(world.order(postgres_dsn, source, restart=restart))
        assert caught.value.ours is False
    assert 1 == world.one(postgres_dsn, "SELECT count(*) FROM shop.customer")
    assert "customer_pkey" in str(world.definitions(postgres_dsn))


def test_a_finished_load_is_repeated_with_restart_only(postgres_dsn: str) -> None:
    order = world.order(postgres_dsn, world.MemorySource(items=world.items(60)))
    run_load(order)
    before = world.digest(postgres_dsn)
    with pytest.raises(TargetHasRows) as caught:
        run_load(order)
    assert caught.value.ours
    report = run_load(replace(order, restart=True))
    assert 2 == report.attempt
    assert before == world.digest(postgres_dsn)


def stop_after(number: int) -> Any:
    seen = 0

    def emit(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, Progress)
        if seen == number:
            raise KeyboardInterrupt

    return emit


def test_an_interrupted_load_resumes_and_another_one_is_refused(postgres_dsn: str) -> None:
    source = world.MemorySource(items=world.items(600), chunk_items=20, pause_seconds=0.01)
    order = world.order(postgres_dsn, source)
    with pytest.raises(KeyboardInterrupt):
        run_load(order, stop_after(5))
    with pytest.raises(CannotResume, match="another origin"):
        run_load(replace(order, source=replace(source, name="other")))
    with pytest.raises(CannotResume, match="other entities"):
        run_load(world.order(postgres_dsn, source, entities=("customer",)))
    with pytest.raises(CannotResume, match="another declaration"):
        run_load(replace(order, fingerprint="x"))
    events: list[Event] = []
    report = run_load(order, events.append)
    assert 600 == report.items
    assert 600 > sum(event.items for event in events if isinstance(event, Progress))
    expected = world.digest(postgres_dsn)
    run_load(replace(order, restart=True))
    assert expected == world.digest(postgres_dsn)


def test_restart_with_other_entities_empties_what_the_unfinished_load_had_written(postgres_dsn: str) -> None:
    source = world.MemorySource(items=world.items(600), chunk_items=20)
    with pytest.raises(KeyboardInterrupt):
        run_load(world.order(postgres_dsn, source), stop_after(5))
    report = run_load(world.order(postgres_dsn, source, entities=("customer",), restart=True))
    assert 400 == counts(report)["purchase", "other"]
    assert 0 == world.one(postgres_dsn, "SELECT count(*) FROM shop.purchase")
    assert "declared" == world.one(postgres_dsn, "SELECT state FROM ashore.entity WHERE entity = 'purchase'")
    assert 0 == world.one(postgres_dsn, "SELECT count(*) FROM ashore.taken_off")
    report = run_load(world.order(postgres_dsn, source, entities=("purchase",)))
    assert counts(report)["purchase", "rows"] == world.one(postgres_dsn, "SELECT count(*) FROM shop.purchase")


def test_a_second_load_at_once_is_refused_with_the_reason(postgres_dsn: str) -> None:
    source = world.MemorySource(items=world.items(60), chunk_items=10)
    order = world.order(postgres_dsn, source, limits=Limits(lock_patience_seconds=0.2))
    refused: list[LoadInProgress] = []

    def emit(event: Event) -> None:
        if isinstance(event, Progress) and not refused:
            with pytest.raises(LoadInProgress) as caught:
                run_load(order)
            refused.append(caught.value)

    run_load(order, emit)
    assert (3, os.getpid()) == (refused[0].exit_code, refused[0].pid)


def kill_one_worker(event: Event) -> None:
    if isinstance(event, Progress):
        for process in multiprocessing.active_children():
            if process.name == "ashore worker 1" and process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)


def test_a_killed_worker_is_named_and_the_next_run_goes_on(postgres_dsn: str) -> None:
    source = world.MemorySource(items=world.items(600), chunk_items=10, pause_seconds=0.01)
    with pytest.raises(WorkerEnded, match="was killed by SIGKILL"):
        run_load(world.order(postgres_dsn, source), kill_one_worker)
    assert 600 == run_load(world.order(postgres_dsn, source)).items


def test_cut_connections_leave_a_load_that_resumes(postgres_dsn: str) -> None:
    source = world.MemorySource(items=world.items(600), chunk_items=10, pause_seconds=0.01)
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'ashore%worker%'"

    def emit(event: Event) -> None:
        if isinstance(event, Progress):
            world.one(postgres_dsn, cut)

    with pytest.raises(ConnectionLost, match="run the same command again"):
        run_load(world.order(postgres_dsn, source), emit)
    assert 600 == run_load(world.order(postgres_dsn, source)).items


@pytest.fixture
def own_server() -> Any:
    with local.embedded_postgres(settings={"shared_buffers": "32MB"}) as server:
        yield server


def test_a_server_that_crashes_leaves_a_load_that_resumes(own_server: local.LocalPostgres) -> None:
    dsn = own_server.create_database("crash")
    source = world.MemorySource(items=world.items(600), chunk_items=10, pause_seconds=0.01)
    crashed: list[bool] = []

    def emit(event: Event) -> None:
        if isinstance(event, Progress) and not crashed:
            crashed.append(True)
            own_server.restart("immediate")

    with pytest.raises(PostgresError):
        run_load(world.order(dsn, source), emit)
    report = run_load(world.order(dsn, source))
    assert 600 == report.items == sum(counts(report).values())


def test_a_load_that_died_while_building_keys_restores_what_the_user_had(any_postgres_dsn: str) -> None:
    with psycopg.connect(any_postgres_dsn) as conn:
        conn.execute("CREATE SCHEMA shop")
        world.metadata.create_all(_engine(conn))
        conn.execute(
            """
            CREATE TABLE shop.voucher (id int PRIMARY KEY, "of" text REFERENCES shop.customer ON DELETE SET NULL);
            CREATE DOMAIN shop.word AS text;
            CREATE INDEX "odd ""one"" name" ON shop.customer (lower(name) text_pattern_ops DESC)
                INCLUDE (age) WITH (fillfactor = 70) WHERE age > 3;
            COMMENT ON INDEX shop."odd ""one"" name" IS 'it''s 100% odd';
            CREATE UNIQUE INDEX customer_twice ON shop.customer (customer_id, name) NULLS NOT DISTINCT;
            ALTER TABLE shop.customer REPLICA IDENTITY USING INDEX customer_twice;
            ALTER TABLE shop.customer CLUSTER ON customer_name;
            ALTER INDEX shop.customer_pkey SET (fillfactor = 80);
            COMMENT ON CONSTRAINT customer_pkey ON shop.customer IS 'the key';
            ALTER TABLE shop.line ADD CONSTRAINT line_of FOREIGN KEY (customer_id, purchase_id)
                REFERENCES shop.purchase DEFERRABLE INITIALLY DEFERRED NOT VALID;
            CREATE EXTENSION IF NOT EXISTS btree_gist;
            ALTER TABLE shop.line ADD CONSTRAINT line_no_two EXCLUDE USING gist
                (customer_id WITH =, purchase_id WITH =, position WITH =);
            """
            if _has_gist(conn)
            else "SELECT 1"
        )
    before = world.definitions(any_postgres_dsn)
    order = world.order(any_postgres_dsn, world.MemorySource(items=world.items(300, seed=8)))
    steps: list[str] = []

    def die_at(step: int) -> Any:
        def emit(event: Event) -> None:
            if isinstance(event, StepStarted):
                steps.append(event.step)
                if len(steps) == step:
                    raise KeyboardInterrupt

        return emit

    runs = 0
    done = False
    while not done:
        steps.clear()
        try:
            run_load(order, die_at(3))
        except KeyboardInterrupt:
            runs += 1
        else:
            done = True
    assert runs > 3
    assert before == world.definitions(any_postgres_dsn)
    report = world.one(any_postgres_dsn, "SELECT report->'findings' FROM ashore.load")
    assert [] == report


def _has_gist(conn: psycopg.Connection[Any]) -> bool:
    found = conn.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'btree_gist'").fetchone()
    return found is not None


def _engine(conn: psycopg.Connection[Any]) -> Any:
    import sqlalchemy as sa  # noqa: PLC0415

    def run(element: Any, *_: Any, **__: Any) -> None:
        conn.execute(str(element.compile(dialect=engine.dialect)).encode())

    engine = sa.create_mock_engine("postgresql+psycopg://", run)
    return _Unchecked(engine)


class _Unchecked:
    """A mock engine that `create_all` may be given without `checkfirst=False`."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def _run_ddl_visitor(self, visitor: Any, element: Any, **arguments: Any) -> None:
        self._engine._run_ddl_visitor(visitor, element, **{**arguments, "checkfirst": False})


def test_errors_of_the_load_say_what_to_do() -> None:
    error: AshoreError = TooManyRejected(read=10, rejected={(None, "unmatched"): 3}, share=0.001)
    assert "3 of 10 items were rejected, more than 0.100%" in str(error)
    assert "--max-rejected" in str(error)
