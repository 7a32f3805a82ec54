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
        streamed.json("cutover", "reads", "customer", "--validity", "5.5")
        assert streamed.rows("SELECT validity_ms FROM ashore.crossing") == [(5_500,)]
        rehearsed = streamed.json("cutover", "writes", "customer", "--rehearse")["pause_seconds"]
        assert 5.5 <= rehearsed <= 60.0
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


COPIED = """
shop.rules.clear()
shop.not_yet("visit|*")
shop.leave_out("cache|*", because="it is rebuilt")
shop.leave_out("credit|*", because="finds customers by their credit", rebuild=Mirror(
    of=customers, partition="credit|{credit}", sort="{customer_id}", attributes={"customerId": "{customer_id}"}))
"""


def copied(text: str) -> str:
    """The shop's declaration with a copy of each customer under its name, and a mirror under its credit."""
    text = text.replace("remainder\n", "remainder, Copy, Mirror, render\n", 1)
    copies = 'copies=[Copy(partition="name|{full_name}", sort="{customer_id}", of="customerId", rebuild=render)],'
    return text.replace("derived={", f"{copies} derived={{", 1) + COPIED


def items_of(client: Any, *prefixes: str) -> dict[str, Any]:
    """Key → item, of all items with such partition keys."""
    pages = client.get_paginator("scan").paginate(TableName="shop", ConsistentRead=True)
    items = [item for page in pages for item in page["Items"]]
    return {f"{one['pk']['S']} {one['sk']['S']}": one for one in items if one["pk"]["S"].startswith(prefixes)}


def rendered(name: str, full_name: str, credit: str) -> dict[str, Any]:
    """What DynamoDB is to hold of a customer."""
    body = {"customerId": {"S": name}, "fullName": {"S": full_name}, "credit": {"N": credit}}
    items = [
        {"pk": {"S": f"customer|{name}"}, "sk": {"S": f"customer|{name}"}, **body},
        {"pk": {"S": f"name|{full_name}"}, "sk": {"S": name}, **body},
        {"pk": {"S": f"credit|{credit}"}, "sk": {"S": name}, "customerId": {"S": name}},
    ]
    return {f"{one['pk']['S']} {one['sk']['S']}": one for one in items}


def passes_by_what_is_waived(shop: Any) -> None:
    planned = shop.json("cutover", "writes", "customer", "--restore-point", "today", "--dry-run", exit_code=3)
    assert [one["name"] for one in planned["gates"] if not one["is_open"]] == ["rejected items"]
    [obstacle] = shop.json("waivers", "open", exit_code=1)
    assert shop.run("waive", "no such key", "--reason", "x", "--until", "2999-01-01").returncode == 2
    assert shop.run("waive", obstacle["key"], "--reason", "x", "--until", "1999-01-01").returncode == 2
    shop.json("waive", obstacle["key"], "--reason", "test data", "--until", "2999-01-01")
    assert shop.json("waivers", "open") == []
    planned = shop.json("cutover", "writes", "customer", "--restore-point", "today", "--dry-run")
    assert planned["is_open"]
    assert "test data" in planned["waived"][0]
    assert "writing back" in planned["cost"][0]


def waits_at_its_cap(shop: Any) -> None:
    shop.json("sync", "limit", "--write-back-units", "1")
    write(shop, "INSERT INTO customer (customer_id, full_name) SELECT 'n' || n, 'N' FROM generate_series(1, 200) n")
    eventually(lambda: shop.json("status")["way_back"]["units_per_second"] == 1.0)
    way_back = shop.json("status")["way_back"]
    assert way_back["waiting"] > 150
    assert way_back["estimated_seconds"] > 60
    assert "at most 1 a second" in shop.run("status").stdout
    assert "ashore_reverse_cap_units_per_second" in shop.run("status", "--prometheus").stdout
    refused = shop.run("rollback", "customer", "--yes")
    assert (refused.returncode, "at the cap of 1 a second" in refused.stderr) == (3, True)
    shop.json("sync", "limit", "--none")
    eventually(lambda: shop.json("status")["way_back"]["waiting"] == 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_copies_and_mirrors_go_back_with_their_rows_and_a_scan_finds_exactly_these(streamed: Any, moto: Any) -> None:
    client = moto.client("dynamodb")
    shop = streamed
    shop.write("shop.py", copied((shop.folder / "shop.py").read_text(encoding="utf-8")))
    for key in list(items_of(client, "customer|")):
        pk, sk = key.split(" ")
        client.delete_item(TableName="shop", Key={"pk": {"S": pk}, "sk": {"S": sk}})
    first = rendered("a", "Ada", "5") | rendered("b", "Bob", "7") | rendered("c", "Cid", "9")
    for item in first.values():
        client.put_item(TableName="shop", Item=item)
    client.put_item(TableName="shop", Item={"pk": {"S": "customer|zoe"}, "sk": {"S": "customer|zoe"}})
    shop.json("load", "--sync", "--max-rejected", "1")
    client.update_continuous_backups(
        TableName="shop", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    with running(shop):
        eventually(lambda: {one["state"] for one in shop.json("status")["entities"]} == {"syncing"})
        assert shop.json("verify")["equal"]
        shop.json("cutover", "writes", "customer", "--rehearse")
        passes_by_what_is_waived(shop)
        assert shop.json("cutover", "writes", "customer", "--restore-point", "today")["state"] == "writing"

        write(shop, "UPDATE customer SET credit = 6 WHERE customer_id = 'a'")
        write(shop, "UPDATE customer SET full_name = 'Eve' WHERE customer_id = 'b'")
        write(shop, "DELETE FROM customer WHERE customer_id = 'c'")
        write(shop, "INSERT INTO customer (customer_id, full_name, credit) VALUES ('d', 'Dan', 1)")
        expected = rendered("a", "Ada", "6") | rendered("b", "Eve", "7") | rendered("d", "Dan", "1")
        prefixes = ("customer|a", "customer|b", "customer|c", "customer|d", "name|", "credit|")
        eventually(lambda: expected == items_of(client, *prefixes))

        assert shop.rows("SELECT key, is_expiry, at, found_at FROM ashore.foreign_write") == []
        waits_at_its_cap(shop)
        assert shop.rows("SELECT key, is_expiry, at, found_at FROM ashore.foreign_write") == []
        assert len(items_of(client, "name|")) == 203
        assert shop.json("rollback", "customer")["state"] == "syncing"
        assert shop.json("verify", "--witness-all")["equal"]
        assert shop.json("foreign", "list") == []
        [waiver] = shop.json("waivers", "list")
        assert shop.json("waivers", "withdraw", str(waiver["id"]))["withdrawn"] == [waiver["id"]]
    commands = [command for (command,) in shop.rows("SELECT command FROM ashore.audit ORDER BY id")]
    assert {"waive", "waiver withdrawn", "sync limit"} <= {*commands}


def test_entities_that_are_declared_together_move_together(streamed: Any) -> None:
    shop = streamed
    text = (shop.folder / "shop.py").read_text(encoding="utf-8")
    shop.write("shop.py", f"{text}\nshop.together(customers, purchases)\n")
    refused = shop.run("cutover", "reads", "customer")
    assert refused.returncode == 2
    assert "purchase" in refused.stderr
