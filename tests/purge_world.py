"""A table on a real server whose entities have crossed and are retired: what is to be purged, and what is not."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from tests.database import HasDatabase

from ashore.config.settings import load_settings
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.stream import TableStream
from ashore.ledger import loads, records, units
from ashore.ledger.chunk import ChunkWriter
from ashore.ledger.schema import ensure_ledger
from ashore.load.order import LoadOrder, PlannedEncoding, planned_encoding
from ashore.load.run import run_load
from ashore.load.start import start_load
from ashore.local import LocalAws
from ashore.mapping.declare import Child, Copy, Entity, Source, remainder
from ashore.mapping.declared import PlanReference
from ashore.mapping.names import camel_case
from ashore.model.item import item_digest
from ashore.pipeline.load import _AfterRows, _Rebuild
from ashore.pipeline.project import Project, open_project
from ashore.pipeline.purge import PurgeOptions
from ashore.postgres.connect import connect
from ashore.sync.start import ensure_stream

metadata = sa.MetaData(schema="desk")


def _key(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False, **options)


person = sa.Table("person", metadata, _key("person_id", primary_key=True), sa.Column("name", sa.Text), *remainder())
letter = sa.Table(
    "letter",
    metadata,
    _key("letter_id", primary_key=True),
    _key("person_id"),
    sa.Column("text", sa.Text),
    *remainder(),
)
page = sa.Table(
    "page",
    metadata,
    _key("letter_id", primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("words", sa.Text),
    *remainder(),
)
call = sa.Table("call", metadata, _key("call_id", primary_key=True), _key("person_id"), *remainder())
desk = Source("desk", names=camel_case)
people = Entity(person, [desk.key("person|{person_id}", "person"), desk.key("PERSON#{person_id}", "person")])
letters = Entity(
    letter,
    desk.key("person|{person_id}", "letter|{letter_id}"),
    derived={"letterRef": "letter|{letter_id}"},
    children=[Child(table=page, attribute="pages", order=page.c.position)],
    copies=[Copy(partition="tray|{tray}", sort="{place}", of="letterRef", orphan="reject")],
)
calls = Entity(call, desk.key("person|{person_id}", "call|{call_id}"))
desk.not_yet("setting|*")
desk.leave_out("index", "letter|*", because="list of letters", rebuild=letters)
desk.leave_out("cache|*", because="it is rebuilt")
plan = desk.compile()
reference = PlanReference(declarations="tests.purge_world:desk", folder=Path(__file__).parents[1])
TABLE: Final = "desk"

Item = dict[str, Any]
Key = tuple[str, str]


def item(partition: str, sort: str, **attributes: Any) -> Item:
    return {"pk": {"S": partition}, "sk": {"S": sort}, **attributes}


def a_person(name: str, *, old: bool = False) -> Item:
    return item(f"PERSON#{name}" if old else f"person|{name}", "person", name={"S": f"{name} Prefect"})


def a_letter(number: str, writer: str) -> Item:
    pages = {"L": [{"M": {"words": {"S": "so long"}}}, {"M": {"words": {"S": "and thanks"}}}]}
    reference = {"S": f"letter|{number}"}
    return item(f"person|{writer}", f"letter|{number}", letterRef=reference, pages=pages, odd={"NS": ["2"]})


def a_copy(tray: str, place: str, number: str) -> Item:
    return item(f"tray|{tray}", place, letterRef={"S": f"letter|{number}"}, text={"S": "a copy"})


def others() -> list[Item]:
    """What no purge of people or letters may touch."""
    marker = item("ashore-marker|round-1|1700000000000000", "0")
    kept = [item(f"person|{name}", f"call|{name}-1") for name in "abc"]
    return [*kept, item("setting|1", "x"), item("cache|1", "y"), item("index", "other"), item("nobody", "z"), marker]


def own(people: int = 3, letters: int = 3) -> list[Item]:
    """Items of people and letters, of every kind."""
    names = [chr(ord("a") + number % 26) + str(number // 26 or "") for number in range(people)]
    items = [a_person(name, old=number % 3 == 2) for number, name in enumerate(names)]
    for number in range(letters):
        items += [a_letter(f"l{number}", names[number % len(names)]), a_copy("in", f"p{number}", f"l{number}")]
    return [*items, item("index", "letter|l0")]


def key_of(found: Item) -> Key:
    return found["pk"]["S"], found["sk"]["S"]


@dataclass(frozen=True)
class Desk(HasDatabase):
    """The table on its server, the database, and the project between them."""

    server: LocalAws
    dsn: str
    folder: Path

    @property
    def client(self) -> Any:
        return self.server.client("dynamodb")

    @property
    def source(self) -> TableSource:
        return TableSource(table=TABLE, region=self.server.region, endpoint_url=self.server.endpoint_url)

    @property
    def project(self) -> Project:
        text = f'[project]\ndeclarations = "tests.purge_world:desk"\ntable = "{TABLE}"\n'
        text += f'region = "{self.server.region}"\nendpoint_url = "{self.server.endpoint_url}"\n'
        (self.folder / "ashore.toml").write_text(text, encoding="utf-8")
        opened = open_project(
            load_settings(self.folder, environment=None, flags={"postgres": self.dsn}, environ=dict(os.environ))
        )
        return replace(opened, reference=reference)

    def make(self, items: list[Item]) -> None:
        """The table with a stream, loaded; people and letters are retired, after they were found equal."""
        self.client.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        for one in items:
            self.client.put_item(TableName=TABLE, Item=one)
        stream = TableStream(table=TABLE, region=self.server.region, endpoint_url=self.server.endpoint_url)
        with connect(self.dsn, application_name="test", autocommit=True) as conn:
            ensure_ledger(conn)
            ensure_stream(conn, plan, stream, {name: [] for name in plan.entities})
            self._load()
            self.verified(conn, "person", "letter")
            loads.set_state(conn, source="desk", entities=["person", "letter"], state="retired")

    def _load(self) -> None:
        """`ashore load` in this process."""
        order = LoadOrder(
            dsn=self.dsn,
            plan=plan,
            make_encoding=PlannedEncoding(reference=reference, entities=tuple(plan.entities)),
            source=self.source,
            entities=tuple(plan.entities),
            rebuild=_Rebuild(plan=plan, source=self.source),
            after_rows=_AfterRows(plan=plan),
        )
        with connect(self.dsn, application_name="test load", autocommit=True) as conn:
            begun = start_load(conn, order)
            load = begun.record
            writer = ChunkWriter(
                conn=conn,
                load=load.id,
                run=load.run,
                source=load.source,
                encoding=planned_encoding(plan, order.entities),
                targets=begun.targets,
            )
            while (claim := units.claim(conn, load=load.id, run=load.run, worker=1)) is not None:
                for number, chunk in enumerate(self.source.read(claim.unit, claim.position), start=claim.chunks):
                    writer.write(claim.unit.name, number, chunk)
            loads.advance(conn, load, "keys")
        run_load(order)

    @staticmethod
    def verified(conn: Any, *entities: str, differences: int = 0) -> None:
        """What a verification of these entities leaves in the ledger."""
        found = [{"entity": name, "differences": differences, "undecided": 0} for name in entities]
        at = datetime.now(UTC).isoformat()
        report = {"equal": not differences, "started_at": at, "entities": found}
        records.keep_verification(conn, "desk", report)

    def items(self) -> dict[Key, Item]:
        pages = self.client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
        return {key_of(found): found for one in pages for found in one["Items"]}

    def foreign_write(self, key: Key, entity: str) -> None:
        """What the sync leaves in the ledger where somebody else wrote this key."""
        at = {"pk": {"S": key[0]}, "sk": {"S": key[1]}}
        self.do(
            "INSERT INTO ashore.foreign_write (source, entity, key, key_hash, sequence, is_expiry, at)"
            " VALUES ('desk', %s, %s, %s, 1, false, now())",
            entity,
            json.dumps(at),
            UUID(bytes=item_digest(at)),
        )


def said(**more: Any) -> PurgeOptions:
    """Options that open every gate that the user can open."""
    opened = {"restore_point": "a snapshot", "table_restore_point": "an export", "write_units": 100_000.0}
    return PurgeOptions(**{**opened, "nobody_reads": True, "nobody_writes": True, "consumers_know": True, **more})
