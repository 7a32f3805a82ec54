"""A small shop for the tests of the load: a declaration, items made from a seed, a source in memory."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import sqlalchemy as sa

from ashore.ledger.chunk import Encoding
from ashore.load.order import Limits, LoadOrder, planned_encoding
from ashore.mapping.declare import Child, Entity, Source, remainder
from ashore.mapping.declared import PlanReference
from ashore.mapping.items import from_rows
from ashore.model.chunk import Chunk, Estimate, Position, Unit
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowReader, prepare
from ashore.postgres.names import TableName

metadata = sa.MetaData(schema="shop")
customer = sa.Table(
    "customer",
    metadata,
    sa.Column("customer_id", sa.Text(collation="C"), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("age", sa.Integer),
    *remainder(),
    sa.CheckConstraint("age IS NULL OR age < 200", name="customer_age"),
    sa.UniqueConstraint("email", name="customer_email"),
    sa.Index("customer_name", "name"),
)
purchase = sa.Table(
    "purchase",
    metadata,
    sa.Column("customer_id", sa.Text(collation="C"), primary_key=True),
    sa.Column("purchase_id", sa.Text(collation="C"), primary_key=True),
    sa.Column("total", sa.Numeric, nullable=False),
    *remainder(),
    sa.ForeignKeyConstraint(["customer_id"], [customer.c.customer_id], name="purchase_customer"),
)
line = sa.Table(
    "line",
    metadata,
    sa.Column("customer_id", sa.Text(collation="C"), primary_key=True),
    sa.Column("purchase_id", sa.Text(collation="C"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("article", sa.Text, nullable=False),
    *remainder(),
)

shop = Source("shop", names=str)
customers = Entity(
    customer,
    [shop.key("customer|{customer_id}", "customer"), shop.key("CUSTOMER#{customer_id}", "customer")],
)
purchases = Entity(
    purchase,
    shop.key("customer|{customer_id}", "purchase|{purchase_id}"),
    children=[Child(table=line, attribute="lines", order=line.c.position)],
)
plan = shop.compile()
reference = PlanReference(declarations=f"{__name__}:shop", folder=Path(__file__).parents[2])
TABLES = ("customer", "purchase", "line")


@dataclass(frozen=True, slots=True)
class MakeEncoding:
    """Makes the encoder in a worker, without a project's folder."""

    entities: tuple[str, ...] = ("customer", "purchase")

    def __call__(self) -> Encoding:
        return planned_encoding(plan, self.entities)


def raw(item: dict[str, Any]) -> bytes:
    return json.dumps(item, separators=(",", ":")).encode()


def a_customer(number: int, **attributes: Any) -> dict[str, Any]:
    item: dict[str, Any] = {
        "pk": {"S": f"customer|{number:06}"},
        "sk": {"S": "customer"},
        "name": {"S": f"Name\t{number}"},
        "email": {"S": f"{number}@example.org"},
        "age": {"N": str(number % 90)},
    }
    return {**item, **attributes}


def a_purchase(customer_number: int, number: int) -> dict[str, Any]:
    return {
        "pk": {"S": f"customer|{customer_number:06}"},
        "sk": {"S": f"purchase|{number}"},
        "total": {"N": f"{number}.50"},
        "tags": {"SS": ["a", "b"]},
        "lines": {"L": [{"M": {"article": {"S": f"article {place}"}}} for place in range(number % 4)]},
    }


def items(number: int, seed: int = 1) -> list[bytes]:
    """Customers and purchases; one purchase in a hundred lacks its total."""
    chance = random.Random(seed)
    made = []
    for place in range(number):
        if place % 3 == 0:
            item = a_customer(place)
        else:
            item = a_purchase(place - place % 3, place)
            if chance.random() < 0.01:
                del item["total"]
        made.append(raw(item))
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySource:
    """Items in memory, dealt out to units."""

    items: Sequence[bytes]
    unit_count: int = 6
    chunk_items: int = 100
    pause_seconds: float = 0.0
    name: str = "memory"

    @property
    def origin(self) -> dict[str, Any]:
        return {"memory": self.name}

    def units(self) -> list[Unit]:
        share = len(self.items) // self.unit_count
        return [Unit(name=f"part {number}", items=share, about={"n": number}) for number in range(self.unit_count)]

    def estimate(self) -> Estimate:
        return Estimate(items=len(self.items), bytes=0, read_units=0, dollars=0, note="")

    def read(self, unit: Unit, after: Position | None) -> Iterator[Chunk]:
        mine = self.items[unit.about["n"] :: self.unit_count]
        start = 0 if after is None else after["at"]
        while True:
            part = mine[start : start + self.chunk_items]
            start += len(part)
            time.sleep(self.pause_seconds)
            last = start >= len(mine)
            yield Chunk(items=part, position={"at": start, "\x00": "\x00"}, last=last, bytes_read=sum(map(len, part)))
            if last:
                return


def rebuild(conn: Conn, entity: str, keys: Sequence[Sequence[str]]) -> list[tuple[bytes, str]]:
    prepare(conn)
    one = plan.entities[entity]
    reader = RowReader(plan=one, tables={table.fullname: TableName("shop", table.name) for table in one.tables})
    built = []
    for _, rows in reader.by_key(conn, [tuple(key) for key in keys]):
        item = from_rows(one, rows)
        key = {name: item[name] for name in ("pk", "sk")}
        built.append((msgspec.json.encode(item), json.dumps(key)))
    return built


def order(dsn: str, source: MemorySource, **changes: Any) -> LoadOrder:
    entities = changes.pop("entities", ("customer", "purchase"))
    made = LoadOrder(
        dsn=dsn,
        plan=plan,
        make_encoding=MakeEncoding(entities),
        source=source,
        entities=entities,
        rebuild=rebuild,
        limits=Limits(max_rejected_share=0.5),
    )
    return replace(made, **changes)


def digest(dsn: str) -> dict[str, str]:
    """What each table holds, said by PostgreSQL."""
    whole = "count(*) || ' ' || md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\"), ''))"
    return {table: one(dsn, f"SELECT {whole} FROM shop.{table} t") for table in TABLES}


def definitions(dsn: str) -> list[tuple[Any, ...]]:
    """Every index and constraint of the shop, with flags and comments, said by PostgreSQL."""
    with psycopg.connect(dsn) as conn:
        indexes = conn.execute(
            "SELECT x.indexrelid::regclass::text, pg_get_indexdef(x.indexrelid), x.indisclustered, x.indisreplident,"
            " x.indisvalid, c.reloptions, obj_description(c.oid, 'pg_class')"
            " FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
            " JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = 'shop' ORDER BY 1"
        ).fetchall()
        constraints = conn.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(con.oid), convalidated,"
            " obj_description(con.oid, 'pg_constraint')"
            " FROM pg_constraint con JOIN pg_namespace n ON n.oid = con.connamespace WHERE n.nspname = 'shop'"
            " ORDER BY 1, 2"
        ).fetchall()
    return indexes + constraints


def one(dsn: str, statement: str) -> Any:
    with psycopg.connect(dsn) as conn:
        row = conn.execute(statement.encode()).fetchone()
        return None if row is None else row[0]
