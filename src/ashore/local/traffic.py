"""An application that writes while its table crosses, asking `ashore.app` before each call which store to go to."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

import boto3
from botocore.exceptions import ConnectionError as CannotConnect
from botocore.exceptions import HTTPClientError

from ashore.app import Routes, caller, keep_to_permits, write_config
from ashore.app.errors import PermitTooShort
from ashore.local.court.application import InDynamoDB, InPostgres, Key, entity_of, key_of
from ashore.model.item import Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITE_SECONDS: Final = 1.0
"""How long a write to DynamoDB takes at most; less than the validity of what `ashore.routes` says."""
_AGAIN_SECONDS: Final = 20.0
"""How long a write is tried whose answer was lost, or whose permit was too short."""
_READ_BACK_ONE_IN: Final = 4
_lost_answer: Final = (HTTPClientError, CannotConnect, PermitTooShort)

Kind = Literal["put", "update", "delete"]
Store = Literal["dynamodb", "postgres"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """How an application reaches both stores, and how much it writes: `a_second`, by all its writers together.

    `client` makes a client that is kept to its permits; `dsn` is of the application's own role.
    """

    routes: Routes
    client: Callable[[], DynamoDBClient]
    table: str
    dsn: str = field(repr=False)
    writers: int = 4
    a_second: float = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last write of a record left: its number, and how many writes the record has had since it was there."""

    number: int
    count: int


@dataclass(frozen=True, slots=True)
class Timed:
    """One write: when it began (`time.monotonic`), and the seconds until it was acknowledged, waiting included."""

    began: float
    seconds: float
    store: Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an application wrote, by its own account.

    `standing` has the records that are there, `gone` how many writes those had that it deleted last (the deletion
    included). `read_back` counts readings of a writer's own last write, by store; `stale` those that found another.
    """

    kinds: Mapping[Kind, int]
    standing: Mapping[Key, Standing]
    gone: Mapping[Key, int]
    items: int
    times: Sequence[Timed]
    read_back: Mapping[Store, int]
    stale: int

    @property
    def sent(self) -> int:
        """All writes."""
        return sum(self.kinds.values())

    def sent_to(self, store: Store) -> int:
        """Those that this store took."""
        return sum(one.store == store for one in self.times)

    @property
    def median_seconds(self) -> float:
        """What a write usually takes."""
        return median(one.seconds for one in self.times)

    @property
    def longest_seconds(self) -> float:
        """The longest that a write took: the longest pause that a writer saw."""
        return max(one.seconds for one in self.times)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sent": self.sent,
            **{f"{kind}s": number for kind, number in sorted(self.kinds.items())},
            "to_dynamodb": self.sent_to("dynamodb"),
            "to_postgres": self.sent_to("postgres"),
            "standing": len(self.standing),
            "gone": len(self.gone),
            "median_ms": round(self.median_seconds * 1000, 1),
            "longest_pause_ms": round(self.longest_seconds * 1000, 1),
            "read_back": dict(self.read_back),
            "stale": self.stale,
        }


@dataclass(slots=True)
class _Account:
    """What one writer did."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    standing: dict[Key, Standing] = field(default_factory=dict)
    gone: dict[Key, int] = field(default_factory=dict)
    times: list[Timed] = field(default_factory=list)
    read_back: Counter[Store] = field(default_factory=Counter)
    stale: int = 0


class Writers:
    """Changes the court's records until `stop`: messages are sent, corrected and deleted, entries and cases updated.

    Each writer is a thread with cases of its own, and paces itself; a write that waited is not made up for.
    """

    def __init__(self, application: Application, items: Sequence[Item], *, seed: int) -> None:
        """`items` are those that may be changed: of each writer some cases, with a message among them."""
        self.a_second = application.a_second
        numbers = itertools.count(1)
        self._stopped = threading.Event()
        self._writers = []
        for place in range(application.writers):
            own = [item for item in items if _digits(item) % application.writers == place]
            random = Random(f"{seed} {place}")  # noqa: S311 (made-up traffic is no secret)
            self._writers.append(_Writer(application, own, numbers, self._stopped, random))

    @property
    def sent(self) -> int:
        """Writes that were acknowledged so far; to be read from any thread."""
        return sum(len(one.account.times) for one in self._writers)

    def start(self) -> None:
        """Begin to write."""
        for one in self._writers:
            one.start()

    def longest_since(self, began: float) -> float:
        """The longest of `pauses_since`. Raises as it does."""
        return max(self.pauses_since(began))

    def pauses_since(self, began: float) -> list[float]:
        """The longest that a write of each writer took which was under way after `began`, in seconds.

        Waits until each has gone on.

        Raises:
            Exception: What ended a writer early.
        """
        asked = time.monotonic()
        while not all(one.has_gone_on(asked) for one in self._writers):
            self._raise()
            time.sleep(0.02)
        return [max(one.seconds for one in writer.times_since(began)) for writer in self._writers]

    def stop(self) -> Written:
        """Write no more; return what was written. Idempotent.

        Raises:
            Exception: What ended the writing early.
        """
        self.end()
        self._raise()
        accounts = [one.account for one in self._writers]
        return Written(
            kinds=sum((one.kinds for one in accounts), Counter()),
            standing=dict(_all(one.standing for one in accounts)),
            gone=dict(_all(one.gone for one in accounts)),
            items=sum(one.more for one in self._writers),
            times=[timed for one in accounts for timed in one.times],
            read_back=sum((one.read_back for one in accounts), Counter()),
            stale=sum(one.stale for one in accounts),
        )

    def end(self) -> None:
        """Write no more, whatever has become of it. Idempotent."""
        self._stopped.set()
        for one in self._writers:
            if one.ident is not None:
                one.join()

    def _raise(self) -> None:
        for one in self._writers:
            if one.error is not None:
                raise one.error


