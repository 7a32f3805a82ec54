"""COPY lines of items that are to be written; they may be made before it is known whether they will be."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ashore.mapping.encoded import Encoded, Rejected
from ashore.mapping.plan import Plan
from ashore.sync.routing import Keyed


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What the items of `puts` became: `fit` are those that `encoded` has lines of, `unfit` the others, with why."""

    puts: Sequence[Keyed] = field(repr=False)
    encoded: Encoded
    fit: Sequence[Keyed] = field(repr=False)
    unfit: Sequence[tuple[Keyed, Rejected]] = ()

    def are_of(self, puts: Sequence[Keyed]) -> bool:
        """Whether these are the lines of exactly these changes."""
        return len(puts) == len(self.puts) and all(one is other for one, other in zip(puts, self.puts, strict=True))


class LineMaker:
    """Makes COPY lines of items; safe to share between threads, of which one works at a time."""

    def __init__(self, plan: Plan) -> None:
        self._encoder = plan.encoder()
        self._lock = threading.Lock()

    def make(self, puts: Sequence[Keyed]) -> Lines:
        """The lines of changes that write an item, no two of one key."""
        with self._lock:
            encoded = self._encoder.encode([keyed.change.item or b"" for keyed in puts])
        if not encoded.rejected:
            return Lines(puts=puts, encoded=encoded, fit=puts)
        by_raw = {id(keyed.change.item): keyed for keyed in puts}
        unfit = [(by_raw[id(one.raw)], one) for one in encoded.rejected]
        out = {id(keyed) for keyed, _ in unfit}
        return Lines(
            puts=puts,
            encoded=encoded,
            fit=[keyed for keyed in puts if id(keyed) not in out],
            unfit=[(keyed, replace(one, key=keyed.key.decode())) for keyed, one in unfit],
        )
