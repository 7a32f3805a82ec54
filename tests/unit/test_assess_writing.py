"""The module that an assessment writes: what it says is what was proposed, whatever the names hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.assess_proposals import ADDRESS, CUSTOMER, ORDER, PROPOSALS, SHOP, USERS, column, key

from ashore.assess.proposal import ColumnKind, Derived, Entity, ForeignKey, Proposal, Rule
from ashore.assess.write_declaration import entities_py
from ashore.assess.write_revision import first_revision
from ashore.assess.writing.python import Names, comment, text
from ashore.mapping.declare import Epoch, Maybe, Source

BY_NAME = pytest.mark.parametrize("proposal", PROPOSALS, ids=lambda one: one.name)
HOSTILE = [
    '"',
    "'",
    "'''",
    '"""',
    "\\",
    "\\\n",
    "a\nimport os",
    "{",
    "}}",
    "{docket}",
    "#",
    "fmt: off",
    "class",
    "None",
    "sa",
    "source",
    "metadata",
    "remainder",
    "print",
    "c",
    "keys",
    "ü",
    "名前",
    "\u202e",
    "\u2028",
    "\ue000",
    "\x00",
    "\x7f",
    "a.b",
    "_",
    "1",
    "A B",
    "x" * 130,
    "名" * 70,
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20)).filter(lambda one: one.isascii() or _encodes(one))
names = texts.filter(bool)
odd_columns = [one for one in HOSTILE if len(one) < 10]
column_names = st.one_of(st.sampled_from(odd_columns), st.from_regex(r"[a-z_][a-z0-9_]{0,50}", fullmatch=True))
constants = st.one_of(
    texts,
    st.booleans(),
    st.integers(),
    st.builds(lambda member: {"SS": [f"{member}{place}" for place in range(30)]}, texts),
    st.builds(lambda name, one: {"M": {name: {"S": one}, "": {"L": [{"NULL": True}]}}}, texts, texts),
)
template_texts = texts.map(lambda one: one.replace("{", "").replace("}", ""))


def _encodes(words: str) -> bool:
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True


def run(module: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(module, "entities.py", "exec"), namespace)  # noqa: S102 (what is tested is a module)
    return namespace


def declared(proposal: Proposal) -> Source:
    source: Source = run(entities_py(proposal))["source"]
    return source


