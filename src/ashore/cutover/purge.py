"""Deleting a retired entity's items from DynamoDB, page by page: only what is its own, and only what was read.

A page's keys are noted before anything of it is deleted, and its position is moved in the transaction that counts what
became of them. Whoever goes on after a kill looks first which of the noted keys are gone, and reads the page again.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

from ashore.cutover.kept import KeptItems
from ashore.dynamodb.budget import ReadBudget
from ashore.dynamodb.remove import Removal
from ashore.errors import AshoreError
from ashore.ledger import purges
from ashore.ledger.purges import Intended, Kind, Outcome, PurgeRecord, PurgeUnit
from ashore.mapping.match import AsCopy, AsRow, KeyTexts, Match, Ruled, key_texts, matcher, matches
from ashore.mapping.plan import EntityPlan, Plan, key_attributes
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import key_value
from ashore.mapping.wire import read_item
from ashore.model.attribute import TypedValue
from ashore.model.chunk import Chunk, ItemSource
from ashore.model.item import Item, item_digest
from ashore.observe.events import Emit, Progress, silent
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowKey, RowReader, as_text
from ashore.postgres.names import TableName

OTHERS: Final = ""
"""Under this name items are counted that are not touched."""
REQUEST_SECONDS: Final = 2.0
"""How long after its process was killed a deletion may still be done. That it is no longer is assumed."""


class Remover(Protocol):
    """Who deletes; see `ashore.dynamodb.remove.ItemRemover`."""

    def remove(self, item: Item, absent: Iterable[str] = ()) -> Removal:
        """Delete an item if it is still what was read."""


@dataclass(frozen=True, slots=True, eq=False)
class _Own:
    """An item of the entities that are purged."""

    entity: str
    kind: Kind
    raw: bytes = field(repr=False)
    item: Item = field(repr=False)
    key: Item = field(repr=False)
    row: RowKey | None = field(repr=False)
    digest: UUID = field(repr=False)


class Belonging:
    """Says of an item whether it is one of these entities', by its key alone: a row, a copy, a mirror, or none."""

    def __init__(self, plan: Plan, entities: Collection[str]) -> None:
        self._plan = plan
        self._entities = frozenset(entities)
        self._match = matcher(plan)

    def of(self, texts: KeyTexts) -> tuple[str, Kind, Match] | None:
        """The entity, and what the item is of it; None where it must not be touched."""
        found = self._match(*texts)
        match found:
            case AsRow(entity=entity) if entity.name in self._entities:
                return entity.name, "row", found
            case AsCopy(entity=entity) if entity.name in self._entities:
                return entity.name, "copy", found
            case Ruled(rule=rule) if rule.rebuilt_from and rule.rebuilt_from <= self._entities:
                return min(rule.rebuilt_from), "mirror", found
            case _:
                return None


