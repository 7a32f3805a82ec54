"""How the figures of `ashore bench cutover` and `ashore bench app` look in a terminal."""

from __future__ import annotations

from ashore.bench.cutover import CutoverFigures
from ashore.bench.load_test import AppFigures, Latency
from ashore.cli import output


def show_cutover(found: CutoverFigures) -> None:
    """Print what was measured."""
    rows = [
        ("pause that a writer saw, median, ms", found.pause_p50_ms),
        ("pause, 99 of 100, ms", found.pause_p99_ms),
        ("pause, the longest, ms", found.pause_max_ms),
        ("a write otherwise, ms", found.usual_write_ms),
        ("rows a second that became items", found.reverse_changes_per_s),
        ("bare puts a second", found.reverse_limit_per_s),
        ("ratio", found.reverse_ratio),
        ("from a commit to its item, median, ms", found.reverse_lag_p50_ms),
        ("from a commit to its item, 99 of 100, ms", found.reverse_lag_p99_ms),
        ("ashore.app, a call, µs", found.overhead_us),
        ("writes sent", found.writes),
        ("writes lost", found.lost_writes),
        ("differences between the stores", found.differences),
    ]
    title = f"To and fro {found.rounds} times under {found.writers} writers"
    output.console().print(output.table(title, ("", ""), rows, numbers=1))
    output.say(f"applications acted on what they were told for {found.validity_ms:,} ms, a part of each pause")
    output.say(f"the stream was known to be read to its end {', '.join(found.passed)}")
    output.say(f"pauses on {found.pauses_on}, reverse sync on {found.reverse_on}: neither is AWS")


def show_app(found: AppFigures) -> None:
    """Print what was measured, both stores side by side."""
    rows = [
        (
            kind.replace("_", " "),
            *(f"{one:.2f}" for store in ("dynamodb", "postgres") for one in _both(by_store[store])),
        )
        for kind, by_store in found.calls.items()
    ]
    size = found.size
    title = (
        f"{size.messages:,} messages, {size.clients} clients, {size.rounds} rounds of {size.calls:,} calls of each kind"
    )
    columns = ("", "DynamoDB p50, ms", "p99", "PostgreSQL p50, ms", "p99 ")
    output.console().print(output.table(title, columns, rows, numbers=4))
    output.say(
        f"{found.answers_compared:,} answers were compared: {found.answers_different} differ,"
        f" {found.answers_settled} did until they were asked for again"
    )
    if found.dynamodb != "aws":
        output.say(f"DynamoDB is {found.dynamodb}, which is not AWS: it says nothing of how quick DynamoDB is")


def _both(one: Latency) -> tuple[float, float]:
    return one.p50_ms, one.p99_ms
