"""The native path writes what the general path writes, or refuses the item and leaves it to that."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from tests.mapping_values import raw
from tests.mapping_worlds import World, worlds
from tests.native_rows import check, native_encoder, rows_of

from ashore.mapping import declare
from ashore.mapping.native import NativeEncoder, path_in_use
from ashore.mapping.native_library import REFUSALS
from ashore.mapping.plan import Plan

pytestmark = pytest.mark.needs_native

EXAMPLES = int(os.environ.get("ASHORE_NATIVE_EXAMPLES", "60"))


def test_the_native_path_writes_what_the_general_path_writes() -> None:
    taken: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.data())
    def checked(data: st.DataObject) -> None:
        world: World = data.draw(worlds())
        items = data.draw(st.lists(world.items, min_size=1, max_size=6))
        style = data.draw(st.sampled_from([0, 0, 0, 1, 2]))
        taken.update(check(world.plan, [raw(item, style=style) for item in items]))

    checked()
    assert taken["taken"] > EXAMPLES / 10, taken
    assert 0 == taken["fault"]


def every_type() -> Plan:
    metadata = sa.MetaData()
    table = sa.Table(
        "thing",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("short", sa.String(3)),
        sa.Column("mood", sa.Enum("a", "b\tc", name="mood")),
        sa.Column("other", sa.Uuid),
        sa.Column("small", sa.SmallInteger),
        sa.Column("middle", sa.Integer),
        sa.Column("big", sa.BigInteger),
        sa.Column("fee", sa.Numeric),
        sa.Column("rate", sa.Numeric(6, 2)),
        sa.Column("flag", sa.Boolean),
        sa.Column("day", sa.Date),
        sa.Column("at", sa.DateTime(timezone=True)),
        sa.Column("local", sa.DateTime),
        sa.Column("ttl", sa.DateTime(timezone=True)),
        sa.Column("year", sa.SmallInteger),
        sa.Column("blob", sa.LargeBinary),
        sa.Column("doc", JSONB),
        sa.Column("tags", ARRAY(sa.Text)),
        sa.Column("years", ARRAY(sa.SmallInteger)),
        sa.Column("fees", ARRAY(sa.Numeric)),
        sa.Column("blobs", ARRAY(sa.LargeBinary)),
        sa.Column("inner", sa.Text),
        sa.Column("unfit", sa.Integer),
        *declare.remainder(),
    )
    order = sa.Column("position", sa.SmallInteger, primary_key=True)
    part = sa.Table(
        "part",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        order,
        sa.Column("name", sa.Text),
        *declare.remainder(),
    )
    source = declare.Source("types")
    declare.Entity(
        table,
        [source.key("thing|{id}", "thing|{id:uuid}"), source.key("old|{id}", "{id}")],
        constant={"kind": "Thing", "version": 2},
        derived={"again": "{id}", "gsi": declare.maybe("n|{short}|{small}")},
        attributes={
            "ttl": declare.epoch_seconds(table.c.ttl),
            "year": declare.number_in_text(table.c.year),
            "map.inner": table.c.inner,
        },
        null={"mood": declare.explicit},
        unfit={"unfit": declare.residue},
        children=[declare.Child(table=part, attribute="parts", order=order)],
    )
    return source.compile()


ID = "8f1d4c2a-0b1e-4a57-9c1d-2f3e4d5c6b7a"
PLAIN: dict[str, Any] = {
    "pk": {"S": f"thing|{ID}"},
    "sk": {"S": f"thing|{ID}"},
    "kind": {"S": "Thing"},
    "version": {"N": "2"},
    "again": {"S": ID},
    "gsi": {"S": "n|ü🂡|-5"},
    "name": {"S": 'say "hé"\\ \n'},
    "short": {"S": "ü🂡"},
    "mood": {"S": "b\tc"},
    "other": {"S": ID},
    "small": {"N": "-5"},
    "middle": {"N": "2147483647"},
    "big": {"N": "-9223372036854775808"},
    "fee": {"N": "-99999999999999999999999999999999999.990"},
    "rate": {"N": "1.5"},
    "flag": {"BOOL": True},
    "day": {"S": "2020-02-29"},
    "at": {"S": "2020-06-05T18:02:25.280Z"},
    "local": {"S": "1999-12-31T23:59:59.999999"},
    "ttl": {"N": "1600000000"},
    "year": {"S": "-42"},
    "blob": {"B": "aGk="},
    "doc": {"M": {"a": {"L": [{"N": "1E5"}, {"NULL": True}, {"S": "\t"}, {"BOOL": False}]}, "m": {"M": {}}}},
    "tags": {"SS": ["b", "a", ""]},
    "years": {"NS": ["10", "-1", "9"]},
    "fees": {"NS": ["1.50", "-0.5", "1.49"]},
    "blobs": {"BS": ["/w==", "AA==", "AAE="]},
    "map": {"M": {"rest": {"S": "r"}, "inner": {"S": "i"}}},
    "unfit": {"N": "7"},
    "parts": {"L": [{"M": {"name": {"S": "p"}, "more": {"NS": ["2", "1"]}}}, {"M": {}}]},
    "extra": {"L": []},
    "a/b~c": {"M": {"set": {"SS": ["x"]}, "bin": {"B": "AA=="}}},
}


def test_every_type_is_taken() -> None:
    assert {"taken": 1} == check(every_type(), [raw(PLAIN)])


ALSO_TAKEN: dict[str, dict[str, Any]] = {
    "a key of an older generation": {"pk": {"S": f"old|{ID}"}, "sk": {"S": ID}},
    "derived attributes that contradict": {"again": {"S": "other\n"}, "gsi": {"S": "x"}},
    "a derived attribute beside a NULL column": {"short": {"NULL": True}},
    "a constant of its own": {"kind": {"S": 'Other"'}},
    "a constant that is NULL": {"kind": {"NULL": True}},
    "NULL": {"short": {"NULL": True}, "doc": {"NULL": True}, "gsi": None},
    "an explicit NULL": {"mood": {"NULL": True}},
    "an oddly spelled moment": {"at": {"S": "2020-06-05 18:02+05:30"}},
    "a moment that is a day": {"at": {"S": "2020-06-05"}},
    "a uuid in capitals": {"other": {"S": ID.upper()}},
    "an unfit value that is kept": {"unfit": {"S": "unknown"}},
    "no children": {"parts": {"L": []}},
    "children that are NULL": {"parts": {"NULL": True}},
    "a map of nothing else": {"map": {"M": {"inner": {"S": "i"}}}},
    "a map without the member": {"map": {"M": {"rest": {"NULL": True}}}},
    "a set in a document": {"doc": {"L": [{"SS": ["b", "a"]}, {"NS": ["2", "1.5"]}, {"BS": ["AA=="]}]}},
    "a document that is a scalar": {"doc": {"S": "text"}},
}


@pytest.mark.parametrize("changed", ALSO_TAKEN.values(), ids=ALSO_TAKEN.keys())
def test_what_the_residue_keeps_is_taken(changed: dict[str, Any]) -> None:
    item = {name: value for name, value in {**PLAIN, **changed}.items() if value is not None}

    assert {"taken": 1} == check(every_type(), [raw(item)])


@pytest.mark.parametrize("name", sorted(PLAIN.keys() - {"pk", "sk", "name"}))
def test_an_absent_attribute_is_taken(name: str) -> None:
    item = {one: value for one, value in PLAIN.items() if one != name}
    if name in {"short", "small"}:
        del item["gsi"]

    assert {"taken": 1} == check(every_type(), [raw(item)])


REFUSED: list[tuple[str, str, bytes]] = [
    ("form", "white space", raw(PLAIN, style=2)),
    ("form", "cut short", raw(PLAIN)[:-7]),
    ("form", "two items", raw(PLAIN) * 2),
    ("form", "a value of two types", raw({**PLAIN, "x": {"S": "a", "N": "1"}})),
    ("form", "a value of an unknown type", raw({**PLAIN, "x": {"Z": "a"}})),
    ("form", "a control character", raw({**PLAIN, "x": {"S": "@"}}).replace(b"@", b"\1")),
    ("not_utf8", "a broken character", raw({**PLAIN, "x": {"S": "@"}}).replace(b"@", b"\xc3")),
    ("not_utf8", "half a pair in UTF-8", raw({**PLAIN, "x": {"S": "\ud800"}})),
    ("no_key", "no sort key", raw({one: value for one, value in PLAIN.items() if one != "sk"})),
    ("no_key", "a key that is a number", raw({**PLAIN, "sk": {"N": "1"}})),
    ("no_key", "an empty key", raw({**PLAIN, "sk": {"S": ""}})),
    ("unrouted", "a key of nothing", raw({**PLAIN, "pk": {"S": "elsewhere"}})),
    ("unrouted", "a key that is two things", raw({**PLAIN, "sk": {"S": f"thing|{ID[:-1]}b"}})),
    ("key", "a key in capitals", raw({**PLAIN, "pk": {"S": f"old|{ID.upper()}"}, "sk": {"S": ID.upper()}})),
    ("missing", "a required attribute", raw({one: value for one, value in PLAIN.items() if one != "name"})),
    ("missing", "a required attribute that is NULL", raw({**PLAIN, "name": {"NULL": True}})),
    ("type", "a number in a text column", raw({**PLAIN, "name": {"N": "1"}})),
    ("type", "a list for an array", raw({**PLAIN, "tags": {"L": [{"S": "a"}]}})),
    ("type", "children that are no maps", raw({**PLAIN, "parts": {"L": [{"S": "a"}]}})),
    ("type", "a path into a text", raw({**PLAIN, "map": {"S": "a"}})),
    ("value", "a number with a power", raw({**PLAIN, "fee": {"N": "1E5"}})),
    ("value", "a number out of range", raw({**PLAIN, "small": {"N": "32768"}})),
    ("value", "a number of many digits", raw({**PLAIN, "fee": {"N": "1" * 200}})),
    ("value", "too long a text", raw({**PLAIN, "short": {"S": "abcd"}, "gsi": {"S": "n|abcd|-5"}})),
    ("value", "a day that is none", raw({**PLAIN, "day": {"S": "2021-02-29"}})),
    ("value", "seven digits of a second", raw({**PLAIN, "at": {"S": "2020-06-05T18:02:25.2800000Z"}})),
    ("value", "not quite base64", raw({**PLAIN, "blob": {"B": "aGl="}})),
    ("value", "no label", raw({**PLAIN, "mood": {"S": "c"}})),
    ("nul", "U+0000", raw({**PLAIN, "name": {"S": "a\0"}})),
    ("nul", "U+0000 in a document", raw({**PLAIN, "doc": {"L": [{"S": "a\0"}]}})),
    ("escape", "half a pair", raw({**PLAIN, "name": {"S": "@"}}).replace(b"@", b"\\ud800")),
    ("escape", "an escape that is none", raw({**PLAIN, "name": {"S": "@"}}).replace(b"@", b"\\x41")),
    ("escape", "a name with an escape", raw({**PLAIN, 'q"': {"S": "a"}})),
    ("repeated", "a name twice", raw(PLAIN)[:-1] + b',"name":{"S":"again"}}'),
    ("repeated", "an unknown name twice", raw(PLAIN)[:-1] + b',"x":{"S":"1"},"x":{"S":"2"}}'),
    ("repeated", "a set that holds a number twice", raw({**PLAIN, "fees": {"NS": ["1", "1.0"]}})),
    ("repeated", "a set under a name twice", raw(PLAIN)[:-1] + b',"x":{"M":{"a":{"SS":["b"]},"a":{"S":"c"}}}}'),
    ("repeated", "the member of a column twice", raw({**PLAIN, "map": {"M": {"inner": {"S": "a"}, "@": {"S": "b"}}}})
     .replace(b"@", b"inner")),
    ("large", "a key of a thousand letters", raw({**PLAIN, "pk": {"S": "x" * 1_000}})),
    ("contradiction", "a derived attribute that is a number", raw({**PLAIN, "again": {"N": "1"}})),
    ("contradiction", "another constant number", raw({**PLAIN, "version": {"N": "2.0"}})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "item"), [(kind, item) for kind, _, item in REFUSED], ids=[one for _, one, _ in REFUSED]
)
def test_what_is_not_expected_is_refused_and_left_to_python(kind: str, item: bytes) -> None:
    assert {kind: 1} == check(every_type(), [item])


def test_deep_values_are_refused() -> None:
    value: dict[str, Any] = {"S": "a"}
    for _ in range(40):
        value = {"L": [value]}
    deeper = value
    for _ in range(30):
        deeper = {"M": {"m": deeper}}

    assert {"deep": 2} == check(every_type(), [raw({**PLAIN, "x": value}), raw({**PLAIN, "doc": deeper})])


def test_every_kind_of_refusal_has_an_example() -> None:
    shown = {kind for kind, _, _ in REFUSED} | {"deep"}

    assert set(REFUSALS) == shown | {"none", "fault"}


def test_rows_are_the_bytes_that_the_format_has() -> None:
    encoder = native_encoder(every_type())

    (row,) = rows_of(encoder.encode([raw(PLAIN)]).binary["thing"].data)

    named = dict(zip(encoder.columns["thing"], row, strict=True))
    expected = {
        "id": bytes.fromhex(ID.replace("-", "")),
        "name": 'say "hé"\\ \n'.encode(),
        "small": b"\xff\xfb",
        "rate": bytes.fromhex("0002 0000 0000 0002 0001 1388".replace("0002 0000 0000 0002", "0002 0000 0000 0001")),
        "flag": b"\1",
        "day": (7_364).to_bytes(4, "big"),
        "at": (644_695_345_280_000).to_bytes(8, "big"),
        "doc": b'\1{"a":[1E5,null,"\\t",false],"m":{}}',
        "years": bytes.fromhex("00000001 00000000 00000015 00000003 00000001 00000002ffff 000000020009 00000002000a"),
        "residue": b'\1{"/a~1b~0c/set":{"SS":["x"]},"/a~1b~0c/bin":{"B":"AA=="}}',
    }
    assert expected == {name: named[name] for name in expected}


def test_a_chunk_is_split_between_the_paths_and_nothing_is_lost() -> None:
    items = [raw(PLAIN), raw({**PLAIN, "fee": {"N": "1E5"}}), b"{", raw({**PLAIN, "pk": {"S": "x"}})]
    encoder = native_encoder(every_type())

    actual = encoder.encode(items)

    assert {("thing", "rows"): 2, (None, "rejected"): 2} == actual.counts
    assert {"value": 1, "form": 1, "unrouted": 1} == actual.refused
    assert {"thing": 2, "part": 4} == actual.row_counts
    assert (1, 1) == (actual.binary["thing"].count, actual.copy_data["thing"].count(b"\n"))
    assert [items[2], items[3]] == [one.raw for one in actual.rejected]


def test_samples_are_of_every_shape_whichever_path_took_the_item() -> None:
    shapes: list[dict[str, Any]] = [
        {},
        {"x": {"S": "a"}},
        {"x": {"N": "1"}},
        {"fee": {"N": "1E5"}},
        {"fee": {"NULL": True}},
    ]
    items = [raw({**PLAIN, **changed}) for changed in shapes for _ in range(3)]
    encoder = native_encoder(every_type(), sample=2)

    samples = [one for _ in range(2) for one in encoder.encode(items).samples]

    by_shape = Counter(one.shape for one in samples)
    assert {2} == set(by_shape.values())
    assert 4 == len(by_shape)
    assert all(one.shape == frozenset((n, next(iter(v))) for n, v in json.loads(one.raw).items()) for one in samples)


def test_an_entity_is_withheld_by_its_table() -> None:
    encoder = native_encoder(every_type())

    encoder.withhold("part", "its column 'name' is an integer")

    assert {} == encoder.encode([raw(PLAIN)]).binary
    assert {"thing": "its column 'name' is an integer"} == encoder.native.left_out


def test_entities_that_only_python_reads_are_named_with_the_reason() -> None:
    source = declare.Source("odd", sort_key=None)
    for name, key, column in (("moment", "m|{at:timestamp}", "at"), ("plain", "p|{id}", "id")):
        kind = sa.DateTime(timezone=True) if column == "at" else sa.Text(collation="C")
        declare.Entity(
            sa.Table(name, sa.MetaData(), sa.Column(column, kind, primary_key=True), *declare.remainder()),
            source.key(key),
        )

    found = path_in_use(source.compile())

    assert found.is_native
    assert ["moment"] == list(found.left_out)
    assert "'m|{at:timestamp}'" in found.left_out["moment"]


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("{id}", ["a", "é"]),
        ("a|{id}|z", ["a|b|z", "a|z", "a||z", "a|b|zz", "a|b|c|z"]),
        ("{id}-{other}", ["a-b", "a--b", "--", "-a-", "a-b-c", "-"]),
        ("{id}|{id}", ["a|a", "a|a|a|a", "|", "a|b", "ü|ü", "||"]),
        ("{id:digits}-{other}", ["1-a", "12-", "a-1", "1-2-3", "-1-a"]),
        ("{id}-{other:digits}", ["a-1", "a-1-2", "-1", "--1", "a-", "a-x"]),
        ("{id:integer}#{other}", ["-5#a", "05#a", "0#a", "-0#a", "5##", "1234567890123456789#a"]),
        ("{id:date}{other:uuid}".replace("}{", "}|{"), [f"2020-13-45|{ID}", f"2020-13-4|{ID}", f"2020-13-45|{ID}x"]),
        ("{id:ulid}", ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAI"]),
    ],
)
def test_keys_are_taken_apart_as_python_takes_them(pattern: str, texts: list[str]) -> None:
    names = ["id", "other"] if "{other" in pattern else ["id"]
    columns = [sa.Column(name, sa.Text(collation="C"), primary_key=True) for name in names]
    source = declare.Source("keys", sort_key=None)
    declare.Entity(sa.Table("thing", sa.MetaData(), *columns, *declare.remainder()), source.key(pattern))
    plan = source.compile()
    assert isinstance(native_encoder(plan), NativeEncoder)
    assert {} == native_encoder(plan).native.left_out

    taken = check(plan, [raw({"pk": {"S": text}}) for text in texts])

    matched = [text for text in texts if plan.entities["thing"].generations[0].partition.match(text) is not None]
    assert len(matched) == taken["taken"]
