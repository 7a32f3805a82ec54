"""A small project of its own, its items, and the command `ashore` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from ashore.local import LocalAws
from ashore.local.export_writer import write_export

PASSWORD: Final = "open-sesame-4711"
SECRET_NAME: Final = "Zaphod Beeblebrox"
TIMEOUT_SECONDS: Final = 120

DECLARATION: Final = """
import sqlalchemy as sa
from ashore import Source, Entity, camel_case, remainder

metadata = sa.MetaData()
customer = sa.Table(
    "customer", metadata,
    sa.Column("customer_id", sa.Text(collation="C"), primary_key=True),
    sa.Column("full_name", sa.Text, nullable=False),
    sa.Column("credit", sa.Numeric),
    *remainder(),
)
purchase = sa.Table(
    "purchase", metadata,
    sa.Column("purchase_id", sa.Text(collation="C"), primary_key=True),
    sa.Column("customer_id", sa.Text(collation="C"), nullable=False),
    sa.Column("amount", sa.Integer),
    *remainder(),
)
shop = Source("shop", names=camel_case)
customers = Entity(customer, shop.key("customer|{customer_id}", "customer|{customer_id}"),
                   derived={"customerId": "{customer_id}"})
purchases = Entity(purchase, shop.key("customer|{customer_id}", "purchase|{purchase_id}"))
shop.not_yet("visit|*")
shop.leave_out("cache|*", because="it is rebuilt")
"""

CONFIGURATION: Final = """
[project]
declarations = "shop:shop"
workers = 1

[environment.test]
postgres_env = "SHOP_DSN"
"""

Item = dict[str, Any]


def S(text: str) -> Item:  # noqa: N802 (as DynamoDB spells it)
    return {"S": text}


def customer(name: str, **more: Item) -> Item:
    key = S(f"customer|{name}")
    return {"pk": key, "sk": key, "customerId": S(name), "fullName": S(f"{SECRET_NAME} {name}"), **more}


def purchase(buyer: str, name: str, **more: Item) -> Item:
    return {"pk": S(f"customer|{buyer}"), "sk": S(f"purchase|{name}"), "amount": {"N": "7"}, **more}


def many(customers: int) -> list[Item]:
    """Good items: two purchases a customer, and some that rules speak of."""
    items = []
    for number in range(customers):
        items += [
            customer(f"c{number}", credit={"N": "12.50"}),
            *(purchase(f"c{number}", f"p{number}-{n}") for n in "ab"),
        ]
    items += [{"pk": S("visit|1"), "sk": S("x")}, {"pk": S("cache|1"), "sk": S("y")}]
    return items


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The project's folder, its database, and what the command's process is given."""

    folder: Path
    dsn: str
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def secret_dsn(self) -> str:
        return f"{self.dsn}&password={PASSWORD}"

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def export(self, items: Iterable[Item], name: str = "exported") -> str:
        write_export(self.folder / name, (json.dumps(item).encode() for item in items), files=2)
        return str(self.folder / name)

    def given(self, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASHORE_", "PG"))}
        return kept | {"SHOP_DSN": self.secret_dsn} | self.environ | dict(environ or {})

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "ashore", *arguments],
            cwd=self.folder,
            env=self.given(environ),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        for output in (done.stdout, done.stderr):
            assert PASSWORD not in output
            assert "--reveal" in arguments or SECRET_NAME not in output
        return done

    def json(self, *arguments: str, exit_code: int = 0, environ: Mapping[str, str] | None = None) -> Any:
        done = self.run(*arguments, "--json", environ=environ)
        assert exit_code == done.returncode, done.stdout + done.stderr
        return json.loads(done.stdout)

    def rows(self, statement: str) -> list[Any]:
        with psycopg.connect(self.dsn) as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def is_untouched(self) -> bool:
        there = "SELECT count(*) FROM pg_namespace WHERE nspname = 'ashore'"
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        return self.rows(there) == [(0,)] and self.rows(tables) == [(0,)]


@pytest.fixture
def shop(tmp_path: Path, postgres_dsn: str) -> Shop:
    """A project in a folder, and an empty database."""
    made = Shop(folder=tmp_path, dsn=postgres_dsn)
    made.write("shop.py", DECLARATION)
    made.write("ashore.toml", CONFIGURATION)
    return made


@pytest.fixture
def shop_table(shop: Shop, moto: LocalAws) -> Shop:
    """The project with an empty table `shop` in moto."""
    moto.client("dynamodb").create_table(
        TableName="shop",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    )
    shop.write("ashore.toml", CONFIGURATION + 'table = "shop"\n')
    shop.environ.update(moto.environment)
    return shop


@pytest.fixture
def make() -> Any:
    """The makers of items: `customer`, `purchase`, `many`, `S`."""

    class Makers:
        pass

    makers: Any = Makers()
    makers.customer, makers.purchase, makers.many, makers.S = customer, purchase, many, S
    return makers
