"""One role at one endpoint, logged in with tokens, by whichever driver."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import psycopg

from ashore.config.address import IamSettings, parse
from ashore.postgres.endpoints import global_cluster_of, region_of
from ashore.postgres.iam.credentials import Chain
from ashore.postgres.iam.dialling import dialling
from ashore.postgres.iam.global_writer import regional_writer
from ashore.postgres.iam.signing import Target
from ashore.postgres.iam.tokens import Token, Tokens
from ashore.postgres.iam_errors import AddressNotForTokens

if TYPE_CHECKING:
    import asyncpg
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


@functools.cache
def shared_tokens(profile: str | None) -> Tokens:
    """The tokens of this process, by profile, so that logins to one endpoint share them."""
    return Tokens(credentials=Chain(profile=profile))


class IamLogin:
    """Connects one role to one endpoint, each time with a token that is good.

    A token is made for every new physical connection, or taken from the cache while it is young; where the server
    refuses a cached one, a fresh one is tried, once. Sessions go on after their token has expired: it is looked at only
    when they begin. TLS is verified in full unless the address says otherwise. Can be shared between threads and event
    loops; nothing is connected or signed before it is needed.

    Args:
        address: ``postgresql+iam://ROLE@HOST:PORT/DATABASE``, with any of libpq's parameters, and `region`, `sign_for`
            and `profile` (see `IamSettings`). A password in it is left unused.
        tokens: Where tokens come from; None for those of this process.

    Raises:
        AddressNotForTokens, TokenWouldBeExposed, AuthoritiesMissing: See `dialling`.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
    """

    def __init__(self, address: str, *, tokens: Tokens | None = None) -> None:
        parsed = parse(address)
        self._iam = parsed.iam or IamSettings()
        self.dialling = dialling(parsed)
        self._tokens = tokens or shared_tokens(self._iam.profile)
        self._target: Target | None = None

    def target(self, *, anew: bool = False) -> Target:
        """What is signed. For a global database RDS is asked which region writes, once, or again with `anew`.

        Raises:
            AddressNotForTokens: The region is nowhere said.
            GlobalEndpointUnresolved: See `regional_writer`.
        """
        if self._target is None or anew:
            self._target = self._found_target()
        return self._target

    def _found_target(self) -> Target:
        dialled = self.dialling
        if global_cluster_of(dialled.name):
            writer = regional_writer(dialled.name, profile=self._iam.profile, region=self._iam.region)
            return Target(host=writer.host, port=writer.port, user=dialled.user, region=writer.region)
        region = self._iam.region or region_of(dialled.name)
        if region is None:
            lacks = "its name does not say the region"
            remedy = "add region=REGION to the address; for a tunnel or a name of your own, sign_for=THE-ENDPOINT"
            raise AddressNotForTokens(server=dialled.name, lacks=lacks, remedy=remedy)
        return Target(host=dialled.name, port=dialled.signed_port, user=dialled.user, region=region)

    def token(self, *, refused: Token | None = None) -> Token:
        """A token for a new connection; with `refused`, which the server did not take, another one.

        Raises:
            CredentialsMissing, AddressNotForTokens, GlobalEndpointUnresolved
        """
        return self._tokens.token(self.target(anew=refused is not None), refused=refused)

    async def token_async(self, *, refused: Token | None = None) -> Token:
        """As `token`; AWS may be asked for credentials, which a thread does."""
        return await asyncio.to_thread(self.token, refused=refused)

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """A connection of psycopg; `options` as `psycopg.connect` takes them.

        Raises:
            psycopg.OperationalError: It could not be opened; a refused token is "PAM authentication failed".
        """
        return self.connection_class.connect(**options)

    async def connect_async(self, **options: Any) -> psycopg.AsyncConnection[Any]:
        """As `connect`."""
        return await self.async_connection_class.connect(**options)

    @functools.cached_property
    def connection_class(self) -> type[psycopg.Connection[Any]]:
        """What `psycopg_pool.ConnectionPool(connection_class=…)` takes; its `connect` needs no address."""
        from ashore.postgres.iam.psycopg_classes import connection_class  # noqa: PLC0415 (drivers on demand)

        return connection_class(self)

    @functools.cached_property
    def async_connection_class(self) -> type[psycopg.AsyncConnection[Any]]:
        """What `psycopg_pool.AsyncConnectionPool(connection_class=…)` takes."""
        from ashore.postgres.iam.psycopg_classes import async_connection_class  # noqa: PLC0415 (drivers on demand)

        return async_connection_class(self)

    async def connect_asyncpg(self, *arguments: Any, **options: Any) -> asyncpg.Connection:
        """A connection of asyncpg; also what `asyncpg.create_pool(connect=…)` takes (asyncpg 0.30 and newer).

        Raises:
            asyncpg.PostgresError, OSError: It could not be opened.
        """
        from ashore.postgres.iam.asyncpg_connections import connect  # noqa: PLC0415 (drivers on demand)

        return await connect(self, *arguments, **options)

    def attach(self, engine: Engine | AsyncEngine) -> None:
        """Let every new connection of a SQLAlchemy engine be opened by this login, whose address wins over the URL's.

        For the dialects of psycopg (both ways) and asyncpg; `create_engine("postgresql+psycopg://")` is enough.
        """
        from ashore.postgres.iam.engines import attach  # noqa: PLC0415 (drivers on demand)

        attach(engine, self)
