"""The cost of a call with a cached answer is measured, and is small."""

from __future__ import annotations

from ashore.bench.overhead import measure_overhead


def test_a_cached_call_costs_microseconds_and_no_question(postgres_dsn: str) -> None:
    found = measure_overhead(postgres_dsn, calls=2_000)
    assert found.as_json().keys() == {"reads_us", "write_us", "overhead_us", "query_us", "query_through_app_us"}
    assert 0 < found.overhead_us < 200
    assert 0 < found.reads_us < found.write_us < 500
    assert 0 < min(found.query_us, found.query_through_app_us)
