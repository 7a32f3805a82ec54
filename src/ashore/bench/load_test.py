"""`ashore bench app`: the calls of an application on DynamoDB and on PostgreSQL, and whether the answers are the same.

In each round either store is asked for the same, one after the other, the first in turns; the same writes follow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ashore.bench.court_crossing import some_dynamodb
from ashore.bench.cutover import quantile
from ashore.bench.errors import DynamoDBRefuses
from ashore.bench.machine import machine, versions
from ashore.bench.message_stores import Message, MessagesInDynamoDB, MessagesInPostgres, MessageStore, at
from ashore.bench.server import bench_postgres
from ashore.postgres.connect import connect

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

READS: Final = ("inbox", "thread", "message")
WRITES: Final = ("insert", "mark_read")
_SECTIONS: Final = 20
_THREAD: Final = 5
"""How many messages a thread has."""
_BODY: Final = "Please review the attached order and have it served. " * 6
_FIRST_AT: Final = 1_700_000_000.0
_SETTLE_SECONDS: Final = 15.0
"""How long an answer may differ: an index of DynamoDB follows its table."""

Arguments = tuple[Any, ...]
Asked = Mapping[str, Sequence[Arguments]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which stores; None for servers of this machine, which are started and ended.

    Attributes:
        endpoint_url: Of DynamoDB; not for `is_aws`.
        is_aws: DynamoDB of AWS itself, by boto3's own credentials and region.
        postgres: A DSN, of a role that may make a schema.
    """

    endpoint_url: str | None = None
    is_aws: bool = False
    postgres: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much: messages in either store, calls of each kind in a round, rounds, and clients that call at a time."""

    messages: int = 5_000
    calls: int = 400
    rounds: int = 3
    clients: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from a call to its answer, at the client; `calls` of all rounds."""

    calls: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFigures:
    """What was measured: kind of call → store → latency.

    Every answer of a read is compared: `answers_different` of `answers_compared` were not the same in both stores, and
    `answers_settled` only once they were asked for again. `dynamodb` says what was called so: only `aws` is.
    """

    dynamodb: str
    postgres: str
    size: Size
    calls: Mapping[str, Mapping[str, Latency]]
    answers_compared: int
    answers_settled: int
    answers_different: int
    versions: Mapping[str, str]
    machine: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(slots=True)
class _Took:
    """Seconds of each call, by kind and store; and how the answers compare."""

    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    compared: int = 0
    settled: int = 0
    different: int = 0


