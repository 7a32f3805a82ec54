"""One rejected item tried again: its rows and the end of its rejection in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import msgspec
import psycopg
from psycopg import sql

from ashore.ledger import units
from ashore.ledger.copies import CopiesSettler
from ashore.ledger.rejected import storable
from ashore.mapping.copy_text import link_values
from ashore.mapping.encoded import Encoded, Encoder, Rejected
from ashore.mapping.encoder import item_key
from ashore.mapping.match import AsCopy, key_texts, matcher
from ashore.mapping.plan import CopyPlan, EntityPlan, Plan
from ashore.mapping.reasons import Reason, explanations
from ashore.model.item import Item
from ashore.postgres.connect import Conn
from ashore.postgres.copy import copy_text
from ashore.postgres.errors import is_row_refused, refusal
from ashore.postgres.names import TableName

Outcome = Literal["landed", "gone", "needs_no_row", "stays"]

_END: Final = "DELETE FROM ashore.rejected_item WHERE id = %s"
_STAYS: Final = """
    UPDATE ashore.rejected_item
    SET entity = %(entity)s, key = %(key)s, attribute = %(attribute)s, reason = %(reason)s, detail = %(detail)s,
        item = %(item)s, rejected_at = clock_timestamp()
    WHERE id = %(id)s
"""
_PRIMARY_KEYS: Final = """
    SELECT conname FROM pg_catalog.pg_constraint WHERE contype = 'p' AND conrelid = ANY(%(tables)s::regclass[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A rejected item as the ledger has it."""

    id: int
    load: int
    entity: str | None
    reason: str
    item: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a rejected item. `reason` is set where it stays."""

    id: int
    outcome: Outcome
    entity: str | None
    reason: str | None = None
    attribute: str | None = None


class _Refused(Exception):
    """The item does not fit after all: what was written of it is rolled back."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.detail = detail or explanations[reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Tries rejected items again. The connection is in autocommit mode and holds the lock of the flow.

    `encoder` takes the entities that are loaded; `targets` maps declared tables' full names to tables.
    """

    conn: Conn
    plan: Plan
    encoder: Encoder
    targets: Mapping[str, TableName]

    def run(self, stored: Stored, raw: bytes | None, *, is_contested: bool) -> Verdict:
        """Try one item in one transaction: either its rows are there and its rejection is over, or it stays.

        Args:
            stored: What the ledger has.
            raw: The item as it is now; None where it is gone.
            is_contested: Whether another rejected item gives the same row key.
        """
        if raw is None:
            self._end(stored, (stored.entity, "gone"), {})
            return Verdict(id=stored.id, outcome="gone", entity=stored.entity)
        encoded = self.encoder.encode([raw])
        if encoded.rejected:
            return self._stay(stored, encoded.rejected[0])
        counted = next(iter(encoded.counts))
        entity, outcome = counted
        if outcome not in {"rows", "copy"} or entity is None:
            self._end(stored, counted, {})
            return Verdict(id=stored.id, outcome="needs_no_row", entity=entity)
        plan = self.plan.entities[entity]
        try:
            with self.conn.transaction():
                rows = self._land(plan, encoded, raw, is_contested=is_contested)
                self._end(stored, counted, rows)
        except _Refused as refused:
            return self._stay(
                stored,
                Rejected(
                    entity=entity,
                    attribute=None,
                    reason=refused.reason,
                    detail=refused.detail,
                    key=item_key(self.plan, _decode(raw)),
                    raw=raw,
                ),
            )
        return Verdict(id=stored.id, outcome="landed", entity=entity)

    def _land(self, plan: EntityPlan, encoded: Encoded, raw: bytes, *, is_contested: bool) -> dict[str, int]:
        if is_contested:
            raise _Refused("duplicate_key")
        try:
            with self.conn.transaction():
                for name, lines in encoded.copy_data.items():
                    copy_text(self.conn, self.targets[name], self.encoder.columns[name], lines)
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name in self._primary_keys(plan):
                raise _Refused("duplicate_key") from None
            raise _Refused("refused_by_postgres", refusal(error)) from None
        except psycopg.Error as error:
            if not is_row_refused(error):
                raise
            raise _Refused("refused_by_postgres", refusal(error)) from None
        if plan.copies is not None and (plan.name, "copy") in encoded.counts:
            self._settle(plan, plan.copies, _decode(raw))
        return {str(self.targets[name]): rows for name, rows in encoded.row_counts.items() if rows}

    def _primary_keys(self, plan: EntityPlan) -> set[str]:
        tables = [str(self.targets[table.fullname]) for table in plan.tables]
        return {name for (name,) in self.conn.execute(_PRIMARY_KEYS, {"tables": tables})}

    def _settle(self, plan: EntityPlan, copies: CopyPlan, item: Item) -> None:
        """Let a copy that has just been written stand beside its original, or promote it, or refuse it."""
        links = link_values(copies, item.get(copies.of, {}))
        if None not in links.values() and self._has_original(plan, links):
            return
        match = matcher(self.plan)(*key_texts(self.plan, item))
        if not isinstance(match, AsCopy) or not copies.promoted[match.generation]:
            raise _Refused("orphan")
        rejected: list[Rejected] = []
        tables = {table.fullname: self.targets[table.fullname] for table in plan.tables}
        CopiesSettler(plan=plan, copies=copies, tables=tables, keep=rejected.extend).settle(self.conn)
        for one in rejected:
            raise _Refused(cast("Reason", one.reason), one.detail)

    def _has_original(self, plan: EntityPlan, links: Mapping[str, Any]) -> bool:
        statement = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(
            self.targets[plan.table.fullname].identifier,
            sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in links),
        )
        row = self.conn.execute(statement, list(links.values())).fetchone()
        return row is not None and bool(row[0])

    def _end(self, stored: Stored, counted: tuple[str | None, str], rows: Mapping[str, int]) -> None:
        with self.conn.transaction():
            self.conn.execute(_END, (stored.id,))
            moved = {(stored.entity, "rejected"): -1, counted: 1}
            units.add_counts(self.conn, stored.load, units.corrections, moved)
            units.add_rows(self.conn, stored.load, units.corrections, rows)

    def _stay(self, stored: Stored, rejected: Rejected) -> Verdict:
        with self.conn.transaction():
            self.conn.execute(
                _STAYS,
                {
                    "id": stored.id,
                    "entity": rejected.entity,
                    "key": storable(rejected.key),
                    "attribute": None if rejected.attribute is None else storable(rejected.attribute),
                    "reason": rejected.reason,
                    "detail": storable(rejected.detail),
                    "item": rejected.raw,
                },
            )
            if rejected.entity != stored.entity:
                moved = {(stored.entity, "rejected"): -1, (rejected.entity, "rejected"): 1}
                units.add_counts(self.conn, stored.load, units.corrections, moved)
        return Verdict(
            id=stored.id,
            outcome="stays",
            entity=rejected.entity,
            reason=rejected.reason,
            attribute=rejected.attribute,
        )


def _decode(raw: bytes) -> Item:
    return msgspec.json.decode(raw, type=dict[str, dict[str, Any]])
