"""The court's work items, and their copies in the outboxes of users and sections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from random import Random

from ashore.local.court.people import Bench
from ashore.local.court.values import M, S, later, moment, new_id, no, null, yes
from ashore.model.attribute import TypedValue
from ashore.model.item import Item


def case_work(
    random: Random, bench: Bench, case: Item, entries: Sequence[Item], received: datetime
) -> Iterator[Item]:  # fmt: skip
    """Make the work items of a case, each with its copies.

    Of those done, a copy is in the outbox of the user and of the section. Some copies have fallen behind their original
    (an application forgot one of three writes); some have lost it.
    """
    for entry in entries[: random.randrange(1, 3)]:
        clerk = random.choice(bench.clerks)
        item = _work_item(random, case, entry, received)
        if random.random() < 0.5:
            yield item
            continue
        done = later(random, received, 90)
        item |= {
            "assigneeId": S(clerk.user_id),
            "assigneeName": S(clerk.name),
            "completedAt": S(moment(done)),
            "completedMessage": S("completed"),
        }
        stray = random.random()
        if stray >= 0.04:
            yield item
        copy = dict(item)
        if 0.04 <= stray < 0.30:
            copy |= {"caseStatus": S("General Docket - Not at Issue"), "highPriority": yes}
        # the outboxes were once keyed with a dash
        generation = "-" if random.random() < 0.05 else "|"
        yield copy | {"pk": S(f"user-outbox{generation}{clerk.user_id}"), "sk": S(moment(done))}
        if stray >= 0.04:
            yield item | {
                "pk": S(f"section-outbox|{item['section']['S']}"),
                "sk": S(f"{moment(done)}#{case['docketNumber']['S']}"),
            }


def _work_item(random: Random, case: Item, entry: Item, received: datetime) -> dict[str, TypedValue]:
    work_item_id, docket_number = new_id(random), case["docketNumber"]["S"]
    return {
        "pk": S(f"case|{docket_number}"),
        "sk": S(f"work-item|{work_item_id}"),
        "entityName": S("WorkItem"),
        "gsi1pk": S(f"work-item|{work_item_id}"),
        "workItemId": S(work_item_id),
        "docketNumber": S(docket_number),
        "section": S(random.choice(("docket", "petitions"))),
        "assigneeId": null,
        "assigneeName": null,
        "caseStatus": case["status"],
        "highPriority": yes if random.random() < 0.1 else no,
        "docketEntry": M(
            {
                "docketEntryId": entry["docketEntryId"],
                "eventCode": entry["eventCode"],
                "documentTitle": entry["documentTitle"],
                "numberOfPages": entry["numberOfPages"],
                "certificateOfServiceDate": null,
            }
        ),
        "createdAt": S(moment(received)),
        "updatedAt": S(moment(later(random, received, 20))),
    }
