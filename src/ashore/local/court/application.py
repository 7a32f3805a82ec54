"""The court's application, as far as it writes: each write, and the reading that checks it, in either store.

Each write has a number that no other has, and each record counts its writes, so that none can be lost, doubled or
overtaken unseen. A write that is made again, because its answer was lost, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, LiteralString

import psycopg
from boto3.dynamodb.types import TypeDeserializer
from psycopg.types.json import Jsonb

from ashore.model.item import Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NUMBER: Final = "writeNumber"
COUNT: Final = "writeCount"
Key = tuple[str, str]
Updated = Literal["docket_entry", "case"]

_deserialize: Final[Callable[[Any], Any]] = TypeDeserializer().deserialize
_columns: Final = {
    "message_id": "messageId",
    "docket_number": "docketNumber",
    "parent_message_id": "parentMessageId",
    "subject": "subject",
    "body": "message",
    "from_user_id": "fromUserId",
    "from_section": "fromSection",
    "to_user_id": "toUserId",
    "to_section": "toSection",
    "created_at": "createdAt",
    "completed_at": "completedAt",
    "is_replied": "isReplied",
}
_SAVE: Final = """
    INSERT INTO court.message (message_id, docket_number, parent_message_id, subject, body, from_user_id, from_section,
        to_user_id, to_section, created_at, completed_at, is_replied, attachments, extra)
    VALUES (%(message_id)s, %(docket_number)s, %(parent_message_id)s, %(subject)s, %(body)s, %(from_user_id)s,
        %(from_section)s, %(to_user_id)s, %(to_section)s, %(created_at)s, %(completed_at)s, %(is_replied)s,
        %(attachments)s, %(extra)s)
    ON CONFLICT (message_id) DO UPDATE SET subject = excluded.subject, body = excluded.body, extra = excluded.extra
"""
_REMOVE: Final = "DELETE FROM court.message WHERE message_id = %(record_id)s"
_UPDATE: Final[dict[Updated, LiteralString]] = {
    "docket_entry": """
        UPDATE court.docket_entry SET extra = coalesce(extra, '{}') || jsonb_build_object(
            'writeNumber', %(number)s::bigint, 'writeCount', coalesce((extra ->> 'writeCount')::bigint, 0) + 1)
        WHERE docket_number = %(docket_number)s AND docket_entry_id = %(record_id)s
          AND coalesce((extra ->> 'writeNumber')::bigint, 0) < %(number)s
    """,
    "case": """
        UPDATE court.case SET extra = coalesce(extra, '{}') || jsonb_build_object(
            'writeNumber', %(number)s::bigint, 'writeCount', coalesce((extra ->> 'writeCount')::bigint, 0) + 1)
        WHERE docket_number = %(record_id)s AND coalesce((extra ->> 'writeNumber')::bigint, 0) < %(number)s
    """,
}
_NUMBER: Final[dict[str, LiteralString]] = {
    "message": "SELECT (extra ->> 'writeNumber')::bigint FROM court.message WHERE message_id = %(record_id)s",
    "docket_entry": """
        SELECT (extra ->> 'writeNumber')::bigint FROM court.docket_entry
        WHERE docket_number = %(docket_number)s AND docket_entry_id = %(record_id)s
    """,
    "case": "SELECT (extra ->> 'writeNumber')::bigint FROM court.case WHERE docket_number = %(record_id)s",
}


class RecordGone(Exception):
    """A record that the application knows is not in the store that it was sent to: something was lost."""


@dataclass(frozen=True, slots=True)
class InDynamoDB:
    """What the application does in the table."""

    client: DynamoDBClient
    table: str

    def save(self, message: Item, number: int, count: int) -> None:
        """Put a message, new or corrected."""
        numbered: Any = {**message, NUMBER: {"N": str(number)}, COUNT: {"N": str(count)}}
        self.client.put_item(TableName=self.table, Item=numbered)

    def remove(self, key: Key) -> None:
        """Delete a message."""
        self.client.delete_item(TableName=self.table, Key=_key(key))

    def update(self, key: Key, number: int) -> None:
        """Note a write of a case or of a docket entry. Raises RecordGone."""
        try:
            self.client.update_item(
                TableName=self.table,
                Key=_key(key),
                UpdateExpression=f"SET {NUMBER} = :number ADD {COUNT} :one",
                ConditionExpression=f"attribute_exists(pk) AND (attribute_not_exists({NUMBER}) OR {NUMBER} < :number)",
                ExpressionAttributeValues={":number": {"N": str(number)}, ":one": {"N": "1"}},
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            if self.number(key) != number:
                raise RecordGone(self.table) from None

    def number(self, key: Key) -> int | None:
        """The number of a record's last write."""
        found = self.client.get_item(TableName=self.table, Key=_key(key), ConsistentRead=True).get("Item", {})
        return int(found[NUMBER]["N"]) if NUMBER in found else None


class InPostgres:
    """What the application does in the tables, as its own role, each time in a transaction of its own."""

    def __init__(self, dsn: str) -> None:
        """Nothing is connected before the first call."""
        self._dsn = dsn
        self._conn: psycopg.Connection | None = None

    def save(self, message: Item, number: int, count: int) -> None:
        """Insert a message, or correct it."""
        plain = {name: _deserialize(value) for name, value in message.items()}
        row = {column: plain.get(attribute) for column, attribute in _columns.items()}
        attachments = plain.get("attachments")
        extra = {"from": plain.get("from"), NUMBER: number, COUNT: count}
        self._connected.execute(
            _SAVE,
            {**row, "attachments": None if attachments is None else Jsonb(attachments), "extra": Jsonb(extra)},
        )

    def remove(self, key: Key) -> None:
        """Delete a message."""
        self._connected.execute(_REMOVE, _ids(key))

    def update(self, key: Key, number: int) -> None:
        """Note a write of a case or of a docket entry. Raises RecordGone."""
        entity = entity_of(key)
        if entity == "message":
            message = "messages are saved whole"
            raise TypeError(message)
        done = self._connected.execute(_UPDATE[entity], {**_ids(key), "number": number})
        if not done.rowcount and self.number(key) != number:
            raise RecordGone(entity)

    def number(self, key: Key) -> int | None:
        """The number of a record's last write."""
        row = self._connected.execute(_NUMBER[entity_of(key)], _ids(key)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._conn is not None:
            self._conn.close()

    @property
    def _connected(self) -> psycopg.Connection:
        if self._conn is None:
            self._conn = psycopg.connect(self._dsn, autocommit=True, application_name="court")
        return self._conn


def entity_of(key: Key) -> Literal["message", "docket_entry", "case"]:
    """What a record is."""
    kind = key[1].partition("|")[0]
    return "message" if kind == "message" else "docket_entry" if kind == "docket-entry" else "case"


def key_of(item: Item) -> Key:
    """A record's key in the table."""
    return item["pk"]["S"], item["sk"]["S"]


def _key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def _ids(key: Key) -> dict[str, str]:
    return {"docket_number": key[0].partition("|")[2], "record_id": key[1].partition("|")[2]}
