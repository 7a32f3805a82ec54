"""Copies of items under other keys while the stream flows: orphans are promoted or rejected as originals move."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from psycopg import sql

from ashore.ledger.copies import CopiesSettler
from ashore.mapping.copy_text import whole_item
from ashore.mapping.document import decode, encode
from ashore.mapping.encoded import Rejected
from ashore.mapping.plan import RESIDUE, CopyPlan, EntityPlan, key_attributes
from ashore.mapping.pointer import token
from ashore.mapping.promote import promoted_rows
from ashore.model.item import Item
from ashore.postgres.connect import Conn
from ashore.postgres.items import as_text, type_of
from ashore.postgres.names import TableName
from ashore.postgres.upsert import EntityWriter, Link, RowIdentity
from ashore.sync.waits import waits_for_original


@dataclass(slots=True, kw_only=True)
class CopiesKeeper:
    """Keeps the copies of one entity as a load of the table would leave them.

    Within one transaction: `before` before any of these originals and copies is deleted or written, `after` once they
    are. `rejected` gathers the orphans that were rejected.
    """

    plan: EntityPlan
    tables: Mapping[str, TableName]
    writer: EntityWriter
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def copies(self) -> CopyPlan:
        """What the declaration says of the copies."""
        if self.plan.copies is None:
            message = f"entity {self.plan.name!r} declares no copies"
            raise TypeError(message)
        return self.plan.copies

    def before(self, conn: Conn, links: Collection[Link]) -> None:
        """Take back the promotions of copies with these links: their rows give way to an original, if there is one."""
        if not links or not any(self.copies.promoted):
            return
        statement = sql.SQL("SELECT c.item FROM {} AS c WHERE c.promoted AND ({})").format(
            self._table.identifier, self._linked(links)
        )
        promoted = [whole_item(item) for (item,) in conn.execute(statement, self._lists(links))]
        if promoted:
            self.writer.delete(conn, [_promoted_identity(self.plan, item) for item in promoted])
            statement = sql.SQL("UPDATE {} AS c SET promoted = false WHERE c.promoted AND ({})").format(
                self._table.identifier, self._linked(links)
            )
            conn.execute(statement, self._lists(links))

    def after(self, conn: Conn, links: Collection[Link]) -> None:
        """Promote or reject those copies with these links that have no original."""
        if not links:
            return
        keys = sql.SQL(", ").join(
            sql.SQL("c.{}::text").format(sql.Identifier(column.name))
            for column in self.copies.table.primary_key.columns
        )
        statement = sql.SQL("SELECT {} FROM {} AS c WHERE {}").format(keys, self._table.identifier, self._linked(links))
        only = conn.execute(statement, self._lists(links)).fetchall()
        if only:
            CopiesSettler(
                plan=self.plan, copies=self.copies, tables=self.tables, keep=self._keep, only=only
            ).settle_orphans(conn)

    def _keep(self, rejected: Sequence[Rejected]) -> None:
        for one in rejected:
            item: Item = decode(one.raw)
            self.rejected.append(replace(one, waits_for=waits_for_original(self.plan, self.copies, item)))

    @property
    def _table(self) -> TableName:
        return self.tables[self.copies.table.fullname]

    def _linked(self, links: Collection[Link]) -> sql.Composed:
        """The condition that a copy c has one of the links; those that name no original are all of one kind."""
        columns = [name for name, _ in self.copies.links]
        names = [sql.Identifier(f"l{at}") for at, _ in enumerate(columns)]
        same = sql.SQL("({}) IN (SELECT {} FROM unnest({}) AS l({}))").format(
            sql.SQL(", ").join(sql.SQL("c.{}").format(sql.Identifier(column)) for column in columns),
            sql.SQL(", ").join(
                sql.SQL("l.{}::{}").format(name, type_of(self.copies.table, column))
                for name, column in zip(names, columns, strict=True)
            ),
            sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(names)),
            sql.SQL(", ").join(names),
        )
        if not any(None in link for link in links):
            return sql.Composed([same])
        return sql.SQL("{} OR c.{} IS NULL").format(same, sql.Identifier(columns[0]))

    def _lists(self, links: Iterable[Link]) -> list[list[str | None]]:
        named = [link for link in links if None not in link]
        return [[link[at] for link in named] for at, _ in enumerate(self.copies.links)]


def _promoted_identity(plan: EntityPlan, item: Item) -> RowIdentity:
    row = promoted_rows(plan, item).row
    entries = row[RESIDUE] or {}
    found: list[str | None] = []
    for key in key_attributes(plan):
        entry = entries.get(token(key.name))
        found.append(None if entry is None else encode(entry).decode())
    return (*(as_text(row[column.column]) for column in plan.key), *found)
