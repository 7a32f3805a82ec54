"""A purge deletes what is an entity's own and still what was read, and counts it, whatever dies; on real servers."""

from __future__ import annotations

import gzip
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import quick_processes
from tests.faults import some_seed
from tests.purge_world import TABLE, Desk, Item, a_letter, a_person, item, key_of, others, own, said

from ashore.cutover import purge as purging
from ashore.cutover.errors import KeptItemsMissing, OtherPurgeUnfinished, PurgeIsRunning
from ashore.dynamodb.remove import ItemRemover, Removal
from ashore.ledger import locks, purges
from ashore.ledger.errors import LeaseLost
from ashore.local import LocalAws
from ashore.model.item import same_item
from ashore.pipeline.purge import Purged, PurgeOptions, opened
from ashore.postgres.connect import connect

_KILLS = 4
GROUP = ("letter", "person")


@pytest.fixture
def desk(dynamodb: LocalAws, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name, value in dynamodb.environment.items():
        monkeypatch.setenv(name, value)
    return Desk(dynamodb, postgres_dsn, tmp_path)


@pytest.fixture
def moto_desk(moto: LocalAws, postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    return Desk(moto, postgres_dsn, tmp_path)


def purge(desk: Desk, *entities: str, options: PurgeOptions | None = None, page: int | None = None) -> Purged:
    with opened(desk.project, entities or GROUP, options or said()) as command:
        command.source = replace(command.source, page_limit=page, segments=2)
        return command.run()


def expected(items: Iterable[Item]) -> dict[tuple[str, str], Item]:
    return {key_of(one): one for one in items}


def test_only_items_of_the_entities_go_with_their_copies_and_mirrors(desk: Desk) -> None:
    desk.make([*own(), *others()])

    done = purge(desk)

    assert expected(others()) == desk.items()
    assert {"person": {"deleted": 3}, "letter": {"deleted": 7}} == done.counts
    assert (10, 0, len(others())) == (done.deleted, 0, done.not_touched) == (done.deleted, done.left, done.not_touched)
    assert [(3,)] == desk.rows("SELECT count(*) FROM desk.letter"), "rows stay"
    assert {"person", "letter"} == {entity for (entity,) in desk.rows("SELECT unnest(entities) FROM ashore.purge")}


def test_one_entity_of_two_in_one_partition(desk: Desk) -> None:
    desk.make([*own(), *others()])

    purge(desk, "person")

    left = [one for one in own() if one["sk"]["S"] != "person"]
    assert expected([*left, *others()]) == desk.items()


class Meddling(ItemRemover):
    """Lets somebody else do something to an item between its being read and its deletion."""

    meddle: Callable[[Item], None]

    def remove(self, item: Any, absent: Iterable[str] = ()) -> Removal:
        type(self).meddle(dict(item))
        return super().remove(item, absent)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        pytest.param("odd", "changed", id="an attribute has another value"),
        pytest.param("more", "changed", id="an unknown attribute is new"),
        pytest.param("text", "changed", id="a declared attribute is new"),
        pytest.param(None, "gone", id="it is gone"),
    ],
)
def test_an_item_that_is_not_what_was_read_is_left_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str | None, outcome: str
) -> None:
    desk.make([*own(), *others()])
    changed = a_letter("l1", "b")
    client = desk.client

    def somebody(found: Item) -> None:
        key = {"pk": found["pk"], "sk": found["sk"]}
        if key_of(found) != key_of(changed):
            return
        if name is None:
            client.delete_item(TableName=TABLE, Key=key)
        else:
            client.put_item(TableName=TABLE, Item={**changed, name: {"S": "new"}})

    monkeypatch.setattr(Meddling, "meddle", staticmethod(somebody), raising=False)
    monkeypatch.setattr("ashore.pipeline.purge.ItemRemover", Meddling)

    done = purge(desk)

    assert {"deleted": 6, outcome: 1} == done.counts["letter"]
    left = [] if name is None else [{**changed, name: {"S": "new"}}]
    found = desk.items()
    assert expected([*left, *others()]).keys() == found.keys()
    assert all(same_item(one, found[key_of(one)]) for one in left)


