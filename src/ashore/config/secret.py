"""Values that must not be shown."""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Final, final

from psycopg import ProgrammingError

from ashore.config.address import parse

_SECRETS: Final = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
"""The parameters of a connection that are secrets.

Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""
_HIDDEN: Final = "***"


@final
class Secret:
    """A text that `str`, `repr`, formatting and logging show as ``***``: a token, a password."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for whoever sends it."""
        return self._text

    def __str__(self) -> str:
        return _HIDDEN

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(other._text.encode(), self._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


@final
class Dsn:
    """Where a PostgreSQL database is (`ashore.config.address`); `str`, `repr` and JSON hide its secrets.

    Raises:
        ValueError: libpq cannot read it. The message holds nothing of it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        try:
            parse(text)
        except ProgrammingError:
            message = "is not an address that PostgreSQL's clients can read"
            raise ValueError(message) from None
        self._text = text

    def reveal(self) -> str:
        """The whole text, secrets included, for whoever opens the connection."""
        return self._text

    def __str__(self) -> str:
        address = parse(self._text)
        shown = {name: _HIDDEN if name in _SECRETS else value for name, value in address.parameters.items()}
        return str(replace(address, parameters=shown))

    def __repr__(self) -> str:
        return f"Dsn({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dsn) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
