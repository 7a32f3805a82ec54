"""What to write back for rows that were written: their items, copies and mirrors, and what they left behind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from ashore.cutover.tidying import Untidy, untidy
from ashore.ledger.outbox import Entry
from ashore.ledger.written_keys import Earlier, earlier_rows, link_of
from ashore.mapping.items import RowNotAnItemError, from_rows, item_key
from ashore.mapping.plan import EntityPlan, key_attributes
from ashore.mapping.rebuilt import Changed, Kept, copies_of, mirror_of
from ashore.mapping.rows import Rows
from ashore.model.item import Item, item_digest
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowKey, RowReader, as_text
from ashore.postgres.kept_copies import KeptCopies, Link
from ashore.postgres.names import TableName


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Write:
    """What becomes of one key of DynamoDB: an item, or None where it is to be deleted; and the entries behind it.

    `link` is of a copy: what names its original. `is_asked`: nothing was written, somebody asked for what is kept.
    """

    entity: str
    key: Item = field(repr=False)
    item: Item | None = field(repr=False)
    ids: tuple[int, ...]
    link: Link | None = field(default=None, repr=False)
    is_asked: bool = False

    @property
    def echo(self) -> tuple[UUID, bytes | None]:
        """What the stream will tell of it."""
        return key_of(self.key), None if self.item is None else item_digest(self.item)


@dataclass(slots=True)
class Gathered:
    """One write a key; why some entries' rows cannot be written; and rows that say what they do not mean any more."""

    unfit: dict[int, str] = field(default_factory=dict)
    untidy: list[tuple[str, Untidy]] = field(default_factory=list)
    _writes: dict[UUID, Write] = field(default_factory=dict)

    @property
    def writes(self) -> list[Write]:
        """All of them."""
        return list(self._writes.values())

    def add(self, write: Write) -> None:
        """Add a write. Of one key a row's own item comes first, then a copy, a deletion, and what is asked for."""
        digest = key_of(write.key)
        other = self._writes.get(digest)
        if other is not None:
            ids = tuple(dict.fromkeys((*other.ids, *write.ids)))
            write = replace(max(other, write, key=_weight), ids=ids)
        self._writes[digest] = write


