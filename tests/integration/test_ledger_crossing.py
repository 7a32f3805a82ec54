"""Routes and the states behind them: compare-and-set, deadlines, and who may ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from ashore.ledger import crossing, loads
from ashore.ledger.crossing import fence_seconds, hold, move, return_overdue, routes, set_validity
from ashore.ledger.errors import StateMoved
from ashore.ledger.schema import ensure_ledger
from ashore.postgres.connect import Conn, connect


@pytest.fixture
def conn(any_postgres_dsn: str) -> Iterator[Conn]:
    with connect(any_postgres_dsn, application_name="test", autocommit=True) as made:
        ensure_ledger(made)
        loads.declare_entities(made, "court", {"case": ["c"], "message": ["m"], "": []})
        loads.set_state(made, source="court", entities=["case", "message"], state="syncing")
        yield made


def another(conn: Conn) -> Conn:
    return connect(conn.info.dsn, application_name="other", autocommit=True)


def states(conn: Conn) -> dict[str, str]:
    return {name: found.state for name, found in crossing.crossing_states(conn, "court").items()}


@pytest.mark.parametrize(
    ("state", "came_from", "expected"),
    [
        ("declared", None, ("dynamodb", "dynamodb", "dynamodb")),
        ("loading", None, ("dynamodb", "dynamodb", "dynamodb")),
        ("syncing", None, ("dynamodb", "dynamodb", "dynamodb")),
        ("reading", None, ("postgres", "dynamodb", "dynamodb")),
        ("draining", "syncing", ("dynamodb", "dynamodb", "held")),
        ("draining", "reading", ("postgres", "dynamodb", "held")),
        ("writing", None, ("postgres", "postgres", "postgres")),
        ("returning", "writing", ("postgres", "postgres", "held")),
        ("retired", None, ("postgres", "postgres", "postgres")),
    ],
)
def test_each_state_says_where_reads_and_writes_go(
    conn: Conn, state: str, came_from: str | None, expected: tuple[str, str, str]
) -> None:
    conn.execute(
        "UPDATE ashore.entity SET state = %(state)s, came_from = %(came_from)s::text,"
        " deadline = CASE WHEN %(came_from)s::text IS NOT NULL THEN clock_timestamp() + interval '1 hour' END"
        " WHERE entity = 'case'",
        {"state": state, "came_from": came_from},
    )
    route = routes(conn, "court")["case"]
    assert expected == (route.reads, route.feeding_reads, route.writes)
    assert (came_from is not None) is (route.held_ms is not None)
    assert "" not in routes(conn, "court"), "what no pattern matches is nobody's to write"


def test_law_13_entities_move_together_from_the_state_that_is_expected_or_not_at_all(conn: Conn) -> None:
    loads.set_state(conn, source="court", entities=["message"], state="merging")
    with pytest.raises(StateMoved), conn.transaction():
        hold(conn, source="court", entities=["case", "message"], expected=["syncing"], to="draining", seconds=9)
    assert states(conn) == {"case": "syncing", "message": "merging"}


def test_law_13_whoever_asks_after_the_deadline_sends_the_entity_back_and_the_cutover_cannot_go_on(conn: Conn) -> None:
    hold(conn, source="court", entities=["case", "message"], expected=["syncing"], to="draining", seconds=0.05)
    time.sleep(0.1)
    with pytest.raises(StateMoved), conn.transaction():
        move(conn, source="court", entities=["case", "message"], expected="draining", to="writing")
    assert routes(conn, "court")["case"].writes == "dynamodb"
    assert states(conn) == {"case": "syncing", "message": "syncing"}
    assert return_overdue(conn, "court") == 0, "it was done once"
    audited = conn.execute("SELECT detail ->> 'entity' FROM ashore.audit WHERE command = 'deadline passed'").fetchall()
    assert sorted(audited) == [("case",), ("message",)]


def test_law_13_a_question_that_meets_an_open_switch_waits_for_it_and_does_not_undo_it(conn: Conn) -> None:
    hold(conn, source="court", entities=["case"], expected=["syncing"], to="draining", seconds=0.3)
    found: list[str] = []

    def ask() -> None:
        with another(conn) as other:
            time.sleep(0.5)
            found.append(routes(other, "court")["case"].writes)

    asking = threading.Thread(target=ask)
    asking.start()
    with conn.transaction():
        move(conn, source="court", entities=["case"], expected="draining", to="writing")
        time.sleep(1.0)
        assert found == [], "past the deadline the answer waits for the switch"
    asking.join()
    assert found == ["postgres"]


def test_a_transaction_of_a_higher_isolation_level_is_not_told_what_was(conn: Conn) -> None:
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState), conn.transaction():
        routes(conn, "court")


def test_a_fence_waits_for_the_longest_validity_that_was_ever_told(conn: Conn) -> None:
    assert fence_seconds(conn, "court") == 5
    set_validity(conn, "court", 1_000)
    assert routes(conn, "court")["case"].validity_ms == 1_000
    assert fence_seconds(conn, "court") == 5, "some may still act on the five seconds that they were told before"
    set_validity(conn, "court", 30_000)
    set_validity(conn, "court", 2_000)
    assert fence_seconds(conn, "court") == 30


def test_a_longer_validity_counts_until_nobody_can_act_on_it_any_more(conn: Conn) -> None:
    def pass_by(seconds: float) -> None:
        conn.execute("UPDATE ashore.crossing SET since = since - %s * interval '1 s'", (seconds,))

    set_validity(conn, "court", 1_000)
    pass_by(9.0)
    assert fence_seconds(conn, "court") == 5
    pass_by(1.5)
    assert fence_seconds(conn, "court") == 1
    set_validity(conn, "court", 1_000)
    assert fence_seconds(conn, "court") == 1, "saying the same again changes nothing"
    set_validity(conn, "court", 500)
    assert fence_seconds(conn, "court") == 1, "the five seconds are over, the second is not"
    pass_by(2.5)
    assert fence_seconds(conn, "court") == 0.5
    set_validity(conn, "court", 30_000)
    assert fence_seconds(conn, "court") == 30


def test_a_validity_whose_process_died_before_it_said_since_when_never_lapses(conn: Conn) -> None:
    set_validity(conn, "court", 1_000)
    conn.execute("UPDATE ashore.crossing SET since = 'infinity'")
    assert fence_seconds(conn, "court") == 5
    set_validity(conn, "court", 1_000)
    conn.execute("UPDATE ashore.crossing SET since = since - interval '11 s'")
    assert fence_seconds(conn, "court") == 1


def test_a_role_needs_the_function_alone(conn: Conn) -> None:
    conn.execute("DROP ROLE IF EXISTS routes_only")
    conn.execute("CREATE ROLE routes_only")
    try:
        conn.execute("GRANT USAGE ON SCHEMA ashore TO routes_only")
        conn.execute("SET ROLE routes_only")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            routes(conn, "court")
        conn.execute("RESET ROLE")
        conn.execute("GRANT EXECUTE ON FUNCTION ashore.routes(text) TO routes_only")
        conn.execute("SET ROLE routes_only")
        assert routes(conn, "court")["case"].writes == "dynamodb"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT * FROM ashore.entity")
    finally:
        conn.execute("RESET ROLE")
        conn.execute("DROP OWNED BY routes_only")
        conn.execute("DROP ROLE routes_only")
