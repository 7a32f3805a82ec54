"""Keys of several columns: which tuples are counted, and what makes a foreign key of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.assess import sketch as sketches
from ashore.assess.batches import Batch
from ashore.assess.census import Census
from ashore.assess.composite import Holder, Tuples, composite_foreign_keys, tuples_of
from ashore.assess.drift import compare
from ashore.assess.key_tuples import BETWEEN, Field, joined_texts, sampled_of, wanted_tuples
from ashore.assess.keys import KeyColumns
from ashore.assess.kinds import CopyOf, Group, Kind
from ashore.assess.proposal import Column, ColumnKind, Entity, ForeignKey, Proposal
from ashore.assess.report.schema import schema_of
from ashore.assess.shapes import Seen, Shape, shapes_of
from ashore.assess.sketch import KEPT, Sketch
from ashore.assess.survey import survey
from ashore.assess.table_key import Keys
from ashore.assess.write_declaration import entities_py
from ashore.bench.assess_gold import InMemory, propose_for
from ashore.local.styles import LabelledTable, make
from ashore.pipeline.assess import assess

CHANCERY = make("chancery", size=400, seed=7)
KEYS = Keys(names=("pk", "sk"), types=("S", "S"), not_telling=frozenset({"pk", "sk"}))
COMPOSITE = {
    ("document", ("case_id", "entry_id"), "entry"),
    ("signature", ("docket_number", "entry_number"), "entry"),
    ("signature", ("docket_number", "entry_number", "part"), "document"),
}

texts = st.sampled_from(["1", "2", "a", "", "\0", "x\0y"])
scalars = st.one_of(
    texts.map(lambda one: {"S": one}),
    st.integers(0, 3).map(lambda one: {"N": str(one)}),
    st.just({"NULL": True}),
    st.just({"L": [{"S": "1"}]}),
)
items = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), scalars), min_size=1, max_size=12)
fields = st.lists(
    st.sampled_from([Field("p0", in_key=True), Field("a", in_key=False), Field("b", in_key=False)]),
    min_size=2,
    max_size=3,
    unique=True,
).map(tuple)


def propose(raw: Sequence[bytes]) -> Proposal:
    return assess(InMemory(raw), table_name="t", partition_key=("pk", "S"), sort_key=("sk", "S")).proposal


def composite(proposal: Proposal) -> dict[tuple[str, tuple[str, ...], str], ForeignKey]:
    return {
        (entity.name, key.columns, key.target): key
        for entity in proposal.entities
        for key in entity.foreign_keys
        if len(key.columns) > 1
    }


def without(table: LabelledTable, is_gone: Callable[[str, Any], bool]) -> list[bytes]:
    return [json.dumps(one.item).encode() for one in table.items if not is_gone(one.label, one.item)]


def by_hand(wanted: Sequence[Field], some: Sequence[Any], key: Sequence[str]) -> list[tuple[str, ...]]:
    found = []
    for item, text in zip(some, key, strict=True):
        parts = [text if one.in_key else _text(item.get(one.name, {})) for one in wanted]
        if all(part is not None and "\0" not in part for part in parts):
            found.append(tuple(map(str, parts)))
    return found


def _text(value: dict[str, Any]) -> str | None:
    text = value.get("S", value.get("N"))
    return text if isinstance(text, str) else None


@given(some=items, wanted=fields)
def test_the_tuples_of_items_are_those_that_columns_hold(some: list[Any], wanted: tuple[Field, ...]) -> None:
    key = [str(number % 3) for number in range(len(some))]
    actual = joined_texts(wanted, some, {"p0": key})
    assert [BETWEEN.join(one) for one in by_hand(wanted, some, key)] == actual


@pytest.mark.parametrize("kept", [KEPT, 2])
@given(some=items, wanted=fields, data=st.data())
def test_tuples_are_counted_alike_in_any_order_and_any_portions(
    some: list[Any], wanted: tuple[Field, ...], data: st.DataObject, kept: int
) -> None:
    def counted(portion: list[tuple[Any, str]]) -> Census:
        census = Census()
        if portion:
            rows, key = [item for item, _ in portion], [text for _, text in portion]
            census.add_tuples(wanted, joined_texts(wanted, rows, {"p0": key}))
        return census

    pairs = [(item, str(number % 3)) for number, item in enumerate(some)]
    cut = data.draw(st.integers(0, len(pairs)))
    shuffled = data.draw(st.permutations(pairs))
    with patch.object(sketches, "KEPT", kept):
        merged = counted(shuffled[:cut])
        merged.merge(counted(shuffled[cut:]))
        whole = counted(pairs)
        assert whole.tuples[wanted].values() == merged.tuples[wanted].values()
        assert whole.tuples[wanted].count == merged.tuples[wanted].count


def seen(table: LabelledTable) -> list[Seen]:
    return [Seen((one.item["pk"]["S"], one.item["sk"]["S"]), one.item) for one in table.items]


def test_a_sample_tells_the_same_tuples_to_count_in_any_order() -> None:
    sample = seen(CHANCERY)
    shapes = tuple(shapes_of(sample, KEYS.types, KEYS.not_telling))
    wanted = wanted_tuples(sampled_of(shapes, sample, KEYS))
    assert wanted == wanted_tuples(sampled_of(shapes, sample[::-1], KEYS))
    assert 0 < sum(map(len, wanted.counted.values())) <= 64 + len(shapes)


@pytest.mark.parametrize("name", ["fleet", "permits", "artefacts"])
def test_no_tuples_are_counted_where_no_key_of_several_values_is_held_elsewhere(name: str) -> None:
    table = make(name, size=300, seed=7)
    keys = Keys(
        names=tuple(one for one, _ in table.key), types=tuple(kind for _, kind in table.key), not_telling=frozenset()
    )
    found = survey(InMemory(table.raw()), keys, sample=None)
    assert [{}] == [group.census.tuples for group in found.groups]


def test_keys_of_several_columns_that_others_hold_become_foreign_keys() -> None:
    found = composite(propose_for(CHANCERY))
    assert COMPOSITE == found.keys()
    assert all(key.enforced and not key.missing for key in found.values())
    document = found["signature", ("docket_number", "entry_number", "part"), "document"]
    assert ("case_id", "entry_id", "document_id") == document.target_columns


def test_a_part_of_a_key_that_is_another_entitys_key_is_called_as_it_is_there() -> None:
    (key,) = entity(propose_for(CHANCERY), "document").keys
    assert ("case|{case_id}", "document|{entry_id}|{document_id}") == (key.partition, key.sort)
    unrelated = without(CHANCERY, lambda label, _: label == "entry")
    (key,) = entity(propose(unrelated), "document").keys
    assert ("case|{case_id}", "document|{document_id}|{sort_id}") == (key.partition, key.sort)


def test_an_attribute_that_repeats_a_part_of_a_key_names_it_before_all_else() -> None:
    repeated = [
        json.dumps({**one.item, "filing": {"S": one.item["sk"]["S"].split("|")[1]}}).encode()
        if one.label == "document"
        else json.dumps(one.item).encode()
        for one in CHANCERY.items
    ]
    found = propose(repeated)
    (key,) = entity(found, "document").keys
    assert "document|{filing}|{document_id}" == key.sort
    assert ("document", ("case_id", "filing"), "entry") in composite(found)


@pytest.mark.parametrize("seed", range(12))
def test_numbers_that_begin_anew_in_every_partition_are_not_taken_for_references(seed: int) -> None:
    found = composite(propose_for(make("chancery", size=150, seed=seed)))
    assert COMPOSITE >= found.keys(), "hearings are numbered too, and nothing refers to them"


def test_a_tuple_that_is_not_found_is_counted_and_nothing_is_enforced() -> None:
    gone = next(one.item for one in CHANCERY.items if one.label == "entry" and one.item["sk"]["S"] == "entry|1")
    found = composite(propose(without(CHANCERY, lambda _, item: item is gone)))
    assert COMPOSITE == found.keys()
    entry = found["document", ("case_id", "entry_id"), "entry"]
    assert (1, False) == (entry.missing, entry.enforced)
    assert found["signature", ("docket_number", "entry_number", "part"), "document"].enforced


def test_single_values_that_are_all_found_prove_no_tuple() -> None:
    moved = [one.item for one in CHANCERY.items if one.label == "signature"]
    other = {id(one): moved[number - 1]["docketNumber"] for number, one in enumerate(moved)}
    raw = [
        json.dumps({**one.item, **({"docketNumber": other[id(one.item)]} if id(one.item) in other else {})}).encode()
        for one in CHANCERY.items
    ]
    proposal = propose(raw)
    assert not any(name == "signature" for name, _, _ in composite(proposal))
    (signature,) = (entity for entity in proposal.entities if entity.name == "signature")
    assert [("docket_number",)] == [key.columns for key in signature.foreign_keys if key.enforced]


def test_a_sample_proves_no_tuple() -> None:
    found = assess(
        InMemory(CHANCERY.raw()), table_name="t", partition_key=("pk", "S"), sort_key=("sk", "S"), sample=250
    ).proposal
    assert not any(key.enforced for key in composite(found).values())


def test_rows_of_keys_alone_refer_to_the_records_that_they_mirror() -> None:
    found = composite(propose_for(make("college", size=300, seed=7)))
    (key,) = found.values()
    assert {("course_student", ("student_id", "course_id"), "student_course")} == found.keys()
    assert key.enforced


def column(name: str, kind: ColumnKind = "text") -> Column:
    return Column(name=name, kind=kind, path=(name,), nullable=False, because="")


def tuples(rows: Sequence[tuple[str, str]], *names: str, kind: ColumnKind = "text", is_all: bool = True) -> Tuples:
    sketch = Sketch()
    sketch.add(Batch.of([BETWEEN.join(row) for row in rows], distinct=sketch.complete))
    return Tuples((column(names[0]), column(names[1], kind)), sketch, is_all)


def holder(name: str, *counted: Tuples, key: tuple[str, ...], items: int = 100, word: str = "") -> Holder:
    return Holder(
        entity=name, items=items, key=key, words=frozenset({word or name}), tuples=counted, is_target=len(key) > 1
    )


CASES = [(f"case {number % 9}", f"entry {number}") for number in range(90)]
ENTRIES = holder("entry", tuples(CASES, "case_id", "entry_id"), key=("case_id", "entry_id"))


def references(*counted: Tuples, holders: Sequence[Holder] = (ENTRIES,), complete: bool = True) -> list[ForeignKey]:
    one = holder("note", *counted, key=("note_id",))
    return composite_foreign_keys(one, [*holders, one], complete=complete)


pairs = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("12345678")), max_size=24)


@pytest.mark.parametrize("kept", [KEPT, 4])
@given(child=pairs, parent=pairs)
def test_what_is_enforced_is_true_of_every_tuple(
    child: list[tuple[str, str]], parent: list[tuple[str, str]], kept: int
) -> None:
    with patch.object(sketches, "KEPT", kept):
        entries = holder("entry", tuples(parent, "case_id", "entry_id"), key=("case_id", "entry_id"))
        for key in references(tuples(child, "a", "b"), holders=[entries]):
            assert key.looked_at - key.missing <= len(set(child) & set(parent))
            if key.enforced:
                assert set(child) <= set(parent)
                assert (len(set(child)), 0) == (key.looked_at, key.missing)


@pytest.mark.parametrize(
    ("counted", "complete"),
    [
        (tuples(CASES[:40], "a", "b", is_all=False), True),
        (tuples(CASES[:40], "a", "b", kind="uuid"), True),
        (tuples([*CASES[:40], ("case 1", "no entry")], "a", "b"), True),
        (tuples(CASES[:40], "a", "b"), False),
    ],
    ids=["not counted in all", "another type", "one is not found", "a sample"],
)
def test_a_reference_that_is_not_proven_is_told_but_not_enforced(counted: Tuples, complete: bool) -> None:
    (key,) = references(counted, complete=complete)
    assert not key.enforced


def group(items: Sequence[Any]) -> Group:
    census = Census()
    rows = [{name: {"S": text} for name, text in item.items()} for item in items]
    for start in range(0, len(rows), 500):
        census.add(rows[start : start + 500], [9] * len(rows[start : start + 500]), {})
    census.add_tuples(AB, joined_texts(AB, rows, {}))
    return Group(shape=Shape((), None), census=census, equal=frozenset(), keys=KEYS)


AB = (Field("a", in_key=False), Field("b", in_key=False))


@pytest.mark.parametrize(
    ("copied", "is_all"),
    [
        ([{"of": "1", "a": "1", "b": "1"}], True),
        ([{"of": "1", "a": "1", "b": "1"}, {"of": "none", "a": "2", "b": "2"}], False),
        ([{"of": "1", "a": "1", "b": "1"}, {"a": "2", "b": "2"}], False),
    ],
    ids=["all have an original", "one has none", "one does not tell"],
)
@pytest.mark.parametrize("originals", [40, 20_000])
def test_tuples_are_those_of_all_rows_only_if_every_copy_has_an_original(
    originals: int, copied: list[Any], *, is_all: bool
) -> None:
    """Of more originals than are kept, most could not be looked up: none is taken for there."""
    main = group([{"of": str(number), "a": str(number), "b": str(number)} for number in range(originals)])
    kind = Kind([main], [CopyOf(group(copied), of="of", compared=1, differing=0, orphaned=0)])
    (found,) = tuples_of(kind, KeyColumns(of={id(main): {}}), [column("a"), column("b")])
    known = main.census.attributes["of"].sketch
    assert (is_all and known.complete) == found.is_all


@pytest.mark.parametrize("kind", ["integer", "number_in_text"])
def test_whole_numbers_of_two_sizes_can_be_held_to_each_other(kind: ColumnKind) -> None:
    numbered = [(case, entry.removeprefix("entry ")) for case, entry in CASES]
    entries = tuples(numbered, "case_id", "number", kind="bigint")
    target = holder("entry", entries, key=("case_id", "number"))
    (key,) = references(tuples(numbered[:40], "a", "b", kind=kind), holders=[target])
    assert key.enforced


@pytest.mark.parametrize("rows", [CASES[:4], [(case, "entry 1") for case, _ in CASES], [("case 1", "x"), *CASES[:2]]])
def test_tuples_that_are_too_few_or_mostly_not_found_are_no_reference(rows: list[tuple[str, str]]) -> None:
    assert [] == references(tuples(rows, "a", "b"))


def test_two_entities_with_the_same_keys_refer_in_one_direction_if_the_words_of_their_keys_say_so() -> None:
    key = ("case_id", "entry_id")
    text = holder("entry_text", tuples(CASES, *key), key=key)
    same = replace(text, words=frozenset({"entry", "text"}))
    other = replace(text, words=frozenset({"hearing"}))

    assert ["entry"] == [one.target for one in composite_foreign_keys(same, [ENTRIES, same], complete=True)]
    assert [] == composite_foreign_keys(ENTRIES, [ENTRIES, same], complete=True)
    assert [] == composite_foreign_keys(other, [ENTRIES, other], complete=True)
    assert [] == composite_foreign_keys(ENTRIES, [ENTRIES, other], complete=True)


def test_an_entity_may_refer_to_itself_by_other_columns() -> None:
    key = ("case_id", "entry_id")
    replies = tuples(CASES[9:50], "case_id", "reply_to")
    entries = holder("entry", tuples(CASES, *key), replies, key=key)
    (found,) = composite_foreign_keys(entries, [entries], complete=True)
    assert (("case_id", "reply_to"), "entry", key) == (found.columns, found.target, found.target_columns)


def entity(proposal: Proposal, name: str) -> Entity:
    return next(one for one in proposal.entities if one.name == name)


def test_a_proposal_with_composite_keys_declares_draws_and_indexes_them() -> None:
    proposal = propose_for(CHANCERY)
    module = entities_py(proposal)
    namespace: dict[str, Any] = {}
    exec(compile(module, "entities.py", "exec"), namespace)  # noqa: S102 (it is what assess wrote)
    tables = namespace["metadata"].tables

    held = {
        (constraint.parent.name, tuple(constraint.column_keys), constraint.referred_table.name)
        for table in tables.values()
        for constraint in table.foreign_key_constraints
        if len(constraint.column_keys) > 1
    }
    assert COMPOSITE == held
    assert [] == list(compare(namespace["source"], proposal).findings)
    drawn = schema_of(proposal)
    assert {
        (drawn.tables[one.table].name, one.columns, drawn.tables[one.target].name)
        for one in drawn.references
        if len(one.columns) > 1 and one.enforced
    } == COMPOSITE
    indexes = [index.columns for index in entity(proposal, "signature").indexes]
    assert [("docket_number", "entry_number", "part")] == indexes, "it serves the shorter ones too"
    assert () == entity(proposal, "document").indexes, "its primary key begins with the reference"
