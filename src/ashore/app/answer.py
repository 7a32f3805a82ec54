"""What may be done with an answer of `ashore.routes`: pure decisions, given the time.

An answer is valid from before its question was sent. A decision is a store, or what has to be waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ashore.app.clock import Instant
from ashore.app.errors import EntityNotRouted, StoresDiffer, WriteTooLong
from ashore.ledger.crossing import DEFAULT_VALIDITY_MS, Route, Store

SHORTEST_PAUSE_SECONDS: Final = 0.02
LONGEST_HELD_PAUSE_SECONDS: Final = 0.25
LONGEST_FAILED_PAUSE_SECONDS: Final = 1.0
_GROWTH: Final = 1.5


class Wait(Enum):
    """Why nothing may be done yet."""

    HELD = "writes are held"
    VOID = "there is no valid answer"
    SHORT = "the answer is not valid for long enough"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The routes of a source; their question was sent at `asked_at` or later."""

    source: str
    asked_at: Instant
    routes: Mapping[str, Route]

    @property
    def validity_seconds(self) -> float:
        """For how long it is valid from `asked_at` on."""
        return min((route.validity_ms for route in self.routes.values()), default=DEFAULT_VALIDITY_MS) / 1000

    def seconds_left(self, now: Instant) -> float:
        """For how much longer it is valid; negative once it is void."""
        return self.validity_seconds - self.asked_at.age(now)

    def route(self, entity: str) -> Route:
        """The route of an entity.

        Raises:
            EntityNotRouted: It has none.
        """
        found = self.routes.get(entity)
        if found is None:
            raise EntityNotRouted(source=self.source, entity=entity)
        return found

    @property
    def is_held(self) -> bool:
        """Whether the writes of an entity are held."""
        return any(route.writes not in {"dynamodb", "postgres"} for route in self.routes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a source's entities may be read.

    Attributes:
        lag_margin_seconds: Added to the stream's lag before a caller's own write counts as arrived: the lag is measured
            with the clocks of the sync's machines and of PostgreSQL.
        outage_read_seconds: For how long after the end of an answer's validity calls that only read go on while the
            ledger does not answer.
    """

    lag_margin_seconds: float
    outage_read_seconds: float


def where_to_write(
    answer: Answer | None, entities: Sequence[str], now: Instant, *, write_seconds: float
) -> Store | Wait:
    """The store that takes a transaction's writes.

    DynamoDB is only given if the answer is valid for `write_seconds` more. PostgreSQL needs no such deadline: its guard
    refuses what comes after a change of state, and whoever changes it waits for what passed the guard before.

    Raises:
        EntityNotRouted, StoresDiffer, WriteTooLong: It cannot be given at all.
    """
    if answer is None:
        return Wait.VOID
    left = answer.seconds_left(now)
    if left <= 0:
        return Wait.VOID
    writes = {entity: answer.route(entity).writes for entity in entities}
    stores = set(writes.values())
    if not stores <= {"dynamodb", "postgres"}:
        return Wait.HELD
    if len(stores) > 1:
        raise StoresDiffer(stores=dict(writes))
    if "postgres" in stores:
        return "postgres"
    if write_seconds >= answer.validity_seconds:
        raise WriteTooLong(write_seconds=write_seconds, validity_seconds=answer.validity_seconds)
    return "dynamodb" if left >= write_seconds else Wait.SHORT


def where_to_read(
    answer: Answer | None, entity: str, now: Instant, *, wrote_at: Instant | None, reading: Reading
) -> Store | Wait:
    """The store that answers a call which only reads, for a caller that last wrote the entity at `wrote_at`.

    Raises:
        EntityNotRouted: The ledger does not know the entity.
    """
    if answer is None or answer.seconds_left(now) <= 0:
        return Wait.VOID
    route = answer.route(entity)
    if wrote_at is None or route.reads == route.feeding_reads:
        return route.reads
    return route.reads if _has_arrived(answer, route, wrote_at, reading) else route.feeding_reads


def where_to_read_in_an_outage(answer: Answer | None, entity: str, now: Instant, *, reading: Reading) -> Store | Wait:
    """The store that answers a call which only reads while the ledger does not answer: the one that had the writes.

    So DynamoDB goes on being read before the writes have moved, also where reads have. What an instance that is cut off
    reads may be behind by no more than `outage_read_seconds`.
    """
    known = None if answer is None else answer.routes.get(entity)
    if answer is None or known is None or answer.seconds_left(now) < -reading.outage_read_seconds:
        return Wait.VOID
    return known.feeding_reads


def where_to_read_for_a_write(answer: Answer | None, entity: str, now: Instant) -> Store | Wait:
    """The store that answers a read which feeds a write.

    While writes are held it waits as they do: what it would be told is valid still when others write in the other store
    already, and what it read in this one, written back there, would undo that.

    Raises:
        EntityNotRouted: The ledger does not know the entity.
    """
    if answer is None or answer.seconds_left(now) <= 0:
        return Wait.VOID
    route = answer.route(entity)
    return route.feeding_reads if route.writes in {"dynamodb", "postgres"} else Wait.HELD


def refresh_seconds(validity_seconds: float, write_seconds: float) -> float:
    """How long after its question an answer is asked for anew: so early that a write need not wait for it."""
    return max(SHORTEST_PAUSE_SECONDS, (validity_seconds - write_seconds) / 2)


def next_pause(last: float, answer: Answer | None) -> float:
    """The least pause before the next question: short, and longer while the answer is always that one has to wait."""
    if answer is None:
        return min(max(last, SHORTEST_PAUSE_SECONDS) * _GROWTH, LONGEST_FAILED_PAUSE_SECONDS)
    if answer.is_held:
        return min(max(last, SHORTEST_PAUSE_SECONDS) * _GROWTH, LONGEST_HELD_PAUSE_SECONDS)
    return SHORTEST_PAUSE_SECONDS


def _has_arrived(answer: Answer, route: Route, wrote_at: Instant, reading: Reading) -> bool:
    """Whether what was written by `wrote_at` was in PostgreSQL when the answer was given."""
    if route.lag_ms is None:
        return False
    arrived = answer.asked_at.steady - route.lag_ms / 1000
    return wrote_at.steady + reading.lag_margin_seconds <= arrived
