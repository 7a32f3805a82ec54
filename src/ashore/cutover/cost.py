"""What writing back will take, judged by what the stream brought before the cutover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ashore.cutover.switch import Crossing
from ashore.ledger.counts import counts_of
from ashore.postgres.connect import Conn

WRITE_UNIT_BYTES: Final = 1024
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html"""
_written: Final = frozenset({"rows", "removed", "copy", "rejected", "parked"})
_LEAST_SECONDS: Final = 60.0
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was seen, and what would be written back at that pace."""

    changes: int
    hours: float
    units_a_day: float


def expected_units(conn: Conn, one: Crossing, *, units_an_item: int) -> Expected | None:
    """The write units a day that these entities' changes would have taken; None where the stream is new.

    Copies are changes of their own already; each mirror is taken to be written with its row.
    """
    row = conn.execute(
        "SELECT extract(epoch FROM clock_timestamp() - started_at)::float8 FROM ashore.stream WHERE source = %s",
        (one.source,),
    ).fetchone()
    if row is None or row[0] < _LEAST_SECONDS:
        return None
    changes, writes = 0, 0
    for (entity, outcome), number in counts_of(conn, one.source).items():
        if entity in one.entities and outcome in _written:
            changes += number
            writes += number * (1 if outcome == "copy" else 1 + len(one.plan.entities[entity].mirrors))
    return Expected(changes=changes, hours=row[0] / 3_600, units_a_day=writes * units_an_item / row[0] * _DAY)