def ruff(*arguments: str, module: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--isolated", "-"],
        input=module,
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@BY_NAME
def test_a_written_module_compiles_to_the_entities_that_were_proposed(proposal: Proposal) -> None:
    plan = declared(proposal).compile()

    assert [entity.name for entity in proposal.entities] == list(plan.entities)
    for entity in proposal.entities:
        one = plan.entities[entity.name]
        table = one.table
        assert [column.name for column in entity.columns] == list(table.c.keys())[:-2]
        assert entity.key_columns == tuple(column.name for column in table.primary_key.columns)
        paths = {column.path for column in entity.columns if column.path is not None}
        assert paths == {column.path for column in one.record.columns}
        assert [child.table for child in entity.children] == [child.record.table.name for child in one.children]
    assert len(proposal.rules) == len(plan.rules)


@BY_NAME
def test_a_written_module_is_as_ruff_would_format_it(proposal: Proposal, tmp_path: Path) -> None:
    module = entities_py(proposal)

    formatted = ruff("format", "--line-length", "120", module=module, folder=tmp_path)
    checked = ruff("check", "--line-length", "120", "--select", "E,F,W,I,B,UP,C4,Q", module=module, folder=tmp_path)

    assert module == formatted.stdout
    assert 0 == checked.returncode, checked.stdout


@BY_NAME
def test_one_proposal_gives_one_text(proposal: Proposal) -> None:
    copied = replace(proposal, **{field.name: getattr(proposal, field.name) for field in fields(proposal)})

    assert entities_py(proposal) == entities_py(copied)
    revisions = [_revision(entities_py(one)) for one in (proposal, copied)]
    assert revisions[0] == revisions[1]


def _revision(module: str) -> tuple[str, str]:
    namespace = run(module)
    namespace["source"].compile()
    revision = first_revision(namespace["metadata"])
    return revision.id, revision.text


def test_a_revision_of_other_tables_has_another_id() -> None:
    narrower = replace(USERS, entities=(replace(USERS.entities[0], columns=USERS.entities[0].columns[:1]),))

    assert _revision(entities_py(USERS))[0] != _revision(entities_py(narrower))[0]


def test_text_keys_and_what_refers_to_them_sort_as_dynamodb_does() -> None:
    tables = run(entities_py(SHOP))["metadata"].tables
    sorted_as_bytes = {
        f"{table.name}.{column.name}"
        for table in tables.values()
        for column in table.columns
        if isinstance(column.type, sa.Text) and column.type.collation == "C"
    }

    assert {
        "customer.customer_id",
        "customer.referrer_id",
        "address.customer_id",
        "order.customer_id",
        "order.shop_id",
        "order_line.customer_id",
        "order_return.customer_id",
    } == sorted_as_bytes


def test_a_cycle_of_foreign_keys_is_closed_after_its_tables() -> None:
    tables = run(entities_py(SHOP))["metadata"].tables
    late = [
        (table.name, constraint.name)
        for table in tables.values()
        for constraint in table.foreign_key_constraints
        if constraint.use_alter
    ]

    assert [("address", "address_customer_id_fkey")] == late


def test_a_foreign_key_with_values_that_were_not_found_is_a_comment() -> None:
    module = entities_py(SHOP)

    assert "refers to shop, without a foreign key: 3 of 12 values not found there" in module
    assert set() == run(module)["metadata"].tables["order"].c.shop_id.foreign_keys


def test_copies_whose_key_nothing_repeats_are_not_promoted() -> None:
    without = replace(ORDER, derived=ORDER.derived[1:2], copies=(replace(ORDER.copies[0], of="orderNumber"),))
    proposal = replace(SHOP, entities=(CUSTOMER, ADDRESS, without), groups=())

    entity = declared(proposal).entities[2]

    assert ["reject"] == [copy.orphan for copy in entity.copies]


def test_a_module_says_how_much_was_read() -> None:
    whole, sampled = entities_py(SHOP), entities_py(replace(SHOP, complete=False, items_read=20))

    assert "read all 131 items" in whole
    assert "read 20 items of about 131" in sampled


def test_comments_hold_the_evidence() -> None:
    module = entities_py(SHOP)

    for said in (
        "# 43 items, 12.3 KB, the largest 999 bytes.",
        "# absent from 375 of 1,000 items that were looked at",
        '# extra holds "nickname" (in 0.1 % of the items) and "mixed" (text and numbers)',
        "# Names hold U+0000 in one item.",
        "# right in 99.67 % of the items; residue keeps the others' own",
        "# 2 items, 88 bytes: of one kind each",
        "# 40 items; 10 looked at: 2 differ from their original, 1 without one",
    ):
        assert said in module


def test_a_constant_may_be_any_that_a_declaration_takes() -> None:
    constant = {"n": Decimal("1.50"), "none": {"NULL": True}, "nested": {"L": [{"S": '"'}, {"BOOL": False}]}}
    proposal = replace(USERS, entities=(replace(USERS.entities[0], constant=constant),))

    plan = declared(proposal).compile()

    written = dict(plan.entities["user"].record.constant)
    assert {"n": {"N": "1.50"}, "none": {"NULL": True}, "nested": constant["nested"]} == written


def test_a_float_is_no_constant() -> None:
    with pytest.raises(TypeError, match="float"):
        entities_py(replace(USERS, entities=(replace(USERS.entities[0], constant={"f": 1.5}),)))


@given(texts)
def test_a_literal_is_its_text(words: str) -> None:
    literal = text(words)
    assert words == eval(literal)  # noqa: S307 (the literal is what is tested)
    assert literal.isprintable()


@given(texts, st.integers(0, 80))
def test_a_comment_is_never_code(words: str, indent: int) -> None:
    for line in comment(words, indent=indent):
        assert line.startswith("# ")
        assert 1 == len(line.splitlines())


@given(st.lists(texts, max_size=8))
def test_variables_are_names_and_none_is_given_twice(wanted: list[str]) -> None:
    taker = Names({"sa"})
    given_out = [taker.take(one, otherwise="table") for one in wanted]

    assert len(given_out) == len(set(given_out))
    for name in given_out:
        compile(f"{name} = 1", "name", "exec")
        assert name not in {"sa", "print", "class"}


@st.composite
def hostile_entities(draw: st.DrawFn, name: str) -> Entity:
    own = draw(st.lists(column_names, min_size=2, max_size=5, unique=True).filter(_no_remainder))
    kinds: st.SearchStrategy[ColumnKind] = st.sampled_from(
        ["text", "integer", "timestamptz", "epoch_seconds", "jsonb", "text[]", "uuid"]
    )
    path = st.lists(names.filter(lambda one: len(repr(one)) <= 20), min_size=1, max_size=3)
    columns = [
        column(one, draw(kinds), *draw(path), nullable=draw(st.booleans()), because=draw(texts)) for one in own[1:]
    ]
    return Entity(
        name=name,
        role=draw(st.sampled_from(["record", "mapping", "setting"])),
        keys=tuple(key(draw(template_texts) + "{k}", draw(template_texts)) for _ in range(draw(st.integers(1, 2)))),
        key_columns=(own[0],),
        columns=(column(own[0], "text", nullable=False), *columns),
        constant=draw(st.dictionaries(texts, constants, max_size=3)),
        derived=tuple(
            Derived(attribute=one, template=draw(template_texts), maybe=draw(st.booleans()), holds=0.5)
            for one in draw(st.lists(texts, max_size=3, unique=True))
        ),
        null=tuple(draw(st.lists(texts, max_size=2, unique=True))),
        unfit=draw(st.dictionaries(texts, st.sampled_from(["reject", "strip", "residue"]), max_size=2)),
        ttl=draw(st.none() | texts),
        extra=tuple(draw(st.lists(st.tuples(texts, texts), max_size=3))),
        notes=tuple(draw(st.lists(texts, max_size=2))),
        items=draw(st.integers(0, 10**9)),
    )


def _no_remainder(own: list[str]) -> bool:
    return not {"extra", "residue"} & set(own)


@st.composite
def hostile_proposals(draw: st.DrawFn) -> Proposal:
    tables = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    entities = [draw(hostile_entities(table)) for table in tables]
    return Proposal(
        name=draw(texts),
        table=draw(texts),
        partition_key=(draw(texts), draw(st.sampled_from(["S", "N", "B"]))),
        sort_key=(draw(texts), "S"),
        names=draw(st.sampled_from(["camel_case", "pascal_case", "same_name"])),
        complete=draw(st.booleans()),
        items=1,
        items_read=1,
        bytes=1,
        entities=tuple(entities),
        rules=tuple(
            Rule(partition=draw(texts), sort=draw(texts), items=1, bytes=1, because=draw(texts))
            for _ in range(draw(st.integers(0, 2)))
        ),
        groups=(tuple(tables),),
    )


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=60)
@given(proposal=hostile_proposals())
def test_hostile_names_come_through_exactly_and_formatted(proposal: Proposal, tmp_path: Path) -> None:
    module = entities_py(proposal)
    namespace = run(module)
    source: Source = namespace["source"]

    assert proposal.name == source.name
    assert proposal.partition_key == (source.partition_key.name, source.partition_key.type)
    assert [(one.partition, one.sort) for one in proposal.rules] == [
        (rule.partition, rule.sort) for rule in source.rules
    ]
    for expected, actual in zip(proposal.entities, source.entities, strict=True):
        assert expected.name == actual.table.name
        assert [(one.partition, one.sort) for one in expected.keys] == [
            (one.partition, one.sort) for one in actual.keys
        ]
        assert [one.name for one in expected.columns] == list(actual.table.c.keys())[:-2]
        assert _same_constants(expected.constant, actual.constant)
        assert {one.attribute: (one.template, one.maybe) for one in expected.derived} == {
            name: (one.template, True) if isinstance(one, Maybe) else (one, False)
            for name, one in actual.derived.items()
        }
        assert set(expected.null) == set(actual.null)
        assert dict(expected.unfit) == actual.unfit
        assert expected.ttl == actual.ttl
        assert (
            _paths(actual.attributes).items()
            <= {one.name: (one.path, one.kind == "epoch_seconds") for one in expected.columns}.items()
        )
    assert module == ruff("format", "--line-length", "120", module=module, folder=tmp_path).stdout


