"""The repair queue: a key is read again from the table, written, and read once more, until nothing moves any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ashore.ledger import counts, gaps, loads, repairs
from ashore.ledger.repairs import Repair
from ashore.mapping.match import KeyTexts, key_texts
from ashore.model.change import Change
from ashore.model.item import Item, same_item
from ashore.sync.batches import APPLYING, CAPTURING, BatchWriter
from ashore.sync.order import SyncOrder
from ashore.sync.routing import Keyed

_decode: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


@dataclass(slots=True, kw_only=True)
class Repairer:
    """Works the queue, a few keys a step. One of all workers does.

    It writes towards PostgreSQL only, and only keys of entities whose stream is applied.
    """

    order: SyncOrder
    writer: BatchWriter

    def step(self) -> int:
        """Repair the keys whose turn it is; return how many left the queue. A gap whose keys have left it is closed."""
        conn, source = self.writer.conn, self.order.plan.name
        if gaps.open_gaps(conn, source):
            gaps.close_gaps(conn, source)
        due = repairs.due_repairs(conn, source, most=self.order.limits.repairs_at_once)
        if not due:
            return 0
        before = self._now(due)
        written = self.writer.in_transaction(lambda: self._write(due, before), alone=True)
        after = self._now(due)
        done = [one for one in due if one.key_hash in written and _agree(before[one.key], after[one.key])]
        done += [one for one in due if one.key_hash not in written and self._is_idle(one)]
        chosen = {one.key_hash for one in done}
        with conn.transaction():
            repairs.repaired(conn, source, done)
            repairs.try_later(conn, source, [one for one in due if one.key_hash not in chosen])
        return len(done)

    def _write(self, due: Sequence[Repair], now: Mapping[bytes, bytes | None]) -> set[Any]:
        """Write what the table says; return the digests of the keys that may be written.

        A gap does not wait for keys that are being loaded anew: what merges may itself wait for the gap.
        """
        states = self.writer.lock_states()
        applied: list[Keyed] = []
        captured: list[tuple[Repair, int]] = []
        written = set()
        for one in due:
            keyed = self.writer.router.keyed(Change(0, one.key, now[one.key], self.order.clock()))
            found = states.get(keyed.entity) if keyed.entity is not None else None
            if found is None or found.load is None:
                continue
            if found.state in APPLYING:
                applied.append(keyed)
                written.add(one.key_hash)
            elif found.state in CAPTURING and found.is_captured:
                captured.append((one, found.load))
        if captured:
            repairs.loaded_anew(self.writer.conn, self.order.plan.name, captured)
        if applied:
            outcomes = self.writer.apply(applied, states, is_repair=True)
            counts.keep_counts(self.writer.conn, self.order.plan.name, outcomes)
        return written

    def _is_idle(self, one: Repair) -> bool:
        """Whether the key is of no entity, or nothing is synced of it, so that there is nothing to repair."""
        keyed = self.writer.router.keyed(Change(0, one.key, None, 0.0))
        if keyed.entity is None:
            return True
        found = loads.entities_of(self.writer.conn, self.order.plan.name).get(keyed.entity)
        return found is None or found.state not in APPLYING | CAPTURING

    def _now(self, due: Sequence[Repair]) -> dict[bytes, bytes | None]:
        """The item of each key as the table has it now; None where there is none."""
        keys = {one.key: _decode(one.key) for one in due}
        by_texts = {self._texts(key): raw_key for raw_key, key in keys.items()}
        found: dict[bytes, bytes | None] = dict.fromkeys(keys)
        for raw in self.order.fetch(list(keys.values())):
            found[by_texts[self._texts(_decode(raw))]] = raw
        return found

    def _texts(self, item: Item) -> KeyTexts:
        return key_texts(self.order.plan, item)


def _agree(one: bytes | None, other: bytes | None) -> bool:
    if one is None or other is None:
        return one is other
    return same_item(_decode(one), _decode(other))