def test_an_item_that_others_wrote_is_left_until_somebody_decides(desk: Desk) -> None:
    desk.make([*own(), *others()])
    desk.foreign_write(("person|a", "person"), "person")

    assert {"deleted": 2, "foreign": 1} == purge(desk).counts["person"]
    assert ("person|a", "person") in desk.items()

    desk.do("UPDATE ashore.foreign_write SET decision = 'taken'")
    assert {"deleted": 1} == purge(desk).counts["person"]
    assert expected(others()) == desk.items()


def test_an_item_without_a_row_is_left_unless_it_is_said(desk: Desk) -> None:
    desk.make([*own(), *others()])
    desk.do("DELETE FROM desk.person WHERE person_id = 'b'")
    never_loaded = a_person("late")
    desk.client.put_item(TableName=TABLE, Item=never_loaded)

    assert {"deleted": 2, "without_row": 2} == purge(desk).counts["person"]
    assert expected([a_person("b"), never_loaded, *others()]) == desk.items()

    assert {"deleted": 2} == purge(desk, options=said(without_rows=True)).counts["person"]
    assert expected(others()) == desk.items()


def test_the_budget_of_write_units_is_held(desk: Desk) -> None:
    desk.make([*own(60, 0), *others()])
    rate = 20.0

    began = time.monotonic()
    done = purge(desk, "person", options=said(write_units=rate))
    seconds = time.monotonic() - began

    assert 60 <= done.write_units
    most = rate * seconds + 16  # one request of each thread
    assert done.write_units <= most


class Dies(BaseException):
    """Ends the process, as far as the purge can tell."""


