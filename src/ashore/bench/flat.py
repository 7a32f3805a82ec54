"""The flat profile: one entity, items of 1.2 KB with 24 attributes, most of them columns.

A worker process finds the declaration as ``ashore.bench.flat:flat``.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from ashore.bench.templates import ITEM, NUMBER, item_id
from ashore.mapping.declare import Entity, Source, remainder
from ashore.mapping.names import camel_case

metadata: Final = sa.MetaData(schema="bench")

docket_entry: Final = sa.Table(
    "docket_entry",
    metadata,
    sa.Column("docket_number", sa.Text(collation="C"), primary_key=True),
    sa.Column("docket_entry_id", sa.Uuid, primary_key=True),
    sa.Column("event_code", sa.Text, nullable=False),
    sa.Column("section", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("document_type", sa.Text),
    sa.Column("document_title", sa.Text),
    sa.Column("filed_by", sa.Text),
    sa.Column("free_text", sa.Text),
    sa.Column("additional_info", sa.Text),
    sa.Column("service_note", sa.Text),
    sa.Column("entry_number", sa.Integer),
    sa.Column("number_of_pages", sa.Integer),
    sa.Column("attempts", sa.Integer),
    sa.Column("fee", sa.Numeric),
    sa.Column("is_draft", sa.Boolean),
    sa.Column("is_sealed", sa.Boolean),
    sa.Column("is_on_docket_record", sa.Boolean),
    sa.Column("created_at", sa.DateTime(timezone=True)),
    sa.Column("filing_date", sa.DateTime(timezone=True)),
    sa.Column("updated_at", sa.DateTime(timezone=True)),
    sa.Column("served_parties", JSONB),
    *remainder(),
)

flat: Final = Source("bench_flat", names=camel_case)
Entity(
    docket_entry,
    flat.key("case|{docket_number}", "docket-entry|{docket_entry_id}"),
    constant={"entityName": "DocketEntry"},
    derived={"docketEntryId": "{docket_entry_id}"},
)

sections: Final = ("docket", "petitions", "calendar", "admissions", "chambers")
statuses: Final = ("pending", "processed", "served")
_syllables: Final = (
    "or",
    "mo",
    "tion",
    "an",
    "de",
    "ci",
    "sion",
    "no",
    "ti",
    "ce",
    "re",
    "ply",
    "ex",
    "hi",
    "bit",
    "tran",
)
_vocabulary: Final = 1_500
_pool: Final = 4_096
"""Different items (4 MB of text, so that gzip, whose window is 32 KB, finds little that it has seen)."""
_entries_a_case: Final = 50


def flat_items(items: int, seed: int) -> Iterator[bytes]:
    """So many items as DynamoDB JSON; the same for the same seed."""
    random = Random(seed)  # noqa: S311 (made-up items are no secret)
    words = ["".join(random.choices(_syllables, k=random.randrange(2, 5))) for _ in range(_vocabulary)]
    templates = [_template(random, words) for _ in range(_pool)]
    for number in range(items):
        template = templates[number % _pool]
        case = b"%d-20" % (101 + number // _entries_a_case)
        yield template.replace(NUMBER, case, 1).replace(ITEM, item_id(number))


def _template(random: Random, words: list[str]) -> bytes:
    def text(count: int) -> dict[str, str]:
        return {"S": " ".join(random.choices(words, k=count))}

    def moment() -> dict[str, str]:
        day = f"2020-{random.randrange(1, 13):02d}-{random.randrange(1, 29):02d}"
        return {"S": f"{day}T18:02:25.{random.randrange(1000):03d}Z"}

    def number(below: int) -> dict[str, str]:
        return {"N": str(random.randrange(below))}

    def truth() -> dict[str, bool]:
        return {"BOOL": random.random() < 0.5}

    item: dict[str, Any] = {
        "pk": {"S": f"case|{NUMBER.decode()}"},
        "sk": {"S": f"docket-entry|{ITEM.decode()}"},
        "entityName": {"S": "DocketEntry"},
        "docketEntryId": {"S": ITEM.decode()},
        "eventCode": {"S": random.choice(words)[:4].upper()},
        "section": {"S": random.choice(sections)},
        "status": {"S": random.choices(statuses, (1, 8, 16))[0]},
        "documentType": text(2),
        "documentTitle": text(6),
        "filedBy": text(3),
        "freeText": text(10),
        "additionalInfo": text(8),
        "serviceNote": text(6),
        "entryNumber": number(500),
        "numberOfPages": number(90),
        "attempts": number(4),
        "fee": {"N": f"{random.randrange(100_000)}.{random.randrange(1, 10)}"},
        "isDraft": truth(),
        "isSealed": truth(),
        "isOnDocketRecord": truth(),
        "createdAt": moment(),
        "filingDate": moment(),
        "updatedAt": moment(),
        "servedParties": {"L": [{"M": {"name": text(2), "copies": number(9)}} for _ in range(2)]},
    }
    return msgspec.json.encode(item)
