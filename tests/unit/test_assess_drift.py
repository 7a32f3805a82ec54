"""A declaration that people edited, beside a new proposal: every difference that matters is found, and no other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import pytest
from tests.acceptance.docs_pages import DOCS
from tests.assess_proposals import (
    ADDRESS,
    COUNTER,
    CUSTOMER,
    ORDER,
    PROPOSALS,
    RETURN,
    SHOP,
    USERS,
    column,
    key,
)

from ashore.assess.drift import Drift, Finding, Kind, compare
from ashore.assess.proposal import AttributeEvidence, Child, Column, ColumnKind, Entity, Proposal, Rule
from ashore.assess.write_declaration import entities_py
from ashore.mapping.declare import Source


def declared(module: str) -> Source:
    namespace: dict[str, Any] = {}
    exec(compile(module, "entities.py", "exec"), namespace)  # noqa: S102 (what is compared is a module)
    source: Source = namespace["source"]
    return source


def drift(proposal: Proposal, *, edited: Mapping[str, str] | None = None, of: Proposal = SHOP) -> Drift:
    """Compare the module written of one proposal, with some of its texts edited, with another proposal."""
    module = entities_py(of)
    for before, after in (edited or {}).items():
        assert before in module
        module = module.replace(before, after)
    return compare(declared(module), proposal)


def only(found: Drift) -> Finding:
    (finding,) = found.findings
    return finding


def with_entity(changed: Entity, proposal: Proposal = SHOP) -> Proposal:
    """The proposal with one of its entities changed."""
    return replace(proposal, entities=tuple(changed if one.name == changed.name else one for one in proposal.entities))


def with_column(changed: Column, entity: Entity = CUSTOMER) -> Entity:
    kept = tuple(changed if one.name == changed.name else one for one in entity.columns)
    return replace(entity, columns=kept if changed in kept else (*kept, changed))


def evidence(path: str, kinds: Mapping[str, int], **more: Any) -> AttributeEvidence:
    return AttributeEvidence(
        path=path,
        present=sum(kinds.values()),
        kinds=kinds,
        forms=more.get("forms", {}),
        distinct=more.get("distinct", 2),
        longest=more.get("longest", 5),
        notes=(),
        where=more.get("where", "extra: mixed"),
    )


@pytest.mark.parametrize("proposal", PROPOSALS, ids=lambda one: one.name)
def test_a_proposal_does_not_differ_from_its_own_declaration(proposal: Proposal) -> None:
    found = compare(declared(entities_py(proposal)), proposal)

    assert () == found.findings
    assert {one.name: sum(key.items for key in one.keys) for one in proposal.entities} == found.items


def test_names_that_people_gave_are_no_difference() -> None:
    edited = {
        '"order",\n': '"purchase",\n',
        '"order|{number}"': '"order|{order_number}"',
        '"number"': '"order_number"',
        ".c.number": ".c.order_number",
        '"{number}"': '"{order_number}"',
        "|{number}": "|{order_number}",
        "#{number}": "#{order_number}",
        '"customer_by_email"': '"mail"',
    }

    found = drift(SHOP, edited=edited)

    assert () == found.findings
    assert 40 == found.items["purchase"]


def test_attributes_that_stay_in_extra_are_told_but_no_finding() -> None:
    assert ("nickname", "mixed") == drift(SHOP).in_extra["customer"]


def test_new_keys_are_found() -> None:
    invoice = replace(COUNTER, name="invoice", keys=(key("invoice|{year}", "{year}", items=12),), key_columns=("year",))

    finding = only(drift(replace(SHOP, entities=(*SHOP.entities, invoice))))

    assert "new_keys" == finding.kind
    assert "'invoice|{year}', '{year}'" == finding.where
    assert "12 items" in finding.what
    assert "'invoice'" in finding.what


def test_a_new_key_generation_is_found() -> None:
    older = replace(ADDRESS, keys=(*ADDRESS.keys, key("ADDRESS#{address_id}", "{customer_id}", items=7)))

    assert ["new_keys"] == [one.kind for one in drift(with_entity(older)).findings]


def test_keys_that_are_taken_in_part_name_the_entity() -> None:
    wider = replace(ADDRESS, keys=(key("{customer_id}", "address|{address_id}", items=7),))

    finding = only(drift(with_entity(wider)))

    assert "new_keys" == finding.kind
    assert "but in part entity 'address', 'order_return' and 'metadata'" in finding.what


def test_new_copies_are_found() -> None:
    more = replace(ORDER, copies=(*ORDER.copies, replace(ORDER.copies[0], key=key("inbox|{day}", "{number}"))))

    finding = only(drift(with_entity(more)))

    assert ("new_keys", "'inbox|{day}', '{number}'") == (finding.kind, finding.where)


def test_strays_that_no_rule_knows_are_found() -> None:
    stray = Rule(partition="temp*", sort="*", items=3, bytes=9, because="few")

    finding = only(drift(replace(SHOP, rules=(*SHOP.rules, stray))))

    assert ("new_keys", "'temp*', '*'") == (finding.kind, finding.where)


def test_an_entity_that_people_left_out_is_no_difference() -> None:
    without = replace(SHOP, entities=(CUSTOMER, ADDRESS, ORDER, RETURN))
    module = entities_py(without) + 'source.leave_out("counter", because="PostgreSQL counts")\n'

    found = compare(declared(module), SHOP)

    assert () == found.findings


@pytest.mark.parametrize(("complete", "hint"), [(True, "take it out"), (False, "--all")])
def test_an_entity_without_items_is_gone(complete: bool, hint: str) -> None:
    without = replace(SHOP, complete=complete, entities=(CUSTOMER, ADDRESS, ORDER, RETURN))

    finding = only(drift(without))

    assert ("gone", "entity 'metadata'") == (finding.kind, finding.where)
    assert hint in finding.hint


def test_a_new_attribute_is_found() -> None:
    finding = only(drift(with_entity(with_column(column("phone", "text", "phone")))))

    assert ("new_attribute", "entity 'customer'") == (finding.kind, finding.where)
    assert "'phone'" in finding.what
    assert "column 'phone', text" in finding.what


def test_a_new_attribute_in_a_child_is_found() -> None:
    (child,) = ORDER.children
    wider: Child = replace(child, columns=(*child.columns, column("colour", "text", "colour")))

    finding = only(drift(with_entity(replace(ORDER, children=(wider,)))))

    assert ("new_attribute", "entity 'order', children 'lines'") == (finding.kind, finding.where)


def test_new_constants_derived_attributes_and_children_are_found() -> None:
    bare = replace(ORDER, children=(), derived=ORDER.derived[:1], copies=())
    found = drift(with_entity(replace(ORDER, constant={"kind": "o"}, copies=())), of=with_entity(bare))

    assert {"kind", "orderNumber", "gsi1pk", "lines"} == {one.what.split("'")[1] for one in found.findings}
    assert {"new_attribute"} == {one.kind for one in found.findings}


def test_a_part_of_a_document_that_is_kept_whole_is_no_difference() -> None:
    deeper = column("size", "text", "preferences", "size")

    assert () == drift(with_entity(with_column(deeper))).findings


@pytest.mark.parametrize(
    ("name", "seen", "said"),
    [
        ("isMember", evidence("isMember", {"BOOL": 5, "S": 3}), "has 3 of type S"),
        ("credit", evidence("credit", {"N": 5, "S": 1}), "has 1 of type S"),
        ("ttl", evidence("ttl", {"S": 2}), "has 2 of type S"),
        ("tags", evidence("tags", {"SS": 2, "M": 4}), "has 4 of type M"),
        ("birthDate", evidence("birthDate", {"S": 9}, forms={"date": 7, "text": 2}), "has 2 written as text"),
        ("joinedAt", evidence("joinedAt", {"S": 9}, forms={"timestamp": 7, "local": 2}), "has 2 written as local"),
        ("favouriteAddressId", evidence("favouriteAddressId", {"S": 1}, forms={"ulid": 1}), "has 1 written as ulid"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_values_that_no_longer_fit_their_column_are_found(name: str, seen: AttributeEvidence, said: str) -> None:
    finding = only(drift(with_entity(replace(CUSTOMER, evidence=(seen,)))))

    assert "misfit" == finding.kind
    assert f"attribute {name!r} {said}" in finding.what


@pytest.mark.parametrize(
    "seen",
    [
        evidence("isMember", {"BOOL": 5, "NULL": 3}),
        evidence("preferences", {"M": 5, "S": 3}),
        evidence("visits", {"N": 5, "S": 3}),
        evidence("tags", {"SS": 2, "L": 4}),
        evidence("joinedAt", {"S": 9}, forms={"timestamp": 7, "date": 2}),
        evidence("birthDate", {"S": 9, "NULL": 2}, forms={"date": 9}),
    ],
    ids=lambda one: one.path,
)
def test_values_that_have_a_place_are_no_difference(seen: AttributeEvidence) -> None:
    assert () == drift(with_entity(replace(CUSTOMER, evidence=(seen,)))).findings


@pytest.mark.parametrize(("kind", "fits"), [("smallint", True), ("integer", False), ("numeric", False)])
def test_numbers_beyond_their_column_are_found(kind: ColumnKind, fits: bool) -> None:
    found = drift(with_entity(with_column(column("level", kind, "level"))))

    assert ([] if fits else ["misfit"]) == [one.kind for one in found.findings]


def test_texts_longer_than_their_column_are_found() -> None:
    seen = replace(CUSTOMER, evidence=(evidence("e-mail", {"S": 9}, longest=41),))

    edited = {'sa.Column("email", sa.Text)': 'sa.Column("email", sa.String(40))'}
    finding = only(drift(with_entity(seen), edited=edited))

    assert "is up to 41 characters long" in finding.what


def test_a_column_that_must_not_be_null_and_now_would_be_is_found() -> None:
    finding = only(drift(with_entity(with_column(column("name", "text", "name")))))

    assert ("missing", "entity 'customer'") == (finding.kind, finding.where)
    assert "'name'" in finding.what


def test_keys_that_no_longer_fit_their_column_are_found() -> None:
    free = with_column(column("address_id", "text", nullable=False), ADDRESS)

    finding = only(drift(with_entity(free)))

    assert ("misfit", "entity 'address'") == (finding.kind, finding.where)
    assert "key column 'address_id', uuid" in finding.what


def test_a_constant_with_several_values_is_found() -> None:
    varied = replace(
        CUSTOMER,
        constant={name: one for name, one in CUSTOMER.constant.items() if name != "version"},
        evidence=(evidence("version", {"N": 9}, distinct=3, where="column version"),),
    )

    finding = only(drift(with_entity(varied)))

    assert "not_constant" == finding.kind
    assert "'version' has about 3 values" in finding.what


def test_another_table_is_told_and_nothing_else() -> None:
    finding = only(drift(USERS))

    assert "table" == finding.kind
    assert "'UserId' (S)" in finding.what


@pytest.mark.parametrize(
    ("partition", "sort"),
    [("{kind=a,b}|{id:uuid}", "{n:integer}"), ("{kind=a,b}|{id}", "{n}")],
    ids=["with forms", "without forms"],
)
def test_forms_of_placeholders_give_keys_of_the_form(partition: str, sort: str) -> None:
    entity = replace(
        USERS.entities[0],
        keys=(key(partition, sort),),
        key_columns=("kind", "id", "n"),
        columns=(
            column("kind", "text", nullable=False),
            column("id", "uuid", nullable=False),
            column("n", "integer", nullable=False),
        ),
    )
    proposal = replace(USERS, sort_key=("At", "S"), entities=(entity,))
    plain = replace(proposal, entities=(replace(entity, keys=(key("{kind}|{id}", "{n}"),)),))

    assert () == drift(proposal, of=plain).findings


def test_a_choice_that_is_not_declared_is_found() -> None:
    entity = replace(
        USERS.entities[0],
        keys=(key("{kind=a,b}|{user_id}"),),
        columns=(column("kind", "text", nullable=False), *USERS.entities[0].columns),
        key_columns=("kind", "user_id"),
    )
    proposal = replace(USERS, entities=(entity,))
    narrow = replace(USERS, entities=(replace(USERS.entities[0], keys=(key("a|{user_id}"),)),))

    assert "new_keys" in [one.kind for one in drift(proposal, of=narrow).findings]


def test_every_kind_of_finding_is_in_the_reference() -> None:
    reference = (DOCS / "reference" / "proposed-project.md").read_text(encoding="utf-8")

    assert list(get_args(Kind)) == re.findall(r"^\| `([a-z_]+)` \|", reference, re.MULTILINE)
