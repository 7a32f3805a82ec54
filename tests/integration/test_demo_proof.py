"""What the demo and `ashore bench cutover` call a proof finds what is amiss in PostgreSQL, in either direction."""

from __future__ import annotations

import pytest
from tests.conftest import SERVER_SETTINGS

from ashore import local
from ashore.bench.court_crossing import court_crossing
from ashore.local.demo_proof import prove
from ashore.local.traffic import Written

_NOTHING_WRITTEN = Written(kinds={}, standing={}, gone={}, items=0, times=(), read_back={}, stale=0)


@pytest.mark.slow
def test_what_a_row_says_otherwise_and_rows_too_few_and_too_many_are_differences(moto: local.LocalAws) -> None:
    client = moto.client("dynamodb")
    with (
        local.embedded_postgres(settings=SERVER_SETTINGS) as server,
        court_crossing(server, moto, cases=20, validity_seconds=2.0, seed=1) as court,
    ):
        court.conn.execute("SET session_replication_role = replica")  # past the guard
        found = prove(court.conn, client, court.project.plan, _NOTHING_WRITTEN)
        assert (found.differences, found.compared > 100) == (0, True)
        messages = court.conn.execute("SELECT message_id FROM court.message ORDER BY 1 LIMIT 3").fetchall()
        for (message,), statement, differences in zip(
            messages,
            (
                "UPDATE court.message SET subject = 'nobody wrote this' WHERE message_id = %s",
                "UPDATE court.message SET message_id = gen_random_uuid() WHERE message_id = %s",
                "DELETE FROM court.message WHERE message_id = %s",
            ),
            (1, 3, 4),
            strict=True,
        ):
            assert court.conn.execute(statement.encode(), (message,)).rowcount == 1
            found = prove(court.conn, client, court.project.plan, _NOTHING_WRITTEN)
            assert found.differences == differences, statement
