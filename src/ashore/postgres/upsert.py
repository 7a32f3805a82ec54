"""Rows of one entity written over what is there, set-wise: staged by COPY, then a few statements a batch.

A row belongs to the item whose key its key columns hold (and, for older forms of the key, its residue): a row is only
overwritten or deleted in the name of its own item. So two items of one row key are noticed, not merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, LiteralString

from psycopg import sql

from ashore.mapping.copy_text import child_columns, copies_columns, entity_columns
from ashore.mapping.encoded import Encoded
from ashore.mapping.plan import RESIDUE, ChildPlan, CopyPlan, EntityPlan, key_attributes
from ashore.mapping.pointer import token
from ashore.postgres.connect import Conn
from ashore.postgres.copy import copy_rows
from ashore.postgres.items import type_of
from ashore.postgres.names import TableName

RowIdentity = tuple[str | None, ...]
"""The text of each key column, then, where rows tell it, the JSON of each key attribute's residue entry or None."""

Link = tuple[str | None, ...]
"""The text of each column by which copies name their original; empty for an entity without copies."""

_STAGE: Final = "CREATE TEMPORARY TABLE {stage} ON COMMIT DELETE ROWS AS SELECT {columns} FROM {table} WITH NO DATA"


class EntityWriter:
    """Writes and deletes the rows of one entity over one connection, whose session keeps the stages.

    `make_stages` comes first, once a session. The caller owns the transaction. Every table must have its primary key.
    `number` tells the stages of a session apart. Statements are composed once: it takes as long as sending them.
    """

    def __init__(self, plan: EntityPlan, tables: Mapping[str, TableName], *, number: int) -> None:
        self.plan = plan
        self.table = tables[plan.table.fullname]
        self._tables = tables
        self._number = number
        self._is_used = False

    @property
    def tells_forms(self) -> bool:
        """Whether the residue is part of a row's identity: keys have older forms, or copies are promoted."""
        return len(self.plan.generations) > 1 or self.plan.copies is not None

    def make_stages(self, conn: Conn) -> None:
        """Make the session's temporary tables, in place of earlier ones; autocommit expected."""
        for at, (name, columns) in enumerate(self._columns):
            stage = self._stage(at)
            conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(stage.identifier))
            conn.execute(
                sql.SQL(_STAGE).format(
                    stage=stage.identifier, columns=_names(columns), table=self._tables[name].identifier
                )
            )

    def begin(self) -> None:
        """Say that a new transaction has begun, so that the stages are empty."""
        self._is_used = False

    def stage(self, conn: Conn, encoded: Encoded) -> int:
        """Put the rows for the entity's tables (those that have any) into their stages; return the entity's rows.

        Raises:
            psycopg.Error: A line was refused.
        """
        if self._is_used:
            for at, _ in enumerate(self._columns):
                conn.execute(sql.SQL("DELETE FROM {}").format(self._stage(at).identifier))
        self._is_used = True
        staged = 0
        for at, (name, columns) in enumerate(self._columns):
            rows = copy_rows(conn, self._stage(at), columns, encoded, name)
            staged += rows if at == 0 else 0
        return staged

    def upsert_staged(self, conn: Conn, copy_data: Mapping[str, bytes], staged: int) -> bool:
        """Write what `stage` put there (and said); False if a row belongs to another item: then the caller rolls back.

        Raises:
            psycopg.errors.CardinalityViolation: Two staged rows have one key.
            psycopg.errors.IntegrityError, DataError: PostgreSQL refused a row.
        """
        if staged:
            if conn.execute(self._upsert).rowcount != staged:
                return False
            for statement in self._replace_children:
                conn.execute(statement)
        if self.plan.copies is not None and copy_data.get(self.plan.copies.table.fullname):
            conn.execute(self._upsert_copies)
        return True

    def delete(self, conn: Conn, rows: Sequence[RowIdentity]) -> list[Link]:
        """Delete the rows of these items, with their children; return a link for each row that was there."""
        return conn.execute(self._delete, _by_column(rows)).fetchall() if rows else []

    def copy_links(self, conn: Conn, keys: Sequence[tuple[str, ...]]) -> list[Link]:
        """The links of the copies with these keys (the text of each key column)."""
        select = sql.SQL("SELECT {} ").format(self._link_texts("t"))
        return conn.execute(select + self._of_copies("FROM {} AS t JOIN", "ON"), _by_column(keys)).fetchall()

    def delete_copies(self, conn: Conn, keys: Sequence[tuple[str, ...]]) -> None:
        """Delete the copies with these keys."""
        conn.execute(self._of_copies("DELETE FROM {} AS t USING", "WHERE"), _by_column(keys))

    def staged_links(self, conn: Conn) -> list[Link]:
        """The links of what is staged, and of the copies that it will replace. For an entity with copies."""
        return conn.execute(self._staged_links).fetchall()

    def mark_expired(self, conn: Conn, column: str, rows: Sequence[tuple[str, RowIdentity]]) -> None:
        """Set `column` of the rows of these items to a time (ISO text, first of each pair)."""
        if rows:
            statement = sql.SQL(
                "UPDATE {} AS t SET {} = k.moment::timestamptz FROM unnest({}) AS k(moment, {}) WHERE {}"
            )
            names, same = self._identified(self._width)
            composed = statement.format(
                self.table.identifier,
                sql.Identifier(column),
                _lists(self._width + 1),
                sql.SQL(", ").join(names),
                sql.SQL(" AND ").join(same),
            )
            conn.execute(composed, _by_column([(moment, *identity) for moment, identity in rows]))

    @cached_property
    def _columns(self) -> list[tuple[str, tuple[str, ...]]]:
        columns = [(self.plan.table.fullname, entity_columns(self.plan))]
        columns += [(child.record.table.fullname, child_columns(child)) for child in self.plan.children]
        if self.plan.copies is not None:
            columns.append((self.plan.copies.table.fullname, copies_columns(self.plan.copies)))
        return columns

    def _stage(self, at: int) -> TableName:
        return TableName("pg_temp", f"ashore_stage_{self._number}_{at}")

    @cached_property
    def _primary(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.plan.table.primary_key.columns)

    @cached_property
    def _key(self) -> tuple[str, ...]:
        return tuple(column.column for column in self.plan.key)

    @cached_property
    def _upsert(self) -> bytes:
        columns = entity_columns(self.plan)
        same = [sql.SQL("t.{0} = excluded.{0}").format(sql.Identifier(one)) for one in self._key]
        same = [one for one, name in zip(same, self._key, strict=True) if name not in self._primary]
        if self.tells_forms:
            same += [_same_entry(sql.SQL("excluded."), pointer) for pointer in self._pointers]
        mark = self.plan.expired_column
        cleared = () if mark is None else (mark,)
        return _upsert(self.table, self._stage(0), columns, self._primary, same, cleared).as_bytes()

    @cached_property
    def _pointers(self) -> list[str]:
        return [token(key.name) for key in key_attributes(self.plan)]

    @property
    def _copies(self) -> CopyPlan:
        if self.plan.copies is None:
            message = f"entity {self.plan.name!r} declares no copies"
            raise TypeError(message)
        return self.plan.copies

    @cached_property
    def _upsert_copies(self) -> bytes:
        copies = self._copies
        table, stage = self._tables[copies.table.fullname], self._stage(len(self._columns) - 1)
        return _upsert(table, stage, copies_columns(copies), self._copy_key, []).as_bytes()

    @cached_property
    def _replace_children(self) -> list[bytes]:
        statements = []
        for at, child in enumerate(self.plan.children, start=1):
            table = self._tables[child.record.table.fullname].identifier
            statements.append(
                sql.SQL("DELETE FROM {} AS c USING {} AS p WHERE {}").format(
                    table, self._stage(0).identifier, _is_child(child)
                )
            )
            columns = _names(child_columns(child))
            statements.append(
                sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(
                    table, columns, columns, self._stage(at).identifier
                )
            )
        return [statement.as_bytes() for statement in statements]

    @property
    def _width(self) -> int:
        return len(self._key) + (len(self._pointers) if self.tells_forms else 0)

    def _identified(self, width: int) -> tuple[list[sql.Identifier], list[sql.Composable]]:
        """Names for the parts of an identity in ``unnest(…) AS k(…)``, and the conditions that a row t is of it."""
        names = [sql.Identifier(f"k{at}") for at in range(width)]
        same: list[sql.Composable] = [
            sql.SQL("t.{} = k.{}::{}").format(sql.Identifier(column), name, type_of(self.plan.table, column))
            for column, name in zip(self._key, names, strict=False)
        ]
        entry = sql.SQL("(t.{} -> {}) IS NOT DISTINCT FROM k.{}::jsonb")
        for pointer, name in zip(self._pointers, names[len(self._key) :], strict=False):
            same.append(entry.format(sql.Identifier(RESIDUE), sql.Literal(pointer), name))
        return names, same

    @cached_property
    def _delete(self) -> bytes:
        names, same = self._identified(self._width)
        columns = dict.fromkeys((*self._primary, *self._links))
        gone = sql.SQL("gone AS (DELETE FROM {} AS t USING unnest({}) AS k({}) WHERE {} RETURNING {})").format(
            self.table.identifier,
            _lists(self._width),
            sql.SQL(", ").join(names),
            sql.SQL(" AND ").join(same),
            sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in columns),
        )
        children = [
            sql.SQL("{} AS (DELETE FROM {} AS c USING gone AS p WHERE {})").format(
                sql.Identifier(f"child{at}"), self._tables[child.record.table.fullname].identifier, _is_child(child)
            )
            for at, child in enumerate(self.plan.children)
        ]
        steps = sql.SQL(", ").join([gone, *children])
        return sql.SQL("WITH {} SELECT {} FROM gone AS t").format(steps, self._link_texts("t")).as_bytes()

    @cached_property
    def _links(self) -> tuple[str, ...]:
        return () if self.plan.copies is None else tuple(name for name, _ in self.plan.copies.links)

    def _link_texts(self, alias: str) -> sql.Composed:
        column = sql.SQL("{}.{}::text")
        return sql.SQL(", ").join(column.format(sql.Identifier(alias), sql.Identifier(name)) for name in self._links)

    @cached_property
    def _copy_key(self) -> tuple[str, ...]:
        copies = self.plan.copies
        return () if copies is None else tuple(column.name for column in copies.table.primary_key.columns)

    @cached_property
    def _staged_links(self) -> bytes:
        copies = self._copies
        stage = self._stage(len(self._columns) - 1).identifier
        same = sql.SQL(" AND ").join(sql.SQL("c.{0} = s.{0}").format(sql.Identifier(one)) for one in self._copy_key)
        statement = sql.SQL(
            "SELECT {links_t} FROM {own} AS t UNION SELECT {links_s} FROM {stage} AS s"
            " UNION SELECT {links_c} FROM {copies} AS c JOIN {stage} AS s ON {same}"
        ).format(
            links_t=self._link_texts("t"),
            links_s=self._link_texts("s"),
            links_c=self._link_texts("c"),
            own=self._stage(0).identifier,
            stage=stage,
            copies=self._tables[copies.table.fullname].identifier,
            same=same,
        )
        return statement.as_bytes()

    def _of_copies(self, verb: LiteralString, on: LiteralString) -> sql.Composed:
        copies = self._copies
        names = [sql.Identifier(f"k{at}") for at, _ in enumerate(self._copy_key)]
        return sql.SQL(verb + " unnest({}) AS k({}) " + on + " {}").format(
            self._tables[copies.table.fullname].identifier,
            _lists(len(names)),
            sql.SQL(", ").join(names),
            sql.SQL(" AND ").join(
                sql.SQL("t.{} = k.{}::{}").format(sql.Identifier(column), name, type_of(copies.table, column))
                for column, name in zip(self._copy_key, names, strict=True)
            ),
        )


