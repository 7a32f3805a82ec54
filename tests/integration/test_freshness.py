"""Whether the last verification still says something, and if not, why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ashore.ledger import records
from ashore.ledger.freshness import last_verified
from ashore.ledger.schema import ensure_ledger
from ashore.postgres.connect import Conn, connect

LOAD = (
    "INSERT INTO ashore.load (source, purpose, attempt, entities, origin, fingerprint, phase, host, pid, started_at)"
    " OVERRIDING SYSTEM VALUE VALUES ('s', 'load', {attempt}, ARRAY['e'], '{{}}', '', 'discarded', 'h', 1, {at})"
)


def verified(conn: Conn, *, equal: bool = True, entities: tuple[str, ...] = ("e",)) -> None:
    report: dict[str, Any] = {
        "equal": equal,
        "started_at": (datetime.now(UTC) - timedelta(minutes=5)).isoformat(),
        "entities": [{"entity": name} for name in entities],
    }
    records.keep_verification(conn, "s", report)


@pytest.fixture
def conn(postgres_dsn: str) -> Any:
    with connect(postgres_dsn, application_name="test", autocommit=True) as made:
        ensure_ledger(made)
        made.execute(LOAD.format(attempt=1, at="now() - interval '1 hour'").encode())
        made.execute("INSERT INTO ashore.entity (source, entity, tables, state) VALUES ('s', 'e', '{}', 'syncing')")
        yield made


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        ("UPDATE ashore.verification SET at = at - interval '25 hours'", "it is older than a day"),
        (LOAD.format(attempt=2, at="now() + interval '1 s'"), "something was loaded after it"),
        (
            """INSERT INTO ashore.rejected_item (load, source, key, reason, detail, item, rejected_at)
            SELECT id, 's', '{}', 'unmatched', '', '', now() + interval '1 s' FROM ashore.load""",
            "changes were rejected after it: 1",
        ),
        (
            "INSERT INTO ashore.gap (source, shard, kind, repaired_at) VALUES ('s', 'x', 'trimmed', now())",
            "records of the stream were lost after it began",
        ),
        (
            """INSERT INTO ashore.parked_change (source, entity, key_hash, key, item, at, conflict)
            VALUES ('s', 'e', gen_random_uuid(), '', '', now(), 'c')""",
            "changes are parked: 1",
        ),
        (
            "INSERT INTO ashore.repair (source, key_hash, key, reason) VALUES ('s', gen_random_uuid(), '', 'gap')",
            "keys wait to be repaired: 1",
        ),
        (
            "INSERT INTO ashore.entity (source, entity, tables, state) VALUES ('s', 'f', '{}', 'syncing')",
            "not compared: f",
        ),
        (
            "INSERT INTO ashore.verification (source, report) VALUES ('s', '{\"equal\": false}')",
            "a later verification did not find it equal",
        ),
    ],
    ids=["a day", "a load", "a rejected change", "a gap", "parked", "to be repaired", "one entity", "a later one"],
)
def test_a_verification_goes_stale_and_says_why(conn: Conn, happens: str, why: str) -> None:
    assert last_verified(conn, "s") is None
    verified(conn)
    found = last_verified(conn, "s")
    assert found is not None
    assert (found.is_fresh, ()) == (True, found.stale)
    if "25 hours" in happens:
        conn.execute("UPDATE ashore.load SET started_at = started_at - interval '2 days'")
    conn.execute(happens.encode())
    found = last_verified(conn, "s")
    assert found is not None
    assert (False, (why,)) == (found.is_fresh, found.stale)


def test_what_happened_before_it_does_not_make_a_verification_stale(conn: Conn) -> None:
    conn.execute(
        "INSERT INTO ashore.gap (source, shard, kind, found_at) VALUES ('s', 'x', 'trimmed', now() - interval '1 hour')"
    )
    verified(conn, equal=False)
    verified(conn)
    found = last_verified(conn, "s")
    assert found is not None
    assert found.is_fresh
