"""Connecting with a token, and once more with a fresh one where one from the cache was refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from ashore.config.secret import Secret
from ashore.postgres.iam.tokens import Token

Opened = TypeVar("Opened")
REFUSALS: Final = ("PAM authentication failed", "password authentication failed", "LDAP authentication failed")
"""How a server says that it does not take a password; RDS says the first. psycopg's errors have no SQLSTATE here."""


class Issuer(Protocol):
    """Gives tokens to attempts."""

    def token(self, *, refused: Token | None = None) -> Token:
        """A token; another one where `refused` is given."""
        ...

    async def token_async(self, *, refused: Token | None = None) -> Token:
        """As `token`, without holding the event loop up."""
        ...


def is_refusal(error: BaseException) -> bool:
    """Whether the server refused the token, rather than being out of reach, full, or without such a database."""
    text = str(error)
    return any(refusal in text for refusal in REFUSALS)


def attempt(issuer: Issuer, open_with: Callable[[Secret], Opened], errors: type[Exception]) -> Opened:
    """Open a connection; `errors` is what the driver raises, which is raised on where a fresh token is refused too."""
    token = issuer.token()
    try:
        return open_with(token.secret)
    except errors as error:
        if not (token.was_kept and is_refusal(error)):
            raise
    return open_with(issuer.token(refused=token).secret)


async def attempt_async(
    issuer: Issuer, open_with: Callable[[Secret], Awaitable[Opened]], errors: type[Exception]
) -> Opened:
    """As `attempt`."""
    token = await issuer.token_async()
    try:
        return await open_with(token.secret)
    except errors as error:
        if not (token.was_kept and is_refusal(error)):
            raise
    return await open_with((await issuer.token_async(refused=token)).secret)
