"""What can go wrong with PostgreSQL; driver errors are translated here, once, and lose their values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import psycopg

from ashore.errors import AshoreError

_LOST_CLASSES = ("08", "57P")
_ENDED_WHILE_IDLE = "25P03"
_REFUSED_ROW_CLASSES = ("22", "23")


class PostgresError(AshoreError):
    """Something between Ashore and PostgreSQL failed; the transaction that was open was rolled back."""

    code = "ASH400"
    exit_code = 70


@dataclass(eq=False, kw_only=True)
class CannotConnect(PostgresError):
    """No connection could be opened. `reason` is libpq's, which holds no password."""

    server: str
    reason: str

    code: ClassVar[str] = "ASH401"
    exit_code: ClassVar[int] = 2

    def what(self) -> str:
        return f"cannot connect to PostgreSQL at {self.server}: {self.reason}"

    def hint(self) -> str:
        return (
            "check the address, the role and that the server runs; TLS is verified in full unless the host is this"
            " machine: set sslrootcert to the server's authority, or sslmode if you mean to do without"
        )


@dataclass(eq=False, kw_only=True)
class ConnectionLost(PostgresError):
    """The connection ended, or the server did, while something was being done. What was committed stays."""

    doing: str
    sqlstate: str | None

    code: ClassVar[str] = "ASH402"

    def what(self) -> str:
        state = f" (SQLSTATE {self.sqlstate})" if self.sqlstate else ""
        return f"the connection to PostgreSQL was lost while {self.doing}{state}"

    def hint(self) -> str:
        return "everything committed stays: run the same command again and it goes on from there"


@dataclass(eq=False, kw_only=True)
class StatementRefused(PostgresError):
    """PostgreSQL refused a statement. `about` names what the server named: table, column, constraint; no values."""

    doing: str
    sqlstate: str | None
    condition: str
    about: str

    code: ClassVar[str] = "ASH403"

    def what(self) -> str:
        about = f", {self.about}" if self.about else ""
        return f"PostgreSQL refused {self.doing}: {self.condition} (SQLSTATE {self.sqlstate}{about})"

    def hint(self) -> str:
        return _hints.get(self.sqlstate or "", "the server's log has its full message; nothing of this step was kept")


@dataclass(eq=False, kw_only=True)
class TableNotSupported(PostgresError):
    """A table is there, but cannot be loaded into as it is."""

    table: str
    found: str

    code: ClassVar[str] = "ASH404"
    exit_code: ClassVar[int] = 3

    def what(self) -> str:
        return f"{self.table} is {self.found}; a target is an ordinary, logged table"

    def hint(self) -> str:
        return "declare an ordinary table, or change this one (for an unlogged one: ALTER TABLE … SET LOGGED)"


_hints = {
    "55P03": "another session holds a lock on it: find it in pg_locks, end it, and run the same command again",
    "57014": "it took longer than statement_timeout allows: raise it and run the same command again",
    "42501": "grant the role the missing privilege (`ashore check` names it) and run the same command again",
    "53100": "the server's disk is full: make room and run the same command again",
    "53300": "the server has no free connections: use fewer --workers, or raise max_connections",
    "2BP01": "something depends on it (a view, perhaps): drop that before the load and create it again after it",
    "25006": "this server takes no writes (a replica?): give the address of the writer",
}


def is_row_refused(error: psycopg.Error) -> bool:
    """Whether PostgreSQL refused the rows themselves: a data exception or an integrity violation."""
    return (error.sqlstate or "")[:2] in _REFUSED_ROW_CLASSES


def refusal(error: psycopg.Error) -> str:
    """Why a row was refused: SQLSTATE, its name, and the names of column and constraint. Never a value."""
    about = _about(error)
    return f"{error.sqlstate} {_condition(error)}" + (f" ({about})" if about else "")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn psycopg's errors into ours, without the values that PostgreSQL's messages may quote.

    Args:
        doing: What was being done, as in "lost while …" and "refused …".
    """
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, doing) from None


def translate(error: psycopg.Error, doing: str) -> PostgresError:
    """The error of ours for one of psycopg's."""
    state = error.sqlstate
    lost = state is None or state.startswith(_LOST_CLASSES)
    if state == _ENDED_WHILE_IDLE or (lost and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)):
        return ConnectionLost(doing=doing, sqlstate=state)
    return StatementRefused(doing=doing, sqlstate=state, condition=_condition(error), about=_about(error))


def _condition(error: psycopg.Error) -> str:
    name = type(error).__name__
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def _about(error: psycopg.Error) -> str:
    found = error.diag
    named = {
        "table": found.table_name,
        "column": found.column_name,
        "constraint": found.constraint_name,
        "type": found.datatype_name,
    }
    return ", ".join(f"{kind} {name}" for kind, name in named.items() if name)
