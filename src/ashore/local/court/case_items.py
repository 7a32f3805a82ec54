"""One case of the court and all that hangs on it: docket entries, messages, work items, users, deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from ashore.local.court.people import Bench
from ashore.local.court.values import (
    L,
    M,
    N,
    S,
    Typed,
    cities,
    digits38,
    later,
    mixed_moment,
    moment,
    new_id,
    no,
    null,
    opened,
    person,
    yes,
)
from ashore.local.court.work import case_work
from ashore.model.item import Item

_open_statuses = ("New", "General Docket", "Calendared", "Submitted", "CAV")
_events = (
    ("P", "Petition"),
    ("A", "Answer"),
    ("M006", "Motion for Continuance"),
    ("O", "Order"),
    ("STIP", "Stipulation of Facts"),
    ("BRF", "Seriatim Opening Brief"),
    ("NCA", "Notice of Change of Address"),
)
_subjects = ("Ready for review", "Please serve", "Signature missing", "Set for trial?", "Sealing request")


@dataclass(slots=True)
class MadeCase:
    """A case's number and its items."""

    docket_number: str
    items: list[Item] = field(default_factory=list)


def make_case(random: Random, bench: Bench, number: int, known: list[str]) -> MadeCase:
    """Make one case. `known` are the docket numbers so far: some cases follow a lead case among them."""
    docket_number = f"{number}-25"
    made = MadeCase(docket_number)
    received = later(random, opened, 330)
    case = _case(random, bench, made.docket_number, number, received)
    if known and random.random() < 0.08:
        lead = random.choice(known)
        case |= {"leadDocketNumber": S(lead), "gsi1pk": S(f"case|{lead}")}
    made.items.append(case)
    made.items.append({"pk": S(f"case-by-docket-number|{docket_number}"), "sk": S(f"case|{docket_number}")})
    if case["status"]["S"] == "General Docket":
        order = f"{case['preferredTrialCity']['S'].replace(' ', '')}-R-B-{received:%Y%m%d%H%M%S}-{docket_number}"
        made.items.append({"pk": S("eligible-for-trial-case-catalog"), "sk": S(order)})
    entries = list(_docket_entries(random, bench, docket_number, received))
    made.items += entries
    made.items += _messages(random, bench, docket_number, received)
    made.items += _users(random, bench, case, received)
    made.items += case_work(random, bench, case, entries, received)
    if random.random() < 0.4:
        made.items += _deadline(random, case, received)
    return made


def _case(random: Random, bench: Bench, docket_number: str, number: int, received: datetime) -> dict[str, Typed]:
    judge = random.choice(bench.judges)
    is_closed = random.random() < 0.2
    petitioners = [_petitioner(random) for _ in range(1 if random.random() < 0.7 else 2)]
    first = petitioners[0]["M"]["name"]["S"]
    case: dict[str, Typed] = {
        "pk": S(f"case|{docket_number}"),
        "sk": S(f"case|{docket_number}"),
        "entityName": S("Case"),
        "docketNumber": S(docket_number),
        "docketNumberSuffix": S(random.choice("LSW")) if random.random() < 0.6 else null,
        "sortableDocketNumber": N(25_000_000 + number),
        "caseCaption": S(f"{first}, Petitioner{'s' if len(petitioners) > 1 else ''}"),
        "caseType": S(random.choice(("Deficiency", "Whistleblower", "CDP (Lien/Levy)", "Innocent Spouse"))),
        "status": S("Closed" if is_closed else random.choice(_open_statuses)),
        "receivedAt": S(mixed_moment(random, received)),
        "preferredTrialCity": S(random.choice(cities)[0]),
        "judge": M({"userId": S(judge.user_id), "name": S(judge.name), "chambers": S(f"Chambers of {judge.name}")}),
        "irsDeficiencyAmount": N(
            digits38(random) if random.random() < 0.03 else f"{random.randrange(10**6)}.{random.randrange(1, 10)}"
        ),
        "taxYears": {"NS": [str(year) for year in sorted(random.sample(range(2012, 2025), random.randrange(1, 4)))]},
        "petitioners": L(petitioners),
        "noticeOfAttachments": yes if random.random() < 0.2 else no,
        "mailingDate": S(f"{random.randrange(1, 13):02d}/{random.randrange(1, 29):02d}/2024"),
    }
    if is_closed:
        case["closedDate"] = S(moment(later(random, received, 30)))
    if random.random() < 0.3:
        case["trialSessionId"] = S(random.choice(bench.sessions))
    if random.random() < 0.25:
        case["flags"] = {"SS": sorted(random.sample(("blocked", "high-priority", "pro-se", "sealed-docket"), 2))}
    if random.random() < 0.05:
        case |= {"isSealed": yes, "sealThumbprints": {"BS": ["AAEC", "c2VhbA=="]}}
    if random.random() < 0.2:
        case["statistics"] = L([_statistic(random) for _ in range(random.randrange(1, 3))])
    if random.random() < 0.04:
        del case["entityName"]
    if random.random() < 0.04:
        del case["docketNumberSuffix"]
    return case


def _petitioner(random: Random) -> Typed:
    city, state, postal_code = random.choice(cities)
    name = person(random)
    one: dict[str, Typed] = {
        "contactId": S(new_id(random)),
        "name": S(name),
        "city": S(city),
        "state": S(state),
        "postalCode": S(postal_code),
        "countryType": S("domestic"),
    }
    match random.randrange(3):
        case 0:
            one["phone"] = null
        case 1:
            one["phone"] = S(f"555-01{random.randrange(100):02d}")
    if random.random() < 0.5:
        one["email"] = S(f"{name.split()[0].casefold()}@mail.example")
    return M(one)


