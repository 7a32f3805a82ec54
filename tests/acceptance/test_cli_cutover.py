"""`ashore cutover` and the way back as a user runs them, against real servers, with a worker beside them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pytest
from tests.acceptance.test_cli_sync import running, streamed

__all__ = ["streamed"]


def eventually(what: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 60
    while not what():
        assert time.monotonic() < give_up_at
        time.sleep(0.2)


def item_of(client: Any, make: Any, name: str) -> Any:
    key = {"pk": make.S(f"customer|{name}"), "sk": make.S(f"customer|{name}")}
    return client.get_item(TableName="shop", Key=key, ConsistentRead=True).get("Item")


def write(project: Any, statement: str) -> None:
    with psycopg.connect(project.dsn, autocommit=True) as conn:
        conn.execute(statement.encode())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_writes_cross_are_written_back_and_come_back(streamed: Any, moto: Any, make: Any) -> None:
    client = moto.client("dynamodb")

    item = partial(item_of, client, make)
    restore_point = ("--restore-point", "a snapshot of today")
    streamed.json("load", "--sync")
    with running(streamed):
        eventually(lambda: {one["state"] for one in streamed.json("status")["entities"]} == {"syncing"})
        refused = streamed.run("cutover", "writes", "customer", "--yes")
        assert refused.returncode == 3
        for gate in ("verification", "rehearsal", "restore point of DynamoDB", "restore point of PostgreSQL"):
            assert gate in refused.stderr

        assert streamed.json("verify")["equal"]
        client.update_continuous_backups(
            TableName="shop", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        streamed.json("cutover", "reads", "customer")
        rehearsed = streamed.json("cutover", "writes", "customer", "--rehearse")["pause_seconds"]
        assert 5.0 <= rehearsed <= 60.0
        planned = streamed.json("cutover", "writes", "customer", *restore_point, "--dry-run")
        assert planned["is_open"], planned["gates"]

        done = streamed.json("cutover", "writes", "customer", *restore_point)
        assert (done["state"], done["entities"]) == ("writing", ["customer"])
        assert done["pause_seconds"] <= 60.0

        write(streamed, "UPDATE customer SET credit = 77 WHERE customer_id = 'c1'")
        write(streamed, "DELETE FROM customer WHERE customer_id = 'c2'")
        write(streamed, "INSERT INTO customer (customer_id, full_name) VALUES ('born', 'in PostgreSQL')")
        eventually(lambda: item("born") is not None and item("c2") is None)
        assert item("c1")["credit"] == {"N": "77"}
        assert item("born")["customerId"] == {"S": "born"}, "derived attributes are computed"

        way_back = streamed.json("status")["way_back"]
        assert (way_back["written"], way_back["removed"], way_back["waiting"], way_back["refused"]) == (2, 1, 0, [])
        assert "Back to DynamoDB" in streamed.run("status").stdout

        client.put_item(TableName="shop", Item=make.customer("c3", credit={"N": "1"}))
        eventually(lambda: streamed.run("foreign", "list").returncode == 1)
        blocked = streamed.run("rollback", "customer", "--yes")
        assert (blocked.returncode, "writes of others" in blocked.stderr) == (3, True)
        [foreign] = streamed.json("foreign", "list", exit_code=1)
        assert json.loads(foreign["key"])["pk"] == {"S": "customer|c3"}
        streamed.json("foreign", "drop", str(foreign["number"]))
        eventually(lambda: Decimal(item("c3")["credit"]["N"]) == Decimal("12.5"))

        back = streamed.json("rollback", "customer")
        assert back["state"] == "syncing"
        client.put_item(TableName="shop", Item=make.customer("c4", credit={"N": "4"}))
        eventually(lambda: streamed.rows("SELECT credit FROM customer WHERE customer_id = 'c4'") == [(4,)])
        assert streamed.json("verify", "--witness-all")["equal"]
        again = streamed.json("cutover", "writes", "customer", *restore_point)
        assert again["state"] == "writing"
        streamed.json("retire", "customer")
        write(streamed, "DELETE FROM customer WHERE customer_id = 'c5'")
    assert item("c5") is not None, "nothing is written back any more"
    commands = [command for (command,) in streamed.rows("SELECT command FROM ashore.audit ORDER BY id")]
    for command in ("cutover reads", "cutover rehearsal", "cutover writes", "rollback writes", "foreign", "retire"):
        assert command in commands


def test_entities_that_are_declared_together_move_together(streamed: Any) -> None:
    shop = streamed
    text = (shop.folder / "shop.py").read_text(encoding="utf-8")
    shop.write("shop.py", f"{text}\nshop.together(customers, purchases)\n")
    refused = shop.run("cutover", "reads", "customer")
    assert refused.returncode == 2
    assert "purchase" in refused.stderr
