"""Copies of items under other keys: their originals, how far they differ from them, and orphans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from ashore.mapping.copy_text import (
    child_columns,
    child_types,
    entity_columns,
    entity_types,
    line,
    whole_item,
)
from ashore.mapping.document import encode
from ashore.mapping.encoded import Rejected
from ashore.mapping.items import from_rows
from ashore.mapping.match import matches
from ashore.mapping.plan import CopyPlan, EntityPlan
from ashore.mapping.promote import promoted_rows
from ashore.mapping.reasons import UnfitError, explanations
from ashore.mapping.rows import Rows
from ashore.model.item import Item, differing_attributes
from ashore.postgres.connect import Conn
from ashore.postgres.copy import copy_text
from ashore.postgres.errors import is_row_refused, refusal
from ashore.postgres.items import RowReader, type_of
from ashore.postgres.names import TableName

_AT_ONCE = 500


@dataclass(slots=True, kw_only=True)
class CopiesReport:
    """What an entity's copies are. `attributes` counts the copies that differ in each attribute."""

    entity: str
    copies: int = 0
    differing: int = 0
    attributes: Counter[str] = field(default_factory=Counter)
    promoted: int = 0
    rejected: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain values; the attributes that differ most first."""
        return {
            "entity": self.entity,
            "copies": self.copies,
            "differing": self.differing,
            "attributes": dict(self.attributes.most_common()),
            "promoted": self.promoted,
            "rejected": self.rejected,
        }


@dataclass(frozen=True, slots=True)
class _Orphan:
    links: tuple[str | None, ...]
    item: Item
    key: tuple[Any, ...]


Keep = Callable[[Sequence[Rejected]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiesSettler:
    """Settles the copies of one entity once all rows are loaded and the primary keys are there.

    `tables` maps declared tables to where the rows are. `keep` takes orphans that are rejected. `only` are the keys, as
    text, of the copies to look at; None for all. The connection went through `ashore.postgres.items.prepare`; the
    caller owns its transaction.
    """

    plan: EntityPlan
    copies: CopyPlan
    tables: Mapping[str, TableName]
    keep: Keep
    only: Sequence[tuple[str, ...]] | None = None

    def settle(self, conn: Conn) -> CopiesReport:
        """Promote or reject orphans, then compare the other copies with their originals. Idempotent."""
        report = self.settle_orphans(conn)
        for copy, original in self._pairs(conn):
            differing = differing_attributes(self._own(original), self._own(copy))
            report.differing += bool(differing)
            report.attributes.update(differing)
        counted = sql.SQL("SELECT count(*), count(*) FILTER (WHERE promoted) FROM {}").format(self._table.identifier)
        report.copies, report.promoted = conn.execute(counted).fetchone() or (0, 0)
        return report

    def settle_orphans(self, conn: Conn) -> CopiesReport:
        """Promote or reject orphans; the report has the rejected ones alone. Idempotent.

        All promotions come before the first rejection: a copy that may not be promoted has an original after all
        when another copy of the same record becomes one.
        """
        report = CopiesReport(entity=self.plan.name)
        if any(self.copies.promoted):
            for orphans in self._orphans(conn):
                self._promote_all(conn, orphans)
        for orphans in self._orphans(conn):
            self._reject_all(conn, orphans, report)
        return report

    @property
    def _table(self) -> TableName:
        return self.tables[self.copies.table.fullname]

    def _own(self, item: Item) -> Item:
        """What a copy should share with its original: all but the keys and what is made of them for an index."""
        keys = {key.name for key in (self.plan.partition_key, self.plan.sort_key) if key is not None}
        derived = {one.attribute for one in self.plan.derived}
        ttl = {self.plan.ttl} if self.plan.ttl else set()
        return {name: value for name, value in item.items() if name not in keys | derived | ttl}

    def _on(self) -> sql.Composed:
        return sql.SQL(" AND ").join(
            sql.SQL("o.{0} = c.{0}").format(sql.Identifier(name)) for name, _ in self.copies.links
        )

    def _keys(self) -> list[str]:
        return [column.name for column in self.copies.table.primary_key.columns]

    def _orphans(self, conn: Conn) -> Iterator[list[_Orphan]]:
        """Copies without an original, in the order of their keys, a few hundred at once."""
        keys = [sql.SQL("c.{}").format(sql.Identifier(key)) for key in self._keys()]
        statement = sql.SQL(
            "SELECT ARRAY[{links}], c.item, {keys} FROM {copies} c"
            " WHERE NOT c.promoted AND NOT EXISTS (SELECT FROM {originals} o WHERE {on}) AND {only} AND {after}"
            " ORDER BY {keys} LIMIT {limit}"
        )
        last: tuple[Any, ...] | None = None
        while True:
            after: sql.Composable = sql.SQL("true")
            if last is not None:
                after = sql.SQL("({}) > ({})").format(
                    sql.SQL(", ").join(keys), sql.SQL(", ").join(sql.Placeholder() * len(keys))
                )
            found = conn.execute(
                statement.format(
                    links=sql.SQL(", ").join(
                        sql.SQL("c.{}::text").format(sql.Identifier(name)) for name, _ in self.copies.links
                    ),
                    keys=sql.SQL(", ").join(keys),
                    copies=self._table.identifier,
                    originals=self.tables[self.plan.table.fullname].identifier,
                    on=self._on(),
                    only=self._only(keys),
                    after=after,
                    limit=sql.Literal(_AT_ONCE),
                ),
                [*self._only_lists(), *(last or ())],
            ).fetchall()
            if not found:
                return
            yield [_Orphan(tuple(links), whole_item(item), tuple(key)) for links, item, *key in found]
            last = tuple(found[-1][2:])

    def _only(self, keys: Sequence[sql.Composable]) -> sql.Composable:
        if self.only is None:
            return sql.SQL("true")
        table = self.copies.table
        names = [sql.Identifier(f"k{at}") for at, _ in enumerate(keys)]
        return sql.SQL("({}) IN (SELECT {} FROM unnest({}) AS k({}))").format(
            sql.SQL(", ").join(keys),
            sql.SQL(", ").join(
                sql.SQL("k.{}::{}").format(name, type_of(table, column))
                for name, column in zip(names, self._keys(), strict=True)
            ),
            sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(names)),
            sql.SQL(", ").join(names),
        )

    def _only_lists(self) -> list[list[str]]:
        if self.only is None:
            return []
        return [[key[at] for key in self.only] for at, _ in enumerate(self._keys())]

    def _promote_all(self, conn: Conn, orphans: Sequence[_Orphan]) -> None:
        done: set[tuple[str | None, ...]] = set()
        for orphan in orphans:
            if orphan.links not in done and self._why_not_promoted(conn, orphan) is None:
                done |= {orphan.links} if None not in orphan.links else set()

    def _reject_all(self, conn: Conn, orphans: Sequence[_Orphan], report: CopiesReport) -> None:
        rejected = []
        for orphan in orphans:
            unfit = self._why_not_promoted(conn, orphan)
            if unfit is not None:
                self._delete(conn, orphan)
                rejected.append(self._rejected(orphan.item, unfit))
        report.rejected += len(rejected)
        self.keep(rejected)

    def _why_not_promoted(self, conn: Conn, orphan: _Orphan) -> UnfitError | None:
        """Promote an orphan; where that cannot be, change nothing and say why."""
        keys = [key for key in (self.plan.partition_key, self.plan.sort_key) if key is not None]
        texts = [orphan.item[key.name][key.type] for key in keys]
        place = next(
            at
            for at, generation in enumerate(self.copies.generations)
            if matches(generation, texts[0], texts[-1] if self.plan.sort_key else None) is not None
        )
        if not self.copies.promoted[place]:
            return UnfitError("orphan")
        try:
            with conn.transaction():
                self._insert(conn, promoted_rows(self.plan, orphan.item))
        except UnfitError as unfit:
            return unfit
        except psycopg.errors.UniqueViolation:
            return UnfitError("duplicate_key")
        except psycopg.Error as error:
            if not is_row_refused(error):
                raise
            return UnfitError("refused_by_postgres", detail=refusal(error))
        statement = sql.SQL("UPDATE {} SET promoted = true WHERE {}").format(self._table.identifier, self._is_this())
        conn.execute(statement, orphan.key)
        return None

    def _is_this(self) -> sql.Composed:
        return sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(key)) for key in self._keys())

    def _insert(self, conn: Conn, rows: Rows) -> None:
        columns = entity_columns(self.plan)
        text = line(columns, entity_types(self.plan), rows.row) + "\n"
        copy_text(conn, self.tables[self.plan.table.fullname], columns, text.encode())
        for child, of_child in zip(self.plan.children, rows.children, strict=True):
            columns = child_columns(child)
            types = child_types(self.plan, child)
            text = "".join(line(columns, types, row) + "\n" for row in of_child)
            if text:
                copy_text(conn, self.tables[child.record.table.fullname], columns, text.encode())

    def _delete(self, conn: Conn, orphan: _Orphan) -> None:
        conn.execute(sql.SQL("DELETE FROM {} WHERE {}").format(self._table.identifier, self._is_this()), orphan.key)

    def _rejected(self, item: Item, unfit: UnfitError) -> Rejected:
        keys = [key.name for key in (self.plan.partition_key, self.plan.sort_key) if key is not None]
        return Rejected(
            entity=self.plan.name,
            attribute=unfit.attribute,
            reason=unfit.reason,
            detail=unfit.detail or explanations[unfit.reason],
            key=encode({name: item[name] for name in keys}).decode(),
            raw=encode(item),
        )

    def _pairs(self, conn: Conn) -> Iterator[tuple[Item, Item]]:
        """Each copy that is not promoted, and its original. Holds a few hundred at once."""
        reader = RowReader(plan=self.plan, tables=self.tables)
        key = [sql.SQL("o.{}::text").format(sql.Identifier(column)) for column in reader.key_columns]
        statement = sql.SQL("SELECT c.item, {} FROM {} c JOIN {} o ON {} WHERE NOT c.promoted").format(
            sql.SQL(", ").join(key), self._table.identifier, reader.table.identifier, self._on()
        )
        with conn.cursor("ashore_copies") as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(statement)
            while found := cursor.fetchmany(_AT_ONCE):
                originals = dict(reader.by_key(conn, list({row[1:] for row in found})))
                for item, *at in found:
                    yield whole_item(item), from_rows(self.plan, originals[tuple(at)])
