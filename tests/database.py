"""Statements that a test's world does in its database, each over a connection of its own."""

from __future__ import annotations

from typing import Any

import psycopg


class HasDatabase:
    """A world whose database is at `dsn`."""

    dsn: str

    def do(self, statement: str, *arguments: Any) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(statement.encode(), arguments)

    def rows(self, statement: str) -> list[Any]:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            return conn.execute(statement.encode()).fetchall()
