"""Verification against an export: what it finds, and that it finds nothing where there is nothing."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests.integration.verify_world import a_case, a_court, a_work_item, export_of, load_court, verify_court

from ashore.verify.errors import NothingToVerifyError
from ashore.verify.report import VerifyReport


def by_entity(report: VerifyReport, name: str) -> dict[str, object]:
    return next(one.as_json() for one in report.entities if one.entity == name)


def execute(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in statements:
            assert conn.execute(statement.encode()).rowcount > 0


def test_a_load_is_found_equal_and_every_item_is_counted(any_postgres_dsn: str, tmp_path: Path) -> None:
    source = export_of(tmp_path, a_court(40))
    load_court(any_postgres_dsn, source)
    report = verify_court(any_postgres_dsn, source, witness_all=True)
    assert report.total_differences == 0
    assert {"rows": 40, "copy": 40} == by_entity(report, "work_item")["counts"]
    assert {"not_yet user|*": 1, "left_out catalog": 1} == dict(report.other)
    assert (40, 40) == (by_entity(report, "case")["witnessed"], by_entity(report, "work_item")["witnessed"])
    with psycopg.connect(any_postgres_dsn) as conn:
        assert [(True,)] == conn.execute("SELECT (report ->> 'equal')::boolean FROM ashore.verification").fetchall()
        assert (None,) == conn.execute("SELECT to_regnamespace('ashore_shadow')").fetchone()


PLANTED = {
    "a changed column": ("UPDATE \"case\" SET caption = 'x' WHERE docket_number = '101-20'", "case", "different"),
    "a changed scale is no change": ('UPDATE "case" SET amount = 19824.990', "case", None),
    "a lost row": ("DELETE FROM work_item WHERE docket_number = '105-20'", "work_item", "missing"),
    "a row too many": ("INSERT INTO work_item VALUES ('1', gen_random_uuid())", "work_item", "extra"),
    "a changed child": ("UPDATE petitioner SET name = 'x' WHERE docket_number = '101-20'", "case", "different"),
    "a lost child": ("DELETE FROM petitioner WHERE docket_number = '101-20' AND position = 1", "case", "missing"),
    "a changed extra": ("UPDATE \"case\" SET extra = '{}' WHERE docket_number = '101-20'", "case", "different"),
    "a lost residue": ("UPDATE \"case\" SET residue = NULL WHERE docket_number = '101-20'", "case", "different"),
    "a lost copy": ("DELETE FROM work_item_copy WHERE sort_key = '2020-01-0001'", "work_item", "missing"),
    "a changed copy": (
        "UPDATE work_item_copy SET item = item - 'assignee' WHERE sort_key = '2020-01-0001'",
        "work_item",
        "different",
    ),
    "a kept reject is gone": ("DELETE FROM ashore.rejected_item", None, None),
}


EVERY_DAY = {"a changed column", "a row too many", "a lost child", "a kept reject is gone"}


@pytest.mark.parametrize(
    "planted", [one if one in EVERY_DAY else pytest.param(one, marks=pytest.mark.slow) for one in PLANTED]
)
def test_what_is_planted_is_found_once_and_nothing_else(planted: str, postgres_dsn: str, tmp_path: Path) -> None:
    statement, entity, kind = PLANTED[planted]
    source = export_of(tmp_path, [*a_court(10), a_case("9-20", amount={"S": "much"})])
    load_court(postgres_dsn, source)
    execute(postgres_dsn, statement)
    report = verify_court(postgres_dsn, source, witness=1)
    found = {
        (one.entity, name): getattr(one, name)
        for one in report.entities
        for name in ("missing", "extra", "different")
        if getattr(one, name)
    }
    expected = {} if entity is None or kind is None else {(entity, kind): 1 if planted != "a changed child" else 2}
    assert expected == found
    assert (1 if planted == "a kept reject is gone" else 0) == report.rejected.not_kept


def test_differences_name_the_columns_and_show_no_value(postgres_dsn: str, tmp_path: Path) -> None:
    source = export_of(tmp_path, a_court(3))
    load_court(postgres_dsn, source)
    execute(postgres_dsn, "UPDATE work_item SET assignee = 'hidden-value' WHERE docket_number = '101-20'")
    report = verify_court(postgres_dsn, source, witness=0)
    assert [("different", "public.work_item", ("assignee",))] == [
        (one.kind, one.table, one.columns) for one in report.differences
    ]
    text = str(report.as_json()) + repr(report)
    assert "hidden-value" not in text
    assert "101-20" not in text


def test_the_witness_sees_what_a_mapping_that_drops_an_attribute_hides(postgres_dsn: str, tmp_path: Path) -> None:
    """Target and shadow are made by the same mapping: a loss that is in both is for the witness to find."""
    source = export_of(tmp_path, a_court(5))
    load_court(postgres_dsn, source)
    execute(postgres_dsn, "UPDATE \"case\" SET extra = extra - 'postalCode'")
    report = verify_court(postgres_dsn, source, witness=2)
    case = by_entity(report, "case")
    assert 0 == case["witnessed"]
    assert case["refuted"] in {2, 4}  # two of the shape, and two more where the encoder learned of it in between
    assert all(one.columns == ("postalCode",) for one in report.differences if one.table.endswith("(witness)"))


def test_two_items_of_one_row_key_are_both_rejected_whole_with_their_children(
    postgres_dsn: str, tmp_path: Path
) -> None:
    older = a_case("101-20", caption={"S": "older"}) | {"pk": {"S": "old|101-20"}, "sk": {"S": "101-20"}}
    source = export_of(tmp_path, [*a_court(4), older])
    outcome = load_court(postgres_dsn, source)
    counts = {(one.entity, one.outcome): one.items for one in outcome.report.counts}
    assert (3, 2) == (counts["case", "rows"], counts["case", "rejected"])
    with psycopg.connect(postgres_dsn) as conn:
        kept = conn.execute("SELECT reason, convert_from(item, 'UTF8')::jsonb FROM ashore.rejected_item").fetchall()
        children = conn.execute("SELECT count(*) FROM petitioner WHERE docket_number = '101-20'").fetchone()
    assert ["duplicate_key"] * 2 == [reason for reason, _ in kept]
    assert sorted([older, a_case("101-20")], key=str) == sorted((item for _, item in kept), key=str)
    assert (0,) == children
    assert 0 == verify_court(postgres_dsn, source).total_differences


def test_orphaned_copies_are_promoted_or_rejected_and_differing_ones_are_counted(
    postgres_dsn: str, tmp_path: Path
) -> None:
    main = a_work_item("101-20", 1001)
    differing = main | {"pk": {"S": "user-outbox|7"}, "sk": {"S": "a"}, "assignee": {"S": "judge"}}
    lost = a_work_item("102-20", 1002)
    orphan = lost | {"pk": {"S": "user-outbox|7"}, "sk": {"S": "b"}}
    second = lost | {"pk": {"S": "section-outbox|docket"}, "sk": {"S": "c"}}
    alone = a_work_item("103-20", 1003) | {"pk": {"S": "section-outbox|docket"}, "sk": {"S": "d"}}
    source = export_of(tmp_path, [main, differing, orphan, second, alone])
    outcome = load_court(postgres_dsn, source)
    (copies,) = outcome.copies
    assert (3, 1, {"assignee": 1}, 1, 1) == (
        copies.copies,
        copies.differing,
        dict(copies.attributes),
        copies.promoted,
        copies.rejected,
    )
    with psycopg.connect(postgres_dsn) as conn:
        rows = conn.execute("SELECT docket_number FROM work_item ORDER BY 1").fetchall()
        reasons = conn.execute("SELECT reason FROM ashore.rejected_item").fetchall()
    assert [("101-20",), ("102-20",)] == rows
    assert [("orphan",)] == reasons
    assert 0 == verify_court(postgres_dsn, source).total_differences


def test_only_loaded_entities_are_verified(postgres_dsn: str, tmp_path: Path) -> None:
    source = export_of(tmp_path, a_court(2))
    load_court(postgres_dsn, source, entities=["case"])
    assert 0 == verify_court(postgres_dsn, source, entities=["case"]).total_differences
    with pytest.raises(NothingToVerifyError, match="work_item is declared") as caught:
        verify_court(postgres_dsn, source)
    assert 3 == caught.value.exit_code


def test_an_item_of_no_entity_is_kept_once_by_two_loads_of_other_entities(postgres_dsn: str, tmp_path: Path) -> None:
    source = export_of(tmp_path, [*a_court(2), {"pk": {"S": "stray"}, "sk": {"S": "1"}}])
    load_court(postgres_dsn, source, entities=["case"])
    load_court(postgres_dsn, source, entities=["work_item"])
    with psycopg.connect(postgres_dsn) as conn:
        kept = conn.execute("SELECT entity, reason FROM ashore.rejected_item").fetchall()
    assert [(None, "unmatched")] == kept
    assert 0 == verify_court(postgres_dsn, source).total_differences


def test_a_verification_changes_no_target(postgres_dsn: str, tmp_path: Path) -> None:
    source = export_of(tmp_path, a_court(5))
    load_court(postgres_dsn, source)
    digest = "SELECT md5(string_agg(c::text, '' ORDER BY docket_number)) FROM \"case\" c"
    with psycopg.connect(postgres_dsn, autocommit=True) as conn:
        before = conn.execute(digest).fetchone()
        verify_court(postgres_dsn, source)
        assert before == conn.execute(digest).fetchone()
