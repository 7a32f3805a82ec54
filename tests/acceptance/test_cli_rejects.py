"""`ashore rejects` as a user runs it, against real servers."""

from __future__ import annotations

from typing import Any

import pytest

BAD_AMOUNT = {"S": "seven"}


@pytest.fixture
def loaded(shop: Any, make: Any) -> Any:
    """Loaded from an export in which three items do not fit, and two give one row key."""
    items = [
        *make.many(5),
        make.purchase("c1", "bad", amount=BAD_AMOUNT),
        make.customer("nul", fullName=make.S("a\0b")),
        {"pk": make.S("who knows"), "sk": make.S("?")},
        make.purchase("c1", "twice"),
        make.purchase("c2", "twice"),
    ]
    report = shop.json("load", "--export", shop.export(items), environ={"ASHORE_MAX_REJECTED": "1"})
    assert 5 == sum(one["items"] for one in report["rejected"])
    return shop


def test_list_counts_and_lists_without_a_value(loaded: Any) -> None:
    text = loaded.run("rejects", "list")
    found = loaded.json("rejects", "list")
    some = loaded.json("rejects", "list", "--entity", "purchase", "--reason", "wrong_type", "--limit", "1")

    assert 0 == text.returncode
    assert "wrong_type" in text.stdout
    assert "who knows" not in text.stdout
    counts = {(one["entity"], one["reason"]): one["items"] for one in found["counts"]}
    assert {
        ("purchase", "wrong_type"): 1,
        ("purchase", "duplicate_key"): 2,
        ("customer", "nul_in_text"): 1,
        (None, "unmatched"): 1,
    } == counts
    assert 5 == len(found["rejects"])
    assert ["amount"] == [one["attribute"] for one in some["rejects"]]


def test_show_masks_values_unless_asked_for(loaded: Any) -> None:
    number = str(loaded.json("rejects", "list", "--reason", "wrong_type")["rejects"][0]["id"])

    masked = loaded.json("rejects", "show", number)
    revealed = loaded.json("rejects", "show", number, "--reveal")
    text = loaded.run("rejects", "show", number)

    assert {"pk", "sk", "amount"} == set(masked["item"])
    assert "seven" not in str(masked)
    assert BAD_AMOUNT == revealed["item"]["amount"]
    assert "seven" not in text.stdout
    assert 2 == loaded.run("rejects", "show", "99999").returncode


def test_retry_lands_what_fits_the_declaration_of_today(loaded: Any) -> None:
    declaration = (loaded.folder / "shop.py").read_text()
    loaded.write("shop.py", declaration.replace('"{customer_id}"})', '"{customer_id}"}, unfit={"fullName": "strip"})'))

    first = loaded.json("rejects", "retry", "--all", exit_code=1)
    second = loaded.json("rejects", "retry", "--reason", "nul_in_text")

    assert (5, 1, 4) == (first["tried"], first["landed"], first["stays"])
    assert 0 == second["tried"]
    assert [("ab",)] == loaded.rows("SELECT full_name FROM customer WHERE customer_id = 'nul'")
    assert 4 == loaded.json("rejects", "list")["total"]


def test_two_items_of_one_row_key_both_stay(loaded: Any) -> None:
    report = loaded.json("rejects", "retry", "--reason", "duplicate_key", exit_code=1)

    assert ["duplicate_key", "duplicate_key"] == [one["reason"] for one in report["rejects"]]
    assert [(0,)] == loaded.rows("SELECT count(*) FROM purchase WHERE purchase_id = 'twice'")


def test_counts_in_are_counts_out_after_a_retry(loaded: Any) -> None:
    declaration = (loaded.folder / "shop.py").read_text()
    loaded.write("shop.py", declaration + '\nshop.leave_out("who knows", because="nobody does")\n')

    report = loaded.json("rejects", "retry", "--reason", "unmatched")

    assert (1, 1) == (report["tried"], report["needs_no_row"])
    counts = "SELECT sum(items)::int FROM ashore.load_count WHERE outcome {} 'rejected'"
    assert [(4,)] == loaded.rows(counts.format("="))
    assert [(18,)] == loaded.rows(counts.format("<>"))


def test_retry_reads_a_tables_items_again(shop_table: Any, make: Any, moto: Any) -> None:
    client = moto.client("dynamodb")
    items = [
        *make.many(3),
        make.purchase("c1", "mended", amount=BAD_AMOUNT),
        make.purchase("c1", "gone", amount=BAD_AMOUNT),
        make.purchase("c1", "still", amount=BAD_AMOUNT),
        make.purchase("c1", "twice"),
        make.purchase("c2", "twice"),
        make.purchase("c1", "taken", amount=BAD_AMOUNT),
    ]
    for item in items:
        client.put_item(TableName="shop", Item=item)
    shop_table.json("load", "--max-rejected", "1")
    client.put_item(TableName="shop", Item=make.purchase("c1", "mended", amount={"N": "8"}))
    for name in ("gone", "twice"):
        client.delete_item(TableName="shop", Key={"pk": make.S("customer|c1"), "sk": make.S(f"purchase|{name}")})
    client.put_item(TableName="shop", Item=make.purchase("c1", "taken"))
    shop_table.rows("INSERT INTO purchase (purchase_id, customer_id) VALUES ('taken', 'x')")

    report = shop_table.json("rejects", "retry", "--all", exit_code=1)

    assert (6, 2, 2) == (report["tried"], report["landed"], report["gone"])
    assert {"wrong_type", "duplicate_key"} == {one["reason"] for one in report["rejects"]}
    rows = shop_table.rows("SELECT purchase_id, customer_id, amount FROM purchase WHERE purchase_id !~ '^p' ORDER BY 1")
    assert [("mended", "c1", 8), ("taken", "x", None), ("twice", "c2", 7)] == rows
    shop_table.rows("DELETE FROM purchase WHERE purchase_id = 'taken'")
    assert 1 == shop_table.json("rejects", "retry", "--reason", "duplicate_key")["landed"]
    assert shop_table.json("verify", "--witness-all")["equal"]


def test_retry_of_a_tables_items_needs_that_table(shop_table: Any, make: Any, moto: Any) -> None:
    moto.client("dynamodb").put_item(TableName="shop", Item=make.purchase("c1", "bad", amount=BAD_AMOUNT))
    shop_table.json("load", "--max-rejected", "1")
    shop_table.write("ashore.toml", (shop_table.folder / "ashore.toml").read_text().replace('table = "shop"', ""))

    refused = shop_table.json("rejects", "retry", "--all", exit_code=3)

    assert "ASH622" == refused["error"]["code"]
    assert 1 == shop_table.json("rejects", "retry", "--all", "--table", "shop", exit_code=1)["stays"]


def test_retry_is_refused_while_a_load_is_unfinished(loaded: Any) -> None:
    loaded.rows("UPDATE ashore.load SET phase = 'keys'")

    refused = loaded.json("rejects", "retry", "--all", exit_code=3)

    assert "ASH621" == refused["error"]["code"]


def test_retry_wants_to_be_told_which(loaded: Any) -> None:
    assert 2 == loaded.run("rejects", "retry").returncode
    assert "usage" == loaded.json("rejects", "retry", "--all", "--reason", "missing", exit_code=2)["error"]["code"]


def test_there_are_no_rejects_before_the_first_load(shop: Any) -> None:
    assert 0 == shop.json("rejects", "list")["total"]
    assert shop.is_untouched()
