"""What the application's shadow reads found: noted by its instances, added up in the ledger."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg.types.json import Jsonb

from ashore.postgres.connect import Conn

TIMES: Final = 64
"""So many classes of times there are: the last is for all that took longer than two minutes."""
_FIRST_SECONDS: Final = 0.0001
_GROWTH: Final = 1.25

_NOTE: Final = "SELECT ashore.note_shadow_reads(%s, %s)"
_CALLS: Final = """
    SELECT entity, call, equal, settled, different, failed, slow, dropped, dynamodb_times, postgres_times
    FROM ashore.shadow_read WHERE source = %s ORDER BY entity, call
"""
_DIFFERENCES: Final = """
    SELECT entity, call, field, kind, count FROM ashore.shadow_difference WHERE source = %s
    ORDER BY entity, call, count DESC, field, kind
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDifference:
    """A field of a call's answers, how it differed, and how often. A name, never a value."""

    field: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReads:
    """What was found for one call.

    `settled` differed at first and were equal when both were read again; `different` stayed so. `dropped` were sampled
    and not compared. Times are in milliseconds, at most a quarter too high; None where there is none.
    """

    entity: str
    call: str
    equal: int
    settled: int
    different: int
    failed: int
    slow: int
    dropped: int
    dynamodb_p50_ms: float | None
    dynamodb_p99_ms: float | None
    postgres_p50_ms: float | None
    postgres_p99_ms: float | None
    differences: Sequence[FieldDifference] = field(default=())


def note(conn: Conn, source: str, counted: Sequence[Mapping[str, Any]]) -> None:
    """Add what an instance has counted since it did so last; all of it or nothing."""
    conn.execute(_NOTE, (source, Jsonb(list(counted))))


def shadow_reads(conn: Conn, source: str) -> list[ShadowReads]:
    """What was found so far, a call each."""
    found: dict[tuple[str, str], list[FieldDifference]] = {}
    for entity, call, name, kind, count in conn.execute(_DIFFERENCES, (source,)):
        found.setdefault((entity, call), []).append(FieldDifference(field=name, kind=kind, count=count))
    return [
        ShadowReads(
            entity=row[0],
            call=row[1],
            equal=row[2],
            settled=row[3],
            different=row[4],
            failed=row[5],
            slow=row[6],
            dropped=row[7],
            dynamodb_p50_ms=percentile_ms(row[8], 0.50),
            dynamodb_p99_ms=percentile_ms(row[8], 0.99),
            postgres_p50_ms=percentile_ms(row[9], 0.50),
            postgres_p99_ms=percentile_ms(row[9], 0.99),
            differences=tuple(found.get((row[0], row[1]), ())),
        )
        for row in conn.execute(_CALLS, (source,))
    ]


def time_class(seconds: float) -> int:
    """The class of a time, from 0 to `TIMES` - 1."""
    if seconds < _FIRST_SECONDS:
        return 0
    return min(TIMES - 1, 1 + math.floor(math.log(seconds / _FIRST_SECONDS, _GROWTH)))


def percentile_ms(times: Sequence[int], share: float) -> float | None:
    """The upper bound of the class that this share of the times does not exceed."""
    wanted = share * sum(times)
    seen = 0
    for number, count in enumerate(times):
        seen += count
        if count and seen >= wanted:
            return round(_FIRST_SECONDS * _GROWTH**number * 1000, 2)
    return None
