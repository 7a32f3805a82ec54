"""`ashore status` shows what shadow reads found."""

from __future__ import annotations

import json
from typing import Any

from ashore.ledger.schema import ensure_ledger
from ashore.ledger.shadow_reads import note
from ashore.postgres.connect import connect


def test_status_shows_what_shadow_reads_found(shop: Any) -> None:
    times = [0] * 64
    times[20] = 7
    counted = {
        "entity": "customers",
        "call": "by_name",
        "equal": 5,
        "settled": 1,
        "different": 2,
        "failed": 0,
        "slow": 0,
        "dropped": 3,
        "dynamodb_times": times,
        "postgres_times": times,
        "differences": [{"field": "credit", "kind": "value", "count": 2}],
    }
    with connect(shop.dsn, application_name="test", autocommit=True) as conn:
        ensure_ledger(conn)
        note(conn, "shop", [counted])

    [found] = shop.json("status")["shadow_reads"]

    assert (found["call"], found["equal"], found["different"], found["dropped"]) == ("by_name", 5, 2, 3)
    assert found["differences"] == [{"field": "credit", "kind": "value", "count": 2}]
    assert found["dynamodb_p99_ms"] == found["postgres_p50_ms"] > 0
    shown = shop.run("status", environ={"COLUMNS": "200"}).stdout
    assert "Shadow reads" in shown
    assert "credit" in shown
    assert json.dumps(found)