@pytest.mark.parametrize("after", [0, 4, 9])
def test_killed_after_any_deletion_it_goes_on_and_counts_each_item_once(
    moto_desk: Desk, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    desk = moto_desk
    items = own(9, 4)
    desk.make([*items, *others()])
    deletions = Counter[str]()

    class Mortal(ItemRemover):
        def remove(self, item: Any, absent: Iterable[str] = ()) -> Removal:
            if deletions["done"] >= after:
                raise Dies
            deletions["done"] += 1
            return super().remove(item, absent)

    with monkeypatch.context() as patched:
        patched.setattr("ashore.pipeline.purge.ItemRemover", Mortal)
        patched.setattr("ashore.pipeline.purge._WRITERS", 1)
        options = said(keep_export=desk.folder / "kept")
        with pytest.raises(Dies):
            purge(desk, options=options, page=5)

    done = purge(desk, options=options, page=5)

    assert len(items) == done.deleted
    assert expected(others()) == desk.items()
    assert expected(items) == expected(kept_in(desk.folder / "kept"))


def kept_in(folder: Path) -> list[Item]:
    files = [gzip.decompress(path.read_bytes()) for path in sorted(folder.glob("*.json.gz"))]
    return [json.loads(line)["Item"] for lines in files for line in lines.splitlines()]


def _purge_once(desk: Desk, environment: dict[str, str], kept: Path) -> None:
    """The body of a process that is killed."""
    os.environ.update(environment)
    purge(desk, options=said(write_units=60.0, keep_export=kept), page=7)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_by_sigkill_at_random_instants_nothing_is_lost_or_counted_twice(moto_desk: Desk) -> None:
    rng = random.Random(some_seed("purge kills"))
    desk, items = moto_desk, own(60, 40)
    desk.make([*items, *others()])
    sys.path[:0] = [str(Path.cwd())]
    kept = desk.folder / "kept"
    process: Any = None
    runs = 0
    for runs in range(1, _KILLS + 2):
        process = quick_processes.context.Process(target=_purge_once, args=(desk, dict(desk.server.environment), kept))
        process.start()
        if runs <= _KILLS:
            while process.is_alive() and desk.rows("SELECT coalesce(max(run), 0) FROM ashore.purge") < [(runs,)]:
                time.sleep(0.01)
            process.join(rng.uniform(0.0, 0.4))
            process.kill()
        process.join()

    assert 0 == process.exitcode
    assert [(runs,)] == desk.rows("SELECT max(run) FROM ashore.purge"), "each of them was killed while it purged"
    assert expected(others()) == desk.items()
    [(deleted,)] = desk.rows("SELECT sum(items)::bigint FROM ashore.purge_count WHERE outcome = 'deleted'")
    [(purge_count, ended)] = desk.rows("SELECT count(*), count(ended_at) FROM ashore.purge")
    assert (len(items), 1, 1) == (deleted, purge_count, ended)
    assert expected(items) == expected(kept_in(kept))


def test_an_earlier_run_can_note_nothing(moto_desk: Desk) -> None:
    desk = moto_desk
    desk.make([*own(), *others()])
    with connect(desk.dsn, application_name="test", autocommit=True) as conn:
        begun = purges.begin(
            conn,
            source="desk",
            entities=GROUP,
            origin=desk.source.origin,
            said={},
            kept_in=None,
            units=desk.source.units(),
        )
        unit = purges.next_unit(conn, begun)
        assert unit is not None
        purges.take_over(conn, begun, {})
        with pytest.raises(LeaseLost):
            purges.intend(conn, begun, unit.unit.name, unit.pages, [], kept_bytes=0)
        with pytest.raises(LeaseLost):
            purges.end(conn, begun)


def test_another_purge_waits_until_the_first_is_ended(moto_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = moto_desk
    desk.make([*own(), *others()])

    def dies(*_: object) -> None:
        raise Dies

    with monkeypatch.context() as patched:
        patched.setattr(purging.Purger, "_delete", dies)
        with pytest.raises(Dies):
            purge(desk, "person")

    with pytest.raises(OtherPurgeUnfinished, match="other entities"):
        purge(desk, "letter")
    with pytest.raises(OtherPurgeUnfinished, match="another folder"):
        purge(desk, "person", options=said(keep_export=desk.folder / "new"))
    assert purge(desk, "person").deleted == 3


def test_two_processes_do_not_purge_one_source(moto_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = moto_desk
    desk.make([*own(), *others()])
    monkeypatch.setattr("ashore.pipeline.purge._PATIENCE_SECONDS", 0.2)
    with connect(desk.dsn, application_name="test", autocommit=True) as conn:
        assert locks.lock_flow(conn, "desk purge", patience_seconds=1.0)
        with pytest.raises(PurgeIsRunning):
            purge(desk)
    assert expected([*own(), *others()]) == desk.items()


def test_nothing_more_is_deleted_where_kept_items_are_gone(moto_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = moto_desk
    desk.make([*own(9, 4), *others()])
    options = said(keep_export=desk.folder / "kept")

    def dies(*_: object) -> None:
        raise Dies

    with monkeypatch.context() as patched:
        patched.setattr(purging.Purger, "_delete", dies)
        with pytest.raises(Dies):
            purge(desk, options=options, page=5)
    for path in (desk.folder / "kept").iterdir():
        path.unlink()

    with pytest.raises(KeptItemsMissing):
        purge(desk, options=options, page=5)
    assert expected([*own(9, 4), *others()]) == desk.items()


def test_an_item_of_many_attributes_goes_too(desk: Desk) -> None:
    many: dict[str, Any] = {f"a{number}": {"N": str(number)} for number in range(300)}
    odd = {"empty": {"S": ""}, "nothing": {"NULL": True}, "set": {"BS": [b"1", b"2"]}, "deep": {"M": {"l": {"L": []}}}}
    desk.make([item("person|m", "person", **many), item("person|o", "person", **odd), *others()])

    assert {"deleted": 2} == purge(desk, "person").counts["person"]
    assert expected(others()) == desk.items()
