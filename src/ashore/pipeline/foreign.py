"""What others wrote to DynamoDB while PostgreSQL takes the writes, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ashore.ledger import echoes, outbox, records
from ashore.ledger.schema import ensure_ledger
from ashore.mapping.match import AsRow, key_texts, matcher, matches
from ashore.mapping.plan import EntityPlan, Plan
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import key_value
from ashore.pipeline.project import Project
from ashore.postgres.connect import connect
from ashore.postgres.errors import translated
from ashore.postgres.items import as_text

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
        with conn.transaction():
            decided = echoes.decide(conn, plan.name, numbers, "dropped" if drop else "taken")
            if drop:
                for entity, key, _ in decided:
                    asked = _asked(plan, entity, key)
                    if asked is not None:
                        outbox.ask(conn, plan.name, entity, *asked)
            detail = {"source": plan.name, "numbers": list(numbers), "drop": drop, "decided": len(decided)}
            records.audit(conn, "foreign", detail)
    return len(decided)


def _asked(plan: Plan, entity: str, key: str) -> tuple[list[str], dict[str, Any]] | None:
    """The row key of an item's key, and what the outbox says of a row that had it; None where no row can have it."""
    item = _decode(key)
    found = matcher(plan)(*key_texts(plan, item))
    if not isinstance(found, AsRow) or found.entity.name != entity:
        return None
    texts = matches(found.entity.generations[found.generation], *key_texts(plan, item))
    if texts is None:
        return None
    try:
        row = {column.column: as_text(key_value(column, texts[column.column])) for column in found.entity.key}
    except UnfitError:
        return None
    return [row[name] for name in _primary(found.entity)], {"columns": row, "item": item}


def _primary(entity: EntityPlan) -> list[str]:
    return [column.name for column in entity.table.primary_key.columns]
