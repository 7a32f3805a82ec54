"""`ashore load` and `ashore verify` as a user runs them, against real servers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import Any


def test_load_from_an_export_lands_every_item_and_verifies_equal(shop: Any, make: Any) -> None:
    export = shop.export(make.many(40))

    report = shop.json("load", "--export", export)

    counts = {(one["entity"], one["outcome"]): one["items"] for one in report["counts"]}
    assert {
        ("customer", "rows"): 40,
        ("purchase", "rows"): 80,
        ("visit|*", "not_yet"): 1,
        ("cache|*", "left_out"): 1,
    } == counts
    assert 122 == report["items"]
    assert [(40,)] == shop.rows("SELECT count(*) FROM customer WHERE credit = 12.50")
    verified = shop.json("verify", "--export", export, "--witness-all")
    assert verified["equal"] is True
    assert 122 == verified["items"]


def test_load_from_a_table_lands_every_item(shop_table: Any, make: Any, moto: Any) -> None:
    client = moto.client("dynamodb")
    for item in make.many(30):
        client.put_item(TableName="shop", Item=item)

    done = shop_table.run("load", "--segments", "1", "--workers", "2")

    assert 0 == done.returncode, done.stderr
    assert "92 items" in done.stdout
    assert "Loaded shop" in done.stdout
    assert [(60,)] == shop_table.rows("SELECT count(*) FROM purchase")
    assert 0 == shop_table.run("verify", "customer").returncode


def test_verify_ends_with_1_where_a_row_was_changed(shop: Any, make: Any) -> None:
    export = shop.export(make.many(5))
    shop.json("load", "--export", export)
    shop.rows("UPDATE customer SET full_name = 'someone else' WHERE customer_id = 'c3'")

    report = shop.json("verify", "customer", "--export", export, exit_code=1)
    text = shop.run("verify", "--export", export)

    assert report["equal"] is False
    assert [(1, 0, 0)] == [(one["different"], one["missing"], one["extra"]) for one in report["entities"]]
    assert ["full_name"] in [one["columns"] for one in report["differences"]]
    assert 1 == text.returncode
    assert "full_name" in text.stdout


def test_dry_run_says_what_it_would_read_and_changes_nothing(shop: Any, make: Any) -> None:
    export = shop.export(make.many(10))

    text = shop.run("load", "--export", export, "--dry-run")
    ahead = shop.json("load", "customer", "--export", export, "--dry-run", "--workers", "3")

    assert 0 == text.returncode
    assert "32 items" in text.stdout
    assert (32, 3, ["customer"], True) == (ahead["items"], ahead["workers"], ahead["entities"], ahead["dry_run"])
    assert shop.is_untouched()


def test_dry_run_of_a_table_tells_read_units_and_dollars(shop_table: Any, make: Any, moto: Any) -> None:
    for item in make.many(10):
        moto.client("dynamodb").put_item(TableName="shop", Item=item)

    done = shop_table.run("load", "--dry-run", "--read-units", "100")

    assert 0 == done.returncode, done.stderr
    assert "read units, $" in done.stdout
    assert shop_table.is_untouched()


def test_a_second_load_is_refused_by_its_gate(shop: Any, make: Any) -> None:
    export = shop.export(make.many(5))
    shop.json("load", "--export", export)

    refused = shop.json("load", "--export", export, exit_code=3)
    again = shop.json("load", "--export", export, "--restart")

    assert ("ASH603", 3) == (refused["error"]["code"], refused["error"]["exit_code"])
    assert 17 == again["items"]


def test_too_many_rejected_items_end_with_4(shop: Any, make: Any) -> None:
    bad = [make.customer(f"b{number}", credit=make.S("much")) for number in range(10)]
    export = shop.export([*make.many(20), *bad])
    environ = {"ASHORE_REJECTED_COUNTED_FROM": "10"}

    stopped = shop.json("load", "--export", export, "--max-rejected", "1%", exit_code=4, environ=environ)
    went_on = shop.json("load", "--export", export, "--max-rejected", "50%", environ=environ)

    assert "ASH606" == stopped["error"]["code"]
    rejected = [(one["entity"], one["reason"], one["items"]) for one in went_on["rejected"]]
    assert [("customer", "wrong_type", 10)] == rejected


def test_status_shows_states_and_the_newest_load(shop: Any, make: Any) -> None:
    before = shop.json("status")
    shop.json("load", "customer", "--export", shop.export(make.many(5)))

    after = shop.json("status")

    assert ["declared", "declared"] == [one["state"] for one in before["entities"]]
    assert before["load"] is None
    assert {"customer": "loaded", "purchase": "declared"} == {one["entity"]: one["state"] for one in after["entities"]}
    assert "done" == after["load"]["phase"]
    assert 0 == shop.run("status").returncode


def test_an_unknown_entity_is_a_usage_error_that_lists_those_declared(shop: Any, make: Any) -> None:
    done = shop.run("load", "custmer", "--export", shop.export(make.many(1)))

    assert 2 == done.returncode
    assert "customer, purchase" in done.stderr
    assert shop.is_untouched()


def test_global_options_are_taken_before_the_command_too(shop: Any, make: Any, tmp_path: Any) -> None:
    export = shop.export(make.many(1))

    done = shop.run("--json", "--project", str(shop.folder), "--env", "test", "load", "--export", export, "--dry-run")

    assert 0 == done.returncode, done.stderr
    assert 5 == json.loads(done.stdout)["items"]


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(shop: Any, make: Any) -> None:
    arguments = ("load", "--export", shop.export(make.many(4_000)))
    process = subprocess.Popen(
        [sys.executable, "-m", "ashore", *arguments],
        cwd=shop.folder,
        env=shop.given(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while shop.rows("SELECT to_regclass('ashore.audit')::text") == [(None,)] and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)

    assert 130 == process.returncode, told
    assert "the same command goes on from there" in told
    assert 0 == shop.run(*arguments).returncode
    assert [(8_000,)] == shop.rows("SELECT count(*) FROM purchase")
