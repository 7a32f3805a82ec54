"""Connections of psycopg that log in with tokens: a class for each login, as pools take them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Self

import psycopg

from ashore.config.secret import Secret
from ashore.postgres.iam.attempts import attempt, attempt_async

if TYPE_CHECKING:
    from ashore.postgres.iam.login import IamLogin


def _kept(parameters: Mapping[str, str], secret: Secret) -> dict[str, str]:
    """What no option may change: a token is never sent on a connection that is less than the address demands."""
    return {"sslmode": parameters["sslmode"], "password": secret.reveal()}


def connection_class(login: IamLogin) -> type[psycopg.Connection[Any]]:
    """A class whose `connect` opens connections of this login."""

    class IamConnection(psycopg.Connection[Any]):
        """A connection that was opened with a token."""

        @classmethod
        def connect(cls, conninfo: str = "", **options: Any) -> Self:
            """Open one; `conninfo` may add to the login's address."""
            opener = super().connect
            parameters = login.dialling.libpq()

            def open_with(secret: Secret) -> Any:
                return opener(conninfo, **{**parameters, **options, **_kept(parameters, secret)})

            opened: Self = attempt(login, open_with, psycopg.OperationalError)
            return opened

    return IamConnection


def async_connection_class(login: IamLogin) -> type[psycopg.AsyncConnection[Any]]:
    """As `connection_class`."""

    class IamAsyncConnection(psycopg.AsyncConnection[Any]):
        """A connection that was opened with a token."""

        @classmethod
        async def connect(cls, conninfo: str = "", **options: Any) -> Self:
            """Open one; `conninfo` may add to the login's address."""
            opener = super().connect
            parameters = await asyncio.to_thread(login.dialling.libpq)

            def open_with(secret: Secret) -> Awaitable[Any]:
                return opener(conninfo, **{**parameters, **options, **_kept(parameters, secret)})

            opened: Self = await attempt_async(login, open_with, psycopg.OperationalError)
            return opened

    return IamAsyncConnection
