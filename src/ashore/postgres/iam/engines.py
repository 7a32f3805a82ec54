"""Engines of SQLAlchemy whose connections log in with tokens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from ashore.config.secret import Secret
from ashore.postgres.iam.attempts import attempt
from ashore.postgres.iam.tokens import Token

if TYPE_CHECKING:
    from ashore.postgres.iam.login import IamLogin


def attach(engine: Engine | AsyncEngine, login: IamLogin) -> None:
    """See `IamLogin.attach`. The event is `do_connect`, which comes with every new physical connection.

    Source: https://docs.sqlalchemy.org/en/21/core/engines.html#generating-dynamic-authentication-tokens
    """
    sync_engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    errors: type[Exception] = sync_engine.dialect.loaded_dbapi.Error

    @event.listens_for(sync_engine, "do_connect")
    def connect(dialect: Dialect, _record: Any, arguments: Any, given: dict[str, Any]) -> DBAPIConnection:
        issuer = _InGreenlet(login) if dialect.is_async else login
        parameters = issuer.parameters(dialect.driver) if isinstance(issuer, _InGreenlet) else login.dialling.libpq()

        def open_with(secret: Secret) -> DBAPIConnection:
            return dialect.connect(*arguments, **{**given, **parameters, "password": secret.reveal()})

        return attempt(issuer, open_with, errors)


class _InGreenlet:
    """What the login does, from the greenlet of an asynchronous dialect: the event loop is never held up."""

    def __init__(self, login: IamLogin) -> None:
        self._login = login

    def token(self, *, refused: Token | None = None) -> Token:
        return await_only(self._login.token_async(refused=refused))

    async def token_async(self, *, refused: Token | None = None) -> Token:
        return await self._login.token_async(refused=refused)

    def parameters(self, driver: str) -> dict[str, Any]:
        if driver != "asyncpg":
            return dict(await_only(asyncio.to_thread(self._login.dialling.libpq)))
        from ashore.postgres.iam.asyncpg_connections import parameters  # noqa: PLC0415 (only where it is used)

        return parameters(self._login)
