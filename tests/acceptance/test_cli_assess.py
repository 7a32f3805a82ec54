"""`ashore assess` as a user runs it: the project that it writes is loaded and verified without an edit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.many_references import many_references

from ashore.local import LocalAws
from ashore.local.export_writer import write_export
from ashore.local.styles import LabelledTable, make, styles

SEED = 11


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A folder to work in, and a database."""

    folder: Path
    dsn: str

    def run(self, *arguments: str, exit_code: int = 0, environ: Mapping[str, str] | None = None) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASHORE_", "PG", "AWS_"))}
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env=kept | {"ASHORE_POSTGRES": self.dsn} | dict(environ or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        assert exit_code == done.returncode, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        return json.loads(self.run("ashore", "--json", *arguments, exit_code=exit_code))

    def export(self, table: LabelledTable) -> list[str]:
        """Write an export of the table; the arguments that say what it is."""
        write_export(self.folder / "exported", table.raw(), files=3)
        told = [argument for name, kind in table.key for argument in ("--key", f"{name}:{kind}")]
        told += [argument for names in table.indexes.values() for argument in ("--index", ",".join(names))]
        return ["--export", "exported", *told]


@pytest.fixture
def desk(tmp_path: Path, postgres_dsn: str) -> Desk:
    return Desk(folder=tmp_path, dsn=postgres_dsn)


@pytest.mark.parametrize("name", styles)
def test_what_is_proposed_is_loaded_and_verified_as_it_is(name: str, desk: Desk) -> None:
    table = make(name, size=300, seed=SEED)
    assessed = desk.json("assess", *desk.export(table), "--all", "--out", "project")
    assert assessed["proposal"]["complete"]
    project = Desk(folder=desk.folder / "project", dsn=desk.dsn)
    project.run("alembic", "upgrade", "head")

    loaded = project.json("load")
    verified = project.json("verify", "--witness-all")

    assert [] == loaded["rejected"]
    assert [] == loaded["findings"]
    assert len(table.items) == loaded["items"]
    assert {"rows", "copy"} >= {one["outcome"] for one in loaded["counts"]}
    assert 0 == verified["total_differences"]


_COMPOSITE = """
    SELECT conrelid::regclass::text, confrelid::regclass::text, convalidated FROM pg_constraint
    WHERE contype = 'f' AND cardinality(conkey) > 1 ORDER BY 1, 2
"""


def test_foreign_keys_of_several_columns_hold_after_a_load_and_a_row_without_its_parent_is_found(desk: Desk) -> None:
    table = make("chancery", size=300, seed=SEED)
    desk.json("assess", *desk.export(table), "--all", "--out", "project")
    project = Desk(folder=desk.folder / "project", dsn=desk.dsn)
    project.json("load")
    with psycopg.connect(desk.dsn) as conn:
        made = conn.execute(_COMPOSITE).fetchall()
    entry, document, signature = "entry", "document", "signature"
    assert [(document, entry, True), (signature, document, True), (signature, entry, True)] == made

    rest = [one.item for one in table.items if one.item["sk"]["S"] != "entry|1"]
    shutil.rmtree(desk.folder / "exported")
    write_export(desk.folder / "exported", (json.dumps(item).encode() for item in rest), files=2)
    loaded = project.json("load", "--restart", exit_code=1)
    lost = {one.item["pk"]["S"] for one in table.items if one.item["sk"]["S"] == "entry|1"}
    orphans = [one for one in rest if one["pk"]["S"] in lost and one["sk"]["S"].startswith("document|1|")]
    assert {document: len(orphans)} == {
        one["table"].rpartition(".")[2]: one["rows"] for one in loaded["findings"] if "document" in one["table"]
    }


_FOREIGN_KEYS = """
    SELECT conrelid::regclass::text, cardinality(conkey) FROM pg_constraint
    WHERE contype = 'f' AND convalidated AND connamespace = 'public'::regnamespace ORDER BY 1, 2
"""


def _with_many_references(desk: Desk, **without: int) -> tuple[Desk, int, Any]:
    raw = many_references(**without)
    write_export(desk.folder / "exported", iter(raw), files=3)
    assessed = desk.json("assess", "--export", "exported", "--key", "pk", "--key", "sk", "--all", "--out", "project")
    project = Desk(folder=desk.folder / "project", dsn=desk.dsn)
    project.run("alembic", "upgrade", "head")
    return project, len(raw), assessed


def _loaded_and_verified(project: Desk, items: int) -> list[tuple[str, int]]:
    loaded = project.json("load")
    verified = project.json("verify", "--witness-all")
    assert [] == loaded["rejected"]
    assert [] == loaded["findings"]
    assert items == loaded["items"]
    assert 0 == verified["total_differences"]
    with psycopg.connect(project.dsn) as conn:
        return conn.execute(_FOREIGN_KEYS).fetchall()


def test_foreign_keys_of_thousands_of_values_are_enforced_and_hold_after_a_load(desk: Desk) -> None:
    project, items, _ = _with_many_references(desk)
    made = _loaded_and_verified(project, items)
    assert [('"order"', 1), ("note", 1), ("reply", 1), ("reply", 2)] == made


def test_one_reference_of_thousands_to_nothing_is_reported_and_loads_without_its_foreign_key(desk: Desk) -> None:
    project, items, assessed = _with_many_references(desk, orders_without=1, replies_without=1)
    assert [("note", 1), ("reply", 1)] == _loaded_and_verified(project, items)
    (customers,) = (
        key["looked_at"]
        for entity in assessed["proposal"]["entities"]
        for key in entity["foreign_keys"]
        if entity["name"] == "order"
    )
    report = (project.folder / "report.md").read_text()
    assert f"| {customers:,} | 1 | not enforced: not all are found |" in report
    assert f"1 of {customers:,} values not found there" in (project.folder / "entities.py").read_text()


def test_nothing_temporary_stays_after_ctrl_c(desk: Desk) -> None:
    write_export(desk.folder / "exported", iter(many_references(orders=60_000)), files=12)
    temporary = desk.folder / "temporary"
    temporary.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASHORE_", "PG", "AWS_"))}
    command = [sys.executable, "-m", "ashore", "assess", "--export", "exported", "--key", "pk", "--key", "sk", "--all"]
    running = subprocess.Popen(
        [*command, "--workers", "2"],
        cwd=desk.folder,
        env=kept | {"TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while running.poll() is None and not list(temporary.glob("ashore-assess-*/*")):
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)
    assert 130 == running.wait(60)
    assert [] == list(temporary.iterdir())


def test_a_sample_is_loaded_too_and_loses_nothing(desk: Desk) -> None:
    table = make("tribunal", size=1_000, seed=SEED)
    assessed = desk.json("assess", *desk.export(table), "--sample", "200", "--out", "project")
    proposal = assessed["proposal"]
    assert not proposal["complete"]
    assert 200 >= proposal["items_read"]
    required = [
        column["name"]
        for entity in proposal["entities"]
        for column in entity["columns"]
        if not column["nullable"] and column["path"] is not None
    ]
    assert [] == required
    assert not any(key["enforced"] for entity in proposal["entities"] for key in entity["foreign_keys"])
    project = Desk(folder=desk.folder / "project", dsn=desk.dsn)
    project.run("alembic", "upgrade", "head")

    loaded = project.json("load", "--max-rejected", "100%")
    verified = project.json("verify", "--witness-all")

    assert {"unmatched"} >= {one["reason"] for one in loaded["rejected"]}, "a key that was not in the sample"
    assert 10 >= sum(one["items"] for one in loaded["rejected"])
    assert 0 == verified["total_differences"]


def test_a_sample_of_a_table_reads_no_more_than_was_announced(desk: Desk, dynamodb_local: LocalAws) -> None:
    table = make("webshop", size=3_000, seed=SEED)
    client = dynamodb_local.client("dynamodb")
    attributes = ["PK", "SK", "GSI1PK", "GSI1SK"]
    client.create_table(
        TableName="webshop",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in attributes],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "GSI1",
                "KeySchema": [
                    {"AttributeName": "GSI1PK", "KeyType": "HASH"},
                    {"AttributeName": "GSI1SK", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    for start in range(0, len(table.items), 25):
        puts: Any = [{"PutRequest": {"Item": one.item}} for one in table.items[start : start + 25]]
        client.batch_write_item(RequestItems={"webshop": puts})

    announced = json.loads(
        desk.run(
            "ashore",
            "assess",
            "--table",
            "webshop",
            "--sample",
            "300",
            "--dry-run",
            "--json",
            environ=dynamodb_local.environment,
        )
    )
    found = json.loads(
        desk.run(
            "ashore", "assess", "--table", "webshop", "--sample", "300", "--json", environ=dynamodb_local.environment
        )
    )

    assert 300 == announced["items"]
    assert 0 < found["items_read"] <= announced["items"]
    assert 0 < found["read_units"] <= announced["read_units"]
    names = {one["name"]: one["items"] for one in found["proposal"]["entities"]}
    assert {"order", "customer", "address", "product"} <= names.keys(), (found["items_read"], names)
    products = next(one for one in found["proposal"]["entities"] if one["name"] == "product")
    assert ["the secondary index GSI1"] == [index["because"] for index in products["indexes"]]


def test_edits_stay_and_what_they_do_not_take_is_told(desk: Desk) -> None:
    table = make("savings", size=200, seed=SEED)
    arguments = [*desk.export(table), "--all", "--out", "project"]
    desk.json("assess", *arguments)
    path = desk.folder / "project" / "entities.py"
    edited = path.read_text() + "\n# reviewed\n"
    path.write_text(edited)

    same = desk.json("assess", *arguments)
    assert [] == same["drift"]["findings"]
    assert edited == path.read_text()

    without = "\n".join(line for line in edited.splitlines() if '"currency"' not in line)
    path.write_text(without)
    differs = desk.json("assess", *arguments, exit_code=1)
    assert ["currency" in one["what"] for one in differs["drift"]["findings"]].count(True) == 1
    assert without == path.read_text()


def test_a_dry_run_says_what_would_be_read_and_writes_nothing(desk: Desk) -> None:
    arguments = desk.export(make("seats", size=200, seed=SEED))
    told = desk.json("assess", *arguments, "--sample", "50", "--dry-run", "--out", "project")
    assert told["dry_run"]
    assert 50 == told["items"]
    assert not (desk.folder / "project").exists()


def test_values_are_masked_unless_they_are_asked_for(desk: Desk) -> None:
    table = make("webshop", size=200, seed=SEED)
    arguments = [*desk.export(table), "--all", "--json"]
    names = {one.item["name"]["S"] for one in table.items if one.label == "customer"}
    masked = desk.run("ashore", "assess", *arguments)
    assert not any(name in masked for name in names)
    shown = json.loads(desk.run("ashore", "assess", *arguments, "--show-values"))
    customers = next(one for one in shown["proposal"]["entities"] if one["name"] == "customer")
    examples = next(one["examples"] for one in customers["evidence"] if one["path"] == "name")
    assert set(examples) <= names


def test_code_tells_which_files_use_an_index_and_what_one_transaction_writes(desk: Desk) -> None:
    write_export(desk.folder / "exported", make("webshop", size=200, seed=SEED).raw(), files=1)
    arguments = ["--export", "exported", "--all", "--key", "PK", "--key", "SK", "--index", "GSI1=GSI1PK,GSI1SK"]
    (desk.folder / "source").mkdir()
    (desk.folder / "source" / "orders.py").write_text(
        "client.transact_write_items(TransactItems=[\n"
        "    put(PK=f'CUSTOMER#{customer}', SK=f'ORDER#{order}'),\n"
        "    put(PK=f'ORDER#{order}', SK=f'PAYMENT#{payment}'),\n"
        "])\n" + "\n" * 20 + "table.query(IndexName='GSI1')\n"
    )

    found = desk.json("assess", *arguments, "--code", "source")["code"]
    printed = desk.run("ashore", "assess", *arguments, "--code", "source", "--out", "project")

    assert [{"entities": ["order", "payment"], "places": [["orders.py", 1]]}] == found["transactions"]
    assert [{"file": "orders.py", "lines": [25], "use": "reads"}] == found["indexes"]["GSI1"]
    assert "code: order, payment: one transaction? orders.py, line 1" in printed
    report = (desk.folder / "project" / "report.md").read_text()
    assert "Files that use each secondary index" in report
    assert "in one transaction: should they cross together?" in report


def test_a_key_that_items_leave_open_has_to_be_named(desk: Desk) -> None:
    rows = [{"a": {"S": f"x{number}"}, "b": {"S": f"y{number}"}} for number in range(20)]
    write_export(desk.folder / "exported", (json.dumps(row).encode() for row in rows), files=1)
    error = desk.json("assess", "--export", "exported", exit_code=2)["error"]
    assert "ASH721" == error["code"]
    assert "--key" in error["hint"]
    assert 2 == len(desk.json("assess", "--export", "exported", "--key", "a")["proposal"]["entities"][0]["columns"])


def test_an_export_without_items_is_told_and_nothing_is_written(desk: Desk) -> None:
    write_export(desk.folder / "exported", iter(()), files=1)
    error = desk.json("assess", "--export", "exported", "--key", "pk", "--out", "project", exit_code=2)["error"]
    assert "ASH722" == error["code"]
    assert not (desk.folder / "project").exists()


def test_items_without_the_key_that_was_named_are_told(desk: Desk) -> None:
    rows = [{"pk": {"S": f"USER#{number}"}, "name": {"S": "x"}} for number in range(20)]
    rows.append({"other": {"S": "x"}})
    write_export(desk.folder / "exported", (json.dumps(row).encode() for row in rows), files=1)
    hazards = desk.json("assess", "--export", "exported", "--key", "pk")["proposal"]["hazards"]
    assert any("1 items could not be read" in hazard["what"] for hazard in hazards)
