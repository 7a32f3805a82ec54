"""Parked changes are tried again, those that stand in each other's way together."""

from __future__ import annotations

from ashore.ledger import counts, pending
from ashore.model.change import Change
from ashore.sync.batches import APPLYING, BatchWriter, Counts

_AT_ONCE = 500


def retry_parked(writer: BatchWriter) -> Counts:
    """Apply parked changes; what still cannot be is parked again. Returns changes by entity and outcome."""

    def work() -> Counts:
        states = writer.lock_states()
        names = [name for name, found in states.items() if found.state in APPLYING]
        taken = pending.take_parked(writer.conn, writer.source, names, most=_AT_ONCE)
        if not taken:
            return Counts()
        keyed = [writer.router.keyed(Change(0, change.key, change.item, change.at)) for change, _ in taken]
        tries = {one.key: count + 1 for one, (_, count) in zip(keyed, taken, strict=True)}
        found = writer.apply(keyed, states, tries=tries)
        landed = {key: number for key, number in found.items() if key[1] != "parked"}
        counts.keep_counts(writer.conn, writer.source, landed)
        return found

    return writer.in_transaction(work, alone=True)
