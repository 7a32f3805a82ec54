"""The court profile: five entities of the court's declaration, interleaved, and one item in a thousand rejected.

Twelve items in turn are one case with its petitioners, five docket entries, three messages, two work items and a
deadline. They have nulls, unmapped attributes, sets, nested documents and dates in several forms, as
`ashore.local.court.items` makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ashore.bench.templates import ITEM, NUMBER, item_id
from ashore.local.court.declaration import court
from ashore.local.court.items import court_items
from ashore.mapping.match import AsRow, key_texts, matcher
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import to_rows
from ashore.model.item import Item

_turn: Final = (
    *("case", "docket_entry", "message", "docket_entry", "work_item", "docket_entry"),
    *("message", "docket_entry", "case_deadline", "message", "work_item", "docket_entry"),
)
_cases: Final = 800
_own_id: Final = {
    "docket_entry": "docketEntryId",
    "message": "messageId",
    "work_item": "workItemId",
    "case_deadline": "caseDeadlineId",
}
rejected_one_in: Final = 1_000


def court_profile_items(items: int, seed: int) -> Iterator[bytes]:
    """So many items as DynamoDB JSON; the same for the same seed."""
    pools = _pools(seed)
    poisoned = pools["docket_entry"][0].replace(b'"documentTitle":{"S":"', b'"documentTitle":{"S":"\\u0000', 1)
    for number in range(items):
        place, turn = divmod(number, len(_turn))
        entity = _turn[turn]
        pool = pools[entity]
        template = pool[number % len(pool)]
        if number % rejected_one_in == rejected_one_in - 1:
            entity, template = "docket_entry", poisoned
        yield template.replace(NUMBER, b"%d-25" % (101 + place)).replace(ITEM, item_id(number))


def _pools(seed: int) -> Mapping[str, list[bytes]]:
    plan = court.compile()
    match_key = matcher(plan)
    pools: dict[str, list[bytes]] = {name: [] for name in _turn}
    for item in court_items(_cases, seed):
        match match_key(*key_texts(plan, item)):
            case AsRow(entity=entity, generation=generation) if entity.name in pools:
                try:
                    to_rows(entity, item, generation)
                except UnfitError:
                    continue
                pools[entity.name].append(_template(entity.name, item))
            case _:
                continue
    return pools


def _template(entity: str, item: Item) -> bytes:
    kept = {name: value for name, value in item.items() if name != "trialSessionId"}
    raw = msgspec.json.encode(kept)
    number = item["pk"]["S"].removeprefix("case|") if entity != "case_deadline" else item["docketNumber"]["S"]
    raw = raw.replace(f'|{number}"'.encode(), b"|" + NUMBER + b'"').replace(
        f'"{number}"'.encode(), b'"' + NUMBER + b'"'
    )
    own = _own_id.get(entity)
    return raw if own is None else raw.replace(item[own]["S"].encode(), ITEM)