def measure_app(where: Where, size: Size, *, tell: Callable[[str], None], seed: int = 1) -> AppFigures:
    """Make a table and a schema of its own, fill both with the same, call, and remove them again.

    Raises:
        DynamoDBRefuses: It cannot be reached, or these credentials may not. What was made is removed where it can be.
        CannotConnect: PostgreSQL cannot be reached.
    """
    before = machine()
    random = Random(seed)  # noqa: S311 (made-up messages are no secret)
    messages = list(_messages(random, size.messages))
    took = _Took()
    with _stores(where, size.clients) as stores:
        tell(f"{len(messages):,} messages into either store")
        stores.fill(messages)
        for turn in range(size.rounds):
            tell(f"round {turn + 1} of {size.rounds}")
            order = list(stores.clients) if turn % 2 == 0 else list(stores.clients)[::-1]
            _read(stores, order, _reads(random, messages, size.calls), took)
            new = list(_messages(random, size.calls, after=len(messages)))
            read = random.sample([one for one in messages if not one.is_read], min(size.calls, len(messages) // 4))
            writes: Asked = {
                "insert": [(one,) for one in new],
                "mark_read": [(one.docket_number, one.message_id) for one in read],
            }
            for name in order:
                stores.call(name, writes, took)
            messages += new
        _read(stores, list(stores.clients), _reads(random, messages, size.calls), took)
        return AppFigures(
            dynamodb=stores.dynamodb,
            postgres=stores.postgres,
            size=size,
            calls={
                kind: {store: _latency(seconds) for store, seconds in by_store.items()}
                for kind, by_store in took.seconds.items()
            },
            answers_compared=took.compared,
            answers_settled=took.settled,
            answers_different=took.different,
            versions=versions(stores.version),
            machine=before,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stores:
    """Both stores, each with as many clients as call at a time."""

    clients: Mapping[str, Sequence[MessageStore]]
    fill: Callable[[Sequence[Message]], None]
    executor: ThreadPoolExecutor
    dynamodb: str
    postgres: str
    version: str

    def call(self, name: str, asked: Asked, took: _Took) -> dict[str, list[Any]]:
        """Make all calls on one store, kind by kind; return the answers in the order of the arguments."""
        clients = self.clients[name]
        answers: dict[str, list[Any]] = {}
        for kind, arguments in asked.items():
            shares = [arguments[place :: len(clients)] for place in range(len(clients))]
            parts = list(self.executor.map(_call, clients, [kind] * len(clients), shares))
            seconds = took.seconds.setdefault(kind, {}).setdefault(name, [])
            ordered: list[Any] = [None] * len(arguments)
            for place, part in enumerate(parts):
                ordered[place :: len(clients)] = [answer for answer, _ in part]
                seconds += [one for _, one in part]
            answers[kind] = ordered
        return answers


def _call(client: MessageStore, kind: str, arguments: Sequence[Arguments]) -> list[tuple[Any, float]]:
    method: Callable[..., Any] = getattr(client, kind)
    found = []
    for one in arguments:
        began = time.perf_counter()
        answer = method(*one)
        found.append((answer, time.perf_counter() - began))
    return found


def _read(stores: _Stores, order: Sequence[str], asked: Asked, took: _Took) -> None:
    """Ask either store the same, and compare the answers; ask again for those that differ, as long as it may help."""
    answers = {name: stores.call(name, asked, took) for name in order}
    one, other = order
    for kind, arguments in asked.items():
        for place, each in enumerate(arguments):
            took.compared += 1
            if answers[one][kind][place] == answers[other][kind][place]:
                continue
            agrees = _settles(stores, kind, each)
            took.settled += agrees
            took.different += not agrees


def _settles(stores: _Stores, kind: str, arguments: Arguments) -> bool:
    until = time.monotonic() + _SETTLE_SECONDS
    while True:
        one, other = (getattr(clients[0], kind)(*arguments) for clients in stores.clients.values())
        if one == other:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.2)


@contextmanager
def _stores(where: Where, clients: int) -> Iterator[_Stores]:
    with ExitStack() as stack:
        name, make = _dynamodb(where, stack)
        stack.enter_context(_refusals(name))
        server = None if where.postgres else stack.enter_context(bench_postgres())
        dsn = where.postgres or (server.dsn if server else "")
        conns = [
            stack.enter_context(connect(dsn, application_name="ashore bench", autocommit=True)) for _ in range(clients)
        ]
        own = uuid4().hex[:8]
        in_postgres = [MessagesInPostgres(conn, f"ashore_bench_{own}") for conn in conns]
        in_dynamodb = [MessagesInDynamoDB(make(), f"ashore-bench-{own}") for _ in range(clients)]
        in_postgres[0].create()
        stack.callback(in_postgres[0].drop)
        in_dynamodb[0].create()
        stack.callback(in_dynamodb[0].drop)
        in_dynamodb[0].wait()
        executor = stack.enter_context(ThreadPoolExecutor(clients))

        def fill(messages: Sequence[Message]) -> None:
            in_dynamodb[0].fill(messages)
            in_postgres[0].fill(messages)
            every: list[MessageStore] = [*in_dynamodb, *in_postgres]
            for client in every:  # whoever is first pays for connecting
                client.message(messages[0].docket_number, messages[0].message_id)

        number = conns[0].info.server_version
        yield _Stores(
            clients={"dynamodb": in_dynamodb, "postgres": in_postgres},
            fill=fill,
            executor=executor,
            dynamodb=name,
            postgres="embedded, over a Unix socket" if server else "as named",
            version=f"{number // 10_000}.{number % 10_000}",
        )


def _dynamodb(where: Where, stack: ExitStack) -> tuple[str, Callable[[], DynamoDBClient]]:
    """What stands for DynamoDB, and what makes a client of it."""
    config = Config(retries={"mode": "standard", "max_attempts": 3})
    if where.is_aws:
        return "aws", lambda: boto3.client("dynamodb", config=config)
    if where.endpoint_url is not None:
        return where.endpoint_url, lambda: boto3.client("dynamodb", endpoint_url=where.endpoint_url, config=config)
    aws = stack.enter_context(some_dynamodb())
    return aws.name, lambda: aws.client("dynamodb")


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise DynamoDBRefuses(
            where=name, operation=error.operation_name, reason=error.response["Error"]["Code"]
        ) from error
    except BotoCoreError as error:
        raise DynamoDBRefuses(where=name, operation="any call", reason=type(error).__name__) from error


def _messages(random: Random, number: int, *, after: int = 0) -> Iterator[Message]:
    """Threads of five, each in one case and to one section; the last message of most is not read."""
    thread, docket_number, section = "", "", ""
    for place in range(after, after + number):
        message_id = str(UUID(int=random.getrandbits(128), version=4))
        if place % _THREAD == 0 or not thread:
            thread, docket_number = message_id, f"{100 + random.randrange(2_000)}-25"
            section = f"section {random.randrange(_SECTIONS)}"
        yield Message(
            docket_number=docket_number,
            message_id=message_id,
            thread_id=thread,
            section=section,
            subject=f"Message {place}",
            body=_BODY,
            created_at=at(_FIRST_AT + place),
            is_read=place % 2 == 0,
        )


def _reads(random: Random, messages: Sequence[Message], calls: int) -> Asked:
    picked = random.choices(messages, k=calls)
    return {
        "inbox": [(f"section {random.randrange(_SECTIONS)}",) for _ in range(calls)],
        "thread": [(one.thread_id,) for one in picked],
        "message": [(one.docket_number, one.message_id) for one in picked],
    }


def _latency(seconds: Sequence[float]) -> Latency:
    ordered = sorted(seconds)
    return Latency(
        calls=len(ordered),
        p50_ms=round(quantile(ordered, 0.5) * 1000, 3),
        p99_ms=round(quantile(ordered, 0.99) * 1000, 3),
    )
