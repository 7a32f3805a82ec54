"""Values that must not be shown."""

from __future__ import annotations

from typing import Final, final

from psycopg import ProgrammingError, conninfo

_SECRETS: Final = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
"""The parameters of a connection that are secrets.

Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""
_HIDDEN: Final = "***"


@final
class Dsn:
    """Where a PostgreSQL database is, as a URI or in keywords; `str`, `repr` and JSON hide its secrets.

    Raises:
        ValueError: libpq cannot read it. The message holds nothing of it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        try:
            conninfo.conninfo_to_dict(text)
        except ProgrammingError:
            message = "is not an address that PostgreSQL's clients can read"
            raise ValueError(message) from None
        self._text = text

    def reveal(self) -> str:
        """The whole text, secrets included, for whoever opens the connection."""
        return self._text

    def __str__(self) -> str:
        settings = conninfo.conninfo_to_dict(self._text)
        shown = {
            name: _HIDDEN if name in _SECRETS else str(value) for name, value in settings.items() if value is not None
        }
        return conninfo.make_conninfo("", **shown)

    def __repr__(self) -> str:
        return f"Dsn({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dsn) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
