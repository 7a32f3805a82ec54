from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from ashore.ledger import taken_off
from ashore.ledger.schema import ensure_ledger
from ashore.postgres import catalog
from ashore.postgres.connect import Conn, connect
from ashore.postgres.copy import copy_text
from ashore.postgres.errors import CannotConnect, StatementRefused, TableNotSupported, translated
from ashore.postgres.names import TableName
from ashore.postgres.retry import connect_patiently
from ashore.postgres.server import check_access
from ashore.postgres.shadow import create_unlogged_copies, drop_copies
from ashore.postgres.tables import count_rows, create_missing, exists, has_rows, triggers_of, truncate


@pytest.fixture
def conn(any_postgres_dsn: str) -> Iterator[Conn]:
    with connect(any_postgres_dsn, application_name="test", autocommit=True) as conn:
        yield conn


def test_copy_takes_text_lines_and_counts_them(conn: Conn) -> None:
    conn.execute('CREATE TABLE "odd Name" (a text, "B c" int)')
    lines = b"x\\ty\t1\n\\N\t2\n" * 50_000
    assert 100_000 == copy_text(conn, TableName("public", "odd Name"), ("a", "B c"), lines)
    assert ("x\ty",) == conn.execute('SELECT a FROM "odd Name" WHERE "B c" = 1').fetchone()
    assert 100_000 == count_rows(conn, TableName("public", "odd Name"))


def test_names_are_read_by_regclass(conn: Conn) -> None:
    conn.execute('CREATE SCHEMA "A b"')
    conn.execute('CREATE TABLE "A b"."c""d" ()')
    name = TableName("A b", 'c"d')
    assert (True,) == conn.execute("SELECT to_regclass(%s) IS NOT NULL", (str(name),)).fetchone()


def test_missing_tables_are_made_with_schema_types_and_indexes(conn: Conn) -> None:
    metadata = sa.MetaData(schema="one")
    kind = postgresql.ENUM("a", "b%", name="kind", metadata=metadata, schema="one")
    parent = sa.Table("parent", metadata, sa.Column("id", sa.Text, primary_key=True), sa.Column("kind", kind))
    child = sa.Table(
        "child",
        metadata,
        sa.Column("id", sa.Text, sa.ForeignKey(parent.c.id), primary_key=True),
        sa.Column("kind", kind, server_default=sa.text("'b%'")),
        sa.Index("child_kind", "kind"),
        sa.CheckConstraint("id LIKE '%x'", name="like"),
    )
    made = create_missing(conn, [child], default_schema="public")
    assert {TableName("one", "parent"), TableName("one", "child")} == set(made)
    assert [] == create_missing(conn, [child, parent], default_schema="public")
    conn.execute("INSERT INTO one.parent VALUES ('x', 'b%')")
    conn.execute("INSERT INTO one.child (id) VALUES ('x')")
    assert has_rows(conn, TableName("one", "child"))
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        truncate(conn, [TableName("one", "parent")])


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE VIEW t AS SELECT 1",
        "CREATE UNLOGGED TABLE t ()",
        "CREATE TABLE t (a int) PARTITION BY LIST (a)",
        "CREATE TABLE t (); CREATE TABLE u () INHERITS (t)",
    ],
)
def test_only_ordinary_logged_tables_are_targets(conn: Conn, ddl: str) -> None:
    conn.execute(ddl.encode())
    with pytest.raises(TableNotSupported):
        exists(conn, TableName("public", "t"))


def test_what_is_taken_off_comes_back_in_its_tablespace_free_form_whatever_the_search_path(conn: Conn) -> None:
    conn.execute(
        'CREATE SCHEMA a; SET search_path = a; CREATE TABLE t (x text COLLATE "C" UNIQUE DEFERRABLE, y int);'
        "CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';"
        "CREATE INDEX by_f ON t (f(y)) WHERE f(y) > 1"
    )
    table = TableName("a", "t")
    with conn.transaction():
        before = catalog.definitions(conn, [table])
        for definition in before:
            catalog.drop(conn, definition)
    conn.execute("SET search_path = public")
    ensure_ledger(conn)
    taken_off.keep_definitions(conn, "s", before)
    assert [(definition, "off") for definition in before] == taken_off.taken_off(conn, "s")
    for definition in before:
        with conn.transaction():
            catalog.create(conn, definition)
        taken_off.is_back(conn, definition)
    with conn.transaction():
        assert before == catalog.definitions(conn, [table])
    assert [] == taken_off.taken_off(conn, "s")


def test_shadow_tables_refuse_what_the_targets_refuse(conn: Conn) -> None:
    conn.execute(
        "CREATE TABLE t (a int NOT NULL CHECK (a > 0), b int GENERATED ALWAYS AS (a * 2) STORED, c int DEFAULT 7)"
    )
    target = TableName("public", "t")
    copies = create_unlogged_copies(conn, "shadow", [target])
    copy = copies[target]
    assert 1 == copy_text(conn, copy, ("a",), b"1\n")
    assert (1, 2, 7) == conn.execute('SELECT * FROM shadow."0_t"').fetchone()
    with pytest.raises(psycopg.errors.CheckViolation):
        copy_text(conn, copy, ("a",), b"0\n")
    assert copies == create_unlogged_copies(conn, "shadow", [target])
    assert not has_rows(conn, copy)
    drop_copies(conn, [copy])


def test_an_error_names_the_constraint_and_never_the_value(conn: Conn) -> None:
    conn.execute("CREATE TABLE t (a text CONSTRAINT short CHECK (a <> 'secret-value'))")
    with pytest.raises(StatementRefused) as caught, translated("writing rows"):
        conn.execute("INSERT INTO t VALUES ('secret-value')")
    assert "check violation (SQLSTATE 23514, table t, constraint short)" in str(caught.value)
    assert "secret-value" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_check_reports_every_problem_at_once(conn: Conn, any_postgres_dsn: str) -> None:
    metadata = sa.MetaData()
    tables = [sa.Table(name, metadata, sa.Column("a", sa.Text), sa.Column("b", sa.Text)) for name in ("t", "v", "new")]
    conn.execute("CREATE TABLE t (a text); CREATE VIEW v AS SELECT 1")
    problems = check_access(any_postgres_dsn, tables)
    assert ["public.t", "public.v"] == [problem.where for problem in problems]
    assert "no column b" in problems[0].what
    conn.execute("CREATE ROLE weak LOGIN")
    weak = any_postgres_dsn.replace("postgres@", "weak@")
    try:
        found = {problem.where for problem in check_access(weak, tables)}
        assert {"public.t", "public.v", "schema ashore", "schema public"} == found
    finally:
        conn.execute("DROP ROLE weak")


def test_triggers_are_named(conn: Conn) -> None:
    conn.execute(
        "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER watch BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    assert ("watch",) == triggers_of(conn, TableName("public", "t"))


def test_no_server_is_an_error_that_shows_no_password() -> None:
    with pytest.raises(CannotConnect) as caught:
        connect_patiently("postgresql://u:hush@127.0.0.1:1/db", application_name="test", patience_seconds=0.3)
    assert "127.0.0.1:1/db" in str(caught.value)
    assert "hush" not in str(caught.value)
