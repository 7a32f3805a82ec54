"""On a live table a difference is read again from both sides before it is one."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from psycopg import sql

from ashore.mapping.copy_text import child_types, entity_types, whole_item
from ashore.mapping.document import encode, same_plain
from ashore.mapping.items import RowNotAnItemError, from_rows, item_key
from ashore.mapping.match import matcher
from ashore.mapping.plan import EntityPlan, Plan, key_attributes
from ashore.mapping.rows import Rows
from ashore.model.attribute import TypedValue
from ashore.model.item import Item, item_digest, same_item
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowKey, RowReader
from ashore.postgres.names import TableName
from ashore.verify.errors import VerificationStopped
from ashore.verify.witness import expected_rows

Verdict = Literal["agrees", "differs", "undecided"]
ItemKey = Mapping[str, TypedValue]
Fetch = Callable[[Sequence[ItemKey]], list[bytes]]
_LONGEST_PAUSE_SECONDS = 2.0


def never() -> bool:
    """Whether to stop: no."""
    return False


Reading = Callable[[Sequence[RowKey]], Iterable[tuple[RowKey, bytes | None, bool]]]
"""Keys → for each its raw item as it is now (None: there is none), and whether PostgreSQL agrees with it.

All items are read before the first key is handed out, and a key's rows after its item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """When a difference is one.

    A key whose item is the same in two readings and still differs from its rows differs. Where a stream flows, both
    stores move, and more is asked: that the stream had passed the moment after the first reading (`has_passed`: seconds
    since 1970 → whether it has) before the rows were read, and that the item is the same in yet another reading after
    them. What neither agrees nor differs after `seconds` is undecided.
    """

    seconds: float = 5.0
    has_passed: Callable[[float], bool] | None = None
    pause_seconds: float = 0.2
    should_stop: Callable[[], bool] = never

    def judge(self, read: Reading, keys: Sequence[RowKey]) -> dict[RowKey, Verdict]:
        """Read until each key is decided, or the time is over. Raises VerificationStopped when it is to stop."""
        verdicts: dict[RowKey, Verdict] = dict.fromkeys(keys, "undecided")
        seen: dict[RowKey, _Seen] = {}
        give_up_at = time.monotonic() + self.seconds
        pending = list(keys)
        pause = self.pause_seconds
        while pending:
            if self.should_stop():
                raise VerificationStopped
            passed = {key for key in pending if key in seen and self._has_passed(seen[key].read_at)}
            for key, raw, agrees in read(pending):
                before = seen.get(key)
                if agrees:
                    verdicts[key] = "agrees"
                elif before is None or before.raw != raw:
                    seen[key] = _Seen(raw, time.time())  # after the item was read
                elif before.is_suspect or (key in passed and self.has_passed is None):
                    verdicts[key] = "differs"
                elif key in passed:
                    seen[key] = replace(before, is_suspect=True)
            pending = [key for key in pending if verdicts[key] == "undecided"]
            if not pending or time.monotonic() + pause > give_up_at:
                break
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return verdicts

    def _has_passed(self, moment: float) -> bool:
        return self.has_passed is None or self.has_passed(moment)


@dataclass(frozen=True, slots=True)
class _Seen:
    """An item as it was first read, and when; `is_suspect`: its rows differed once the stream had passed that."""

    raw: bytes | None
    read_at: float
    is_suspect: bool = False


@dataclass(frozen=True, slots=True)
class Sides:
    """What DynamoDB holds under a key, and what PostgreSQL's rows, or its kept copy, say that it holds."""

    key: ItemKey = field(repr=False)
    expected: Item | None = field(repr=False)
    actual: Item | None = field(repr=False)

    @property
    def state(self) -> bytes:
        """A digest of both: of a later difference of the same key it is another."""
        digests = [b"" if one is None else item_digest(one) for one in (self.expected, self.actual)]
        return hashlib.blake2b(b"|".join(digests), digest_size=16).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rereader:
    """Reads keys again: DynamoDB strongly consistently, then PostgreSQL."""

    plan: Plan
    entity: EntityPlan
    expected: RowReader
    actual: RowReader
    fetch: Fetch
    patience: Patience = Patience()

    def judge(self, conn: Conn, keys: Mapping[RowKey, ItemKey]) -> dict[RowKey, Verdict]:
        """What each key is. The connection is in autocommit mode, so that every reading sees the newest rows."""
        return self.patience.judge(lambda pending: self._read(conn, {key: keys[key] for key in pending}), list(keys))

    def item_keys(self, conn: Conn, keys: Sequence[RowKey]) -> dict[RowKey, ItemKey]:
        """The DynamoDB key of each row key, by the row that has it on one side or the other.

        To be asked in the snapshot that found the row keys: in a later one, the row may be gone from both sides.
        """
        found: dict[RowKey, ItemKey] = {}
        for reader in (self.expected, self.actual):
            for key, rows in reader.by_key(conn, keys):
                with suppress(RowNotAnItemError):
                    found[key] = item_key(self.entity, rows.row)
        return found

    def sides(self, conn: Conn, keys: Mapping[RowKey, ItemKey]) -> dict[RowKey, Sides]:
        """Both sides of some keys as they are now; a key whose rows are no item is left out."""
        raws = {_identity(self.entity, raw): raw for raw in self.fetch(list(keys.values()))}
        actual = dict(self.actual.by_key(conn, list(keys)))
        found: dict[RowKey, Sides] = {}
        for key, of_item in keys.items():
            raw, rows = raws.get(_frozen(of_item)), actual.get(key)
            try:
                item = None if rows is None else from_rows(self.entity, rows)
            except RowNotAnItemError:
                continue
            found[key] = Sides(of_item, None if raw is None else json.loads(raw), item)
        return found

    def _read(self, conn: Conn, keys: Mapping[RowKey, ItemKey]) -> Iterator[tuple[RowKey, bytes | None, bool]]:
        match = matcher(self.plan)
        raws = self.fetch(list(keys.values()))
        decoded = [(raw, expected_rows(self.plan, self.entity, raw, match)) for raw in raws]
        by_item = {_identity(self.entity, raw): (raw, rows) for raw, rows in decoded}
        actual = dict(self.actual.by_key(conn, list(keys)))
        for key, of_item in keys.items():
            raw, rows = by_item.get(_frozen(of_item), (None, None))
            yield key, raw, same_rows(self.entity, rows, actual.get(key))


