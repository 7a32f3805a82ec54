"""A court's single DynamoDB table: cases with petitioners, messages, work items and their copies.

`court` is what ashore.toml names. Alembic, or the application, imports `metadata` from here.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from ashore import Child, Copy, Entity, Source, camel_case, epoch_seconds, explicit, maybe, promote, remainder, residue

metadata = sa.MetaData()


def key_text() -> sa.Text:
    """Text that PostgreSQL orders as DynamoDB does."""
    return sa.Text(collation="C")


case = sa.Table(
    "case",
    metadata,
    sa.Column("docket_number", key_text(), primary_key=True),
    sa.Column("case_caption", sa.Text, nullable=False),
    sa.Column("lead_docket_number", sa.Text),
    sa.Column("received_at", sa.DateTime(timezone=True)),
    sa.Column("closed_date", sa.DateTime(timezone=True)),
    sa.Column("deficiency", sa.Numeric),
    sa.Column("number_of_pages", sa.Integer),
    sa.Column("flags", ARRAY(sa.Text)),
    sa.Column("judge_id", sa.Uuid),
    sa.Column("judge", JSONB),
    *remainder(),
)
petitioner = sa.Table(
    "petitioner",
    metadata,
    sa.Column("docket_number", key_text(), sa.ForeignKey(case.c.docket_number), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    *remainder(),
)
message = sa.Table(
    "message",
    metadata,
    sa.Column("message_id", sa.Uuid, primary_key=True),
    sa.Column("docket_number", key_text(), sa.ForeignKey(case.c.docket_number), nullable=False),
    sa.Column("parent_message_id", sa.Uuid, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("completed_at", sa.DateTime(timezone=True)),
    *remainder(),
    sa.Index("message_by_thread", "parent_message_id"),
)
work_item = sa.Table(
    "work_item",
    metadata,
    sa.Column("work_item_id", sa.Uuid, primary_key=True),
    sa.Column("docket_number", key_text(), sa.ForeignKey(case.c.docket_number), nullable=False),
    sa.Column("assignee", sa.Text),
    *remainder(),
)
session = sa.Table(
    "session",
    metadata,
    sa.Column("session_id", key_text(), primary_key=True),
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    *remainder(),
)

court = Source("court", names=camel_case)

cases = Entity(
    case,
    court.key("case|{docket_number}", "case|{docket_number}"),
    constant={"entityName": "Case"},
    derived={"docketNumber": "{docket_number}", "gsi1pk": maybe("case|{lead_docket_number}")},
    attributes={"judge.userId": case.c.judge_id},
    null={"closedDate": explicit},
    unfit={"numberOfPages": residue},
    children=[Child(table=petitioner, attribute="petitioners", order=petitioner.c.position)],
)
messages = Entity(
    message,
    court.key("case|{docket_number}", "message|{message_id}"),
    constant={"entityName": "Message"},
    derived={
        "docketNumber": "{docket_number}",
        "messageId": "{message_id}",
        "gsi1pk": "message|{parent_message_id}",
    },
    null={"completedAt": explicit},
)
work_items = Entity(
    work_item,
    court.key("case|{docket_number}", "work-item|{work_item_id}"),
    derived={
        "docketNumber": "{docket_number}",
        "workItemId": "{work_item_id}",
        "gsi1pk": "work-item|{work_item_id}",
    },
    copies=[Copy(partition="user-outbox|{user_id}", sort="{completed_at}", of="gsi1pk", orphan=promote)],
)
sessions = Entity(
    session,
    court.key("session|{session_id}", "session|{session_id}"),
    attributes={"ttl": epoch_seconds(session.c.expires_at)},
    ttl="ttl",
)

court.not_yet("user|*", "section|*")
court.leave_out("catalog", "case|*", because="a list of cases, which PostgreSQL makes by itself", rebuild=cases)

# ruff: noqa: INP001 (a project's module is no package)
