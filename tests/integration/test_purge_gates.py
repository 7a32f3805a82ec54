"""Each gate of a purge closes, and says why; while one is closed nothing is deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.purge_world import Desk, key_of, others, own, plan, said

from ashore.cutover.errors import GatesClosed
from ashore.cutover.gates import Gate
from ashore.cutover.purge_gates import PurgeConditions, purge_gates
from ashore.dynamodb.stream import TableStream
from ashore.dynamodb.table import describe_table
from ashore.ledger import leases
from ashore.local import LocalAws
from ashore.pipeline.purge import PurgeOptions, opened
from ashore.postgres.connect import connect
from ashore.sync.start import ensure_stream

GROUP = ("letter", "person")


@pytest.fixture
def desk(moto: LocalAws, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    made = Desk(moto, postgres_dsn, tmp_path)
    made.make([*own(), *others()])
    return made


def gates_of(desk: Desk, options: PurgeOptions | None = None) -> dict[str, Gate]:
    with opened(desk.project, GROUP, options or said()) as command:
        return {gate.name: gate for gate in command.plan().gates}


def closed_by(desk: Desk, options: PurgeOptions | None = None) -> dict[str, str]:
    """The gates that refuse the purge; every item is still there after that."""
    with opened(desk.project, GROUP, options or said()) as command, pytest.raises(GatesClosed) as refused:
        command.run()
    assert {key_of(one) for one in [*own(), *others()]} == desk.items().keys()
    assert [(0,)] == desk.rows("SELECT count(*) FROM ashore.purge")
    return {name: found for name, found, _ in refused.value.closed}


CLOSING = (
    (
        "UPDATE ashore.entity SET state = 'writing' WHERE entity = 'letter'",
        "UPDATE ashore.entity SET state = 'retired' WHERE entity = 'letter'",
        "state",
        "letter is writing, person is retired",
    ),
    (
        "UPDATE ashore.verification SET source = 'another'",
        "UPDATE ashore.verification SET source = 'desk'",
        "verification",
        "never compared",
    ),
    (
        "UPDATE ashore.verification SET report = jsonb_set(report, '{entities,0,differences}', '1')",
        "UPDATE ashore.verification SET report = jsonb_set(report, '{entities,0,differences}', '0')",
        "verification",
        "person was found DIFFERENT",
    ),
    (
        "UPDATE ashore.verification SET at = at + interval '1 h'",
        "UPDATE ashore.verification SET at = at - interval '1 h'",
        "verification",
        "never compared",
    ),
    (
        (
            "INSERT INTO ashore.rejected_item (load, source, entity, key, reason, detail, item)"
            " SELECT max(id), 'desk', 'letter', 'k', 'unfit', 'd', '' FROM ashore.load"
        ),
        "DELETE FROM ashore.rejected_item WHERE entity = 'letter'",
        "items without a row",
        "1 rejected items",
    ),
    (
        "INSERT INTO ashore.outbox (source, entity, key) VALUES ('desk', 'person', '{a}')",
        "DELETE FROM ashore.outbox",
        "items without a row",
        "1 rows to be written back",
    ),
    (
        "UPDATE ashore.stream SET arn = replace(arn, 'table/desk/', 'table/desk2/')",
        "UPDATE ashore.stream SET arn = replace(arn, 'table/desk2/', 'table/desk/')",
        "table",
        "the stream",
    ),
)
UNSAID = (
    ({"restore_point": None}, "restore point of PostgreSQL"),
    ({"table_restore_point": None}, "restore point of DynamoDB"),
    ({"nobody_writes": False}, "writes of others"),
    ({"nobody_reads": False}, "readers"),
    ({"consumers_know": False}, "readers of the stream"),
)


def test_what_the_ledger_says_and_what_was_not_said_closes_it(desk: Desk) -> None:
    """Of one desk, since each takes seconds to be made; every change is undone before the next."""
    for statement, undo, name, found in CLOSING:
        desk.do(statement)
        closed = closed_by(desk)
        assert ([name], True) == ([*closed], found in closed[name]), statement
        desk.do(undo)
    for unsaid, closes in UNSAID:
        assert [closes] == [*closed_by(desk, said(**unsaid))]
    assert all(gate.is_open for gate in gates_of(desk).values())


def test_recovery_of_the_table_or_a_folder_is_a_restore_point(desk: Desk) -> None:
    name = "restore point of DynamoDB"
    assert not gates_of(desk, said(table_restore_point=None))[name].is_open
    assert gates_of(desk, said(table_restore_point=None, keep_export=desk.folder / "kept"))[name].is_open
    desk.client.update_continuous_backups(
        TableName="desk", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    assert gates_of(desk, said(table_restore_point=None))[name].is_open


def test_a_sync_that_reads_the_stream_says_who_writes(desk: Desk) -> None:
    with connect(desk.dsn, application_name="test", autocommit=True) as conn:
        ensure_stream(
            conn, plan, TableStream(table="desk", region=desk.server.region, endpoint_url=desk.source.endpoint_url), {}
        )
        leases.keep_alive(conn, "desk", "a worker", seconds=60.0)
    desk.do("UPDATE ashore.shard SET passed_at = now()")
    assert gates_of(desk, said(nobody_writes=False))["writes of others"].is_open

    desk.do("UPDATE ashore.shard SET passed_at = now() - interval '2 min'")
    assert "lag is 12" in gates_of(desk, said(nobody_writes=False))["writes of others"].found
    desk.do("UPDATE ashore.shard SET passed_at = now()")
    desk.do("DELETE FROM ashore.sync_worker")
    assert not gates_of(desk, said(nobody_writes=False))["writes of others"].is_open


def conditions(desk: Desk, **more: Any) -> PurgeConditions:
    return PurgeConditions(table_arn=describe_table("desk", desk.source.aws).arn, **more)


def alone(desk: Desk, found: PurgeConditions, *entities: str) -> dict[str, Gate]:
    """The gates where nothing but these entities is in the table."""
    only = replace(plan, entities={name: plan.entities[name] for name in GROUP}, rules=())
    with connect(desk.dsn, application_name="test", autocommit=True) as conn:
        return {gate.name: gate for gate in purge_gates(conn, only, entities or GROUP, found)}


def test_reads_that_cloudwatch_counts_close_it_and_none_open_it(desk: Desk) -> None:
    session: Any = boto3.Session(region_name=desk.server.region)
    cloudwatch = session.client("cloudwatch", endpoint_url=desk.server.endpoint_url)
    from ashore.dynamodb.facts import reads_of_a_day  # noqa: PLC0415

    info = describe_table("desk", desk.source.aws)
    now = datetime.now(UTC)
    assert alone(desk, conditions(desk, read_units=reads_of_a_day(info, desk.source.aws, now)))["readers"].is_open
    for hours in (2, 30):
        datum = {
            "MetricName": "ConsumedReadCapacityUnits",
            "Dimensions": [{"Name": "TableName", "Value": "desk"}],
            "Timestamp": now - timedelta(hours=hours),
            "Value": 12.0,
        }
        cloudwatch.put_metric_data(Namespace="AWS/DynamoDB", MetricData=[datum])
    read = reads_of_a_day(info, desk.source.aws, now)
    assert 12.0 == read, "those of the day before yesterday do not count"
    gate = alone(desk, conditions(desk, read_units=read))["readers"]
    assert (gate.is_open, "12 read units" in gate.found) == (False, True)
    assert not alone(desk, conditions(desk, read_units=None))["readers"].is_open


def test_where_other_items_are_in_the_table_cloudwatch_opens_nothing(desk: Desk) -> None:
    gate = alone(desk, conditions(desk, read_units=0.0), "letter")["readers"]
    assert gate.is_open, "person is retired, too"
    desk.do("UPDATE ashore.entity SET state = 'writing' WHERE entity = 'person'")
    gate = alone(desk, conditions(desk, read_units=0.0), "letter")["readers"]
    assert (gate.is_open, "does not tell items apart" in gate.found) == (False, True)


def test_a_reader_of_the_stream_closes_it(desk: Desk) -> None:
    name = "readers of the stream"
    assert alone(desk, conditions(desk, consumers=()))[name].is_open
    assert not alone(desk, conditions(desk, consumers=None))[name].is_open
    listed = alone(desk, conditions(desk, consumers=("arn:aws:lambda:us-east-1:1:function:index",)))[name]
    assert (listed.is_open, "function:index" in listed.found) == (False, True)


def test_keys_that_could_be_of_another_entity_close_it(desk: Desk) -> None:
    calls, letters = plan.entities["call"], plan.entities["letter"]
    same = replace(calls, generations=letters.generations)
    muddled = replace(plan, entities={**plan.entities, "call": same})
    with connect(desk.dsn, application_name="test", autocommit=True) as conn:
        gates = {gate.name: gate for gate in purge_gates(conn, muddled, GROUP, conditions(desk))}
    assert ("keys of letter may be keys of call", False) == (
        gates["keys of its own"].found,
        gates["keys of its own"].is_open,
    )


def test_the_plan_says_how_many_what_it_costs_and_how_long(desk: Desk) -> None:
    with opened(desk.project, GROUP, said(write_units=5.0)) as command:
        found = command.plan()
    assert {"letter": 6, "person": 3} == found.items
    assert (9.0, 9 / 5.0) == (found.write_units, found.seconds)
    assert "as of 20" in found.price
    assert "letter,person" == found.confirmation
    assert found.as_json()["is_open"]