def key_of_item(entity: EntityPlan, raw: bytes) -> ItemKey:
    """The DynamoDB key of a raw item."""
    item = json.loads(raw)
    return {key.name: item[key.name] for key in key_attributes(entity)}


def _identity(entity: EntityPlan, raw: bytes) -> Any:
    return _frozen(key_of_item(entity, raw))


def _frozen(key: ItemKey) -> Any:
    return frozenset((name, kind, text) for name, value in key.items() for kind, text in value.items())


def same_rows(entity: EntityPlan, expected: Rows | None, actual: Rows | None) -> bool:
    """Whether two sets of rows are the same as PostgreSQL compares them; None stands for no row."""
    if expected is None or actual is None:
        return expected is actual
    if not _same_row(entity_types(entity), expected.row, actual.row):
        return False
    for child, ours, theirs in zip(entity.children, expected.children, actual.children, strict=True):
        types = child_types(entity, child)
        ordered = sorted(theirs, key=lambda row: int(row[child.order]))
        if len(ours) != len(theirs) or not all(map(_row_comparer(types), ours, ordered)):
            return False
    return True


def _row_comparer(types: Mapping[str, Any]) -> Callable[[Mapping[str, Any], Mapping[str, Any]], bool]:
    return lambda one, other: _same_row(types, one, other)


def _same_row(types: Mapping[str, Any], one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(_same(types.get(name), one[name], other[name]) for name in one)


def _same(kind: Any, one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return bool(same_plain(one, other) if kind is None else kind.same(one, other))


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRereader:
    """Reads copies again; their row key is their item key."""

    entity: EntityPlan
    table: TableName
    fetch: Fetch
    patience: Patience = Patience()

    def judge(self, conn: Conn, keys: Mapping[RowKey, ItemKey]) -> dict[RowKey, Verdict]:
        """What each key is. The connection is in autocommit mode."""
        return self.patience.judge(lambda pending: self._read(conn, {key: keys[key] for key in pending}), list(keys))

    def item_keys(self, _conn: Conn, keys: Sequence[RowKey]) -> dict[RowKey, ItemKey]:
        """The DynamoDB key of each copy."""
        attributes = key_attributes(self.entity)
        return {
            key: {one.name: {one.type: _wire(one.type, text)} for one, text in zip(attributes, key, strict=True)}
            for key in keys
        }

    def _read(self, conn: Conn, keys: Mapping[RowKey, ItemKey]) -> Iterator[tuple[RowKey, bytes | None, bool]]:
        for key, sides in self.sides(conn, keys).items():
            expected, actual = sides.expected, sides.actual
            agrees = expected is actual if expected is None or actual is None else same_item(expected, actual)
            yield key, None if expected is None else encode(expected), agrees

    def sides(self, conn: Conn, keys: Mapping[RowKey, ItemKey]) -> dict[RowKey, Sides]:
        """Both sides of some keys as they are now."""
        raws = {_identity(self.entity, raw): raw for raw in self.fetch(list(keys.values()))}
        columns = ["partition_key", "sort_key"][: len(key_attributes(self.entity))]
        statement = sql.SQL("SELECT item FROM {} WHERE ({}) = ({})").format(
            self.table.identifier,
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns),
            sql.SQL(", ").join(sql.Placeholder() for _ in columns),
        )
        found: dict[RowKey, Sides] = {}
        for key, of_item in keys.items():
            raw = raws.get(_frozen(of_item))
            row = conn.execute(statement, key).fetchone()
            found[key] = Sides(
                of_item, None if raw is None else json.loads(raw), None if row is None else whole_item(row[0])
            )
        return found


def _wire(kind: str, text: str) -> str:
    """A key attribute's wire content from the text that PostgreSQL prints for its column."""
    return base64.b64encode(bytes.fromhex(text.removeprefix("\\x"))).decode() if kind == "B" else text
