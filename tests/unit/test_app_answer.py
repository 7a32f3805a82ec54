"""What may be done with an answer of the ledger: laws 11 and 12, with the time given."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.app.answer import (
    LONGEST_FAILED_PAUSE_SECONDS,
    LONGEST_HELD_PAUSE_SECONDS,
    Answer,
    Reading,
    Wait,
    next_pause,
    refresh_seconds,
    where_to_read,
    where_to_read_for_a_write,
    where_to_read_in_an_outage,
    where_to_write,
)
from ashore.app.clock import Instant, now
from ashore.app.errors import EntityNotRouted, StoresDiffer, WriteTooLong
from ashore.ledger.crossing import Route

SYNCING: Final = Route(
    entity="message",
    state="syncing",
    epoch=0,
    reads="dynamodb",
    feeding_reads="dynamodb",
    writes="dynamodb",
    validity_ms=5_000,
    held_ms=None,
    lag_ms=1_000,
)
READING: Final = replace(SYNCING, state="reading", reads="postgres")
DRAINING: Final = replace(READING, state="draining", writes="held", held_ms=9_000)
WRITING: Final = replace(READING, state="writing", feeding_reads="postgres", writes="postgres")
EVERY_STATE: Final = (SYNCING, READING, DRAINING, WRITING, replace(WRITING, state="returning", writes="held"))
PATIENT: Final = Reading(lag_margin_seconds=2, outage_read_seconds=100)

seconds = st.floats(min_value=0, max_value=20, allow_nan=False)
jumps = st.floats(min_value=-3_600, max_value=3_600, allow_nan=False)


def at(moment: float, jump: float = 0.0) -> Instant:
    return Instant(moment, 1_000_000 + moment + jump)


def answer(*routes: Route, asked_at: float = 0.0) -> Answer:
    return Answer(source="court", asked_at=at(asked_at), routes={route.entity: route for route in routes})


def write(found: Answer | None, moment: Instant, write_seconds: float = 2.0) -> str | Wait:
    return where_to_write(found, ["message"], moment, write_seconds=write_seconds)


@given(sent=seconds, way_there=seconds, hold=seconds, later=seconds, write_seconds=seconds, jump=jumps)
def test_law_12_no_write_that_is_permitted_ends_later_than_one_validity_after_the_fence(
    sent: float, way_there: float, hold: float, later: float, write_seconds: float, jump: float
) -> None:
    evaluated = sent + way_there
    told = answer(SYNCING if evaluated < hold else replace(DRAINING, reads="dynamodb"), asked_at=sent)
    moment = evaluated + later
    try:
        found = write(told, at(moment, jump), write_seconds)
    except WriteTooLong:
        assert write_seconds >= told.validity_seconds
        return
    if found == "dynamodb":
        assert evaluated < hold, "a permit was given while writes were held"
        assert moment + write_seconds <= hold + told.validity_seconds + 1e-9


@given(route=st.sampled_from(EVERY_STATE), moment=seconds, write_seconds=seconds, jump=jumps)
def test_law_12_a_permit_for_dynamodb_never_outlives_the_answer(
    route: Route, moment: float, write_seconds: float, jump: float
) -> None:
    told = answer(route)
    try:
        found = write(told, at(moment, jump), write_seconds)
    except WriteTooLong:
        return
    if not isinstance(found, Wait):
        assert told.seconds_left(at(moment, jump)) > 0
        assert found == route.writes
        assert found == "postgres" or told.seconds_left(at(moment, jump)) >= write_seconds


def test_an_instance_that_cannot_renew_holds_its_writes_and_the_reads_that_feed_them() -> None:
    for route in EVERY_STATE:
        told = answer(route)
        assert write(told, at(5.0)) is Wait.VOID
        assert where_to_read_for_a_write(told, "message", at(5.0)) is Wait.VOID
        assert where_to_read(told, "message", at(5.0), wrote_at=None, reading=PATIENT) is Wait.VOID, "it asks first"
    assert write(None, at(0)) is Wait.VOID


def test_the_clock_of_a_frozen_machine_that_did_not_count_does_not_keep_an_answer_valid() -> None:
    frozen = Instant(1.0, 1_000_000 + 3_600.0)
    assert write(answer(SYNCING), frozen) is Wait.VOID
    assert write(answer(SYNCING), at(1.0, jump=-3_600)) == "dynamodb", "and a wall clock put back does not prolong it"
    assert write(answer(SYNCING), at(5.0, jump=-3_600)) is Wait.VOID


def test_a_write_that_would_take_longer_than_the_rest_waits_for_a_newer_answer() -> None:
    assert write(answer(SYNCING), at(2.9)) == "dynamodb"
    assert write(answer(SYNCING), at(3.1)) is Wait.SHORT
    assert write(answer(WRITING), at(4.9)) == "postgres", "PostgreSQL's guard holds, whatever the time"


def test_a_write_that_no_answer_is_valid_for_is_refused_and_not_waited_for() -> None:
    with pytest.raises(WriteTooLong):
        write(answer(SYNCING), at(0), write_seconds=5.0)


def test_entities_of_one_transaction_have_one_store() -> None:
    case = replace(WRITING, entity="case")
    with pytest.raises(StoresDiffer) as caught:
        where_to_write(answer(SYNCING, case), ["message", "case"], at(0), write_seconds=1)
    assert caught.value.stores == {"message": "dynamodb", "case": "postgres"}
    held = where_to_write(answer(DRAINING, case), ["message", "case"], at(0), write_seconds=1)
    assert held is Wait.HELD, "one that is held may come to where the other is"


def test_an_unknown_entity_is_an_error_and_never_a_guess() -> None:
    told = answer(SYNCING)
    with pytest.raises(EntityNotRouted):
        where_to_write(told, ["message", "mesage"], at(0), write_seconds=1)
    with pytest.raises(EntityNotRouted):
        where_to_read(told, "mesage", at(0), wrote_at=None, reading=PATIENT)
    with pytest.raises(EntityNotRouted):
        where_to_read_for_a_write(told, "mesage", at(0))
    assert where_to_read(told, "mesage", at(50), wrote_at=None, reading=PATIENT) is Wait.VOID


def test_a_store_that_a_later_version_may_name_is_none_to_write_to() -> None:
    assert write(answer(replace(SYNCING, writes="both")), at(0)) is Wait.HELD  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (SYNCING, ("dynamodb", "dynamodb")),
        (READING, ("postgres", "dynamodb")),
        (DRAINING, ("postgres", Wait.HELD)),
        (WRITING, ("postgres", "postgres")),
    ],
)
def test_law_11_a_read_that_feeds_a_write_goes_where_the_writes_are_and_waits_while_they_are_held(
    route: Route, expected: tuple[str, str | Wait]
) -> None:
    told = answer(route)
    only_reads = where_to_read(told, "message", at(1), wrote_at=None, reading=PATIENT)
    assert expected == (only_reads, where_to_read_for_a_write(told, "message", at(1)))


@given(wrote=seconds, asked=seconds, lag=st.none() | st.integers(0, 20_000), margin=seconds)
def test_law_11_a_caller_that_wrote_reads_postgres_only_once_its_write_has_arrived(
    wrote: float, asked: float, lag: int | None, margin: float
) -> None:
    told = answer(replace(READING, lag_ms=lag), asked_at=asked)
    reading = Reading(lag_margin_seconds=margin, outage_read_seconds=0)
    found = where_to_read(told, "message", at(max(wrote, asked)), wrote_at=at(wrote), reading=reading)
    if found == "postgres":
        assert lag is not None
        assert wrote + margin <= asked - lag / 1000 + 1e-9
    if found == "dynamodb" and lag is not None:
        assert wrote + margin >= asked - lag / 1000 - 1e-9, "it would stay on DynamoDB for ever"


def test_law_11_whoever_did_not_write_reads_postgres() -> None:
    assert where_to_read(answer(READING), "message", at(1), wrote_at=None, reading=PATIENT) == "postgres"
    assert where_to_read(answer(WRITING), "message", at(1), wrote_at=at(1), reading=PATIENT) == "postgres"


@pytest.mark.parametrize(
    ("route", "expected"), [(SYNCING, "dynamodb"), (READING, "dynamodb"), (DRAINING, "dynamodb"), (WRITING, "postgres")]
)
def test_in_an_outage_calls_that_only_read_go_on_where_the_writes_were_and_not_for_ever(
    route: Route, expected: str
) -> None:
    told = answer(route)
    assert where_to_read_in_an_outage(told, "message", at(104.9), reading=PATIENT) == expected
    assert where_to_read_in_an_outage(told, "message", at(105.1), reading=PATIENT) is Wait.VOID
    assert where_to_read_in_an_outage(told, "mesage", at(5.1), reading=PATIENT) is Wait.VOID
    assert where_to_read_in_an_outage(None, "message", at(5.1), reading=PATIENT) is Wait.VOID
    impatient = replace(PATIENT, outage_read_seconds=0)
    assert where_to_read_in_an_outage(told, "message", at(5.1), reading=impatient) is Wait.VOID


@given(validity=st.integers(100, 3_600_000), write_seconds=seconds)
def test_an_answer_is_renewed_before_a_write_would_have_to_wait_for_it(validity: int, write_seconds: float) -> None:
    renewed = refresh_seconds(validity / 1000, write_seconds)
    assert renewed > 0
    if validity / 1000 - write_seconds > 0.1:
        assert renewed < validity / 1000 - write_seconds


def test_questions_while_one_waits_are_not_asked_in_a_hurry_nor_rarely() -> None:
    pauses = {"held": 0.0, "failed": 0.0}
    for _ in range(50):
        pauses = {"held": next_pause(pauses["held"], answer(DRAINING)), "failed": next_pause(pauses["failed"], None)}
    assert pauses == {"held": LONGEST_HELD_PAUSE_SECONDS, "failed": LONGEST_FAILED_PAUSE_SECONDS}
    assert next_pause(1.0, answer(SYNCING)) < 0.05


def test_the_clock_goes_on() -> None:
    first, second = now(), now()
    assert first.age(second) >= 0
    assert first.steady <= second.steady
