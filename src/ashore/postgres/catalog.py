"""A table's keys, indexes and foreign keys: their exact definitions, to take them off and put them back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from psycopg import sql

from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName

Kind = Literal["primary_key", "unique", "exclusion", "index", "foreign_key"]
kinds: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One key, index or foreign key, and the statements that drop it and make it again as it was.

    `create` makes it, `after` gives it what its definition cannot say (storage options, comment, clustering, replica
    identity). A foreign key's `create` ends in NOT VALID unless it is not enforced; `validate` is the statement that
    makes it valid, None where it was not valid before. `tablespace` is where it was, None for the database's default.
    """

    kind: Kind
    table: TableName
    name: str
    drop: str
    create: str
    after: tuple[str, ...] = ()
    validate: str | None = None
    tablespace: str | None = None

    @property
    def is_unique(self) -> bool:
        """Whether it refuses a row for the sake of another row, the primary key aside."""
        return self.kind in {"unique", "exclusion"} or self.create.startswith("CREATE UNIQUE INDEX")


_INDEXES = """
    SELECT n.nspname, c.relname, i.relname, pg_get_indexdef(i.oid), con.conname, con.contype::text,
           pg_get_constraintdef(con.oid), ts.spcname, i.reloptions, x.indisclustered,
           x.indisreplident AND c.relreplident = 'i',
           obj_description(i.oid, 'pg_class'), obj_description(con.oid, 'pg_constraint')
    FROM pg_index x
    JOIN pg_class c ON c.oid = x.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class i ON i.oid = x.indexrelid
    LEFT JOIN pg_tablespace ts ON ts.oid = i.reltablespace
    LEFT JOIN pg_constraint con ON con.conindid = i.oid AND con.conrelid = c.oid AND con.contype IN ('p', 'u', 'x')
    WHERE x.indrelid = ANY(%(tables)s::regclass[])
    ORDER BY n.nspname, c.relname, i.oid
"""
_FOREIGN_KEYS = """
    SELECT n.nspname, c.relname, con.conname, pg_get_constraintdef(con.oid), obj_description(con.oid, 'pg_constraint')
    FROM pg_constraint con
    JOIN pg_class c ON c.oid = con.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE con.contype = 'f' AND con.conparentid = 0
      AND (con.conrelid = ANY(%(tables)s::regclass[]) OR con.confrelid = ANY(%(tables)s::regclass[]))
    ORDER BY n.nspname, c.relname, con.oid
"""
_constraint_kinds: dict[str, Kind] = {"p": "primary_key", "u": "unique", "x": "exclusion"}


def definitions(conn: Conn, tables: Collection[TableName]) -> list[Definition]:
    """What to take off `tables` before they are filled, in the order in which it can be dropped.

    Their primary keys, unique and exclusion constraints, indexes, foreign keys, and the foreign keys of other tables
    that refer to them. CHECK and NOT NULL constraints are no part of it: they stay in force. The caller owns the
    transaction; needs one.

    Source: https://www.postgresql.org/docs/current/functions-info.html (pg_get_indexdef, pg_get_constraintdef)
    """
    wanted = {"tables": [str(table) for table in tables]}
    with names_in_full(conn):
        found = [_foreign_key(row) for row in conn.execute(_FOREIGN_KEYS, wanted)]
        indexes = [_index(row) for row in conn.execute(_INDEXES, wanted)]
    return found + sorted(indexes, key=lambda one: kinds.index(one.kind))


@contextmanager
def names_in_full(conn: Conn) -> Iterator[None]:
    """Until the end of the block, let PostgreSQL write and read every name with its schema. Needs a transaction."""
    row = conn.execute("SELECT current_setting('search_path')").fetchone()
    conn.execute("SELECT set_config('search_path', 'pg_catalog', true)")
    yield
    conn.execute("SELECT set_config('search_path', %s, true)", (row[0] if row else "",))


