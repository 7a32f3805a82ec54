"""A tribunal: ``|`` between the parts of keys, copies under other keys, mappings in both directions."""

from __future__ import annotations

from typing import Any

from ashore.local.styles.draws import Draws
from ashore.local.styles.labelled import LabelledTable


def tribunal(draws: Draws, size: int) -> LabelledTable:
    """Copies of work items in an outbox: most are equal, some differ, some have lost their original."""
    table = LabelledTable(
        name="tribunal", key=(("pk", "S"), ("sk", "S")), indexes={"gsi1": ("gsi1pk", "pk")}, type_attribute="entityName"
    )
    table.kind(
        "case",
        "docketNumber text, caption text, filedAt timestamptz, status text, isSealed boolean, fee numeric, "
        "preferredCity text, parties document",
    )
    table.kind(
        "entry",
        "entryId uuid, docketNumber text, title text, pages integer, filedAt timestamptz, eventCode text, "
        "servedOn date",
        parents={"pk": "case"},
    )
    table.kind(
        "work_item",
        "workItemId uuid, docketNumber text, message text, assigneeId uuid, section text, createdAt timestamptz, "
        "completedAt timestamptz, isUrgent boolean",
        parents={"pk": "case", "assigneeId": "user"},
    )
    table.kind("user", "userId uuid, name text, email text, section text, role text, barNumber text")
    table.kind("user_case", role="mapping", parents={"pk": "user", "sk": "case"})
    table.kind("case_user", role="mapping", parents={"pk": "case", "sk": "user"}, mirrors="user_case")
    table.kind("deadline", "deadlineOn date, reason text", parents={"pk": "case"})
    table.kind("session", "sessionId uuid, city text, startsOn date, judgeId uuid, maxCases integer")
    users = [_user(table, draws) for _ in range(max(6, size // 40))]
    for _ in range(max(3, size // 80)):
        session = draws.uuid()
        about = {
            "entityName": "Session",
            "sessionId": session,
            "city": draws.title(),
            "startsOn": draws.day(),
            "judgeId": draws.one_of(*users),
            "maxCases": 20 + draws.whole(80),
        }
        table.add("session", {"pk": f"session|{session}", "sk": f"session|{session}", **about})
    for number in range(max(6, size // 14)):
        _case(table, draws, f"{101 + number}-{draws.one_of(19, 20, 21)}", users)
    return table


def _user(table: LabelledTable, draws: Draws) -> str:
    user = draws.uuid()
    about = {
        "entityName": "User",
        "userId": user,
        "name": draws.person(),
        "email": draws.email(),
        "section": draws.one_of("docket", "petitions", "chambers"),
        "role": draws.one_of("clerk", "judge", "lawyer"),
        **draws.maybe(0.4, barNumber=f"{draws.one_of('AB', 'CD')}{draws.digits(4)}"),
    }
    table.add("user", {"pk": f"user|{user}", "sk": f"user|{user}", **about})
    return user


def _case(table: LabelledTable, draws: Draws, docket: str, users: list[str]) -> None:
    key = f"case|{docket}"
    parties = [{"name": draws.person(), "city": draws.title(), "isLead": draws.truth()} for _ in range(2)]
    about = {
        "entityName": "Case",
        "docketNumber": docket,
        "caption": f"{draws.person()} and others",
        "filedAt": draws.moment(),
        "status": draws.one_of("New", "Calendared", "Closed"),
        "isSealed": draws.truth(0.1),
        "fee": draws.amount(100),
        "preferredCity": draws.title(),
        "parties": parties,
    }
    table.add("case", {"pk": key, "sk": key, **about})
    for user in draws.some_of(users, 3):
        table.add("user_case", {"pk": f"user|{user}", "sk": key, "gsi1pk": f"user-case|{docket}"})
        table.add("case_user", {"pk": key, "sk": f"user|{user}"})
    for _ in range(1 + draws.whole(8)):
        entry = draws.uuid()
        filing = {
            "entityName": "Entry",
            "entryId": entry,
            "docketNumber": docket,
            "title": draws.sentence(5),
            "pages": 1 + draws.whole(60),
            "filedAt": draws.moment(),
            "eventCode": draws.one_of("PET", "ORD", "MOT", "ANS"),
            **draws.maybe(0.6, servedOn=draws.day()),
        }
        table.add("entry", {"pk": key, "sk": f"entry|{entry}", **filing})
    if draws.truth(0.4):
        due = {"entityName": "Deadline", "deadlineOn": draws.day(), "reason": draws.sentence(4)}
        table.add("deadline", {"pk": key, "sk": f"deadline|{draws.uuid()}", **due})
    for _ in range(draws.whole(4)):
        _work_item(table, draws, docket, draws.one_of(*users))


def _work_item(table: LabelledTable, draws: Draws, docket: str, user: str) -> None:
    item, done = draws.uuid(), draws.moment()
    about: dict[str, Any] = {
        "entityName": "WorkItem",
        "workItemId": item,
        "docketNumber": docket,
        "message": draws.sentence(),
        "assigneeId": user,
        "section": draws.one_of("docket", "petitions", "chambers"),
        "createdAt": draws.moment(),
        "isUrgent": draws.truth(0.2),
        "gsi1pk": f"work-item|{item}",
    }
    is_done = draws.truth(0.7)
    if is_done:
        about["completedAt"] = done
    if draws.truth(0.97):
        table.add("work_item", {"pk": f"case|{docket}", "sk": f"work-item|{item}", **about})
    if is_done:
        changed = {"message": draws.sentence()} if draws.truth(0.15) else {}
        table.add("work_item", {"pk": f"user-outbox|{user}", "sk": done, **about, **changed}, is_copy=True)
