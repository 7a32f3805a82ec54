"""The encoder with the native path: what the library refuses goes to the generated Python, item by item.

The library takes an item only if it is exactly what the declaration expects. What it takes becomes binary rows,
the others whatever the Python encoder says. So no outcome depends on whether the library is there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ashore.mapping.encoded import Encoded, Encoder
from ashore.mapping.encoder import GeneratedEncoder
from ashore.mapping.native_library import NativeChunk, NativeTranscoder, find_library
from ashore.mapping.native_plan import NativePlan, native_plan
from ashore.mapping.plan import Plan

_MOST_SHAPES: Final = 20_000
"""Shapes that samples are taken of; those that come when so many are known are not sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathInUse:
    """Which path encodes a declaration's items.

    `is_native` says whether the library does for any entity; `because` where it is, or why there is none. `left_out`
    has, for each entity that is left to Python all the same, the reason.
    """

    is_native: bool
    because: str
    left_out: Mapping[str, str] = field(default_factory=dict)


class NativeEncoder:
    """An `Encoder` that also gives binary rows; `columns` are those of the Python encoder that is behind it.

    `types` has, for the tables of binary rows, what each column's type in PostgreSQL may be: binary COPY casts
    nothing. Where a table has another type, its entity is to be withheld before rows are written. `transcoder` is None
    where no entity is left that the library takes.
    """

    def __init__(self, plan: Plan, rest: GeneratedEncoder, *, sample: int) -> None:
        self._plan = plan
        self._rest = rest
        self._wants_shapes = sample > 0
        self._enough: set[int] = {0}
        self._withheld: dict[str, str] = {}
        self.columns = rest.columns
        self._open()

    def _open(self) -> None:
        available = find_library()
        self._native = native_plan(self._plan, self._rest.row_slots(), self._withheld)
        self.transcoder: NativeTranscoder | None = None
        if available.library is not None and self._native.content is not None:
            tables = len(self._native.tables)
            self.transcoder = NativeTranscoder(available.library, self._native.content, tables=tables)

    @property
    def types(self) -> Mapping[str, tuple[frozenset[str], ...]]:
        """Name of the COPY data → for each of its columns, the names of the types that take its binary form."""
        if self.transcoder is None:
            return {}
        return {self._rest.name_of(table): types for table, types in self._native.types.items()}

    @property
    def native(self) -> NativePlan:
        """What the library goes by."""
        return self._native

    def withhold(self, table: str, because: str) -> None:
        """Leave the entity that fills this table (by the name of its COPY data) to Python."""
        for entity in self._plan.entities.values():
            if table in {self._rest.name_of(one.fullname) for one in entity.tables}:
                self._withheld[entity.name] = because
        self._open()

    def encode(self, items: Sequence[bytes]) -> Encoded:
        """Encode a chunk; see `Encoder.encode`."""
        if self.transcoder is None or not items:
            return self._rest.encode(items)
        chunk = self.transcoder.encode(items, wants_shapes=self._wants_shapes)
        if chunk is None:
            batch = self._rest.encode(items)
            batch.refused = {"fault": len(items)}
            return batch
        batch = self._rest.encode([items[place] for place in chunk.refused])
        batch.native_items, batch.refused = len(items) - len(chunk.refused), chunk.by_refusal
        self._add(chunk, batch)
        if self._wants_shapes and len(self._enough) < _MOST_SHAPES:
            self._take_samples(chunk, items, batch)
        return batch

    def encode_as_text(self, items: Sequence[bytes]) -> Encoded:
        """Encode a chunk in Python; see `Encoder.encode_as_text`."""
        return self._rest.encode(items)

    def _add(self, chunk: NativeChunk, batch: Encoded) -> None:
        for place, count in enumerate(chunk.by_slot):
            if count:
                self._rest.count_rows(place, count, batch)
        for place, rows in chunk.rows.items():
            name = self._rest.name_of(self._native.tables[place])
            batch.binary[name] = rows
            batch.row_counts[name] = batch.row_counts.get(name, 0) + rows.count

    def _take_samples(self, chunk: NativeChunk, items: Sequence[bytes], batch: Encoded) -> None:
        """Give the Python encoder those items to sample that have a shape of which it has not enough yet."""
        if self._enough.issuperset(chunk.shapes):
            return
        for place, shape in enumerate(chunk.shapes):
            if shape not in self._enough and self._rest.take_sample(items[place], batch):
                self._enough.add(shape)


def fastest_encoder(plan: Plan, entities: Collection[str] | None = None, *, sample: int = 0) -> Encoder:
    """The native encoder where the library is there, else the generated one; see `Plan.encoder` for the arguments."""
    rest = GeneratedEncoder(plan, entities, None, sample=sample)
    if find_library().library is None:
        return rest
    return NativeEncoder(plan, rest, sample=sample)


def path_in_use(plan: Plan) -> PathInUse:
    """Which path would encode the items of this declaration, in this process."""
    available = find_library()
    if available.library is None:
        return PathInUse(is_native=False, because=available.where)
    slots = GeneratedEncoder(plan, None, None, sample=0).row_slots()
    native = native_plan(plan, slots, {})
    return PathInUse(is_native=native.content is not None, because=available.where, left_out=native.left_out)
