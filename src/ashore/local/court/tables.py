"""The court's PostgreSQL tables, as one would draw them for the court's own questions."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from ashore.mapping.declare import remainder

metadata: Final = sa.MetaData(schema="court")


def _key_text() -> sa.Text:
    return sa.Text(collation="C")


def _moment(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _docket_number(*, primary_key: bool = False) -> sa.Column[Any]:
    return sa.Column(
        "docket_number", _key_text(), sa.ForeignKey("court.case.docket_number"), primary_key=primary_key, nullable=False
    )  # fmt: skip


user = sa.Table(
    "user",
    metadata,
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("entity_name", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("role", sa.Enum("judge", "clerk", "petitioner", "practitioner", name="user_role"), nullable=False),
    sa.Column("section", sa.Text),
    sa.Column("birth_year", sa.Text),
    sa.Column("bar_number", sa.Text),
    sa.Column("photo_hash", sa.LargeBinary),
    *remainder(),
    sa.Index("user_by_email", sa.text("lower(email)")),
)

connection = sa.Table(
    "connection",
    metadata,
    sa.Column("user_id", sa.Uuid, sa.ForeignKey(user.c.user_id), primary_key=True),
    sa.Column("connection_id", _key_text(), primary_key=True),
    sa.Column("endpoint", sa.Text),
    _moment("expires_at"),
    *remainder(),
)

trial_session = sa.Table(
    "trial_session",
    metadata,
    sa.Column("trial_session_id", sa.Uuid, primary_key=True),
    sa.Column("trial_location", sa.Text, nullable=False),
    sa.Column("session_type", sa.Text, nullable=False),
    sa.Column("term", sa.Text),
    sa.Column("term_year", sa.Text),
    sa.Column("postal_code", sa.Text),
    _moment("start_date", nullable=False),
    sa.Column("max_cases", sa.SmallInteger),
    sa.Column("is_calendared", sa.Boolean),
    sa.Column("judge_id", sa.Uuid),
    sa.Column("judge", JSONB),
    sa.Column("case_order", JSONB),
    *remainder(),
    sa.Index("trial_session_by_start", "start_date"),
)

case = sa.Table(
    "case",
    metadata,
    sa.Column("docket_number", _key_text(), primary_key=True),
    sa.Column("docket_number_suffix", sa.Text),
    sa.Column("sortable_docket_number", sa.Integer, nullable=False),
    sa.Column("lead_docket_number", sa.Text),
    sa.Column("case_caption", sa.Text, nullable=False),
    sa.Column("case_type", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    _moment("received_at", nullable=False),
    _moment("closed_date"),
    sa.Column("preferred_trial_city", sa.Text),
    sa.Column("trial_session_id", sa.Uuid, sa.ForeignKey(trial_session.c.trial_session_id)),
    sa.Column("judge_id", sa.Uuid),
    sa.Column("judge", JSONB),
    sa.Column("is_sealed", sa.Boolean),
    sa.Column("irs_deficiency_amount", sa.Numeric),
    sa.Column("tax_years", ARRAY(sa.SmallInteger)),
    sa.Column("flags", ARRAY(sa.Text)),
    sa.Column("statistics", JSONB),
    *remainder(),
    sa.Index("case_by_judge", "judge_id", "status"),
    sa.Index("case_by_lead", "lead_docket_number", postgresql_where=sa.text("lead_docket_number IS NOT NULL")),
)

petitioner = sa.Table(
    "petitioner",
    metadata,
    _docket_number(primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("contact_id", sa.Uuid),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column("city", sa.Text),
    sa.Column("state", sa.Text),
    sa.Column("postal_code", sa.Text),
    *remainder(),
    sa.Index("petitioner_by_name", "name"),
)

docket_entry = sa.Table(
    "docket_entry",
    metadata,
    _docket_number(primary_key=True),
    sa.Column("docket_entry_id", sa.Uuid, primary_key=True),
    sa.Column("entry_number", sa.Integer),
    sa.Column("event_code", sa.Text, nullable=False),
    sa.Column("document_title", sa.Text, nullable=False),
    _moment("filing_date", nullable=False),
    sa.Column("certificate_of_service_date", sa.Date),
    _moment("served_at"),
    sa.Column("filed_by", sa.Text),
    sa.Column("user_id", sa.Uuid),
    sa.Column("number_of_pages", sa.Integer),
    sa.Column("is_on_docket_record", sa.Boolean),
    sa.Column("edit_state", sa.Text),
    sa.Column("draft_order_state", JSONB),
    *remainder(),
    sa.Index("docket_entry_by_filing", "docket_number", "filing_date"),
)

message = sa.Table(
    "message",
    metadata,
    sa.Column("message_id", sa.Uuid, primary_key=True),
    _docket_number(),
    sa.Column("parent_message_id", sa.Uuid, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("body", sa.Text),
    sa.Column("from_user_id", sa.Uuid),
    sa.Column("from_section", sa.Text),
    sa.Column("to_user_id", sa.Uuid),
    sa.Column("to_section", sa.Text),
    _moment("created_at", nullable=False),
    _moment("completed_at"),
    sa.Column("is_replied", sa.Boolean),
    sa.Column("attachments", JSONB),
    *remainder(),
    sa.Index("message_by_thread", "parent_message_id", "created_at"),
    sa.Index("message_by_case", "docket_number"),
    sa.Index("message_inbox", "to_section", "created_at", postgresql_where=sa.text("completed_at IS NULL")),
)

user_case = sa.Table(
    "user_case",
    metadata,
    sa.Column("user_id", sa.Uuid, sa.ForeignKey(user.c.user_id), primary_key=True),
    _docket_number(primary_key=True),
    _moment("created_at"),
    *remainder(),
    sa.Index("user_case_by_case", "docket_number"),
)

work_item = sa.Table(
    "work_item",
    metadata,
    sa.Column("work_item_id", sa.Uuid, primary_key=True),
    _docket_number(),
    sa.Column("docket_entry_id", sa.Uuid),
    sa.Column("docket_entry", JSONB),
    sa.Column("section", sa.Text, nullable=False),
    sa.Column("assignee_id", sa.Uuid),
    sa.Column("assignee_name", sa.Text),
    sa.Column("case_status", sa.Text),
    sa.Column("high_priority", sa.Boolean),
    _moment("created_at", nullable=False),
    _moment("updated_at"),
    _moment("completed_at"),
    *remainder(),
    sa.Index("work_item_by_case", "docket_number"),
    sa.Index("work_item_inbox", "section", "created_at", postgresql_where=sa.text("completed_at IS NULL")),
)

case_deadline = sa.Table(
    "case_deadline",
    metadata,
    sa.Column("case_deadline_id", sa.Uuid, primary_key=True),
    _docket_number(),
    _moment("deadline_date", nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("associated_judge", sa.Text),
    *remainder(),
    sa.Index("case_deadline_by_date", "deadline_date"),
)

docket_counter = sa.Table(
    "docket_counter",
    metadata,
    sa.Column("year", sa.SmallInteger, primary_key=True),
    sa.Column("last_number", sa.Integer, nullable=False),
    *remainder(),
)
