"""The copies that an entity's table of copies keeps, while PostgreSQL takes the entity's writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from ashore.mapping.copy_text import copies_columns, key_column_text, stored_item, whole_item
from ashore.mapping.match import key_texts, matches
from ashore.mapping.plan import CopyPlan, EntityPlan, key_attributes
from ashore.mapping.rebuilt import Kept
from ashore.model.item import Item
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowKey, type_of
from ashore.postgres.names import TableName

Link = tuple[str, ...]
"""The text of each column by which a copy names its original."""


@dataclass(frozen=True, slots=True)
class KnownCopy:
    """A copy as it is kept; a promoted one is a row itself, or was."""

    link: Link = field(repr=False)
    item: Item = field(repr=False)
    is_promoted: bool


@dataclass(frozen=True, slots=True)
class KeptCopies:
    """The table of copies of one entity; the connection is one that went through `prepare`."""

    entity: EntityPlan
    copies: CopyPlan
    tables: Mapping[str, TableName]

    @classmethod
    def of(cls, entity: EntityPlan, tables: Mapping[str, TableName]) -> KeptCopies | None:
        """None for an entity that declares none."""
        return None if entity.copies is None else cls(entity, entity.copies, tables)

    def is_form(self, key: Item) -> bool:
        """Whether a copy could have this key."""
        texts = key_texts(self.entity, key)
        return any(matches(form, *texts) is not None for form in self.copies.generations)

    def linked(self, conn: Conn, links: Collection[Link]) -> dict[Link, list[Kept]]:
        """The copies with these links, promoted ones left out."""
        statement = sql.SQL("SELECT {}, c.item FROM {} JOIN {} AS c ON {} WHERE NOT c.promoted").format(
            self._given_links, self._unnested(len(self.copies.links)), self._table, self._same_links("c")
        )
        found: defaultdict[Link, list[Kept]] = defaultdict(list)
        for *link, stored in conn.execute(statement, _lists(links)) if links else ():
            item = whole_item(stored)
            texts = key_texts(self.entity, item)
            forms = enumerate(self.copies.generations)
            place = next(at for at, form in forms if matches(form, *texts) is not None)
            found[tuple(link)].append(Kept(self._key_of(item), item, place))
        return found

    def originals(self, conn: Conn, links: Collection[Link]) -> dict[Link, set[RowKey]]:
        """The rows that copies with these links are of."""
        key = [column.name for column in self.entity.table.primary_key.columns]
        statement = sql.SQL("SELECT {}, ARRAY[{}] FROM {} JOIN {} AS o ON {}").format(
            self._given_links,
            sql.SQL(", ").join(sql.SQL("o.{}::text").format(sql.Identifier(name)) for name in key),
            self._unnested(len(self.copies.links)),
            self.tables[self.entity.table.fullname].identifier,
            self._same_links("o"),
        )
        found: defaultdict[Link, set[RowKey]] = defaultdict(set)
        for *link, primary in conn.execute(statement, _lists(links)) if links else ():
            found[tuple(link)].add(tuple(primary))
        return found

    def by_key(self, conn: Conn, keys: Sequence[Item]) -> list[KnownCopy]:
        """The copies with these keys, promoted ones included."""
        statement = sql.SQL("SELECT ARRAY[{}], c.promoted, c.item FROM {} JOIN {} AS c ON {}").format(
            sql.SQL(", ").join(sql.SQL("c.{}::text").format(sql.Identifier(name)) for name, _ in self.copies.links),
            self._unnested(len(self._key_columns)),
            self._table,
            self._same_key,
        )
        texts = [self.text_key(key) for key in keys]
        found = conn.execute(statement, _lists(texts)) if texts else ()
        return [KnownCopy(tuple(link), whole_item(stored), promoted) for link, promoted, stored in found]

    def keep(self, conn: Conn, copies: Sequence[tuple[Link, Item]]) -> None:
        """Keep copies as they are to be in DynamoDB; none of their keys is that of a row. The caller's transaction."""
        columns = copies_columns(self.copies)
        statement = sql.SQL(
            "INSERT INTO {table} AS c ({columns}) SELECT {casts} FROM {given} ON CONFLICT ({key})"
            " DO UPDATE SET promoted = false, {set}"
        ).format(
            table=self._table,
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            casts=sql.SQL(", ").join(
                sql.SQL("k.{}::{}").format(sql.Identifier(f"k{at}"), type_of(self.copies.table, column))
                for at, column in enumerate(columns)
            ),
            given=self._unnested(len(columns)),
            key=sql.SQL(", ").join(map(sql.Identifier, self._key_columns)),
            set=sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in columns[len(self._key_columns) :]
            ),
        )
        rows = [(*self.text_key(item), *link, stored_item(item)) for link, item in copies]
        if rows:
            conn.execute(statement, _lists(rows))

    def keep_promoted(self, conn: Conn, items: Sequence[Item]) -> None:
        """Note what the items of promoted copies are now; those that are none are passed by."""
        width = len(self._key_columns)
        statement = sql.SQL("UPDATE {} AS c SET item = k.{}::jsonb FROM {} WHERE c.promoted AND {}").format(
            self._table, sql.Identifier(f"k{width}"), self._unnested(width + 1), self._same_key
        )
        rows = [(*self.text_key(item), stored_item(item)) for item in items]
        if rows:
            conn.execute(statement, _lists(rows))

    def forget(self, conn: Conn, keys: Sequence[Item], *, is_expiry: bool = False) -> None:
        """Drop copies that are not in DynamoDB any more; not those that are rows, where their time was over there."""
        statement = sql.SQL("DELETE FROM {} AS c USING {} WHERE {}").format(
            self._table, self._unnested(len(self._key_columns)), self._same_key
        )
        if is_expiry:
            statement += sql.SQL(" AND NOT c.promoted")
        if keys:
            conn.execute(statement, _lists([self.text_key(key) for key in keys]))

    def text_key(self, item: Item) -> tuple[str, ...]:
        """The text of each key column."""
        texts = key_texts(self.entity, item)
        keys = zip(key_attributes(self.entity), texts, strict=False)
        return tuple(key_column_text(key.type, text or "") for key, text in keys)

    def _key_of(self, item: Item) -> Item:
        return {key.name: item[key.name] for key in key_attributes(self.entity)}

    @property
    def _table(self) -> sql.Identifier:
        return self.tables[self.copies.table.fullname].identifier

    @property
    def _key_columns(self) -> list[str]:
        return [column.name for column in self.copies.table.primary_key.columns]

    @staticmethod
    def _given(width: int) -> list[sql.Composed]:
        return [sql.SQL("k.{}").format(sql.Identifier(f"k{at}")) for at in range(width)]

    @property
    def _given_links(self) -> sql.Composed:
        return sql.SQL(", ").join(self._given(len(self.copies.links)))

    @staticmethod
    def _unnested(width: int) -> sql.Composed:
        names = sql.SQL(", ").join(sql.Identifier(f"k{at}") for at in range(width))
        return sql.SQL("unnest({}) AS k({})").format(sql.SQL(", ").join([sql.SQL("%s::text[]")] * width), names)

    def _same_links(self, alias: str) -> sql.Composed:
        return self._same(alias, [name for name, _ in self.copies.links])

    @property
    def _same_key(self) -> sql.Composed:
        return self._same("c", self._key_columns)

    def _same(self, alias: str, columns: Sequence[str]) -> sql.Composed:
        table = self.entity.table if alias == "o" else self.copies.table
        return sql.SQL(" AND ").join(
            sql.SQL("{}.{} = k.{}::{}").format(
                sql.SQL(alias), sql.Identifier(column), sql.Identifier(f"k{at}"), type_of(table, column)
            )
            for at, column in enumerate(columns)
        )


def _lists(rows: Collection[Sequence[str]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]
