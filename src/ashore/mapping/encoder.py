"""The encoder: routes each raw item of a chunk by its key, and turns it into COPY lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ashore.mapping import copy_text, fast
from ashore.mapping.encoded import Encoded, Rejected, Sample, Shape
from ashore.mapping.match import AsCopy, AsRow, Match, Ruled, key_texts, matcher, selected
from ashore.mapping.plan import EntityPlan, Plan
from ashore.mapping.reasons import UnfitError, explanations
from ashore.mapping.rows import Rows, to_rows
from ashore.model.attribute import kind
from ashore.model.item import Item, mask

_decode_item: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
MOST_SHAPES: Final = 2_000
"""Shapes of one entity that an encoder tells apart when it takes samples; items of yet others are not sampled."""


@dataclass(slots=True)
class _Slot:
    """One generation of one entity's keys (or of its copies'), and the lines gathered for it in this chunk."""

    match: AsRow | AsCopy
    chosen: bool
    path: fast.FastPath | None = None
    lines: list[str] = field(default_factory=list)
    others: int = 0
    shapes: Counter[Any] = field(default_factory=Counter)


class GeneratedEncoder:
    """An `Encoder` in generated Python; it learns the names of attributes without a column as it meets them.

    One encoder is for one thread. `columns` maps each target to the columns of its COPY data.
    """

    def __init__(
        self, plan: Plan, entities: Collection[str] | None, tables: Mapping[str, str] | None, *, sample: int
    ) -> None:  # fmt: skip
        self._plan = plan
        self._tables = tables or {}
        self._sample = sample
        self._match = matcher(plan)
        self._learned = {name: fast.Learned() for name in plan.entities}
        self._general: dict[str, list[str]] = {}
        self._copies: Counter[str] = Counter()
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
        self._peek = _peek(plan)
        self._route = _router(plan, [slot.match for slot in self._slots])

    def _add_columns(self, entity: EntityPlan) -> None:
        self.columns[self._name(entity.table.fullname)] = copy_text.entity_columns(entity)
        for child in entity.children:
            self.columns[self._name(child.record.table.fullname)] = copy_text.child_columns(child)
        if entity.copies is not None:
            self.columns[self._name(entity.copies.table.fullname)] = copy_text.copies_columns(entity.copies)

    def _name(self, table: str) -> str:
        return self._tables.get(table, table)

    def _rebuild(self, name: str) -> None:
        for slot in self._slots:
            if isinstance(slot.match, AsRow) and slot.match.entity.name == name:
                slot.path = fast.fast_path(slot.match.entity, slot.match.generation, self._learned[name])
                slot.shapes.clear()

    def encode(self, items: Sequence[bytes]) -> Encoded:
        """Encode a chunk; see `Encoder.encode`."""
        batch = Encoded()
        only = self._slots[0] if len(self._slots) == 1 and not self._plan.rules and self._slots[0].chosen else None
        if only is not None and only.path is not None:
            self._encode_all(only, only.path, items, batch)
        else:
            for raw in items:
                self._encode_one(raw, batch)
        self._close(batch)
        for name in self._stale:
            self._rebuild(name)
        self._stale.clear()
        return batch

    def _encode_all(self, slot: _Slot, path: fast.FastPath, items: Sequence[bytes], batch: Encoded) -> None:
        decode, plain, escaped, append = path.decode, path.plain, path.escaped, slot.lines.append
        for raw in items:
            try:
                item = decode(raw)
                line = escaped(item) if b"\\" in raw else plain(item)
            except (msgspec.DecodeError, UnfitError, ValueError, AttributeError):
                line = None
            if line is None:
                self._take_general(raw, batch)
            else:
                append(line)
                if self._sample:
                    self._take_sample(slot, path, item, raw, batch)

    def _encode_one(self, raw: bytes, batch: Encoded) -> None:
        try:
            key = self._peek(raw)
            place = self._route(key)
        except (msgspec.DecodeError, ValueError):
            self._take_general(raw, batch)
            return
        if place < 0:
            self._take_general(raw, batch)
            return
        slot = self._slots[place]
        if slot.path is None:
            self._take_general(raw, batch)
        else:
            self._encode_all(slot, slot.path, (raw,), batch)

    def _take_sample(self, slot: _Slot, path: fast.FastPath, item: Any, raw: bytes, batch: Encoded) -> None:
        shape = path.shape(item)
        seen = slot.shapes[shape]
        if seen < self._sample and (seen or len(slot.shapes) < MOST_SHAPES):
            slot.shapes[shape] = seen + 1
            entity = slot.match.entity.name
            batch.samples.append(Sample(entity=entity, shape=shape_of(_decode_item(raw)), raw=raw))

    def _take_general(self, raw: bytes, batch: Encoded) -> None:
        match: Match = None
        item: Item | None = None
        try:
            item = self._decoded(raw)
            partition, sort = key_texts(self._plan, item)
            match = self._match(partition, sort)
            match match:
                case None:
                    raise UnfitError("unmatched")
                case Ruled():
                    _count(batch, *match.count)
                case AsRow() | AsCopy():
                    self._take(match, item, raw, batch)
        except UnfitError as unfit:
            entity = match.entity.name if isinstance(match, AsRow | AsCopy) else None
            batch.rejected.append(_rejected(self._plan, entity, unfit, item, raw))
            _count(batch, entity, "rejected")

    @staticmethod
    def _decoded(raw: bytes) -> Item:
        try:
            return _decode_item(raw)
        except msgspec.DecodeError as error:
            raise UnfitError("unreadable", detail=type(error).__name__) from None

    def _take(self, match: AsRow | AsCopy, item: Item, raw: bytes, batch: Encoded) -> None:
        entity = match.entity
        slot = next(slot for slot in self._slots if slot.match == match)
        if not slot.chosen:
            _count(batch, entity.name, "other")
        elif isinstance(match, AsCopy):
            if entity.copies is not None:
                slot.lines.append(copy_text.copy_line(entity, entity.copies, match.generation, item, raw))
        else:
            rows = to_rows(entity, item, match.generation)
            for name, lines in _general_lines(entity, rows).items():
                self._general.setdefault(name, []).extend(lines)
            slot.others += 1
            self._learn(entity, item)
            self._sample_general(slot, item, raw, batch)

    def _learn(self, entity: EntityPlan, item: Item) -> None:
        known = {key.name for key in (entity.partition_key, entity.sort_key) if key is not None}
        known |= {column.path[0] for column in entity.record.columns} | {name for name, _ in entity.record.constant}
        known |= {one.attribute for one in entity.derived} | {child.attribute for child in entity.children}
        if fast.learn(self._learned[entity.name], entity, item, known):
            self._stale.add(entity.name)

    def _sample_general(self, slot: _Slot, item: Item, raw: bytes, batch: Encoded) -> None:
        if not self._sample:
            return
        shape = shape_of(item)
        seen = slot.shapes[shape]
        if seen < self._sample and (seen or len(slot.shapes) < MOST_SHAPES):
            slot.shapes[shape] = seen + 1
            batch.samples.append(Sample(entity=slot.match.entity.name, shape=shape, raw=raw))

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
                batch.copy_data[self._name(table)] = "\n".join(lines).encode()
                batch.row_counts[self._name(table)] = len(lines) - 1


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


def _rejected(plan: Plan, entity: str | None, unfit: UnfitError, item: Item | None, raw: bytes) -> Rejected:
    return Rejected(
        entity=entity,
        attribute=unfit.attribute,
        reason=unfit.reason,
        detail=unfit.detail or explanations[unfit.reason],
        key=item_key(plan, item or {}),
        raw=raw,
    )


def item_key(plan: Plan, item: Item) -> str:
    """The item's key as JSON text, ``{"pk":{"S":"…"},"sk":{"S":"…"}}``; what it lacks is left out."""
    keys = [key.name for key in (plan.partition_key, plan.sort_key) if key is not None]
    return msgspec.json.encode({name: item[name] for name in keys if name in item}).decode()


