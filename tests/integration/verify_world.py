"""A small court, declared; and ways to load it and to verify it. Worker processes import this module too."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from ashore import Child, Copy, Entity, Source, camel_case, explicit, maybe, promote, remainder, strip
from ashore.dynamodb.export import ExportSource
from ashore.local.export_writer import write_export
from ashore.mapping.declared import PlanReference
from ashore.model.chunk import ItemSource
from ashore.pipeline.load import LoadOutcome, load
from ashore.pipeline.verify import verify
from ashore.verify.report import VerifyReport

metadata = sa.MetaData()


def key_text() -> sa.Text:
    return sa.Text(collation="C")


case = sa.Table(
    "case",
    metadata,
    sa.Column("docket_number", key_text(), primary_key=True),
    sa.Column("caption", sa.Text),
    sa.Column("lead_docket_number", sa.Text),
    sa.Column("filed_at", sa.DateTime(timezone=True)),
    sa.Column("judge", JSONB),
    sa.Column("amount", sa.Numeric),
    sa.Column("closed_at", sa.DateTime(timezone=True)),
    *remainder(),
)
petitioner = sa.Table(
    "petitioner",
    metadata,
    sa.Column("docket_number", key_text(), sa.ForeignKey(case.c.docket_number), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text),
    *remainder(),
)
work_item = sa.Table(
    "work_item",
    metadata,
    sa.Column("docket_number", key_text(), primary_key=True),
    sa.Column("work_item_id", sa.Uuid, primary_key=True),
    sa.Column("assignee", sa.Text),
    *remainder(),
)

court = Source("court", names=camel_case)
Entity(
    case,
    [court.key("case|{docket_number}", "case|{docket_number}"), court.key("old|{docket_number}", "{docket_number}")],
    constant={"entityName": "Case"},
    derived={"docketNumber": "{docket_number}", "gsi1pk": maybe("case|{lead_docket_number}")},
    null={"closedAt": explicit},
    unfit={"caption": strip},
    children=[Child(table=petitioner, attribute="petitioners", order=petitioner.c.position)],
)
Entity(
    work_item,
    court.key("case|{docket_number}", "work-item|{work_item_id}"),
    derived={"docketNumber": "{docket_number}", "gsi1pk": "work-item|{work_item_id}"},
    copies=[
        Copy(partition="user-outbox|{user}", sort="{at}", of="gsi1pk", orphan=promote),
        Copy(partition="section-outbox|{section}", sort="{at}", of="gsi1pk"),
    ],
)
court.not_yet("user|*")
court.leave_out("catalog", because="a list of cases that PostgreSQL makes by itself")
plan = court.compile()
PROJECT: Final = Path(__file__).parent.parent.parent
REFERENCE: Final = PlanReference(declarations="tests.integration.verify_world:court", folder=PROJECT)

Item = dict[str, Any]


def a_case(number: str, **attributes: Any) -> Item:
    return {
        "pk": {"S": f"case|{number}"},
        "sk": {"S": f"case|{number}"},
        "entityName": {"S": "Case"},
        "docketNumber": {"S": number},
        "caption": {"S": f"Petitioner of {number}"},
        "filedAt": {"S": "2020-06-05T18:02:25.280Z"},
        "judge": {"M": {"name": {"S": "Buch"}, "tags": {"SS": ["a", "b"]}}},
        "amount": {"N": "19824.99"},
        "closedAt": {"NULL": True},
        "petitioners": {"L": [{"M": {"name": {"S": "Ada"}, "n": {"NS": ["1", "2"]}}}, {"M": {"name": {"S": "Bob"}}}]},
        "postalCode": {"S": "01234"},
        **attributes,
    }


def a_work_item(number: str, at: int, **attributes: Any) -> Item:
    name = str(uuid.UUID(int=at))
    return {
        "pk": {"S": f"case|{number}"},
        "sk": {"S": f"work-item|{name}"},
        "gsi1pk": {"S": f"work-item|{name}"},
        "docketNumber": {"S": number},
        "assignee": {"S": "clerk"},
        **attributes,
    }


def a_court(cases: int = 40) -> Iterator[Item]:
    """Cases, a work item for each with an outbox copy, and items that do not become rows."""
    for at in range(cases):
        number = f"{100 + at}-20"
        yield a_case(number)
        main = a_work_item(number, at)
        yield main
        yield {**main, "pk": {"S": "user-outbox|7"}, "sk": {"S": f"2020-01-{at:04}"}}
    yield {"pk": {"S": "user|1"}, "sk": {"S": "user|1"}}
    yield {"pk": {"S": "catalog"}, "sk": {"S": "1"}}


def raw(items: Iterable[Item]) -> list[bytes]:
    return [json.dumps(item, separators=(",", ":")).encode() for item in items]


def export_of(folder: Path, items: Iterable[Item], *, files: int = 3) -> ExportSource:
    write_export(folder, raw(items), files=files)
    return ExportSource(path=str(folder))


def load_court(dsn: str, source: ItemSource, **options: Any) -> LoadOutcome:
    return load(plan=plan, reference=REFERENCE, source=source, dsn=dsn, **{"workers": 1, **options})


def verify_court(dsn: str, source: ItemSource, **options: Any) -> VerifyReport:
    return verify(plan=plan, reference=REFERENCE, source=source, dsn=dsn, **{"workers": 1, **options})
