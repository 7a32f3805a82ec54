"""An application that writes while its table crosses: each write bears a number that no other has."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from ashore.model.item import Item
from ashore.postgres.connect import Conn

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITES_A_SECOND: Final = 100.0
_number: Final = "writeNumber"
_FOUND: Final = """
    SELECT (extra ->> 'writeNumber')::bigint FROM court.case WHERE extra ? 'writeNumber'
    UNION ALL SELECT (extra ->> 'writeNumber')::bigint FROM court.docket_entry WHERE extra ? 'writeNumber'
    UNION ALL SELECT (extra ->> 'writeNumber')::bigint FROM court.message WHERE extra ? 'writeNumber'
"""

Kind = Literal["put", "update", "delete"]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an application wrote, by its own account.

    `standing` are the numbers that are to be found: of each key that is there, the one of its last write. `gone` counts
    keys that it had written and that it deleted last.
    """

    kinds: Mapping[Kind, int]
    standing: frozenset[int]
    gone: int
    items: int

    @property
    def sent(self) -> int:
        """All writes."""
        return sum(self.kinds.values())


class Writers(threading.Thread):
    """Changes the court's table until `stop`: messages are sent, corrected and deleted, entries and cases updated.

    Every number is unique; a key is deleted only if it bears one, so that a row that should be gone can be told.
    `error` is what ended it early.
    """

    def __init__(self, client: DynamoDBClient, table: str, items: Sequence[Item], *, count: int, seed: int) -> None:
        """`items` are those that may be changed, of `count` in the table."""
        super().__init__(name="ashore demo writers", daemon=True)
        self.error: Exception | None = None
        self._client, self._table = client, table
        self._random = Random(seed)  # noqa: S311 (made-up traffic is no secret)
        self._stopped = threading.Event()
        self._messages = [dict(item) for item in items if item["sk"]["S"].startswith("message|")]
        self._others = [item for item in items if _is_updated(*_key(item))]
        self._kinds: Counter[Kind] = Counter()
        self._last: dict[Key, int | None] = {}
        self._items = count

    @property
    def sent(self) -> int:
        """Writes so far; to be read from any thread."""
        return sum(self._kinds.values())

    def run(self) -> None:
        """Write at an even pace."""
        began = time.monotonic()
        try:
            while not self._stopped.wait(max(0.0, began + self.sent / WRITES_A_SECOND - time.monotonic())):
                self._write(self.sent + 1)
        except Exception as error:  # noqa: BLE001 (it is raised again by `stop`, in the thread that asks)
            self.error = error

    def stop(self) -> Written:
        """Write no more; return what was written. Idempotent.

        Raises:
            Exception: What ended the writing early.
        """
        self._stopped.set()
        self.join()
        if self.error is not None:
            raise self.error
        standing = frozenset(number for number in self._last.values() if number is not None)
        gone = sum(number is None for number in self._last.values())
        return Written(kinds=dict(self._kinds), standing=standing, gone=gone, items=self._items)

    def _write(self, number: int) -> None:
        draw = self._random.random()
        if draw < 0.30:
            self._put(self._reply(self._random.choice(self._messages)), number)
        elif draw < 0.50:
            self._put(self._random.choice(self._messages), number)
        elif draw < 0.88:
            self._update(self._random.choice(self._others), number)
        else:
            self._remove(number)

    def _reply(self, message: Item) -> dict[str, Any]:
        message_id = str(UUID(int=self._random.getrandbits(128), version=4))
        reply = {**message, "sk": {"S": f"message|{message_id}"}, "messageId": {"S": message_id}}
        self._messages.append(reply)
        self._items += 1
        return reply

    def _put(self, item: Item, number: int) -> None:
        numbered: Any = {**item, _number: {"N": str(number)}}
        self._client.put_item(TableName=self._table, Item=numbered)
        self._note("put", item, number)

    def _update(self, item: Item, number: int) -> None:
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": item["pk"]["S"]}, "sk": {"S": item["sk"]["S"]}},
            UpdateExpression=f"SET {_number} = :number",
            ExpressionAttributeValues={":number": {"N": str(number)}},
        )
        self._note("update", item, number)

    def _remove(self, number: int) -> None:
        place = self._random.randrange(len(self._messages))
        item = self._messages[place]
        if self._last.get(_key(item)) is None:
            self._put(item, number)
            return
        del self._messages[place]
        self._client.delete_item(
            TableName=self._table, Key={"pk": {"S": item["pk"]["S"]}, "sk": {"S": item["sk"]["S"]}}
        )
        self._items -= 1
        self._note("delete", item, None)

    def _note(self, kind: Kind, item: Item, number: int | None) -> None:
        self._last[_key(item)] = number
        self._kinds[kind] += 1


def numbers_in_rows(conn: Conn) -> list[int]:
    """The numbers that the rows bear, by plain SQL."""
    return [number for (number,) in conn.execute(_FOUND)]


def _is_updated(partition: str, sort: str) -> bool:
    return partition.startswith("case|") and sort.startswith(("docket-entry|", "case|"))


def _key(item: Item) -> Key:
    return item["pk"]["S"], item["sk"]["S"]
