"""The messages of an application in either store: the same five calls, and the same answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from psycopg import sql

from ashore.postgres.connect import Conn

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INBOX_LENGTH: Final = 20
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_put_at_once: Final = 25
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html"""
_COLUMNS: Final = "docket_number, message_id::text, thread_id::text, section, subject, body, created_at, is_read"
_TABLE: Final = """
    CREATE TABLE {message} (
        docket_number text COLLATE "C" NOT NULL, message_id uuid NOT NULL, thread_id uuid NOT NULL,
        section text NOT NULL, subject text NOT NULL, body text NOT NULL, created_at timestamptz NOT NULL,
        is_read boolean NOT NULL, PRIMARY KEY (docket_number, message_id));
    CREATE INDEX ON {message} (section, created_at) WHERE NOT is_read;
    CREATE INDEX ON {message} (thread_id, created_at)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as the application sees it, whichever store it is from. No two have one `created_at`."""

    docket_number: str
    message_id: str
    thread_id: str
    section: str
    subject: str
    body: str
    created_at: str
    is_read: bool


class MessageStore(Protocol):
    """Where messages are. Each thread has one of its own."""

    def inbox(self, section: str) -> list[Message]:
        """The newest unread messages to a section, twenty at most, newest first."""

    def thread(self, thread_id: str) -> list[Message]:
        """All messages of a thread, oldest first."""

    def message(self, docket_number: str, message_id: str) -> list[Message]:
        """One message by its key; none where there is none."""

    def insert(self, message: Message) -> None:
        """Add a message."""

    def mark_read(self, docket_number: str, message_id: str) -> None:
        """Take a message out of its inbox."""


@dataclass(frozen=True, slots=True)
class MessagesInDynamoDB:
    """One table with two indexes, as an application of this kind has them: by thread, and of unread ones by inbox."""

    client: DynamoDBClient
    table: str

    def create(self) -> None:
        """Make the table."""
        self.client.create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=_keys("pk", "sk"),
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"}
                for name in ("pk", "sk", "threadId", "inboxOf", "createdAt")
            ],
            GlobalSecondaryIndexes=[
                {"IndexName": name, "KeySchema": _keys(key, "createdAt"), "Projection": {"ProjectionType": "ALL"}}
                for name, key in (("thread", "threadId"), ("inbox", "inboxOf"))
            ],
        )

    def wait(self) -> None:
        """Return once the table can be used."""
        self.client.get_waiter("table_exists").wait(TableName=self.table, WaiterConfig={"Delay": 1, "MaxAttempts": 120})

    def fill(self, messages: Sequence[Message]) -> None:
        """Put all messages into the table; what DynamoDB leaves unprocessed is put again."""
        for start in range(0, len(messages), _put_at_once):
            left: Any = {self.table: [{"PutRequest": {"Item": _item(one)}} for one in messages[start:][:_put_at_once]]}
            while left:
                left = self.client.batch_write_item(RequestItems=left).get("UnprocessedItems")

    def drop(self) -> None:
        """Delete the table."""
        self.client.delete_table(TableName=self.table)

    def inbox(self, section: str) -> list[Message]:
        """By the sparse index."""
        return self._query("inbox", "inboxOf", section, newest_first=True, most=INBOX_LENGTH)

    def thread(self, thread_id: str) -> list[Message]:
        """By the index."""
        return self._query("thread", "threadId", thread_id, newest_first=False, most=1_000)

    def message(self, docket_number: str, message_id: str) -> list[Message]:
        """By GetItem."""
        key = _key(docket_number, message_id)
        found = self.client.get_item(TableName=self.table, Key=key, ConsistentRead=True).get("Item")
        return [] if found is None else [_message(found)]

    def insert(self, message: Message) -> None:
        """By PutItem."""
        self.client.put_item(TableName=self.table, Item=_item(message))

    def mark_read(self, docket_number: str, message_id: str) -> None:
        """By UpdateItem, which takes it out of the sparse index."""
        self.client.update_item(
            TableName=self.table,
            Key=_key(docket_number, message_id),
            UpdateExpression="SET isRead = :yes REMOVE inboxOf",
            ExpressionAttributeValues={":yes": {"BOOL": True}},
        )

    def _query(self, index: str, name: str, value: str, *, newest_first: bool, most: int) -> list[Message]:
        found = self.client.query(
            TableName=self.table,
            IndexName=index,
            KeyConditionExpression="#key = :value",
            ExpressionAttributeNames={"#key": name},
            ExpressionAttributeValues={":value": {"S": value}},
            ScanIndexForward=not newest_first,
            Limit=most,
        )
        return [_message(item) for item in found["Items"]]


