"""What a rejected item waits for: another item that has its row key, or an original; a digest names it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ashore.ledger import rejected, repairs
from ashore.ledger.repairs import key_hash
from ashore.mapping.copy_text import link_values
from ashore.mapping.encoder import item_key
from ashore.mapping.match import AsCopy, AsRow, key_texts, matcher
from ashore.mapping.plan import CopyPlan, EntityPlan, Plan
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import to_rows
from ashore.model.item import Item
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowKey, as_text
from ashore.postgres.upsert import Link

_decode: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


def waits_for_row(entity: EntityPlan, key: RowKey) -> str:
    """The digest of a row key that several items give."""
    return _digest("row", entity.name, key)


def waits_for_link(entity: EntityPlan, link: Link) -> str:
    """The digest of an original, as its copies name it."""
    return _digest("original", entity.name, link)


def waits_for_original(entity: EntityPlan, copies: CopyPlan, item: Item) -> str:
    """The digest of the original that a copy names."""
    values = link_values(copies, item.get(copies.of, {}))
    return waits_for_link(entity, tuple(None if value is None else as_text(value) for value in values.values()))


def row_key(entity: EntityPlan, row: Mapping[str, Any]) -> RowKey:
    """A row's primary key as text."""
    return tuple(as_text(row[column.name]) for column in entity.table.primary_key.columns)


def fill_waits(conn: Conn, plan: Plan) -> None:
    """Say of the items that a load rejected for the sake of others what they wait for. The caller's transaction.

    A copy waits for its original whatever the reason: it may have been that it could not be promoted. An item whose
    rival was gone before it could be rejected as well is put into the repair queue.
    """
    match = matcher(plan)
    waits: list[tuple[str, int]] = []
    rivals: defaultdict[str, list[tuple[bytes, str | None]]] = defaultdict(list)
    for number, entity, reason, raw in rejected.without_waits(conn, plan.name):
        digest = _wait_of(plan, match, raw, reason)
        if digest is not None:
            waits.append((digest, number))
            if reason == "duplicate_key":
                rivals[digest].append((item_key(plan, _decode(raw)).encode(), entity))
    rejected.set_waits(conn, waits)
    alone = [ones[0] for ones in rivals.values() if len(ones) == 1]
    keys = [(key_hash(key), key, entity) for key, entity in alone]
    repairs.ask_repair(conn, plan.name, keys, reason="waited")


def _wait_of(plan: Plan, match: Any, raw: bytes, reason: str) -> str | None:
    try:
        item: Item = _decode(raw)
        found = match(*key_texts(plan, item))
        if isinstance(found, AsCopy) and found.entity.copies is not None:
            return waits_for_original(found.entity, found.entity.copies, item)
        if isinstance(found, AsRow) and reason == "duplicate_key":
            return waits_for_row(found.entity, row_key(found.entity, to_rows(found.entity, item, found.generation).row))
    except (UnfitError, msgspec.DecodeError):
        return None
    return None


def _digest(kind: str, entity: str, parts: Sequence[str | None]) -> str:
    return hashlib.blake2b(msgspec.json.encode([kind, entity, *parts]), digest_size=16).hexdigest()
