"""Names of tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    import sqlalchemy as sa

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table's schema and name, unquoted. `str` gives the form that `regclass` reads."""

    schema: str
    name: str

    @property
    def identifier(self) -> sql.Identifier:
        """The name, quoted, for use in a statement."""
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return f"{_quoted(self.schema)}.{_quoted(self.name)}"


def table_name(table: sa.Table, *, default_schema: str) -> TableName:
    """The name of a SQLAlchemy table; one without a schema is in `default_schema`."""
    return TableName(table.schema or default_schema, table.name)


def _quoted(name: str) -> str:
    return name if _PLAIN.match(name) else '"' + name.replace('"', '""') + '"'
