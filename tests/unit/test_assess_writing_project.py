"""Writing a project: whole files, beside what people wrote and never over it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.assess_proposals import PROPOSALS, SHOP, USERS

from ashore.assess.proposal import Proposal
from ashore.assess.write_declaration import entities_py
from ashore.assess.write_project import CannotWriteProject, Written, write_project
from ashore.assess.write_settings import ashore_toml
from ashore.config.settings import Aws, FromExport, FromTable, ItemsFrom, resolve
from ashore.errors import DeclarationError

NO_AWS = Aws(region=None, profile=None, endpoint_url=None)
TABLE = FromTable(table="shop-production")
FILES = {
    "ashore.toml",
    "alembic.ini",
    "revisions/env.py",
    "revisions/script.py.mako",
    "entities.py",
}


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()
    }


def write(folder: Path, proposal: Proposal = SHOP) -> Written:
    return write_project(proposal, folder, TABLE, NO_AWS)


def test_a_new_project_has_all_its_files(tmp_path: Path) -> None:
    written = write(tmp_path / "deep" / "project")

    found = contents(tmp_path / "deep" / "project")
    assert set(found) == set(written.written)
    (revision,) = set(found) - FILES
    assert FILES <= set(found)
    assert revision.startswith("revisions/versions/")
    assert entities_py(SHOP) == found["entities.py"]
    for name in found:
        if name.endswith(".py"):
            compile(found[name], name, "exec")


def test_the_same_proposal_again_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    again = write(tmp_path)

    assert () == again.written
    assert () == again.kept
    assert "entities.py" in again.unchanged
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_an_edited_declaration_is_kept_and_the_new_one_written_beside_it(tmp_path: Path) -> None:
    write(tmp_path)
    declaration = tmp_path / "entities.py"
    declaration.write_text(declaration.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    before = contents(tmp_path)

    first = write(tmp_path, replace(SHOP, items=200))
    second = write(tmp_path, replace(SHOP, items=300))

    assert ("entities.py",) == first.kept == second.kept
    after = contents(tmp_path)
    beside = after.pop("entities.proposed.py")
    assert before == after
    assert "read all 300 items" in beside
    assert beside.endswith(entities_py(replace(SHOP, items=300)))


def test_settings_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "ashore.toml").write_text("[project]\n", encoding="utf-8")

    written = write(tmp_path)

    assert ("ashore.toml",) == written.kept
    assert "[project]\n" == (tmp_path / "ashore.toml").read_text(encoding="utf-8")
    assert "entities.py" in written.written


@pytest.mark.parametrize("there", ["alembic.ini", "revisions/versions/1_mine.py"])
def test_nothing_is_added_to_an_alembic_of_ones_own(there: str, tmp_path: Path) -> None:
    mine = tmp_path / there
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("# mine\n", encoding="utf-8")

    write(tmp_path)

    assert {there, "ashore.toml", "entities.py"} == set(contents(tmp_path))


def test_a_project_that_was_stopped_half_way_is_finished(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        write(folder)
    (stopped / "entities.py").unlink()
    for path in (stopped / "revisions/versions").iterdir():
        path.unlink()

    write(stopped)

    assert contents(whole) == contents(stopped)


def test_a_proposal_that_does_not_compile_writes_nothing(tmp_path: Path) -> None:
    user = USERS.entities[0]
    broken = replace(USERS, entities=(replace(user, null=("NoSuchAttribute",)),))

    with pytest.raises(DeclarationError):
        write(tmp_path, broken)

    assert {} == contents(tmp_path)


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "project").write_text("", encoding="utf-8")

    with pytest.raises(CannotWriteProject, match="project/"):
        write(tmp_path / "project")


def test_a_write_that_fails_leaves_no_part_of_a_file_and_can_be_repeated(tmp_path: Path) -> None:
    in_the_way = tmp_path / "revisions"
    in_the_way.write_text("", encoding="utf-8")

    with pytest.raises(CannotWriteProject):
        write(tmp_path)

    assert {"ashore.toml", "alembic.ini", "revisions"} == set(contents(tmp_path))
    in_the_way.unlink()
    assert "entities.py" in write(tmp_path).written
    assert FILES <= set(contents(tmp_path))


@pytest.mark.parametrize("proposal", PROPOSALS, ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("items_from", "aws"),
    [
        (TABLE, NO_AWS),
        (
            FromTable(table="arn:aws:dynamodb:eu-central-1:123456789012:table/x", read_units=5),
            Aws(region="eu-central-1", profile="a b", endpoint_url="http://127.0.0.1:8000"),
        ),
        (FromExport(export="s3://bucket/a prefix"), Aws(region="eu-central-1", profile=None, endpoint_url=None)),
        (FromExport(export='/exports/odd " \\ \n \x7f 名'), NO_AWS),
    ],
    ids=["table", "arn", "s3", "folder"],
)
def test_settings_hold_what_was_given(proposal: Proposal, items_from: ItemsFrom, aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "ashore.toml").write_text(ashore_toml(proposal, items_from, aws), encoding="utf-8")

    resolved = resolve(tmp_path, environment=None, flags={}, environ={"ASHORE_POSTGRES": "postgresql://h/d"})

    assert () == resolved.problems
    expected = FromTable(table=items_from.table) if isinstance(items_from, FromTable) else items_from
    assert expected == resolved.settings.items_from
    assert aws == resolved.settings.aws
    assert "entities:source" == resolved.settings.declarations
    assert resolved.settings.postgres is not None


def test_without_the_variable_the_settings_ask_for_it(tmp_path: Path) -> None:
    (tmp_path / "ashore.toml").write_text(ashore_toml(SHOP, TABLE, NO_AWS), encoding="utf-8")

    resolved = resolve(tmp_path, environment=None, flags={}, environ={})

    assert ["the environment variable ASHORE_POSTGRES is not set"] == [one.what for one in resolved.problems]


def test_a_relative_folder_is_written_as_it_is_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    settings = ashore_toml(SHOP, FromExport(export="exported"), NO_AWS)

    assert f'export = "{tmp_path}/exported"' in settings
