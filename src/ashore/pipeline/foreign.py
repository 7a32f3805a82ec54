"""What others wrote to DynamoDB while PostgreSQL takes the writes, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ashore.ledger import echoes, outbox, records
from ashore.ledger.schema import ensure_ledger
from ashore.mapping.match import AsCopy, AsRow, Ruled, key_texts, matcher, matches
from ashore.mapping.plan import EntityPlan, Plan
from ashore.mapping.promote import promoted_rows
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import key_value
from ashore.model.item import Item
from ashore.pipeline.load import tables_of
from ashore.pipeline.project import Project
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated
from ashore.postgres.items import as_text, prepare
from ashore.postgres.kept_copies import KeptCopies

_decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignWrite:
    """One write that nobody has decided on; `key` is the item's key as DynamoDB JSON."""

    number: int
    entity: str
    key: str
    at: str
    is_expiry: bool


def foreign_writes(project: Project) -> list[ForeignWrite]:
    """The first 1,000 that nobody has decided on."""
    with connect(project.dsn, application_name="ashore foreign", autocommit=True) as conn, translated("reading"):
        ensure_ledger(conn)
        rows = echoes.foreign_writes(conn, project.plan.name)
    return [
        ForeignWrite(number=number, entity=entity, key=key, at=at, is_expiry=is_expiry)
        for number, entity, key, at, is_expiry in rows
    ]


def decide(project: Project, numbers: Sequence[int], *, drop: bool) -> int:
    """Decide on some; return how many were open.

    With `drop` their keys are written back once more, so that DynamoDB holds what PostgreSQL holds.
    """
    plan = project.plan
    with connect(project.dsn, application_name="ashore foreign", autocommit=True) as conn, translated("deciding"):
        ensure_ledger(conn)
        prepare(conn)
        with conn.transaction():
            decided = echoes.decide(conn, plan.name, numbers, "dropped" if drop else "taken")
            if drop:
                for entity, key, _ in decided:
                    overwrite(conn, plan, entity, key)
            detail = {"source": plan.name, "numbers": list(numbers), "drop": drop, "decided": len(decided)}
            records.audit(conn, "foreign", detail)
    return len(decided)


def overwrite(conn: Conn, plan: Plan, entity: str, key: str) -> None:
    """Have DynamoDB hold under a key (as JSON) what PostgreSQL says: an item, a copy, a mirror, or nothing.

    The caller's transaction; the connection is one that went through `prepare`.
    """
    asked = _asked(conn, plan, entity, key)
    if asked is not None:
        outbox.ask(conn, plan.name, entity, *asked)


def _asked(conn: Conn, plan: Plan, entity: str, key: str) -> tuple[list[str], dict[str, Any]] | None:
    """The row key of an item's key, and what the outbox says of a row that had it; None where no row can have it.

    The row key is empty where a copy is kept without being a row, or where none is kept.
    """
    item = _decode(key)
    texts = key_texts(plan, item)
    match matcher(plan)(*texts):
        case AsRow() as found if found.entity.name == entity:
            row = _row(found.entity, matches(found.entity.generations[found.generation], *texts))
            return None if row is None else ([row[name] for name in _primary(found.entity)], {"item": item})
        case AsCopy() as found if found.entity.name == entity:
            return _row_of_copy(conn, found.entity, item), {"item": item}
        case Ruled() as found:
            for mirror in found.rule.mirrors:
                row = _row(plan.entities[mirror.entity], matches(mirror.form, *texts))
                if mirror.entity == entity and row is not None:
                    return [row[name] for name in _primary(plan.entities[entity])], {"item": item}
    return None


def _row(entity: EntityPlan, texts: dict[str, str] | None) -> dict[str, str] | None:
    """The texts of the row's key columns; None where no row can have them."""
    if texts is None:
        return None
    try:
        return {
            column.column: as_text(key_value(column, texts[column.column]))
            for column in entity.key
            if column.column in texts
        }
    except UnfitError:
        return None


def _row_of_copy(conn: Conn, entity: EntityPlan, key: Item) -> list[str]:
    """The key of the row that a promoted copy is; nothing of others."""
    kept = KeptCopies.of(entity, tables_of(conn, entity))
    for copy in [] if kept is None else kept.by_key(conn, [key]):
        if copy.is_promoted:
            row = promoted_rows(entity, copy.item).row
            return [as_text(row[name]) for name in _primary(entity)]
    return []


def _primary(entity: EntityPlan) -> list[str]:
    return [column.name for column in entity.table.primary_key.columns]