def _same_constants(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> bool:
    return {name: (type(one), one) for name, one in expected.items()} == {
        name: (type(one), one) for name, one in actual.items()
    }


def _paths(attributes: Mapping[Any, Any]) -> dict[str, tuple[tuple[str, ...], bool]]:
    return {
        (target.column if isinstance(target, Epoch) else target).name: (
            tuple(path.split(".")) if isinstance(path, str) else path,
            isinstance(target, Epoch),
        )
        for path, target in attributes.items()
    }


def test_an_entity_that_refers_to_itself_names_its_own_table() -> None:
    employee = replace(
        USERS.entities[0],
        columns=(*USERS.entities[0].columns, column("boss_id", "uuid", "BossId")),
        foreign_keys=(
            ForeignKey(
                columns=("boss_id",),
                target="user",
                target_columns=("user_id",),
                looked_at=9,
                missing=0,
                enforced=True,
            ),
        ),
    )

    table = run(entities_py(replace(USERS, entities=(employee,))))["metadata"].tables["user"]

    assert [table.c.user_id] == [one.column for one in table.c.boss_id.foreign_keys]


@st.composite
def references(draw: st.DrawFn) -> Proposal:
    """Entities that refer to each other and to themselves in every way, cycles included."""
    places = range(draw(st.integers(1, 6)))
    pairs = draw(st.lists(st.tuples(st.sampled_from(places), st.sampled_from(places)), max_size=12, unique=True))
    entities = []
    for place in places:
        targets = [target for source, target in pairs if source == place]
        referring = [column(f"to_{target}", "uuid", f"To{target}") for target in targets]
        keys = [
            ForeignKey(
                columns=(f"to_{target}",),
                target=f"e{target}",
                target_columns=("id",),
                looked_at=1,
                missing=0,
                enforced=True,
            )
            for target in targets
        ]
        entities.append(
            Entity(
                name=f"e{place}",
                role="record",
                keys=(key(f"e{place}|{{id}}"),),
                key_columns=("id",),
                columns=(column("id", "uuid", nullable=False), *referring),
                foreign_keys=tuple(keys),
            )
        )
    return replace(USERS, entities=tuple(entities))


@given(references())
def test_foreign_keys_resolve_in_every_order_of_entities(proposal: Proposal) -> None:
    namespace = run(entities_py(proposal))
    namespace["source"].compile()
    metadata: sa.MetaData = namespace["metadata"]

    made: list[str] = []
    for table in metadata.sorted_tables:
        made.append(table.name)
        early = [one for one in table.foreign_key_constraints if not one.use_alter]
        assert {one.referred_table.name for one in early} <= set(made)
        assert len(table.foreign_key_constraints) == len(proposal.entities[int(table.name[1:])].foreign_keys)
    late = {one for table in metadata.tables.values() for one in table.foreign_key_constraints if one.use_alter}
    assert len(late) == first_revision(metadata).text.count("op.create_foreign_key(")
    assert all(one.name for one in late)