class _Writer(threading.Thread):
    """`more` is by how many records there are more than before; `error` what ended it early."""

    def __init__(
        self,
        application: Application,
        items: Sequence[Item],
        numbers: Iterator[int],
        stopped: threading.Event,
        random: Random,
    ) -> None:
        super().__init__(name="court writer", daemon=True)
        self.account = _Account()
        self.more = 0
        self.error: Exception | None = None
        self._routes = application.routes
        self._dynamodb = InDynamoDB(application.client(), application.table)
        self._postgres = InPostgres(application.dsn)
        self._pause = application.writers / application.a_second
        self._numbers, self._stopped, self._random = numbers, stopped, random
        self._messages = [dict(item) for item in items if entity_of(key_of(item)) == "message"]
        self._others = [key_of(item) for item in items if _is_updated(key_of(item))]

    def has_gone_on(self, moment: float) -> bool:
        """Whether a write was acknowledged that began after `moment`, or it has stopped."""
        times = self.account.times
        return (bool(times) and times[-1].began >= moment) or self._stopped.is_set()

    def times_since(self, began: float) -> list[Timed]:
        """The writes that were under way after `began`."""
        return [one for one in list(self.account.times) if one.began + one.seconds >= began]

    def run(self) -> None:
        """Write at an even pace."""
        pause = self._pause
        try:
            following = time.monotonic() + pause * self._random.random()
            with caller(id(self)):
                while not self._stopped.wait(max(0.0, following - time.monotonic())):
                    following = max(following + pause, time.monotonic())
                    key = self._write(next(self._numbers))
                    if self._random.randrange(_READ_BACK_ONE_IN) == 0:
                        self._read_back(key)
        except Exception as error:  # noqa: BLE001 (it is raised again by `stop`, in the thread that asks)
            self.error = error
        finally:
            self._postgres.close()

    def _write(self, number: int) -> Key:
        draw = self._random.random()
        if draw < 0.30:
            return self._save(self._reply(self._random.choice(self._messages)), number)
        if draw < 0.50:
            return self._save(self._random.choice(self._messages), number)
        if draw < 0.88:
            return self._update(self._random.choice(self._others), number)
        return self._remove(number)

    def _reply(self, message: Item) -> dict[str, Any]:
        message_id = str(UUID(int=self._random.getrandbits(128), version=4))
        reply = {**message, "sk": {"S": f"message|{message_id}"}, "messageId": {"S": message_id}}
        self._messages.append(reply)
        self.more += 1
        return reply

    def _save(self, message: Item, number: int) -> Key:
        key = key_of(message)
        count = self._count(key) + 1
        self._send("put", "message", lambda at: at.save(message, number, count))
        self.account.standing[key] = Standing(number, count)
        return key

    def _update(self, key: Key, number: int) -> Key:
        self._send("update", entity_of(key), lambda at: at.update(key, number))
        self.account.standing[key] = Standing(number, self._count(key) + 1)
        return key

    def _remove(self, number: int) -> Key:
        place = self._random.randrange(len(self._messages))
        key = key_of(self._messages[place])
        if key not in self.account.standing:  # a row that should be gone could not be told
            return self._save(self._messages[place], number)
        del self._messages[place]
        self._send("delete", "message", lambda at: at.remove(key))
        self.account.gone[key] = self.account.standing.pop(key).count + 1
        self.more -= 1
        return key

    def _count(self, key: Key) -> int:
        standing = self.account.standing.get(key)
        return 0 if standing is None else standing.count

    def _send(self, kind: Kind, entity: str, make: Callable[[InDynamoDB | InPostgres], None]) -> None:
        """Make one write wherever the entity is written, as often as it takes to know that it was made."""
        took: list[Store] = []

        def in_dynamodb() -> None:
            make(self._dynamodb)
            took.append("dynamodb")

        def in_postgres() -> None:
            make(self._postgres)
            took.append("postgres")

        write = self._routes.writer(entity, dynamodb=in_dynamodb, postgres=in_postgres)
        began = time.monotonic()
        while not took:
            try:
                write()
            except _lost_answer:
                if time.monotonic() > began + _AGAIN_SECONDS:
                    raise
        self.account.times.append(Timed(began, time.monotonic() - began, took[-1]))
        self.account.kinds[kind] += 1

    def _read_back(self, key: Key) -> None:
        """A caller finds what it wrote."""
        store = self._routes.reads(entity_of(key))
        try:
            found = (self._dynamodb if store == "dynamodb" else self._postgres).number(key)
        except _lost_answer:
            return
        standing = self.account.standing.get(key)
        self.account.read_back[store] += 1
        self.account.stale += found != (None if standing is None else standing.number)


def application_client() -> DynamoDBClient:
    """A client of the AWS that the environment names, as an application makes it: its writes end before its permits."""
    client = boto3.client("dynamodb", config=write_config(WRITE_SECONDS))
    keep_to_permits(client)
    return client


def _is_updated(key: Key) -> bool:
    return key[0].startswith("case|") and key[1].startswith(("docket-entry|", "case|"))


def _digits(item: Item) -> int:
    """A number that all records of a case have in common."""
    number = item["pk"]["S"].partition("|")[2].partition("-")[0]
    return int(number) if number.isdigit() else 0


def _all(of_each: Iterable[Mapping[Key, Any]]) -> Iterable[tuple[Key, Any]]:
    return itertools.chain.from_iterable(one.items() for one in of_each)
