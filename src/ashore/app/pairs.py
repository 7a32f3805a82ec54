"""Two functions that do the same in either store, called as one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

from ashore.app.permit import Permit, Writing
from ashore.ledger.crossing import Store

if TYPE_CHECKING:
    from ashore.app.routes import Routes
    from ashore.app.shadow import Shadow

Arguments = ParamSpec("Arguments")
Given = TypeVar("Given")
_MOVED: Final = frozenset({"55000", "42501"})
"""What the guard raises, and what PostgreSQL says where the guard is a missing privilege."""


@dataclass(frozen=True, slots=True)
class Pair(Generic[Arguments, Given]):
    """The two functions.

    Raises:
        TypeError: One is a coroutine function and the other is not.
    """

    dynamodb: Callable[Arguments, Given]
    postgres: Callable[Arguments, Given]

    def __post_init__(self) -> None:
        if inspect.iscoroutinefunction(self.dynamodb) != inspect.iscoroutinefunction(self.postgres):
            message = "both functions have to be coroutine functions, or neither"
            raise TypeError(message)

    @property
    def is_async(self) -> bool:
        """Whether they are coroutine functions."""
        return inspect.iscoroutinefunction(self.dynamodb)

    @property
    def name(self) -> str:
        """What it is called where calls are counted."""
        return str(getattr(self.dynamodb, "__name__", type(self.dynamodb).__name__))

    def of(self, store: Store) -> Callable[Arguments, Given]:
        """The one for a store."""
        return self.dynamodb if store == "dynamodb" else self.postgres


def reader(
    routes: Routes, entity: str, pair: Pair[Arguments, Given], *, shadow: Shadow | None, feeds_write: bool
) -> Any:
    """`Routes.reader`: a function, or a coroutine function, that takes what the pair takes."""

    @functools.wraps(pair.dynamodb)
    def read(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Given:
        store = routes.reads(entity, feeds_write=feeds_write)
        if shadow is None or not shadow.is_sampled():
            return pair.of(store)(*args, **kwargs)
        answer: Given = shadow.read(entity, pair, store, args, kwargs)
        return answer

    @functools.wraps(pair.dynamodb)
    async def aread(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Any:
        store = await routes.areads(entity, feeds_write=feeds_write)
        call: Callable[Arguments, Any] = pair.of(store)
        if shadow is None or not shadow.is_sampled():
            return await call(*args, **kwargs)
        return await shadow.aread(entity, pair, store, args, kwargs)

    return aread if pair.is_async else read


def writer(block: Callable[[], Writing], forget: Callable[[], None], pair: Pair[Arguments, Given]) -> Any:
    """`Routes.writer`: `block` begins to write, `forget` has the ledger asked again."""
    return _async_writer(block, forget, pair) if pair.is_async else _writer(block, forget, pair)


def _writer(
    block: Callable[[], Writing], forget: Callable[[], None], pair: Pair[Arguments, Given]
) -> Callable[Arguments, Given]:
    @functools.wraps(pair.dynamodb)
    def write(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Given:
        refused: tuple[Permit, Exception] | None = None
        while True:
            with block() as permit:
                _give_up_unless_moved(refused, permit)
                try:
                    return pair.of(permit.store)(*args, **kwargs)
                except Exception as error:
                    if not _may_have_moved(permit, error):
                        raise
                    refused = (permit, error)
            forget()

    return write


def _async_writer(
    block: Callable[[], Writing], forget: Callable[[], None], pair: Pair[Arguments, Any]
) -> Callable[Arguments, Awaitable[Any]]:
    @functools.wraps(pair.dynamodb)
    async def write(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Any:
        refused: tuple[Permit, Exception] | None = None
        while True:
            async with block() as permit:
                _give_up_unless_moved(refused, permit)
                try:
                    return await pair.of(permit.store)(*args, **kwargs)
                except Exception as error:
                    if not _may_have_moved(permit, error):
                        raise
                    refused = (permit, error)
            forget()

    return write


def _may_have_moved(permit: Permit, error: Exception) -> bool:
    """Whether PostgreSQL refused a call for what may be a change of state that the permit does not know of."""
    return permit.store == "postgres" and _sqlstate(error) in _MOVED


def _give_up_unless_moved(refused: tuple[Permit, Exception] | None, permit: Permit) -> None:
    """Raise the error if the writes are where they were: it has another reason then."""
    if refused is not None:
        earlier, error = refused
        if permit.epochs == earlier.epochs:
            raise error


def _sqlstate(error: BaseException | None) -> str | None:
    """The SQLSTATE of an error of psycopg or asyncpg, or of what SQLAlchemy wrapped."""
    while error is not None:
        for one in (error, getattr(error, "orig", None)):
            state = getattr(one, "sqlstate", None)
            if isinstance(state, str):
                return state
        error = error.__cause__
    return None