def masked_key(key: str) -> str:
    """A stand-in for an item's key that may be shown."""
    return mask(key)


def _peek(plan: Plan) -> Callable[[bytes], Any]:
    keys = [key for key in (plan.partition_key, plan.sort_key) if key is not None]
    fields: list[Any] = []
    for name, key in zip("pq", keys, strict=False):
        fields.append((name, msgspec.defstruct("Key", [("text", str)], rename={"text": key.type}, gc=False)))
    rename = dict(zip("pq", (key.name for key in keys), strict=False))
    return msgspec.json.Decoder(msgspec.defstruct("Keys", fields, rename=rename, gc=False)).decode


def _router(plan: Plan, matches: Sequence[AsRow | AsCopy]) -> Callable[[Any], int]:
    """A function from a peeked key to the place of the slot that its literal text speaks for; -1 for none.

    It is a guess that the slot's own function checks: what does not match there takes the general path.
    """
    lines = ["def route(key):", "    p = key.p.text", *(["    q = key.q.text"] if plan.sort_key else [])]
    for place, match in enumerate(matches):
        copies = match.entity.copies
        generations = match.entity.generations if isinstance(match, AsRow) or copies is None else copies.generations
        form = generations[match.generation]
        tests = [test for name, pattern in (("p", form.partition), ("q", form.sort)) for test in _tests(name, pattern)]
        lines += [f"    if {' and '.join(tests) or 'True'}:", f"        return {place}"]
    lines.append("    return -1")
    namespace: dict[str, Any] = {}
    exec(compile("\n".join(lines), "<ashore router>", "exec"), namespace)  # noqa: S102 (texts are quoted by repr)
    route: Callable[[Any], int] = namespace["route"]
    return route


def _tests(name: str, pattern: Any) -> list[str]:
    if pattern is None:
        return []
    before, after = pattern.parts[0], pattern.parts[-1]
    if not pattern.columns:
        return [f"{name} == {before!r}"]
    tests = [f"{name}[:{len(before)}] == {before!r}"] if before else []
    return tests + ([f"{name}[-{len(after)}:] == {after!r}"] if after else [])
