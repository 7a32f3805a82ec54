"""`ashore bench app`: either side does the same work, answers that differ are told, and nothing is left."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ashore.bench.errors import DynamoDBRefuses
from ashore.bench.latency_plot import latency_plot
from ashore.bench.load_test import AppFigures, Latency, Size, Where, measure_app
from ashore.bench.message_stores import MessagesInPostgres

_SMALL = Size(messages=200, calls=20, rounds=2, clients=2)


@pytest.fixture
def where(moto: Any, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Where:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    return Where(endpoint_url=moto.endpoint_url, postgres=postgres_dsn)


def left_behind(where: Where, moto: Any) -> list[str]:
    with psycopg.connect(where.postgres or "") as conn:
        schemas = conn.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ashore_bench%'").fetchall()
    return [*(name for (name,) in schemas), *moto.client("dynamodb").list_tables()["TableNames"]]


def test_both_sides_answer_the_same_at_any_endpoint_and_nothing_is_left(where: Where, moto: Any) -> None:
    found = measure_app(where, _SMALL, tell=lambda _: None)

    assert {"inbox", "thread", "message", "insert", "mark_read"} == found.calls.keys()
    for kind, by_store in found.calls.items():
        assert {"dynamodb", "postgres"} == by_store.keys()
        for one in by_store.values():
            assert one.calls == (60 if kind in {"inbox", "thread", "message"} else 40)
            assert 0 < one.p50_ms <= one.p99_ms
    assert (180, 0) == (found.answers_compared, found.answers_different)
    assert (moto.endpoint_url, "as named") == (found.dynamodb, found.postgres)
    assert [] == left_behind(where, moto)


def test_a_side_that_does_not_do_its_work_is_told(where: Where, moto: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MessagesInPostgres, "mark_read", lambda *_: None)
    monkeypatch.setattr("ashore.bench.load_test._SETTLE_SECONDS", 0.0)

    found = measure_app(where, _SMALL, tell=lambda _: None)

    assert found.answers_different > 0
    assert [] == left_behind(where, moto)


def test_a_dynamodb_that_does_not_answer_is_named_and_nothing_is_left(where: Where, moto: Any) -> None:
    nowhere = Where(endpoint_url="http://127.0.0.1:9", postgres=where.postgres)
    with pytest.raises(DynamoDBRefuses, match=r"127\.0\.0\.1:9"):
        measure_app(nowhere, _SMALL, tell=lambda _: None)
    assert [] == left_behind(where, moto)


def test_the_plot_shows_each_call_of_both_sides_and_says_what_is_not_aws() -> None:
    calls = {
        kind: {
            "dynamodb": Latency(calls=9, p50_ms=4.0, p99_ms=40.0),
            "postgres": Latency(calls=9, p50_ms=1, p99_ms=2.5),
        }
        for kind in ("inbox", "mark_read")
    }
    found = AppFigures(
        dynamodb="<moto>",
        postgres="embedded",
        size=_SMALL,
        calls=calls,
        answers_compared=1,
        answers_settled=0,
        answers_different=0,
        versions={},
        machine={},
    )
    drawn = ET.fromstring(latency_plot(found))  # noqa: S314 (it is our own)
    texts = ["".join(one.itertext()) for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert 4 == len(list(drawn.iter("{http://www.w3.org/2000/svg}circle"))) / 2
    assert 2 == texts.count("DynamoDB") == texts.count("PostgreSQL") == texts.count("1 to 2.5 ms")
    assert {"inbox", "mark read", "1 ms", "100 ms"} <= set(texts)
    assert "DynamoDB is <moto>, which is not AWS: it says nothing of how quick DynamoDB is." in texts
    lines = [line for line in drawn.iter("{http://www.w3.org/2000/svg}line") if line.get("stroke-width")]
    assert all(0 < float(line.get("x1", "")) < float(line.get("x2", "")) < 820 for line in lines)


@pytest.mark.slow
def test_the_command_prints_either_side_and_draws_a_plot(tmp_path: Path) -> None:
    plot = tmp_path / "app.svg"
    arguments = ["--messages", "200", "--calls", "20", "--rounds", "1", "--plot", str(plot), "--json"]
    command = [sys.executable, "-m", "ashore", "bench", "app", *arguments]
    ended = subprocess.run(command, capture_output=True, check=False, text=True, timeout=110)
    assert (0, "") == (ended.returncode, ended.stderr)
    found = json.loads(ended.stdout)
    assert found["dynamodb"] in {"moto", "DynamoDB Local"}
    assert found["answers_compared"] == 120
    assert found["calls"]["inbox"]["postgres"]["p50_ms"] > 0
    assert "is not AWS" in plot.read_text(encoding="utf-8")