def _statistic(random: Random) -> Typed:
    year = random.randrange(2012, 2025)
    return M(
        {
            "year": N(year),
            "deficiency": N(digits38(random)),
            "penalties": {"NS": ["0.5", str(random.randrange(1, 9_999))]},
            "remarks": S("") if random.random() < 0.5 else null,
        }
    )


def _docket_entries(random: Random, bench: Bench, docket_number: str, received: datetime) -> Iterator[dict[str, Typed]]:
    filed = received
    for index in range(1, random.randrange(3, 9)):
        code, title = _events[0] if index == 1 else random.choice(_events[1:])
        clerk = random.choice(bench.clerks)
        entry_id = new_id(random)
        entry: dict[str, Typed] = {
            "pk": S(f"case|{docket_number}"),
            "sk": S(f"docket-entry|{entry_id}"),
            "entityName": S("DocketEntry"),
            # some entries were copied from another case with all that they say of themselves
            "docketNumber": S("101-18" if random.random() < 0.01 else docket_number),
            "docketEntryId": S(entry_id),
            "index": N(index),
            "eventCode": S(code),
            "documentTitle": S(title),
            "filingDate": S(mixed_moment(random, filed)),
            "filedBy": S(f"Petr. {person(random)}"),
            "userId": S(clerk.user_id),
            "numberOfPages": N(random.randrange(1, 80)),
            "isOnDocketRecord": yes,
            "processingStatus": S("complete"),
        }
        if random.random() < 0.3:
            entry["certificateOfServiceDate"] = S(filed.date().isoformat())
        if random.random() < 0.6:
            entry["servedAt"] = S(moment(later(random, filed, 5)))
        if random.random() < 0.15:
            entry["editState"] = S(f'{{"eventCode":"{code}","path":"C:\\\\scans\\\\{index}.pdf","pages":[1,2]}}')
        entry["draftOrderState"] = (
            null if random.random() < 0.9 else M({"richText": S("<p>It is\nORDERED</p>\t"), "page": N(1)})
        )
        if random.random() < 0.02:
            entry["numberOfPages"] = S("unknown")
        yield entry
        filed = later(random, filed, 25)


def _messages(random: Random, bench: Bench, docket_number: str, received: datetime) -> Iterator[Item]:
    for _ in range(random.choices((0, 1, 2), (3, 4, 2))[0]):
        parent, sent, subject = new_id(random), later(random, received, 60), random.choice(_subjects)
        sender, receiver = random.sample(bench.clerks, 2)
        replies = random.choices((1, 2, 3), (4, 3, 2))[0]
        for place in range(replies):
            message_id = parent if place == 0 else new_id(random)
            is_last = place == replies - 1
            is_answered = not is_last or random.random() < 0.45
            message: dict[str, Typed] = {
                "pk": S(f"case|{docket_number}"),
                "sk": S(f"message|{message_id}"),
                "entityName": S("Message"),
                "docketNumber": S(docket_number),
                "messageId": S(message_id),
                "parentMessageId": S(parent),
                "gsi1pk": S(f"message|{parent}"),
                "subject": S(subject),
                "message": S(f"{subject}: see entry {place + 1}.\nThanks, {sender.name}"),
                "from": S(sender.name),
                "fromUserId": S(sender.user_id),
                "fromSection": S(sender.section or ""),
                "toUserId": S(receiver.user_id),
                "toSection": S(receiver.section or ""),
                "createdAt": S(moment(sent)),
                "completedAt": S(moment(sent + timedelta(hours=random.randrange(1, 200)))) if is_answered else null,
                "isReplied": yes if not is_last else no,
            }
            if random.random() < 0.1:
                message["attachments"] = L([M({"documentId": S(new_id(random)), "title": S("Scan №1 📎")})])
            yield message
            sender, receiver = receiver, sender
            sent = later(random, sent, 6)


def _users(random: Random, bench: Bench, case: Item, received: datetime) -> Iterator[Item]:
    docket_number = case["docketNumber"]["S"]
    for one in random.sample(bench.practitioners[1:], random.randrange(1, 3)):
        item = {
            "pk": S(f"user|{one.user_id}"),
            "sk": S(f"case|{docket_number}"),
            "entityName": S("UserCase"),
            "userId": S(one.user_id),
            "docketNumber": S(docket_number),
            "gsi1pk": S(f"user-case|{docket_number}"),
            "createdAt": S(moment(received)),
            "caseCaption": case["caseCaption"],
            "status": case["status"],
        }
        yield item


def _deadline(random: Random, case: Item, received: datetime) -> Iterator[Item]:
    deadline_id, docket_number = new_id(random), case["docketNumber"]["S"]
    key = S(f"case-deadline|{deadline_id}")
    yield {
        "pk": key,
        "sk": key,
        "entityName": S("CaseDeadline"),
        "caseDeadlineId": S(deadline_id),
        "docketNumber": S(docket_number),
        "deadlineDate": S(mixed_moment(random, later(random, received, 120))),
        "description": S("Response due"),
        "associatedJudge": case["judge"]["M"]["name"],
    }
    yield {"pk": S(f"case|{docket_number}"), "sk": key}
