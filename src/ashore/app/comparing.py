"""The course of one comparison, without its I/O: which side to run next, when to wait, what to count."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ashore.app.compare import Difference
from ashore.app.tally import Tally
from ashore.ledger.crossing import Store

Compare = Callable[[Any, Any], set[Difference]]
STORES: Final[tuple[Store, Store]] = ("dynamodb", "postgres")
_READ_AGAIN: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that is compared: its entity, the name it is counted under, where it was made first, its arguments."""

    entity: str
    name: str
    store: Store
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ran:
    """What one side answered, after how many seconds; or the name of what it raised."""

    answer: Any
    seconds: float
    raised: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a side is too slow to be compared, how long to wait before reading again, and how to compare."""

    time_limit_seconds: float
    settle_seconds: float
    compare: Compare


Steps = Generator[Store | float, Ran | None, None]


def compared(call: Call, first: Ran, rules: Rules, tally: Tally) -> Steps:
    """Compare a call: gives the store that is to be read next, or the seconds that are to pass; takes what was read."""
    other: Store = "postgres" if call.store == "dynamodb" else "dynamodb"
    sides = {call.store: first, other: (yield other)}
    found: set[Difference] | None = None
    for reading in range(_READ_AGAIN + 1):
        if reading:
            yield rules.settle_seconds
            for store in STORES:
                sides[store] = yield store
        found = _judged(call, sides, rules, tally, first=not reading)
        if found is None:
            return
        if not found:
            tally.count(call.entity, call.name, "settled" if reading else "equal")
            return
    tally.count(call.entity, call.name, "different", found or ())


def _judged(
    call: Call, sides: Mapping[Store, Ran | None], rules: Rules, tally: Tally, *, first: bool
) -> set[Difference] | None:
    """The differences; None where the two cannot be compared, which is counted."""
    ran = {store: side for store, side in sides.items() if side is not None}
    for store, side in ran.items():
        if side.raised is not None:
            tally.count(call.entity, call.name, "failed", {Difference("", f"{side.raised} in {store}")})
            return None
        if first:
            tally.time(call.entity, call.name, store, side.seconds)
    if any(side.seconds > rules.time_limit_seconds for side in ran.values()):
        tally.count(call.entity, call.name, "slow")
        return None
    try:
        return rules.compare(ran["dynamodb"].answer, ran["postgres"].answer)
    except Exception as error:  # noqa: BLE001 (whatever the application's own comparison raises)
        tally.count(call.entity, call.name, "failed", {Difference("", f"{type(error).__name__} in the comparison")})
        return None
