from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from ashore.ledger import loads, records, units
from ashore.ledger.errors import LeaseLost, LedgerTooNew
from ashore.ledger.locks import lock_flow
from ashore.ledger.rejected import keep_rejected, rejected_by_reason, storable
from ashore.ledger.schema import check_ledger, ensure_ledger, found_version, version
from ashore.mapping.encoded import Rejected
from ashore.model.chunk import Chunk, Unit
from ashore.postgres.connect import Conn, connect


@pytest.fixture
def conn(any_postgres_dsn: str) -> Iterator[Conn]:
    with connect(any_postgres_dsn, application_name="test", autocommit=True) as conn:
        ensure_ledger(conn)
        yield conn


def begun(conn: Conn) -> loads.LoadRecord:
    record = loads.begin(conn, source="shop", entities=["b", "a"], origin={"x": 1}, fingerprint="f")
    units.add_units(conn, record.id, record.run, [Unit(name=name, items=5, about={"n": "\x00"}) for name in "xy"])
    return record


def chunk(at: int, *, last: bool = False) -> Chunk:
    return Chunk(items=[b"{}"] * 3, position={"at": at, "key": "\x00\ud800"}, last=last, bytes_read=6)


def test_the_ledger_is_made_once_whoever_asks(conn: Conn) -> None:
    ensure_ledger(conn)
    assert version == found_version(conn)
    assert [] == check_ledger(conn)


def test_a_newer_ledger_is_refused(conn: Conn) -> None:
    conn.execute("INSERT INTO ashore.version (version) VALUES (99)")
    with pytest.raises(LedgerTooNew) as caught:
        ensure_ledger(conn)
    assert 3 == caught.value.exit_code
    assert 1 == len(check_ledger(conn))


def test_positions_come_back_as_they_went(conn: Conn) -> None:
    record = begun(conn)
    first = units.claim(conn, load=record.id, run=record.run, worker=1)
    assert first is not None
    assert ("x", None, 0) == (first.unit.name, first.position, first.chunks)
    units.advance(conn, load=record.id, run=record.run, unit="x", chunks=0, chunk=chunk(3))
    record = loads.take_over(conn, record.id)
    units.take_over_units(conn, record.id, record.run)
    again = units.claim(conn, load=record.id, run=record.run, worker=1)
    assert again is not None
    assert ({"at": 3, "key": "\x00\ud800"}, 1) == (again.position, again.chunks)


def test_no_two_workers_claim_one_unit(conn: Conn) -> None:
    record = begun(conn)
    claims = [units.claim(conn, load=record.id, run=record.run, worker=number) for number in (1, 2, 3)]
    assert ["x", "y", None] == [claim and claim.unit.name for claim in claims]


def test_a_chunk_cannot_be_counted_twice(conn: Conn) -> None:
    record = begun(conn)
    units.claim(conn, load=record.id, run=record.run, worker=1)
    units.advance(conn, load=record.id, run=record.run, unit="x", chunks=0, chunk=chunk(3))
    with pytest.raises(LeaseLost):
        units.advance(conn, load=record.id, run=record.run, unit="x", chunks=0, chunk=chunk(3))
    units.advance(conn, load=record.id, run=record.run, unit="x", chunks=1, chunk=chunk(6, last=True))
    with pytest.raises(LeaseLost):
        units.advance(conn, load=record.id, run=record.run, unit="x", chunks=2, chunk=chunk(9))
    assert 6 == units.tally(conn, record.id).items_read


def test_a_worker_of_an_earlier_run_can_write_nothing(conn: Conn) -> None:
    old = begun(conn)
    units.claim(conn, load=old.id, run=old.run, worker=1)
    new = loads.take_over(conn, old.id)
    units.take_over_units(conn, new.id, new.run)
    with pytest.raises(LeaseLost):
        units.advance(conn, load=old.id, run=old.run, unit="x", chunks=0, chunk=chunk(3))
    with pytest.raises(LeaseLost):
        loads.advance(conn, old, "keys")
    loads.advance(conn, new, "keys")


def test_a_source_has_one_unfinished_load(conn: Conn) -> None:
    begun(conn)
    with pytest.raises(psycopg.errors.UniqueViolation):
        loads.begin(conn, source="shop", entities=["a"], origin={}, fingerprint="f")
    other = loads.begin(conn, source="shop", entities=["a"], origin={}, fingerprint="f", purpose="verify")
    assert (1, "verify") == (other.attempt, other.purpose)


def test_counts_of_no_entity_add_up(conn: Conn) -> None:
    record = begun(conn)
    for _ in range(2):
        units.add_counts(conn, record.id, "x", {(None, "rejected"): 1, ("a", "rows"): 2})
    units.add_counts(conn, record.id, units.corrections, {("a", "rows"): -1, ("a", "rejected"): 1})
    assert {("a", "rejected"): 1, ("a", "rows"): 3, (None, "rejected"): 2} == units.counts(conn, record.id)


def test_what_postgres_cannot_hold_is_kept_all_the_same(conn: Conn) -> None:
    record = begun(conn)
    raw = b'{"pk":{"S":"\\u0000"}}'
    item = Rejected(entity=None, attribute="a\x00", reason="unmatched", detail="d", key="\x00\ud800", raw=raw)
    keep_rejected(conn, load=record.id, source="shop", rejected=[item])
    assert (raw, storable("\x00\ud800")) == conn.execute("SELECT item, key FROM ashore.rejected_item").fetchone()
    assert {(None, "unmatched"): 1} == rejected_by_reason(conn, record.id)


def test_the_lock_of_a_flow_is_for_one_session(conn: Conn, any_postgres_dsn: str) -> None:
    assert lock_flow(conn, "shop", patience_seconds=0)
    with connect(any_postgres_dsn, application_name="other", autocommit=True) as other:
        assert not lock_flow(other, "shop", patience_seconds=0.2)
        assert lock_flow(other, "another", patience_seconds=0)
        conn.close()
        assert lock_flow(other, "shop", patience_seconds=5)


def test_steps_and_records_are_kept(conn: Conn) -> None:
    record = begun(conn)
    records.keep_step(conn, record.id, "analyze", 0.5)
    assert {"analyze": (0.5, None)} == records.steps(conn, record.id)
    assert 1 == records.keep_verification(conn, "shop", {"equal": True})
    records.audit(conn, "load", {"source": "shop"})
    loads.keep_report(conn, record.id, {"items": 1})
    assert loads.last(conn, "shop") == loads.unfinished(conn, "shop")
