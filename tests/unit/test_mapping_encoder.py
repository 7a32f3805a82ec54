"""Every item of a chunk ends exactly once, whatever it is, and nothing of it shows where it should not."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import JSONB

from ashore.mapping import declare
from ashore.mapping.encoded import Encoded
from ashore.mapping.pattern import Glob, Pattern
from ashore.mapping.plan import Plan
from ashore.mapping.reasons import explanations
from ashore.mapping.wire import read_item
from ashore.model.item import same_item


@pytest.fixture(scope="module")
def plan() -> Plan:
    metadata = sa.MetaData()
    source = declare.Source("s")
    case = sa.Table(
        "case",
        metadata,
        sa.Column("docket", sa.Text(collation="C"), primary_key=True),
        sa.Column("note", sa.Text),
        sa.Column("count", sa.Integer),
        sa.Column("doc", JSONB),
        *declare.remainder(),
    )
    message = sa.Table(
        "message",
        metadata,
        sa.Column("docket", sa.Text(collation="C"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("body", sa.String(9)),
        *declare.remainder(),
    )
    cases = declare.Entity(case, source.key("case|{docket}", "case|{docket}"), constant={"kind": "Case"})
    declare.Entity(
        message,
        source.key("case|{docket}", "message|{number}"),
        derived={"link": "{docket}#{number}"},
        copies=[declare.Copy(partition="outbox|{user}", sort="{at}", of="link")],
    )
    source.not_yet("user|*")
    source.leave_out("catalog", because="a list", rebuild=cases)
    return source.compile()


def item(pk: str = "case|1", sk: str = "case|1", **attributes: Any) -> bytes:
    return json.dumps({"pk": {"S": pk}, "sk": {"S": sk}, **attributes}, separators=(",", ":")).encode()


def ends(plan: Plan, *raws: bytes, entities: list[str] | None = None) -> Encoded:
    batch = plan.encoder(entities).encode(raws)
    assert len(raws) == sum(batch.counts.values())
    assert len(batch.rejected) == sum(n for (_, outcome), n in batch.counts.items() if outcome == "rejected")
    rows = sum(batch.row_counts.values())
    assert rows == sum(n for (_, outcome), n in batch.counts.items() if outcome in {"rows", "copy"})
    assert rows == sum(data.count(b"\n") for data in batch.copy_data.values())
    return batch


BAD = {
    "no JSON": b"{",
    "nothing": b"",
    "an array": b"[]",
    "not UTF-8": b'{"pk":{"S":"case|\xff"},"sk":{"S":"case|1"}}',
    "not UTF-8 in what no column takes": item().replace(b"}}", b'},"x":{"S":"\xff"}}'),
    "a lone surrogate": item().replace(b"}}", b'},"note":{"S":"\\ud800"}}'),
    "an encoded surrogate": item().replace(b"}}", b'},"note":{"S":"\xed\xa0\x80"}}'),
    "a raw newline": item().replace(b"}}", b'},"note":{"S":"a\nb"}}'),
    "no sort key": b'{"pk":{"S":"case|1"}}',
    "an empty key": item(pk=""),
    "a key of another type": b'{"pk":{"N":"1"},"sk":{"S":"case|1"}}',
    "plain JSON": b'{"pk":"case|1","sk":"case|1"}',
    "no type": item(note={}),
    "two types": item(note={"S": "a", "N": "1"}, other={"S": "a", "N": "1"}),
    "an unknown type": item(note={"X": "a"}),
    "a number as text": item(note={"S": 5}),
    "a number that is none": item(count={"N": "five"}),
    "NaN": item(count={"N": "NaN"}),
    "a false NULL": item(note={"NULL": False}),
    "a long number": item(count={"N": "9" * 5_000}),
    "a huge exponent": item(other={"N": "1E999999999"}),
    "no base64": item(other={"B": "!"}),
    "a set that is text": item(other={"SS": "abc"}),
    "a set of numbers": item(other={"SS": [1]}),
    "a list of nothing": item(doc={"L": [{}]}),
    "a map of text": item(doc={"M": {"a": "b"}}),
    "a map that is a list": item(doc={"M": [1]}),
    "too deep": item(doc={"S": "x"}).replace(b'{"S":"x"}', b'{"L":[' * 3_000 + b"]}" * 3_000),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("entities", [None, ["case"]], ids=["all", "one"])
def test_what_is_no_item_is_rejected_whole(plan: Plan, name: str, entities: list[str] | None) -> None:
    batch = ends(plan, BAD[name], entities=entities)
    (rejected,) = batch.rejected
    assert ("unreadable", BAD[name]) == (rejected.reason, rejected.raw)
    again = plan.encoder()
    again.encode([item(note={"S": "learn"}, other={"S": "learn"})])
    assert [rejected] == again.encode([BAD[name]]).rejected


def test_each_item_is_counted_under_what_became_of_it(plan: Plan) -> None:
    raws = [
        item(),
        item(kind={"S": "Case"}),
        item(sk="message|7", link={"S": "1#7"}),
        item(pk="outbox|me", sk="x", link={"S": "1#7"}),
        item(pk="user|5", sk="x"),
        item(pk="catalog"),
        item(pk="nobody"),
        item(sk="message|07"),
        item(note={"S": "\0"}),
    ]
    assert {
        ("case", "rows"): 2,
        ("message", "rows"): 1,
        ("message", "copy"): 1,
        ("user|*", "not_yet"): 1,
        ("catalog", "left_out"): 1,
        (None, "rejected"): 1,
        ("message", "rejected"): 1,
        ("case", "rejected"): 1,
    } == ends(plan, *raws).counts
    assert {
        ("case", "rows"): 2,
        ("message", "other"): 3,
        ("user|*", "not_yet"): 1,
        ("catalog", "left_out"): 1,
        (None, "rejected"): 1,
        ("case", "rejected"): 1,
    } == ends(plan, *raws, entities=["case"]).counts


@given(st.lists(st.one_of(st.binary(max_size=30), st.sampled_from(list(BAD.values())), st.just(item())), max_size=6))
def test_counted_in_is_counted_out_for_any_bytes(plan: Plan, raws: list[bytes]) -> None:
    ends(plan, *raws)


SECRET = "hush-4711"


@pytest.mark.parametrize(
    ("reason", "raw"),
    [
        ("unmatched", item(pk=SECRET)),
        ("unreadable", item(note={"S": [SECRET]})),
        ("unreadable", b"{" + SECRET.encode()),
        ("key_spelling", item(sk="message|007", link={"S": SECRET})),
        ("not_a_number", item(sk=f"message|{SECRET}")),
        ("key_too_long", item(pk="case|" + SECRET * 400, sk="case|" + SECRET * 400)),
        ("nul_in_text", item(note={"S": SECRET + "\0"})),
        ("nul_in_name", item(doc={"M": {SECRET + "\0": {"S": "x"}}})),
        ("wrong_type", item(count={"S": SECRET})),
        ("out_of_range", item(count={"N": "4711471147114711"})),
        ("too_precise", item(count={"N": "4711.4711"})),
        ("too_long", item(sk="message|1", body={"S": SECRET * 9})),
        ("key_too_long", item(pk="outbox|" + SECRET * 400, sk="x")),
        ("key_too_long", item(pk="outbox|x", sk="x", link={"S": SECRET * 400 + "#1"})),
        ("nul_in_text", item(pk="outbox|\0", sk="x")),
    ],
)
def test_no_value_shows_in_a_rejection(plan: Plan, reason: str, raw: bytes) -> None:
    batch = ends(plan, raw)
    (rejected,) = batch.rejected
    assert (reason, raw) == (rejected.reason, rejected.raw)
    assert rejected.reason in explanations
    for shown in (rejected.detail, rejected.attribute or "", repr(rejected), repr(batch)):
        assert SECRET not in shown
        assert "4711" not in shown


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("text", ["plain", 'tab\t newline\n cr\r \\ \\N "', "nul \0", "\\u0000"])
def test_a_copy_keeps_its_item_whole(plan: Plan, indent: Any, text: str) -> None:
    raw = json.dumps({"pk": {"S": "outbox|a"}, "sk": {"S": "x"}, "t": {"S": text}}, indent=indent).encode()
    encoder = plan.encoder()
    data = encoder.encode([raw]).copy_data["message_copy"]
    assert 1 == data.count(b"\n")
    from tests import mapping_copy  # noqa: PLC0415

    from ashore.mapping.copy_text import whole_item  # noqa: PLC0415 (beside its one use)

    (row,) = mapping_copy.read(data, encoder.columns["message_copy"])
    assert row["item"] is not None
    assert same_item(read_item(raw), whole_item(json.loads(row["item"])))


def test_samples_are_as_many_of_each_shape_as_asked_for(plan: Plan) -> None:
    encoder = plan.encoder(sample=2)
    raws = [item(pk=f"case|{n}", sk=f"case|{n}", **({"odd": {"S": "x"}} if n % 2 else {})) for n in range(10)]
    samples = [one for _ in range(3) for one in encoder.encode(raws).samples]
    assert {2} == {sum(one.shape == other.shape for other in samples) for one in samples}
    assert 4 == len(samples)


def test_a_hostile_key_costs_no_more_than_another() -> None:
    text = "a" + "-" * 2_000
    started = time.process_time()
    for pattern in (Pattern.parse("{a}-{b}-{c}-{d}|z"), Pattern.parse("{a}-{a}|z")):
        assert pattern.match(text) is None
    assert not Glob("*-*-*-*-*-*|z").matches(text)
    assert 0.5 > time.process_time() - started


def test_an_old_key_is_held_to_its_column_as_well() -> None:
    key = sa.Column("number", sa.Integer, primary_key=True)
    source = declare.Source("s", sort_key=None)
    declare.Entity(
        sa.Table("t", sa.MetaData(), key, *declare.remainder()), [source.key("a|{number}"), source.key("old|{number}")]
    )
    plan = source.compile()
    raws = [b'{"pk":{"S":"old|7"}}', b'{"pk":{"S":"old|07"}}', b'{"pk":{"S":"a|07"}}']
    assert ["key_spelling", "key_spelling"] == [one.reason for one in ends(plan, *raws).rejected]
