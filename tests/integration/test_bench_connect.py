"""`ashore bench connect`: the trips are those of the protocol, and the times follow from them."""

from __future__ import annotations

import pytest

from ashore.bench.connect import measure_connect


@pytest.mark.slow
def test_a_connection_costs_its_round_trips_and_a_pool_one() -> None:
    far = 40.0
    found = measure_connect(round_trip_ms=far, rounds=3, tell=lambda _: None)

    trips = (found.asked_for_tls_round_trips, found.round_trips, found.pooled_query_round_trips)
    assert (6, 5, 1) == trips, "TCP, (may we have TLS?), TLS, startup, token, query"
    assert 2 * found.round_trips < found.origin_way_round_trips
    for milliseconds, count in (
        (found.origin_way_ms, found.origin_way_round_trips),
        (found.asked_for_tls_ms, found.asked_for_tls_round_trips),
        (found.cold_connect_ms, found.round_trips),
        (found.pooled_query_ms, found.pooled_query_round_trips),
    ):
        assert count * far <= milliseconds
    assert found.replica_query_ms < far
    assert found.kept_token_us < found.token_us