@dataclass(frozen=True, slots=True)
class MessagesInPostgres:
    """One table with a partial index for inboxes and one for threads. `conn` is in autocommit mode."""

    conn: Conn
    schema: str

    def create(self) -> None:
        """Make the schema and its table."""
        self.conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))
        self.conn.execute(sql.SQL(_TABLE).format(message=self._table))

    def fill(self, messages: Iterable[Message]) -> None:
        """COPY all messages into the table, and let PostgreSQL look at it."""
        with self.conn.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(self._table)) as copy:
            for one in messages:
                copy.write_row(_row(one))
        self.conn.execute(sql.SQL("VACUUM ANALYZE {}").format(self._table))

    def drop(self) -> None:
        """Remove the schema."""
        self.conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(self.schema)))

    def inbox(self, section: str) -> list[Message]:
        """By the partial index."""
        where = "WHERE section = %s AND NOT is_read ORDER BY created_at DESC LIMIT 20"
        return self._select(where, section)

    def thread(self, thread_id: str) -> list[Message]:
        """By the index."""
        return self._select("WHERE thread_id = %s ORDER BY created_at", thread_id)

    def message(self, docket_number: str, message_id: str) -> list[Message]:
        """By the primary key."""
        return self._select("WHERE docket_number = %s AND message_id = %s", docket_number, message_id)

    def insert(self, message: Message) -> None:
        """One INSERT, and its commit."""
        statement = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)").format(self._table)
        self.conn.execute(statement, _row(message))

    def mark_read(self, docket_number: str, message_id: str) -> None:
        """One UPDATE, and its commit."""
        statement = sql.SQL("UPDATE {} SET is_read = true WHERE docket_number = %s AND message_id = %s")
        self.conn.execute(statement.format(self._table), (docket_number, message_id))

    @property
    def _table(self) -> sql.Identifier:
        return sql.Identifier(self.schema, "message")

    def _select(self, where: str, *values: str) -> list[Message]:
        statement = sql.SQL("SELECT {} FROM {} {}").format(sql.SQL(_COLUMNS), self._table, sql.SQL(where))
        names = Message.__slots__
        found = []
        for row in self.conn.execute(statement, values):
            one = dict(zip(names, row, strict=True))
            found.append(Message(**{**one, "created_at": one["created_at"].astimezone(UTC).strftime(_TIME)}))
        return found


def at(seconds: float) -> str:
    """A moment as messages have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME)


def _row(one: Message) -> tuple[Any, ...]:
    return tuple(getattr(one, name) for name in Message.__slots__)


def _keys(hash_key: str, range_key: str) -> Any:
    return [{"AttributeName": hash_key, "KeyType": "HASH"}, {"AttributeName": range_key, "KeyType": "RANGE"}]


def _key(docket_number: str, message_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"case|{docket_number}"}, "sk": {"S": f"message|{message_id}"}}


def _item(one: Message) -> dict[str, Any]:
    return {
        **_key(one.docket_number, one.message_id),
        "threadId": {"S": one.thread_id},
        "section": {"S": one.section},
        "subject": {"S": one.subject},
        "body": {"S": one.body},
        "createdAt": {"S": one.created_at},
        "isRead": {"BOOL": one.is_read},
        **({} if one.is_read else {"inboxOf": {"S": one.section}}),
    }


def _message(item: Any) -> Message:
    return Message(
        docket_number=item["pk"]["S"].partition("|")[2],
        message_id=item["sk"]["S"].partition("|")[2],
        thread_id=item["threadId"]["S"],
        section=item["section"]["S"],
        subject=item["subject"]["S"],
        body=item["body"]["S"],
        created_at=item["createdAt"]["S"],
        is_read=item["isRead"]["BOOL"],
    )