def drop(conn: Conn, definition: Definition) -> None:
    """Take one definition off. The caller owns the transaction."""
    conn.execute(definition.drop.encode())


def create(conn: Conn, definition: Definition) -> None:
    """Put one definition back: a foreign key NOT VALID, all else whole. The caller owns the transaction; needs one."""
    with names_in_full(conn):
        if definition.tablespace is not None:
            conn.execute("SELECT set_config('default_tablespace', %s, true)", (definition.tablespace,))
        conn.execute(definition.create.encode())
        if definition.tablespace is not None:
            conn.execute("SELECT set_config('default_tablespace', '', true)")
        for statement in definition.after:
            conn.execute(statement.encode())


def validate(conn: Conn, definition: Definition) -> None:
    """Let PostgreSQL check a foreign key that `create` made. The caller owns the transaction."""
    if definition.validate is not None:
        with names_in_full(conn):
            conn.execute(definition.validate.encode())


def _index(row: tuple[Any, ...]) -> Definition:
    (schema, table_text, index, index_definition, constraint, constraint_type, constraint_definition) = row[:7]
    tablespace, options, is_clustered, is_replica_identity, index_comment, constraint_comment = row[7:]
    table = TableName(schema, table_text)
    alter = _text(sql.SQL("ALTER TABLE ONLY {} ").format(table.identifier))
    name = _text(sql.Identifier(index))
    full_name = _text(sql.Identifier(schema, index))
    after: list[str] = []
    if constraint is None:
        kind: Kind = "index"
        create, drop_it = index_definition, f"DROP INDEX {full_name}"
    else:
        kind = _constraint_kinds[constraint_type]
        constraint_name = _text(sql.Identifier(constraint))
        create = f"{alter}ADD CONSTRAINT {constraint_name} {constraint_definition}"
        drop_it = f"{alter}DROP CONSTRAINT {constraint_name}"
        if options:
            after.append(f"ALTER INDEX {full_name} SET ({', '.join(map(_option, options))})")
        if constraint_comment is not None:
            after.append(
                f"COMMENT ON CONSTRAINT {constraint_name} ON {_text(table.identifier)} IS "
                + _text(sql.Literal(constraint_comment))
            )
    if index_comment is not None:
        after.append(f"COMMENT ON INDEX {full_name} IS " + _text(sql.Literal(index_comment)))
    if is_clustered:
        after.append(f"{alter.replace(' ONLY', '', 1)}CLUSTER ON {name}")
    if is_replica_identity:
        after.append(f"{alter}REPLICA IDENTITY USING INDEX {name}")
    return Definition(
        kind=kind, table=table, name=index, drop=drop_it, create=create, after=tuple(after), tablespace=tablespace
    )


def _foreign_key(row: tuple[Any, ...]) -> Definition:
    schema, table_text, name, definition, comment = row
    table = TableName(schema, table_text)
    alter = _text(sql.SQL("ALTER TABLE ONLY {} ").format(table.identifier))
    quoted = _text(sql.Identifier(name))
    is_valid = not definition.endswith((" NOT VALID", " NOT ENFORCED"))
    after = (
        ()
        if comment is None
        else (f"COMMENT ON CONSTRAINT {quoted} ON {_text(table.identifier)} IS " + _text(sql.Literal(comment)),)
    )
    return Definition(
        kind="foreign_key",
        table=table,
        name=name,
        drop=f"{alter}DROP CONSTRAINT {quoted}",
        create=f"{alter}ADD CONSTRAINT {quoted} {definition}" + (" NOT VALID" if is_valid else ""),
        after=after,
        validate=f"{alter}VALIDATE CONSTRAINT {quoted}" if is_valid else None,
    )


def _option(option: str) -> str:
    name, _, value = option.partition("=")
    return f"{name} = {_text(sql.Literal(value))}"


def _text(composable: sql.Composable) -> str:
    return composable.as_string()
