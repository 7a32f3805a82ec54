"""Items that cannot become rows as the court declares them: what the load has to reject, with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from ashore.local.court.people import Bench
from ashore.local.court.values import N, S, moment, new_id, no, null, opened
from ashore.mapping.reasons import Reason
from ashore.model.item import Item

expected_rejected: Final[dict[tuple[str | None, Reason], int]] = {
    ("message", "nul_in_text"): 2,
    ("message", "duplicate_key"): 2,
    ("docket_entry", "nul_in_text"): 1,
    ("docket_entry", "key_spelling"): 1,
    ("docket_entry", "not_a_timestamp"): 1,
    ("user", "wrong_type"): 1,
    (None, "unmatched"): 1,
}
"""How many of `awkward_items` are rejected, by entity and reason."""


def awkward_items(random: Random, bench: Bench, docket_numbers: Sequence[str]) -> Iterator[Item]:
    """One or two items for each of `expected_rejected`."""
    one, other = docket_numbers[3], docket_numbers[7]
    yield _message(bench, one, new_id(random), "Scanned with a broken driver:\0\0 page 2")
    yield _message(bench, other, new_id(random), "\0")
    twice = new_id(random)  # moved to another case, and left behind
    yield _message(bench, one, twice, "Wrong case, sorry")
    yield _message(bench, other, twice, "Wrong case, sorry")
    yield _entry(random, one, new_id(random), title="Exhibit\0A")
    yield _entry(random, one, new_id(random).upper(), title="Exhibit B")
    yield _entry(random, other, new_id(random), title="Exhibit C", filed="last Tuesday")
    user_id = new_id(random)
    yield {
        "pk": S(f"user|{user_id}"),
        "sk": S(f"user|{user_id}"),
        "entityName": S("User"),
        "userId": S(user_id),
        "name": S("Zoë Quill"),
        "role": S("practitioner"),
        "birthYear": N(1961),
    }
    yield {"pk": S(f"{new_id(random)}|workItem"), "sk": S(new_id(random)), "status": null}


def _message(bench: Bench, docket_number: str, message_id: str, text: str) -> Item:
    sender, receiver = bench.clerks[:2]
    return {
        "pk": S(f"case|{docket_number}"),
        "sk": S(f"message|{message_id}"),
        "entityName": S("Message"),
        "docketNumber": S(docket_number),
        "messageId": S(message_id),
        "parentMessageId": S(message_id),
        "gsi1pk": S(f"message|{message_id}"),
        "subject": S("Scan"),
        "message": S(text),
        "fromUserId": S(sender.user_id),
        "fromSection": S(sender.section or ""),
        "toUserId": S(receiver.user_id),
        "toSection": S(receiver.section or ""),
        "createdAt": S(moment(opened)),
        "completedAt": null,
        "isReplied": no,
    }


def _entry(random: Random, docket_number: str, entry_id: str, *, title: str, filed: str | None = None) -> Item:
    return {
        "pk": S(f"case|{docket_number}"),
        "sk": S(f"docket-entry|{entry_id}"),
        "entityName": S("DocketEntry"),
        "docketNumber": S(docket_number),
        "docketEntryId": S(entry_id),
        "eventCode": S("EXH"),
        "documentTitle": S(title),
        "filingDate": S(filed or moment(opened)),
        "numberOfPages": N(random.randrange(1, 9)),
        "draftOrderState": null,
    }
