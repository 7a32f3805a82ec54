"""References of more values than are kept in memory: proven, or refuted with the number of values that are missing."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.many_references import many_references

from ashore.assess import survey, value_sets
from ashore.assess.proposal import ForeignKey, Proposal
from ashore.assess.table_key import Keys
from ashore.assess.write_declaration import entities_py
from ashore.bench.assess_gold import InMemory
from ashore.dynamodb.export import ExportSource
from ashore.local.export_writer import write_export
from ashore.model.chunk import Chunk, Position, Unit
from ashore.pipeline.assess import assess

KEYS = Keys(names=("pk", "sk"), types=("S", "S"), not_telling=frozenset({"pk", "sk"}))
CUSTOMER = ("order", ("customer_id",), "customer")
NOTE = ("reply", ("to_customer", "to_note"), "note")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, of which none may stay."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert [] == list(folder.iterdir())


def proposed(raw: Sequence[bytes], folder: Path, *, workers: int = 1, sample: int | None = None) -> Proposal:
    home = folder / f"exported {len(list(folder.iterdir()))}"
    source = ExportSource(path=str(write_export(home, iter(raw), files=4)))
    return assess(
        source, table_name="t", partition_key=("pk", "S"), sort_key=("sk", "S"), workers=workers, sample=sample
    ).proposal


def keys(proposal: Proposal) -> dict[tuple[str, tuple[str, ...], str], ForeignKey]:
    return {(entity.name, key.columns, key.target): key for entity in proposal.entities for key in entity.foreign_keys}


def told(key: ForeignKey) -> tuple[int, int, bool]:
    return key.looked_at, key.missing, key.enforced


def distinct(raw: Sequence[bytes], *names: str) -> int:
    items = [json.loads(one) for one in raw]
    return len({tuple(str(item[name]) for name in names) for item in items if names[0] in item})


@pytest.mark.parametrize("held", [300, value_sets.HELD])
def test_foreign_keys_to_many_keys_are_enforced_where_every_value_is_found(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_sets, "HELD", held)
    raw = many_references()
    found = keys(proposed(raw, tmp_path))
    assert (distinct(raw, "customerId"), 0, True) == told(found[CUSTOMER])
    assert (distinct(raw, "toCustomer", "toNote"), 0, True) == told(found[NOTE])
    assert all(key.enforced for key in found.values())


@pytest.mark.parametrize("without", [1, 3_000])
def test_one_value_of_many_that_is_missing_is_counted_and_nothing_is_enforced(without: int, tmp_path: Path) -> None:
    raw = many_references(orders_without=without, replies_without=without // 3 + 1)
    found = keys(proposed(raw, tmp_path))
    assert (distinct(raw, "customerId"), without, False) == told(found[CUSTOMER])
    assert (distinct(raw, "toCustomer", "toNote"), without // 3 + 1, False) == told(found[NOTE])
    assert "not all are found" == found[CUSTOMER].because == found[NOTE].because
    assert found["note", ("customer_id",), "customer"].enforced


def test_any_number_of_workers_proposes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = many_references(orders_without=1)
    one = proposed(raw, tmp_path)
    assert proposed(raw, tmp_path, workers=3) == one
    monkeypatch.setattr(value_sets, "HELD", 100)
    monkeypatch.setattr(value_sets, "AT_ONCE", 999)
    assert proposed(raw, tmp_path) == one


def test_a_table_that_is_all_in_the_first_look_is_looked_up_whole_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "FIRST_LOOK", 100_000)
    assert told(keys(proposed(many_references(), tmp_path))[CUSTOMER])[1:] == (0, True)


def test_a_sample_of_many_items_proves_nothing(tmp_path: Path) -> None:
    found = keys(proposed(many_references(), tmp_path, sample=30_000))
    assert {"not everything was read"} == {key.because for key in found.values()}
    assert not any(key.enforced for key in found.values())


def test_a_reference_that_the_first_look_did_not_show_is_told_and_not_enforced() -> None:
    items = [json.loads(one) for one in many_references(replies_without=1)]
    for item in items[: survey.FIRST_LOOK]:
        item.pop("customerId", None)
    raw = [json.dumps(item).encode() for item in items]
    found = assess(InMemory(raw), table_name="t", partition_key=("pk", "S"), sort_key=("sk", "S")).proposal
    key = keys(found)[CUSTOMER]
    assert not key.enforced
    assert key.because.startswith("not all values were looked up")
    assert 0 < key.looked_at < distinct(raw, "customerId")
    assert "without a foreign key: all" in entities_py(found)
    assert key.because in entities_py(found).replace("\n    #", "")


@dataclass(frozen=True)
class Failing(InMemory):
    """Items in several units, the last of which fails."""

    error: type[BaseException] = KeyboardInterrupt

    def units(self) -> list[Unit]:
        return [Unit(name=str(number)) for number in range(8)]

    def read(self, unit: Unit, after: Position | None) -> Iterator[Chunk]:  # noqa: ARG002 (as of InMemory)
        yield Chunk(items=self.raw[int(unit.name) :: 8], position={}, last=False)
        if unit.name == "7":
            raise self.error
        yield Chunk(items=[], position={}, last=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("workers", [1, 2])
def test_no_temporary_file_stays_when_reading_fails(
    workers: int, error: type[BaseException], temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Path] = []
    remove = shutil.rmtree

    def removing(path: str, *arguments: Any, **options: Any) -> None:
        kept.extend(Path(path).iterdir())
        remove(path, *arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", removing)
    with pytest.raises(error):
        assess(
            Failing(many_references(), error),
            table_name="t",
            partition_key=("pk", "S"),
            sort_key=("sk", "S"),
            workers=workers,
        )
    assert kept, "there was something to remove"
    assert [] == list(temporary.iterdir())


def test_what_an_earlier_pass_left_is_removed_before_another_one(tmp_path: Path) -> None:
    """Keys of a shape that the first look did not see make another pass."""
    items = [json.loads(one) for one in many_references()]
    late = [{**item, "pk": {"S": f"late|{number}"}, "sk": {"S": "x"}} for number, item in enumerate(items[:3_000])]
    raw = [json.dumps(item).encode() for item in (*items, *late)]
    folder = tmp_path / "folder"
    folder.mkdir()
    counted: list[int] = []
    survey.survey(
        InMemory(raw), KEYS, sample=None, folder=folder, emit=lambda _: counted.append(len(list(folder.iterdir())))
    )
    assert 1 < len(counted), "there were several passes"
    assert {1} == set(counted)
