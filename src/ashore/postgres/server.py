"""What `ashore check` asks of a PostgreSQL server before anything is done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ashore.errors import Problem
from ashore.postgres.connect import Conn, connect, one_row
from ashore.postgres.errors import CannotConnect, TableNotSupported
from ashore.postgres.iam_errors import IamError
from ashore.postgres.names import table_name
from ashore.postgres.tables import columns_of, current_schema, exists

oldest_supported = 150000
"""`server_version_num` of PostgreSQL 15, for UNIQUE NULLS NOT DISTINCT and what the ledger builds on it."""

_SERVER = """
    SELECT current_setting('server_version_num')::int, current_setting('server_version'),
           current_setting('max_connections')::int, current_setting('server_encoding'), pg_is_in_recovery(),
           has_database_privilege(current_database(), 'CREATE')
"""
_SCHEMA = "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_catalog.pg_namespace WHERE nspname = %s"
_OWNED = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class WHERE oid = %s::regclass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server says of itself."""

    version_number: int
    version: str
    max_connections: int
    encoding: str
    is_replica: bool
    may_create_schemas: bool


def server(conn: Conn) -> Server:
    """Ask a server what it is."""
    row = one_row(conn.execute(_SERVER))
    return Server(
        version_number=row[0],
        version=row[1],
        max_connections=row[2],
        encoding=row[3],
        is_replica=row[4],
        may_create_schemas=row[5],
    )


def check_access(dsn: str, tables: Sequence[sa.Table]) -> list[Problem]:
    """Every reason for which a load of these tables could not work, all at once; changes nothing.

    `tables` that are not there are fine if their schema can take them, or can be made.
    """
    try:
        with connect(dsn, application_name="ashore check", autocommit=True) as conn:
            return [*_server_problems(server(conn)), *_table_problems(conn, tables)]
    except (CannotConnect, IamError) as error:
        return [Problem(where="postgres", what=error.what(), hint=error.hint())]


def _server_problems(found: Server) -> list[Problem]:
    problems = []
    if found.version_number < oldest_supported:
        what = f"the server is PostgreSQL {found.version}"
        problems.append(Problem(where="postgres", what=what, hint="use PostgreSQL 15 or newer"))
    if found.encoding != "UTF8":
        what = f"the database's encoding is {found.encoding}"
        problems.append(Problem(where="postgres", what=what, hint="create a database with ENCODING 'UTF8'"))
    if found.is_replica:
        problems.append(
            Problem(where="postgres", what="the server is a replica", hint="give the address of the writer")
        )
    return problems


def _table_problems(conn: Conn, tables: Sequence[sa.Table]) -> list[Problem]:
    default_schema = current_schema(conn)
    may_create_schemas = server(conn).may_create_schemas
    problems = []
    schemas: set[str] = {"ashore"}
    for table in tables:
        name = table_name(table, default_schema=default_schema)
        try:
            is_there = exists(conn, name)
        except TableNotSupported as error:
            problems.append(Problem(where=str(name), what=error.what(), hint=error.hint()))
            continue
        if not is_there:
            schemas.add(name.schema)
            continue
        missing = [column.name for column in table.columns if column.name not in columns_of(conn, name)]
        if missing:
            what = f"the table has no column {', '.join(missing)}"
            problems.append(Problem(where=str(name), what=what, hint="add it, or correct the SQLAlchemy table"))
        owned = conn.execute(_OWNED, (str(name),)).fetchone()
        if owned is not None and not owned[0]:
            what = "the role does not own the table, so it cannot take its indexes off and put them back"
            problems.append(Problem(where=str(name), what=what, hint="connect as the owner or a member of its role"))
    for schema in sorted(schemas):
        row = conn.execute(_SCHEMA, (schema,)).fetchone()
        if row is None and not may_create_schemas:
            what = "the schema is not there and the role may not create it"
            hint = f"create it, or: GRANT CREATE ON DATABASE … TO the role, for schema {schema}"
            problems.append(Problem(where=f"schema {schema}", what=what, hint=hint))
        elif row is not None and not row[0]:
            what = "the role may not create tables in it"
            problems.append(Problem(where=f"schema {schema}", what=what, hint=f"GRANT CREATE ON SCHEMA {schema} TO it"))
    return problems