def _upsert(
    table: TableName,
    stage: TableName,
    columns: Sequence[str],
    key: Sequence[str],
    same: Sequence[sql.Composable],
    cleared: Sequence[str] = (),
) -> sql.Composed:
    sets = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(one)) for one in columns if one not in key]
    sets += [sql.SQL("{} = NULL").format(sql.Identifier(one)) for one in cleared]
    return sql.SQL(
        "INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {stage}"
        " ON CONFLICT ({key}) DO UPDATE SET {set}{same}"
    ).format(
        table=table.identifier,
        columns=_names(columns),
        stage=stage.identifier,
        key=_names(key),
        set=sql.SQL(", ").join(sets),
        same=sql.SQL(" WHERE ") + sql.SQL(" AND ").join(same) if same else sql.SQL(""),
    )


def _same_entry(other: sql.SQL, pointer: str) -> sql.Composed:
    column, at = sql.Identifier(RESIDUE), sql.Literal(pointer)
    return sql.SQL("(t.{0} -> {1}) IS NOT DISTINCT FROM ({2}{0} -> {1})").format(column, at, other)


def _is_child(child: ChildPlan) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("c.{} = p.{}").format(sql.Identifier(theirs), sql.Identifier(ours)) for theirs, ours in child.parent
    )


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _lists(number: int) -> sql.Composed:
    return sql.SQL(", ").join([sql.SQL("%s::text[]")] * number)


def _by_column(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
