"""A written project runs as it is: Alembic makes its tables, a load fills them, and verify finds no difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from tests.assess_proposals import SENSORS, SHOP, USERS, Item, sensor_items, shop_items, user_items

from ashore.assess.proposal import Proposal
from ashore.assess.write_project import write_project
from ashore.config.settings import Aws, FromExport
from ashore.local.export_writer import write_export
from ashore.mapping.declared import PlanReference, load_plan

AWS = Aws(region=None, profile=None, endpoint_url=None)
WORLDS = pytest.mark.parametrize(
    ("proposal", "items"),
    [(SHOP, shop_items()), (SENSORS, sensor_items()), (USERS, user_items())],
    ids=["shop", "sensors", "users"],
)


@dataclass(frozen=True, kw_only=True)
class World:
    """A written project, the database that it is given, and the items of its export."""

    folder: Path
    dsn: str

    def run(self, *arguments: str) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASHORE_", "PG"))}
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env=kept | {"ASHORE_POSTGRES": self.dsn},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run("ashore", "--json", *arguments))

    def differences(self, metadata: sa.MetaData) -> Sequence[Any]:
        engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(self.dsn))
        try:
            with engine.connect() as connection:
                options = {"compare_type": True, "compare_server_default": True}
                found: Sequence[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
                return [one for one in found if not _is_alembics_own(one)]
        finally:
            engine.dispose()


def _is_alembics_own(difference: Any) -> bool:
    return bool(difference[0] == "remove_table" and difference[1].name == "alembic_version")


def written(proposal: Proposal, items: Sequence[Item], folder: Path, dsn: str) -> World:
    write_export(folder / "exported", (json.dumps(item).encode() for item in items), files=2)
    write_project(proposal, folder / "project", FromExport(export=str(folder / "exported")), AWS)
    return World(folder=folder / "project", dsn=dsn)


def metadata_of(world: World, monkeypatch: pytest.MonkeyPatch) -> sa.MetaData:
    """The project's tables, as every process of it sees them."""
    monkeypatch.syspath_prepend(str(world.folder))
    monkeypatch.delitem(sys.modules, "entities", raising=False)
    load_plan(PlanReference(declarations="entities:source", folder=world.folder))
    metadata: sa.MetaData = sys.modules.pop("entities").metadata
    sys.path.remove(str(world.folder))
    return metadata


def outcomes(report: Mapping[str, Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in report["counts"]:
        found[one["outcome"]] += one["items"]
    return found


@WORLDS
def test_a_written_project_loads_every_item_and_verifies_equal(
    proposal: Proposal, items: Sequence[Item], tmp_path: Path, any_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = written(proposal, items, tmp_path, any_postgres_dsn)
    metadata = metadata_of(world, monkeypatch)

    world.run("alembic", "upgrade", "head")

    assert [] == world.differences(metadata)
    loaded = world.json("load")
    assert len(items) == loaded["items"]
    assert 0 == outcomes(loaded)["rejected"]
    assert [] == world.differences(metadata)
    verified = world.json("verify", "--witness-all")
    assert verified["equal"] is True
    assert len(items) == verified["items"]


def test_a_shop_crosses_as_rows_copies_and_rules(tmp_path: Path, postgres_dsn: str) -> None:
    world = written(SHOP, shop_items(), tmp_path, postgres_dsn)
    world.run("alembic", "upgrade", "head")

    loaded = world.json("load")

    assert {"rows": 129, "copy": 11, "not_yet": 3} == {name: found for name, found in outcomes(loaded).items() if found}
    with psycopg.connect(postgres_dsn) as conn:
        lines = conn.execute("SELECT count(*), sum(price) FROM order_line").fetchone()
        promoted = conn.execute('SELECT customer_id FROM "order" WHERE number = 99').fetchall()
        theme = conn.execute("SELECT DISTINCT theme, level, points FROM customer WHERE theme IS NOT NULL").fetchall()
    assert lines is not None
    assert 39 == lines[0]
    assert [("1",)] == promoted
    assert [("dark", -7, 2**60)] == theme


def test_alembic_takes_back_what_it_made(tmp_path: Path, postgres_dsn: str) -> None:
    world = written(SHOP, [], tmp_path, postgres_dsn)

    world.run("alembic", "upgrade", "head")
    world.run("alembic", "downgrade", "base")

    with psycopg.connect(postgres_dsn) as conn:
        tables = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert [("alembic_version",)] == tables


def test_alembic_finds_nothing_to_change_after_the_first_revision(tmp_path: Path, postgres_dsn: str) -> None:
    world = written(SHOP, [], tmp_path, postgres_dsn)
    world.run("alembic", "upgrade", "head")

    world.run("alembic", "check")

    world.run("alembic", "revision", "-m", "nothing")
    assert 2 == len(list((world.folder / "revisions/versions").glob("*.py")))
    world.run("alembic", "upgrade", "head")


def test_alembic_prints_its_statements_without_a_database(tmp_path: Path) -> None:
    world = written(SHOP, [], tmp_path, "postgresql://127.0.0.1:1/nowhere")

    printed = world.run("alembic", "upgrade", "head", "--sql")

    assert "ALTER TABLE address ADD CONSTRAINT address_customer_id_fkey FOREIGN KEY" in printed


def test_a_load_makes_the_same_tables_as_the_first_revision(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = written(SHOP, shop_items(), tmp_path, postgres_dsn)

    world.json("load")

    assert [] == world.differences(metadata_of(world, monkeypatch))
    world.run("alembic", "stamp", "head")
    world.run("alembic", "check")
