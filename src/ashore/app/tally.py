"""What shadow reads found since it was last written to the ledger."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ashore.app.compare import Difference
from ashore.ledger.crossing import Store
from ashore.ledger.shadow_reads import TIMES, time_class

Outcome = Literal["equal", "settled", "different", "failed", "slow", "dropped"]
_MOST_DIFFERENCES: Final = 200
_OTHER: Final = Difference("*", "further fields")


@dataclass(slots=True)
class _Call:
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    times: dict[Store, list[int]] = field(default_factory=lambda: {"dynamodb": [0] * TIMES, "postgres": [0] * TIMES})
    found: Counter[Difference] = field(default_factory=Counter)


class Tally:
    """Counts by entity and call; for any number of threads. At most two hundred different fields a call."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], _Call] = {}
        self._lock = threading.Lock()

    def count(self, entity: str, call: str, outcome: Outcome, found: Iterable[Difference] = ()) -> None:
        """Count a call that was compared, or not, with the fields that differed."""
        with self._lock:
            counted = self._calls.setdefault((entity, call), _Call())
            counted.outcomes[outcome] += 1
            for one in found:
                is_room = one in counted.found or len(counted.found) < _MOST_DIFFERENCES
                counted.found[one if is_room else _OTHER] += 1

    def time(self, entity: str, call: str, store: Store, seconds: float) -> None:
        """Count how long a store took to answer."""
        with self._lock:
            self._calls.setdefault((entity, call), _Call()).times[store][time_class(seconds)] += 1

    def take(self) -> dict[tuple[str, str], _Call]:
        """What was counted; counting begins anew."""
        with self._lock:
            taken, self._calls = self._calls, {}
            return taken

    def give_back(self, taken: Mapping[tuple[str, str], _Call]) -> None:
        """Add what was taken and could not be written down."""
        with self._lock:
            for key, call in taken.items():
                kept = self._calls.setdefault(key, _Call())
                kept.outcomes.update(call.outcomes)
                kept.found.update(call.found)
                for store, times in call.times.items():
                    kept.times[store] = [a + b for a, b in zip(kept.times[store], times, strict=True)]


def as_rows(taken: Mapping[tuple[str, str], _Call]) -> list[dict[str, Any]]:
    """The same as `ashore.note_shadow_reads` takes it."""
    outcomes: tuple[Outcome, ...] = ("equal", "settled", "different", "failed", "slow", "dropped")
    return [
        {
            "entity": entity,
            "call": call,
            **{outcome: counted.outcomes[outcome] for outcome in outcomes},
            "dynamodb_times": counted.times["dynamodb"],
            "postgres_times": counted.times["postgres"],
            "differences": [
                {"field": one.field, "kind": one.kind, "count": count} for one, count in counted.found.items()
            ],
        }
        for (entity, call), counted in taken.items()
    ]
