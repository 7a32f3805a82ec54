"""The encoder: routes each raw item of a chunk by its key, and turns it into COPY lines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

import msgspec

from ashore.mapping import copy_text, fast, route
from ashore.mapping.encoded import Encoded, Rejected, Sample, Shape
from ashore.mapping.match import AsCopy, AsRow, Match, Ruled, key_texts, matcher, may_take_markers, selected
from ashore.mapping.plan import EntityPlan, Plan, key_attributes
from ashore.mapping.reasons import UnfitError, explanations
from ashore.mapping.rows import Rows, to_rows
from ashore.mapping.wire import read_item
from ashore.model.attribute import kind
from ashore.model.item import Item, mask

MOST_SHAPES: Final = 2_000
"""Shapes of one entity that an encoder tells apart when it takes samples; items of yet others are not sampled."""

_decode_item: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode

_BAD_ITEM: Final = (msgspec.DecodeError, UnfitError, ValueError, TypeError, AttributeError, RecursionError)
"""What a fast path ends with on an item that it was not made for. The general path finds out what is wrong."""


@dataclass(slots=True)
class _Slot:
    """One generation of one entity's keys (or of its copies'), and what is gathered for it in this chunk.

    `waiting` are raw items that its keys' literal text speaks for. `taken` counts samples by shape; `enough` are the
    shapes, as the fast path tells them apart, of which no more are wanted.
    """

    match: AsRow | AsCopy
    chosen: bool
    path: fast.FastPath | None = None
    waiting: list[bytes] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    others: int = 0
    taken: dict[Shape, int] = field(default_factory=dict)
    enough: set[Any] = field(default_factory=set)


class GeneratedEncoder:
    """An `Encoder` in generated Python; it learns the names of attributes without a column as it meets them.

    One encoder is for one thread. `columns` maps each target to the columns of its COPY data.
    """

    def __init__(
        self, plan: Plan, entities: Collection[str] | None, tables: Mapping[str, str] | None, *, sample: int
    ) -> None:
        self._plan = plan
        self._tables = tables or {}
        self._sample = sample
        self._match = matcher(plan)
        self._learned = {name: fast.Learned() for name in plan.entities}
        self._general: dict[str, list[str]] = {}
        self._stale: set[str] = set()
        self.columns: dict[str, tuple[str, ...]] = {}
        chosen = selected(plan, entities)
        self._slots: list[_Slot] = []
        for entity in plan.entities.values():
            wanted = entity.name in chosen
            self._slots += [_Slot(AsRow(entity, place), wanted) for place, _ in enumerate(entity.generations)]
            if entity.copies is not None:
                self._slots += [_Slot(AsCopy(entity, at), wanted) for at, _ in enumerate(entity.copies.generations)]
            if wanted:
                self._add_columns(entity)
                self._rebuild(entity.name)
        self._slot_of = {
            (type(slot.match), slot.match.entity.name, slot.match.generation): slot for slot in self._slots
        }
        self._peek = route.peek(plan)
        self._route = route.router(plan, [slot.match for slot in self._slots])
        self._takes_markers = any(may_take_markers(route.form_of(slot.match)) for slot in self._slots)

    def _add_columns(self, entity: EntityPlan) -> None:
        self.columns[self.name_of(entity.table.fullname)] = copy_text.entity_columns(entity)
        for child in entity.children:
            self.columns[self.name_of(child.record.table.fullname)] = copy_text.child_columns(child)
        if entity.copies is not None:
            self.columns[self.name_of(entity.copies.table.fullname)] = copy_text.copies_columns(entity.copies)

    def name_of(self, table: str) -> str:
        """The name under which a table's COPY data is returned."""
        return self._tables.get(table, table)

    def row_slots(self) -> dict[tuple[str, int], int]:
        """(entity, generation of its key) → a number for it, for the entities whose items become rows."""
        return {
            (slot.match.entity.name, slot.match.generation): place
            for place, slot in enumerate(self._slots)
            if slot.chosen and isinstance(slot.match, AsRow)
        }

    def count_rows(self, place: int, items: int, batch: Encoded) -> None:
        """Count items that became rows elsewhere, by the number of their slot."""
        _count(batch, self._slots[place].match.entity.name, "rows", items)

    def take_sample(self, raw: bytes, batch: Encoded) -> bool:
        """Sample an item that became rows elsewhere; says whether no more are wanted of its shape."""
        item = read_item(raw)
        match = self._match(*key_texts(self._plan, item))
        if not isinstance(match, AsRow):
            return True
        slot, shape = self._slot(match), shape_of(item)
        self._take_sample(slot, shape, raw, batch)
        return slot.taken.get(shape, self._sample) >= self._sample

    def _rebuild(self, name: str) -> None:
        for slot in self._slots:
            if isinstance(slot.match, AsRow) and slot.match.entity.name == name:
                slot.path = fast.fast_path(slot.match.entity, slot.match.generation, self._learned[name])
                slot.enough.clear()

    def encode(self, items: Sequence[bytes]) -> Encoded:
        """Encode a chunk; see `Encoder.encode`."""
        batch = Encoded()
        if len(self._slots) == 1 and not self._plan.rules and self._slots[0].chosen and not self._takes_markers:
            self._encode_all(self._slots[0], items, batch)
        else:
            self._distribute(items, batch)
            for slot in self._slots:
                self._encode_all(slot, slot.waiting, batch)
                slot.waiting.clear()
        self._close(batch)
        for name in self._stale:
            self._rebuild(name)
        self._stale.clear()
        return batch

    def encode_as_text(self, items: Sequence[bytes]) -> Encoded:
        """Encode a chunk; see `Encoder.encode_as_text`."""
        return self.encode(items)

    def _distribute(self, items: Sequence[bytes], batch: Encoded) -> None:
        """Let the items wait in the slots that their keys speak for; those of no slot are dealt with at once."""
        peek, place_of = self._peek, self._route
        waiting = [slot.waiting.append if slot.chosen else None for slot in self._slots]
        for raw in items:
            try:
                key = peek(raw)
                place = place_of(key)
            except _BAD_ITEM:
                self._take(raw, batch)
                continue
            wait = waiting[place] if place >= 0 else None
            if wait is not None:
                wait(raw)
            else:
                self._take_by_key(key, raw, batch)

    def _take_by_key(self, key: Any, raw: bytes, batch: Encoded) -> None:
        """An item that may be of a rule or of an entity that is not loaded: then its key is all that counts."""
        texts = [key.p.text, key.q.text] if self._plan.sort_key else [key.p.text]
        match self._match(texts[0], texts[1] if self._plan.sort_key else None) if all(texts) else None:
            case Ruled() as ruled:
                _count(batch, *ruled.count)
            case AsRow() | AsCopy() as found if not self._slot(found).chosen:
                _count(batch, found.entity.name, "other")
            case _:
                self._take(raw, batch)

    def _encode_all(self, slot: _Slot, items: Sequence[bytes], batch: Encoded) -> None:
        if slot.path is None:
            for raw in items:
                self._take(raw, batch)
            return
        decode, plain, escaped, append = slot.path.decode, slot.path.plain, slot.path.escaped, slot.lines.append
        samples = self._sample and len(slot.enough) < MOST_SHAPES
        for raw in items:
            item = None
            try:
                item = decode(raw)
                line = escaped(item) if b"\\" in raw else plain(item)
            except _BAD_ITEM:
                line = None
            if line is None:
                self._take(raw, batch)
            else:
                append(line)
                if samples and (shape := slot.path.shape(item)) not in slot.enough:
                    self._take_sample(slot, shape_of(_decode_item(raw)), raw, batch, seen_as=shape)

    def _take(self, raw: bytes, batch: Encoded) -> None:
        """The general path: what becomes of an item, whatever it is."""
        match: Match = None
        item: Item | None = None
        try:
            item = read_item(raw)
            match = self._match(*key_texts(self._plan, item))
            self._place(match, item, raw, batch)
        except UnfitError as unfit:
            entity = match.entity.name if isinstance(match, AsRow | AsCopy) else None
            batch.rejected.append(_rejected(entity, unfit, self._key_of(raw, item), raw))
            _count(batch, entity, "rejected")

    def _place(self, match: Match, item: Item, raw: bytes, batch: Encoded) -> None:
        match match:
            case None:
                raise UnfitError("unmatched")
            case Ruled():
                _count(batch, *match.count)
            case AsRow():
                self._take_row(match, item, raw, batch)
            case AsCopy():
                self._take_copy(match, item, raw, batch)
            case _:
                assert_never(match)

    def _key_of(self, raw: bytes, item: Item | None) -> str:
        if item is None:
            try:
                key = self._peek(raw)
            except _BAD_ITEM:
                return "{}"
            contents = [key.p.text, key.q.text] if self._plan.sort_key else [key.p.text]
            keys = zip(key_attributes(self._plan), contents, strict=True)
            item = {one.name: {one.type: content} for one, content in keys}
        return item_key(self._plan, item)

    def _slot(self, match: AsRow | AsCopy) -> _Slot:
        return self._slot_of[type(match), match.entity.name, match.generation]

    def _take_copy(self, match: AsCopy, item: Item, raw: bytes, batch: Encoded) -> None:
        slot, entity = self._slot(match), match.entity
        if not slot.chosen or entity.copies is None:
            _count(batch, entity.name, "other")
        else:
            slot.lines.append(copy_text.copy_line(entity, entity.copies, match.generation, item, raw))

    def _take_row(self, match: AsRow, item: Item, raw: bytes, batch: Encoded) -> None:
        slot, entity = self._slot(match), match.entity
        if not slot.chosen:
            _count(batch, entity.name, "other")
            return
        for name, lines in _general_lines(entity, to_rows(entity, item, match.generation)).items():
            self._general.setdefault(name, []).extend(lines)
        slot.others += 1
        if fast.learn(self._learned[entity.name], entity, item):
            self._stale.add(entity.name)
        if self._sample:
            self._take_sample(slot, shape_of(item), raw, batch)

    def _take_sample(self, slot: _Slot, shape: Shape, raw: bytes, batch: Encoded, seen_as: Any = None) -> None:
        seen = slot.taken.get(shape, 0)
        if seen < self._sample and (seen or len(slot.taken) < MOST_SHAPES):
            slot.taken[shape] = seen + 1
            batch.samples.append(Sample(entity=slot.match.entity.name, shape=shape, raw=raw))
        elif seen_as is not None:
            slot.enough.add(seen_as)

    def _close(self, batch: Encoded) -> None:
        """Join the lines gathered in this chunk, and forget them."""
        gathered: dict[str, list[str]] = {}
        for slot in self._slots:
            entity = slot.match.entity
            if isinstance(slot.match, AsCopy) and entity.copies is not None:
                table, outcome = entity.copies.table.fullname, "copy"
            else:
                table, outcome = entity.table.fullname, "rows"
            if slot.lines or slot.others:
                _count(batch, entity.name, outcome, len(slot.lines) + slot.others)
                gathered.setdefault(table, []).extend(slot.lines)
                slot.lines.clear()
                slot.others = 0
            if slot.path is not None:
                for child in entity.children:
                    lines = slot.path.child_lines[child.name]
                    gathered.setdefault(child.record.table.fullname, []).extend(lines)
                    lines.clear()
        for table, lines in self._general.items():
            gathered.setdefault(table, []).extend(lines)
        self._general.clear()
        for table, lines in gathered.items():
            if lines:
                lines.append("")
                batch.copy_data[self.name_of(table)] = "\n".join(lines).encode()
                batch.row_counts[self.name_of(table)] = len(lines) - 1


