"""The size of tables that was worked out, against PostgreSQL's own pg_total_relation_size."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from ashore.cost.size import ColumnSize, IndexSize, TableSize, table_size

ROWS = 20_000
TOLERATED = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Columns: name, kind, SQL of the value of row `n`, share not null. Indexes: names of columns, distinct keys."""

    columns: tuple[tuple[str, str, str, float], ...]
    indexes: tuple[tuple[tuple[str, ...], int | None], ...] = ()


LENGTHS = {
    "text": "octet_length({0})",
    "bytea": "octet_length({0})",
    "numeric": "length(replace(trim(leading '-' from {0}::text), '.', ''))",
    "jsonb": "octet_length({0}::text)",
    "text[]": "(octet_length(array_to_string({0}, '')) + 5 * cardinality({0}))",
    "bigint[]": "(8 * cardinality({0}))",
}

CASES = {
    "numbers": Case(
        columns=(
            ("id", "bigint", "n", 1.0),
            ("small", "smallint", "n % 100", 1.0),
            ("whole", "integer", "n", 1.0),
            ("flag", "boolean", "n % 2 = 0", 1.0),
        ),
        indexes=((("id",), None),),
    ),
    "court": Case(
        columns=(
            ("id", "uuid", "gen_random_uuid()", 1.0),
            ("docket", "text", "'case|' || (100 + n % 900) || '-' || n % 20", 1.0),
            ("filed", "date", "date '2020-01-01' + n % 400", 0.8),
            ("made", "timestamptz", "timestamptz '2020-01-01' + n * interval '1 minute'", 1.0),
            ("amount", "numeric", "(n * 1.37)::numeric(12,2)", 0.7),
            ("sealed", "boolean", "n % 3 = 0", 1.0),
            ("title", "text", "repeat('Petitioner v. Commissioner ', 1 + n % 6)", 1.0),
            ("party", "jsonb", "jsonb_build_object('name', 'Jane ' || n, 'city', 'Boise', 'n', n)", 0.5),
            ("tags", "text[]", "array['alpha', 'beta' || n]", 0.5),
            ("extra", "jsonb", "null", 0.0),
        ),
        indexes=((("id",), None), (("docket", "made"), None), (("filed",), 400)),
    ),
    "few keys": Case(
        columns=(("state", "text", "(array['new','served','closed'])[1 + n % 3]", 1.0), ("n", "integer", "n", 1.0)),
        indexes=((("state",), 3), (("n",), None)),
    ),
    "wide": Case(
        columns=(
            ("id", "integer", "n", 1.0),
            ("note", "text", "(select string_agg(md5(n::text || g), '') from generate_series(1, 50) g)", 1.0),
        ),
        indexes=((("id",), None),),
    ),
    "blobs": Case(
        columns=(
            ("id", "bigint", "n", 1.0),
            (
                "data",
                "bytea",
                "(select string_agg(sha512((n * 99 + g)::text::bytea), '') from generate_series(1, 80) g)",
                1.0,
            ),
        ),
        indexes=((("id",), None),),
    ),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_size_is_within_fifteen_percent_of_what_postgresql_says(case: Case, postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        make(connection, case)
        described = describe(connection, case)
        row = connection.execute("select pg_total_relation_size('t'), pg_indexes_size('t')").fetchone()
    assert row is not None
    actual, actual_indexes = row

    found = table_size(described)

    assert pytest.approx(actual, rel=TOLERATED) == found.total
    assert pytest.approx(actual_indexes, rel=TOLERATED) == found.indexes


def make(connection: psycopg.Connection, case: Case) -> None:
    """Load as a load does: rows first, indexes afterwards."""
    names = ", ".join(f"{name} {kind}" for name, kind, _, _ in case.columns)
    values = ", ".join(
        f"case when n % 10 < {round(share * 10)} then {value} end::{kind}" for _, kind, value, share in case.columns
    )
    connection.execute(sql.SQL(f"create table t ({names})"))
    connection.execute(sql.SQL(f"insert into t select {values} from generate_series(1, {ROWS}) as n"))
    for columns, _ in case.indexes:
        connection.execute(sql.SQL("create index on t ({})").format(sql.SQL(", ").join(map(sql.Identifier, columns))))


def describe(connection: psycopg.Connection, case: Case) -> TableSize:
    """What an assessment would know: the mean lengths of the values, counted by SQL."""
    columns = {}
    for name, kind, _, share in case.columns:
        measure = LENGTHS.get(kind, "0").format(name)
        row = connection.execute(sql.SQL(f"select coalesce(avg({measure}), 0)::float8 from t")).fetchone()
        assert row is not None
        columns[name] = ColumnSize(kind=kind, average_bytes=row[0], not_null=share)
    indexes = tuple(
        IndexSize(columns=tuple(columns[name] for name in names), distinct=distinct) for names, distinct in case.indexes
    )
    return TableSize(name="t", rows=ROWS, columns=tuple(columns.values()), indexes=indexes)
