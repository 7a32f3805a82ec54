"""COPY lines of items that are to be written; they may be made before it is known whether they will be."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ashore.mapping.encoded import Encoded, Rejected
from ashore.mapping.native import fastest_encoder
from ashore.mapping.plan import EntityPlan, Plan
from ashore.postgres.binary import withhold_misfits
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName
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
    """Makes COPY rows of items; safe to share between threads, of which one works at a time.

    Rows are text until their entities were admitted: binary rows are for columns of exactly the declared types.
    """

    def __init__(self, plan: Plan) -> None:
        self._encoder = fastest_encoder(plan)
        self._admitted: set[str] = set()
        self._lock = threading.Lock()

    def admit(self, conn: Conn, entity: EntityPlan, tables: Mapping[str, TableName]) -> None:
        """Look at the types of an entity's columns; from then on its rows are binary where they may be."""
        own = {table.fullname: tables[table.fullname] for table in entity.tables}
        with self._lock:
            withhold_misfits(conn, self._encoder, own)
            self._admitted.add(entity.name)

    def make(self, puts: Sequence[Keyed], *, as_text: bool = False) -> Lines:
        """The rows of changes that write an item, no two of one key."""
        raws = [keyed.change.item or b"" for keyed in puts]
        with self._lock:
            is_text = as_text or not self._admitted.issuperset(keyed.entity for keyed in puts if keyed.entity)
            encoded = self._encoder.encode_as_text(raws) if is_text else self._encoder.encode(raws)
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
