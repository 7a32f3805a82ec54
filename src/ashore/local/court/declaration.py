"""What the court's items are: one DynamoDB table, ten entities, and what does not cross.

A worker process finds it as ``ashore.local.court.declaration:court``.
"""

from __future__ import annotations

from typing import Final

from ashore.local.court import tables
from ashore.mapping.declare import (
    Child,
    Copy,
    Entity,
    Source,
    epoch_seconds,
    explicit,
    maybe,
    promote,
    residue,
)
from ashore.mapping.names import camel_case

court: Final = Source("court", names=camel_case)

users: Final = Entity(
    tables.user,
    court.key("user|{user_id}", "user|{user_id}"),
    derived={"userId": "{user_id}"},
)

connections: Final = Entity(
    tables.connection,
    court.key("user|{user_id}", "connection|{connection_id}"),
    constant={"gsi1pk": "connection"},
    attributes={"ttl": epoch_seconds(tables.connection.c.expires_at)},
    ttl="ttl",
)

trial_sessions: Final = Entity(
    tables.trial_session,
    court.key("trial-session|{trial_session_id}", "trial-session|{trial_session_id}"),
    constant={"entityName": "TrialSession", "gsi1pk": "trial-session-catalog"},
    derived={"trialSessionId": "{trial_session_id}"},
    attributes={"judge.userId": tables.trial_session.c.judge_id},
)

cases: Final = Entity(
    tables.case,
    court.key("case|{docket_number}", "case|{docket_number}"),
    constant={"entityName": "Case"},
    derived={"docketNumber": "{docket_number}", "gsi1pk": maybe("case|{lead_docket_number}")},
    attributes={"judge.userId": tables.case.c.judge_id},
    null={"docketNumberSuffix": explicit},
    children=[Child(table=tables.petitioner, attribute="petitioners", order=tables.petitioner.c.position)],
)

docket_entries: Final = Entity(
    tables.docket_entry,
    court.key("case|{docket_number}", "docket-entry|{docket_entry_id}"),
    constant={"entityName": "DocketEntry"},
    derived={"docketNumber": "{docket_number}", "docketEntryId": "{docket_entry_id}"},
    attributes={"index": tables.docket_entry.c.entry_number},
    null={"draftOrderState": explicit},
    unfit={"numberOfPages": residue},
)

messages: Final = Entity(
    tables.message,
    court.key("case|{docket_number}", "message|{message_id}"),
    constant={"entityName": "Message"},
    derived={
        "docketNumber": "{docket_number}",
        "messageId": "{message_id}",
        "gsi1pk": "message|{parent_message_id}",
    },
    attributes={"message": tables.message.c.body},
    null={"completedAt": explicit},
)

user_cases: Final = Entity(
    tables.user_case,
    court.key("user|{user_id}", "case|{docket_number}"),
    constant={"entityName": "UserCase"},
    derived={"userId": "{user_id}", "docketNumber": "{docket_number}", "gsi1pk": "user-case|{docket_number}"},
)

work_items: Final = Entity(
    tables.work_item,
    court.key("case|{docket_number}", "work-item|{work_item_id}"),
    constant={"entityName": "WorkItem"},
    derived={
        "docketNumber": "{docket_number}",
        "workItemId": "{work_item_id}",
        "gsi1pk": "work-item|{work_item_id}",
    },
    attributes={"docketEntry.docketEntryId": tables.work_item.c.docket_entry_id},
    null={"assigneeId": explicit, "assigneeName": explicit},
    copies=[
        Copy(partition="user-outbox|{user_id}", sort="{completed_at}", of="gsi1pk", orphan=promote),
        Copy(partition="user-outbox-{user_id}", sort="{completed_at}", of="gsi1pk", orphan=promote),
        Copy(partition="section-outbox|{section}", sort="{completed_at}", of="gsi1pk", orphan=promote),
    ],
)

case_deadlines: Final = Entity(
    tables.case_deadline,
    court.key("case-deadline|{case_deadline_id}", "case-deadline|{case_deadline_id}"),
    constant={"entityName": "CaseDeadline"},
    derived={"caseDeadlineId": "{case_deadline_id}"},
)

docket_counters: Final = Entity(
    tables.docket_counter,
    court.key("docketNumberCounter-{year}", "docketNumberCounter-{year}"),
    attributes={"id": tables.docket_counter.c.last_number},
)

court.leave_out("case-by-docket-number|*", because="finds a case by its number, which is the key", rebuild=cases)
court.leave_out("case|*", "case-deadline|*", because="mirrors a deadline under its case", rebuild=case_deadlines)
court.leave_out("user-email|*", because="finds a user by email, which has an index", rebuild=users)
court.leave_out("eligible-for-trial-case-catalog", because="sorts cases for the calendar", rebuild=cases)
court.not_yet("section|*", "maintenance-mode", "document-search-limiter")