def _weight(write: Write) -> tuple[bool, bool, bool]:
    return not write.is_asked, write.item is not None, write.link is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gatherer:
    """Gathers for the rows of one entity, all as of one moment: the transaction is the caller's."""

    conn: Conn
    entity: EntityPlan
    tables: Mapping[str, TableName]

    def gather(self, by_key: Mapping[RowKey, Sequence[Entry]], found: Gathered) -> None:
        """What to write for the entries of some rows; those of no row (an empty key) ask for what is kept of a key."""
        rows = dict(RowReader(plan=self.entity, tables=self.tables).by_key(self.conn, [key for key in by_key if key]))
        was = earlier_rows(self.conn, self.entity, [one for ones in by_key.values() for one in ones])
        copies = self._copies(by_key, rows, was)
        self._asked(by_key.get((), ()), was, found)
        for key, ones in by_key.items():
            if not key:
                continue
            earlier = [was[one.id] for one in ones if one.id in was]
            left = {key_of(old): old for one in earlier for old in one.keys}
            left |= {key_of(old.key): old.key for old in copies.left.get(key, ())}
            ids = tuple(one.id for one in ones)
            if key in rows:
                changed = Changed.told(one.was for one in ones)
                try:
                    writes = self._writes(rows[key], copies, changed, ids)
                except RowNotAnItemError as error:
                    found.unfit.update(dict.fromkeys(ids, error.what()))
                    continue
                for write in writes:
                    found.add(write)
                found.untidy += [
                    (self.entity.name, one)
                    for write in writes[:1]
                    if write.item is not None
                    for one in untidy(self.entity, rows[key], write.item, ids)
                ]
            for old in left.values():
                if copies.is_of_another(old, {one.link for one in earlier}):
                    continue
                found.add(Write(entity=self.entity.name, key=old, item=None, ids=ids))

    def _asked(self, entries: Sequence[Entry], was: Mapping[int, Earlier], found: Gathered) -> None:
        """Let DynamoDB hold of some keys of copies what is kept of them: the copy, or nothing."""
        kept = KeptCopies.of(self.entity, self.tables)
        keys = {one.id: key for one in entries if one.id in was for key in was[one.id].keys}
        known = [] if kept is None else kept.by_key(self.conn, list(keys.values()))
        items = {key_of(self._key(one.item)): one.item for one in known}
        for number, key in keys.items():
            item = items.get(key_of(key))
            found.add(Write(entity=self.entity.name, key=key, item=item, ids=(number,), is_asked=True))

    def _writes(self, rows: Rows, copies: _Copies, changed: Changed, ids: tuple[int, ...]) -> list[Write]:
        entity = self.entity
        item = from_rows(entity, rows)
        writes = [self._write(item, ids)]
        for mirror in entity.mirrors:
            mirrored = mirror_of(entity, mirror, rows.row)
            writes += [self._write(mirrored, ids)] if mirrored is not None else []
        link = _link(entity, rows)
        puts, gone = copies_of(entity, item, rows.row, copies.of(link), changed)
        writes += [self._write(copy, ids, link) for copy in puts if key_of(self._key(copy)) not in copies.of_rows]
        return writes + [Write(entity=entity.name, key=key, item=None, ids=ids) for key in gone]

    def _write(self, item: Item, ids: tuple[int, ...], link: Link | None = None) -> Write:
        return Write(entity=self.entity.name, key=self._key(item), item=item, ids=ids, link=link)

    def _key(self, item: Item) -> Item:
        return {one.name: item[one.name] for one in key_attributes(self.entity)}

    def _copies(
        self, by_key: Mapping[RowKey, Sequence[Entry]], rows: Mapping[RowKey, Rows], was: Mapping[int, Earlier]
    ) -> _Copies:
        """The copies of these rows, and of what they were."""
        kept = KeptCopies.of(self.entity, self.tables)
        if kept is None:
            return _Copies()
        lost = {
            (key, link)
            for key, ones in by_key.items()
            for one in ones
            if one.id in was and (link := was[one.id].link) is not None and _has_left(self.entity, one)
        }
        now = {link for one in rows.values() if (link := _link(self.entity, one)) is not None}
        linked = kept.linked(self.conn, now | {link for _, link in lost})
        originals = kept.originals(self.conn, {link for _, link in lost})
        left: dict[RowKey, list[Kept]] = {}
        gone: set[Link] = set()
        for key, link in lost:
            if originals.get(link, set()) <= {key}:
                left.setdefault(key, []).extend(linked.get(link, ()))
                gone.add(link)
        were = [old for one in was.values() for old in one.keys if kept.is_form(old)]
        return _Copies(
            linked={link: found for link, found in linked.items() if link not in gone},
            left=left,
            links={
                key_of(self._key(one.item)): one.link for one in kept.by_key(self.conn, were) if not one.is_promoted
            },
            of_rows=self._of_rows(kept, self._rendered(kept, rows)),
        )

    def _of_rows(self, kept: KeptCopies, keys: Sequence[Item]) -> frozenset[UUID]:
        """Those of some keys that are of rows: of copies that were promoted, and are rows still."""
        promoted = [one.link for one in kept.by_key(self.conn, keys) if one.is_promoted]
        primary = {key for keys in kept.originals(self.conn, promoted).values() for key in keys}
        rows = RowReader(plan=self.entity, tables=self.tables).by_key(self.conn, list(primary))
        return frozenset(key_of(item_key(self.entity, found.row)) for _, found in rows)

    def _rendered(self, kept: KeptCopies, rows: Mapping[RowKey, Rows]) -> list[Item]:
        """The keys that rendered copies of rows have, where they have any that can be told."""
        if "render" not in kept.copies.rebuild or not any(kept.copies.promoted):
            return []
        found: list[Item] = []
        for one in rows.values():
            try:
                puts, _ = copies_of(self.entity, from_rows(self.entity, one), one.row, (), Changed(is_new=True))
            except RowNotAnItemError:
                continue
            found += map(self._key, puts)
        return found


@dataclass(frozen=True, slots=True)
class _Copies:
    """Copies of a batch's rows.

    `linked`: by link. `left`: by the row that they are to be deleted for. `links`: of keys that rows left and that are
    copies now. `of_rows`: keys that a copy would have, and that rows have.
    """

    linked: Mapping[Link, Sequence[Kept]] = field(default_factory=dict)
    left: Mapping[RowKey, Sequence[Kept]] = field(default_factory=dict)
    links: Mapping[UUID, Link] = field(default_factory=dict)
    of_rows: frozenset[UUID] = frozenset()

    def of(self, link: Link | None) -> Sequence[Kept]:
        """The copies of a row."""
        return () if link is None else self.linked.get(link, ())

    def is_of_another(self, key: Item, links: Collection[Link | None]) -> bool:
        """Whether a key that a row with these links left has become that of another row's copy."""
        link = self.links.get(key_of(key))
        return link is not None and link not in links


def _has_left(entity: EntityPlan, entry: Entry) -> bool:
    """Whether the row ceased to be, or to be named as it was."""
    was = entry.was or {}
    changed = (was.get("changed") or {}).get("columns", ())
    links = () if entity.copies is None else (name for name, _ in entity.copies.links)
    return bool(was.get("gone")) or not {*changed}.isdisjoint(links)


def _link(entity: EntityPlan, rows: Rows) -> Link | None:
    if entity.copies is None:
        return None
    values = {name: rows.row[name] for name, _ in entity.copies.links}
    return link_of(entity, {name: None if value is None else as_text(value) for name, value in values.items()})


def key_of(key: Item) -> UUID:
    """The digest of a key by which an echo is known: equal for two spellings of a number."""
    return UUID(bytes=item_digest(key))