def _general_lines(entity: EntityPlan, rows: Rows) -> dict[str, list[str]]:
    columns, types = copy_text.entity_columns(entity), copy_text.entity_types(entity)
    lines = {entity.table.fullname: [copy_text.line(columns, types, rows.row)]}
    for child, of_child in zip(entity.children, rows.children, strict=True):
        columns, types = copy_text.child_columns(child), copy_text.child_types(entity, child)
        lines[child.record.table.fullname] = [copy_text.line(columns, types, row) for row in of_child]
    return lines


def shape_of(item: Item) -> Shape:
    """The attributes of an item and their types."""
    return frozenset((name, kind(value)) for name, value in item.items())


def _count(batch: Encoded, name: str | None, outcome: str, items: int = 1) -> None:
    counted = (name, outcome)
    batch.counts[counted] = batch.counts.get(counted, 0) + items


def _rejected(entity: str | None, unfit: UnfitError, key: str, raw: bytes) -> Rejected:
    return Rejected(
        entity=entity,
        attribute=unfit.attribute,
        reason=unfit.reason,
        detail=unfit.detail or explanations[unfit.reason],
        key=key,
        raw=raw,
    )


def item_key(plan: Plan, item: Item) -> str:
    """The item's key as JSON text, ``{"pk":{"S":"…"},"sk":{"S":"…"}}``.

    What the item lacks, or has of a type that no key is of, is left out.
    """
    keys = {key.name: item.get(key.name, {}) for key in key_attributes(plan)}
    return msgspec.json.encode({name: value for name, value in keys.items() if kind(value) in {"S", "N", "B"}}).decode()


def masked_key(key: str) -> str:
    """A stand-in for an item's key that may be shown."""
    return mask(key)