@dataclass(slots=True, kw_only=True)
class Purger:
    """Purges over one connection in autocommit mode; `get_items` reads items by their keys, consistently.

    `executor` runs the deletions, which together hold `budget`. Where the purge has a folder, each item is on disk
    there before it is deleted. `needs_row` leaves items alone whose row is not in PostgreSQL.

    It can be killed at any instant: everything that was deleted is counted by whoever goes on. A run that is cut off
    from PostgreSQL and lives on ends its page's deletions; what it deletes then is counted as gone, or not at all.
    """

    conn: Conn
    plan: Plan
    tables: Mapping[str, TableName]
    source: ItemSource
    get_items: Callable[[Sequence[Mapping[str, TypedValue]]], list[bytes]]
    remover: Remover
    executor: Executor
    budget: ReadBudget
    needs_row: bool = True
    sleep: Callable[[float], None] = time.sleep
    emit: Emit = silent

    def run(self, record: PurgeRecord) -> None:
        """Go on to the end of the table. The caller ends the purge in the ledger.

        Raises:
            LeaseLost: Another run has taken the purge over.
            SourceError: DynamoDB could not be read or written. The same purge can go on from there.
            KeptItemsMissing: Nothing more was deleted.
        """
        belonging = Belonging(self.plan, record.entities)
        while (unit := purges.next_unit(self.conn, record)) is not None:
            self._settle(record, unit)
            kept_bytes, pages = unit.kept_bytes, unit.pages
            for chunk in self.source.read(unit.unit, unit.position):
                kept_bytes = self._page(record, unit.unit.name, pages, chunk, kept_bytes, belonging)
                pages += 1

    def _settle(self, record: PurgeRecord, unit: PurgeUnit) -> None:
        """Count what the run before had deleted of the page at which it died."""
        if not unit.intended:
            return
        self.sleep(REQUEST_SECONDS)
        there = {_digest(self._key_of(read_item(raw))) for raw in self.get_items([one.key for one in unit.intended])}
        gone = Counter((one.entity, one.kind) for one in unit.intended if _digest(one.key) not in there)
        counts: dict[tuple[str, Kind, Outcome], int] = {
            (entity, kind, "deleted"): items for (entity, kind), items in gone.items()
        }
        purges.settle(self.conn, record, unit.unit.name, unit.pages, counts)

    def _page(
        self, record: PurgeRecord, unit: str, pages: int, chunk: Chunk, kept_bytes: int, belonging: Belonging
    ) -> int:
        counts: Counter[tuple[str, Kind, Outcome]] = Counter()
        own = self._classify(chunk.items, belonging, counts)
        to_delete = self._left_alone(own, counts)
        units = 0.0
        if to_delete:
            if record.kept_in is not None:
                kept = KeptItems(Path(record.kept_in))
                kept_bytes = kept.keep(f"purge-{record.id}-{unit}", kept_bytes, (one.raw for one in to_delete))
            intended = [Intended(one.entity, one.kind, one.key) for one in to_delete]
            purges.intend(self.conn, record, unit, pages, intended, kept_bytes=kept_bytes)
            units = self._delete(to_delete, counts)
        purges.advance(self.conn, record, unit, pages, chunk, counts, write_units=units)
        self.emit(
            Progress(
                items=len(chunk.items),
                bytes=chunk.bytes_read,
                read_units=chunk.read_units,
                throttled=chunk.throttled,
                rejected=0,
            )
        )
        return kept_bytes

    def _classify(
        self, items: Iterable[bytes], belonging: Belonging, counts: Counter[tuple[str, Kind, Outcome]]
    ) -> list[_Own]:
        own = []
        for raw in items:
            try:
                item = read_item(raw)
                texts = key_texts(self.plan, item)
            except UnfitError:
                counts[OTHERS, "other", "unreadable"] += 1
                continue
            found = belonging.of(texts)
            if found is None:
                counts[OTHERS, "other", "not_touched"] += 1
                continue
            entity, kind, match = found
            key = self._key_of(item)
            row = row_key(match, texts) if isinstance(match, AsRow) else None
            own.append(_Own(entity, kind, raw, item, key, row, _digest(key)))
        return own

    def _left_alone(self, own: Sequence[_Own], counts: Counter[tuple[str, Kind, Outcome]]) -> list[_Own]:
        """Those that may be deleted: nobody else wrote them, and PostgreSQL has their rows."""
        foreign = purges.foreign_keys_among(self.conn, self.plan.name, [one.digest for one in own])
        rows = self._rows(own) if self.needs_row else {}
        found = []
        for one in own:
            if one.digest in foreign:
                counts[one.entity, one.kind, "foreign"] += 1
            elif self.needs_row and one.kind == "row" and one.row not in rows[one.entity]:
                counts[one.entity, one.kind, "without_row"] += 1
            else:
                found.append(one)
        return found

    def _rows(self, own: Sequence[_Own]) -> dict[str, set[RowKey]]:
        wanted: defaultdict[str, list[RowKey]] = defaultdict(list)
        for one in own:
            if one.kind == "row":
                wanted[one.entity] += [] if one.row is None else [one.row]
        readers = {name: RowReader(plan=self.plan.entities[name], tables=self.tables) for name in wanted}
        return {name: readers[name].there(self.conn, keys) for name, keys in wanted.items()}

    def _delete(self, own: Sequence[_Own], counts: Counter[tuple[str, Kind, Outcome]]) -> float:
        """Delete each under its condition; return the write units. The first failure is raised when all have ended."""
        futures = {self.executor.submit(self._remove, one): one for one in own}
        wait(futures)
        failures = [error for future in futures if (error := future.exception()) is not None]
        for error in failures:
            if not isinstance(error, AshoreError):
                raise error
        if failures:
            raise failures[0]
        units = 0.0
        for future, one in futures.items():
            removal = future.result()
            counts[one.entity, one.kind, removal.outcome] += 1
            units += removal.units
        return units

    def _remove(self, one: _Own) -> Removal:
        self.budget.wait()
        removal = self.remover.remove(one.item, _absent(self.plan.entities[one.entity]))
        self.budget.consumed(removal.units, 1)
        return removal

    def _key_of(self, item: Item) -> dict[str, Any]:
        return {key.name: item[key.name] for key in key_attributes(self.plan)}


def row_key(match: AsRow, texts: KeyTexts) -> RowKey | None:
    """The primary key of the row that an item with this key is; None where no row can have it."""
    entity = match.entity
    taken = matches(entity.generations[match.generation], *texts)
    if taken is None:
        return None
    try:
        values = {column.column: as_text(key_value(column, taken[column.column])) for column in entity.key}
    except UnfitError:
        return None
    found = tuple(values[column.name] for column in entity.table.primary_key.columns)
    return None if any("\0" in text for text in found) else found


def _absent(entity: EntityPlan) -> list[str]:
    """The attributes that the declaration knows of the entity: those that an item lacks must still be lacking."""
    record = entity.record
    names = [column.path[0] for column in record.columns]
    names += [one.attribute for one in entity.derived] + [child.attribute for child in entity.children]
    names += [name for name, _ in record.constant] + ([entity.ttl] if entity.ttl else [])
    return list(dict.fromkeys(names))


def _digest(key: Item) -> UUID:
    return UUID(bytes=item_digest(key))
