"""What IAM can deny: never a key of what stays; and what it says of the rest."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from ashore.cutover.denial import REPLICATION, WRITES, Denial, denial, sid_of, statement
from ashore.mapping.declare import Copy, Entity, KeyAttribute, Source, remainder
from ashore.mapping.names import camel_case
from ashore.mapping.plan import Plan

ROLE = "arn:aws:iam::123456789012:role/ashore"
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/efcms"


def table(name: str, *columns: str) -> sa.Table:
    keys = [sa.Column(f"{name}_id", sa.Text(collation="C"), primary_key=True)]
    return sa.Table(
        name,
        sa.MetaData(),
        *keys,
        *(sa.Column(column, sa.Text(collation="C"), nullable=False) for column in columns),
        *remainder(),
    )


def court(*, rules: bool = True) -> Plan:
    source = Source("court", names=camel_case)
    Entity(table("case"), source.key("case|{case_id}", "case"))
    Entity(table("message", "case_id"), source.key("case|{case_id}", "message|{message_id}"))
    Entity(
        table("user"),
        [source.key("user|{user_id}", "user"), source.key("USER*{user_id}?$", "user")],
        copies=[Copy(partition="box|{box}", sort="{place}", of="userRef")],
        derived={"userRef": "user|{user_id}"},
    )
    if rules:
        source.not_yet("section|*")
        source.leave_out("catalog", "x", because="a list")
    return source.compile()


def test_entities_with_partitions_of_their_own_are_enforced_with_all_generations_and_copies() -> None:
    found = denial(court(), ["user"], ())
    assert Denial(keys=("user|*", "USER${*}*${?}${$}", "box|*"), enforced=("user",), detected=()) == found


def test_entities_that_share_partitions_with_what_stays_are_detected_only() -> None:
    found = denial(court(), ["case"], ())
    assert ((), (("case", "it shares partition keys with entity message"),)) == (found.enforced, found.detected)
    assert statement(found, table_arn=ARN, writers=[ROLE], sid="x") is None


def test_a_group_that_moves_together_shares_partitions_with_itself() -> None:
    assert ("case", "message") == denial(court(), ["case", "message"], ()).enforced


def test_what_is_retired_does_not_stay() -> None:
    assert ("case",) == denial(court(), ["case"], ["message"]).enforced


def test_where_nothing_else_stays_the_whole_table_is_denied() -> None:
    found = denial(court(rules=False), ["case", "message", "user"], ())
    assert found.is_whole_table
    made = statement(found, table_arn=ARN, writers=[ROLE], sid="x")
    assert made is not None
    assert {"ArnNotLike": {"aws:PrincipalArn": [ROLE, REPLICATION]}} == made["Condition"]


def test_rules_stay_and_a_rule_for_everything_lets_nothing_be_denied() -> None:
    source = Source("court", names=camel_case)
    Entity(table("user"), source.key("user|{user_id}", "user"))
    source.not_yet("*")
    found = denial(source.compile(), ["user"], ())
    assert (("user", "it shares partition keys with not_yet"),) == tuple(
        (name, why[: len("it shares partition keys with not_yet")]) for name, why in found.detected
    )


def test_keys_that_are_no_text_or_not_in_latin_1_cannot_be_denied() -> None:
    numbers = Source("numbers", partition_key=KeyAttribute(name="pk", type="N"), sort_key=None)
    counted = sa.Table("counted", sa.MetaData(), sa.Column("counted_id", sa.BigInteger, primary_key=True), *remainder())
    Entity(counted, numbers.key("{counted_id}"))
    numbers.not_yet("1")
    assert "not text" in denial(numbers.compile(), ["counted"], ()).detected[0][1]
    snow = Source("snow", names=camel_case)
    Entity(table("user"), snow.key("☃|{user_id}", "user"))
    snow.not_yet("x|*")
    assert "does not take" in denial(snow.compile(), ["user"], ()).detected[0][1]


def test_the_statement_denies_every_way_of_writing_to_all_but_the_writers() -> None:
    made = statement(denial(court(), ["user"], ()), table_arn=ARN, writers=[ROLE], sid=sid_of("court", ["user"]))
    assert made is not None
    assert ("Deny", "*", ARN, list(WRITES)) == (made["Effect"], made["Principal"], made["Resource"], made["Action"])
    assert {"BatchWriteItem", "DeleteItem", "PutItem", "UpdateItem"} <= {one.partition(":")[2] for one in WRITES}
    assert ["user|*", "USER${*}*${?}${$}", "box|*"] == made["Condition"]["ForAnyValue:StringLike"][
        "dynamodb:LeadingKeys"
    ]
    assert re.fullmatch("[A-Za-z0-9]+", made["Sid"])
    assert sid_of("court", ["a", "b"]) == sid_of("court", ["b", "a"]) != sid_of("court", ["a"])


USERS = denial(court(), ["user"], ()).keys


def like(glob: str) -> Any:
    """IAM's StringLike as a regular expression, as its page says."""
    parts = re.findall(r"\$\{([*?$])\}|([*?])|(.)", glob, re.DOTALL)
    written = "".join(re.escape(one) or {"*": ".*", "?": "."}.get(wild) or re.escape(text) for one, wild, text in parts)
    return re.compile(written, re.DOTALL)


@given(st.text(min_size=1, max_size=6), st.sampled_from(["user|{}", "USER*{}?$", "box|{}"]))
def test_every_key_of_an_enforced_entity_is_denied(value: str, form: str) -> None:
    assert any(like(glob).fullmatch(form.format(value)) for glob in USERS)


@given(st.text(min_size=0, max_size=6), st.sampled_from(["case|{}", "section|{}", "catalog", "ashore-marker|{}"]))
def test_no_key_of_what_stays_is_denied(value: str, form: str) -> None:
    assert not any(like(glob).fullmatch(form.format(value)) for glob in USERS)
