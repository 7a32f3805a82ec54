"""One chunk of items into PostgreSQL: rows, rejected items, counts and position in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from ashore.ledger import rejected, units
from ashore.ledger.errors import CountMismatch
from ashore.mapping.encoded import Encoded, Encoder, Rejected
from ashore.model.chunk import Chunk
from ashore.postgres.connect import Conn
from ashore.postgres.copy import copy_rows
from ashore.postgres.errors import is_row_refused, refusal
from ashore.postgres.names import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a worker turns items into rows. `key_of` names an item that PostgreSQL, not the encoder, refused."""

    encoder: Encoder
    key_of: Callable[[bytes], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkWriter:
    """Writes the chunks of one run's units.

    `targets` maps the names under which the encoder returns COPY data to tables. `keep_rejected` says whether
    rejected items are kept, or only counted.
    """

    conn: Conn
    load: int
    run: int
    source: str
    encoding: Encoding
    targets: Mapping[str, TableName]
    keep_rejected: bool = True

    def write(
        self, unit: str, chunks: int, chunk: Chunk, *, on_encoded: Callable[[Encoded], None] | None = None
    ) -> Encoded:
        """Write one chunk and move the unit's position past it, or do neither; return what became of its items.

        Where PostgreSQL refuses a row, the chunk is written by halves, as text, until the refused items are alone:
        each is rejected as `refused_by_postgres`, the others land. `on_encoded` is called in the transaction, after the
        rows.

        Raises:
            LeaseLost: Another run has the unit; nothing was written.
            CountMismatch: The encoder lost an item; nothing was written.
            psycopg.Error: Nothing was written.
        """
        encoded = self.encoding.encoder.encode(chunk.items)
        with self.conn.transaction():
            units.advance(self.conn, load=self.load, run=self.run, unit=unit, chunks=chunks, chunk=chunk)
            landed = merged(list(self._land(chunk.items, encoded)))
            if sum(landed.counts.values()) != len(chunk.items):
                raise CountMismatch(
                    where=f"a chunk of {unit}", expected=len(chunk.items), actual=sum(landed.counts.values())
                )
            units.add_counts(self.conn, self.load, unit, landed.counts)
            units.add_rows(
                self.conn,
                self.load,
                unit,
                {str(self.targets[name]): rows for name, rows in landed.row_counts.items() if rows},
            )
            if landed.rejected and self.keep_rejected:
                rejected.keep_rejected(self.conn, load=self.load, source=self.source, rejected=landed.rejected)
            landed.refused = encoded.refused
            if on_encoded is not None:
                on_encoded(landed)
        return landed

    def _land(self, items: Sequence[bytes], encoded: Encoded) -> Iterator[Encoded]:
        try:
            with self.conn.transaction():
                self._copy(encoded)
        except psycopg.Error as error:
            if not is_row_refused(error):
                raise
            if len(items) == 1 and not encoded.binary:
                yield self._refused(items[0], encoded, refusal(error))
                return
        else:
            yield encoded
            return
        middle = len(items) // 2
        for half in filter(len, (items[:middle], items[middle:])):
            again = self.encoding.encoder.encode_as_text(half)
            again.samples = [sample for sample in encoded.samples if sample.raw in half]
            yield from self._land(half, again)

    def _copy(self, encoded: Encoded) -> None:
        columns = self.encoding.encoder.columns
        for name in encoded.tables:
            rows = copy_rows(self.conn, self.targets[name], columns[name], encoded, name)
            if rows != encoded.row_counts[name]:
                raise CountMismatch(
                    where=f"COPY into {self.targets[name]}", expected=encoded.row_counts[name], actual=rows
                )

    def _refused(self, item: bytes, encoded: Encoded, detail: str) -> Encoded:
        entity = next(entity for entity, _ in encoded.counts)
        refused = Rejected(
            entity=entity,
            attribute=None,
            reason="refused_by_postgres",
            detail=detail,
            key=self.encoding.key_of(item),
            raw=item,
        )
        return Encoded(counts={(entity, "rejected"): 1}, rejected=[refused])


def merged(parts: Sequence[Encoded]) -> Encoded:
    """The sum of what became of a chunk's parts; their rows, which have been written, are left out."""
    rows: Counter[str] = Counter()
    counts: Counter[tuple[str | None, str]] = Counter()
    whole = Encoded()
    for part in parts:
        rows.update(part.row_counts)
        counts.update(part.counts)
        whole.rejected.extend(part.rejected)
        whole.samples.extend(part.samples)
        whole.native_items += part.native_items
    whole.row_counts, whole.counts = dict(rows), dict(counts)
    return whole
