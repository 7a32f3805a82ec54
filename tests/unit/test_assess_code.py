from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashore.assess.code import WINDOW, code_map, needles
from ashore.assess.code_files import LARGEST, source_files
from ashore.assess.proposal import Copies, Entity, KeyPattern, Proposal


def entity(name: str, partition: str, sort: str, **constant: str) -> Entity:
    key = KeyPattern(partition=partition, sort=sort, items=1)
    copy = KeyPattern(partition="outbox|{user_id}", sort="{at}", items=1)
    copies = (Copies(key=copy, of="id", compared=1, differing=0, orphaned=0),) if name == "work_item" else ()
    return Entity(
        name=name, role="record", keys=(key,), key_columns=("id",), columns=(), constant=constant, copies=copies
    )


PROPOSAL = Proposal(
    name="court",
    table="court",
    partition_key=("pk", "S"),
    sort_key=("sk", "S"),
    names="camel_case",
    complete=True,
    items=1,
    items_read=1,
    bytes=1,
    entities=(
        entity("case", "case|{case_id:uuid}", "case|{case_id:uuid}", entityName="CaseRecord"),
        entity("message", "case|{case_id}", "message|{message_id}"),
        entity("work_item", "work-item|{id}", "work-item|{id}"),
        entity("setting", "{name=maintenance-mode}", "{name=maintenance-mode}"),
    ),
)

TYPESCRIPT = """\
export const getCase = async (id) =>
  client.query({ KeyConditionExpression: 'pk = :pk', Values: { ':pk': `case|${id}` } });
















export const saveMessage = (message) =>
  client.send(new PutCommand({ Item: { pk: `case|${message.caseId}`, sk: `message|${message.id}` } }));
"""
PYTHON = """\
def complete(item):
    table.put_item(Item={"pk": f"work-item|{item.id}", "sk": f"work-item|{item.id}"})
"""
JAVA = """\
class Outbox {
  static final String PREFIX = "outbox|";
}
"""


def test_a_file_reads_writes_or_names_an_entity() -> None:
    found = code_map([("cases.ts", TYPESCRIPT), ("work.py", PYTHON), ("Outbox.java", JAVA)], PROPOSAL).entities
    uses = {name: [(use.file, use.use, use.lines) for use in uses] for name, uses in found.items()}
    assert uses == {
        "case": [("cases.ts", "reads", (2,)), ("cases.ts", "writes", (20,))],
        "message": [("cases.ts", "writes", (20,))],
        "work_item": [("Outbox.java", "names", (2,)), ("work.py", "writes", (2,))],
        "setting": [],
    }


@pytest.mark.parametrize("text", ["'trial-case|x'", "'showcase|x'", "my_case|x", "CaseRecords", "UnCaseRecord"])
def test_a_longer_word_is_another_word(text: str) -> None:
    assert code_map([("a.ts", f"get({text})")], PROPOSAL).entities["case"] == ()


@pytest.mark.parametrize("text", ["'case|' + id", '"case|%s" % n', "`case|${n}`", "type == 'CaseRecord'", "=case|"])
def test_a_text_is_found_however_it_is_quoted(text: str) -> None:
    (use,) = code_map([("a.any", f"x = {text}")], PROPOSAL).entities["case"]
    assert (use.use, use.lines) == ("names", (1,))


def test_texts_that_mean_too_little_are_not_looked_for() -> None:
    short = entity("thing", "t#{id}", "{at}")
    assert needles(replace(PROPOSAL, entities=(short,))).of == {}


INDEXED = replace(
    PROPOSAL,
    secondary={
        "gsi1": ("gsi1pk", "pk"),
        "by-section": ("section",),
        "status": ("status",),
        "gsi2pk,pk": ("gsi2pk", "pk"),
    },
    entities=tuple(
        replace(
            one, indexed_by={"message": ("gsi1",), "work_item": ("gsi1", "by-section"), "case": ("status",)}[one.name]
        )
        if one.name != "setting"
        else one
        for one in PROPOSAL.entities
    ),
)


def test_an_index_with_items_of_several_entities_is_reported_and_names_none_of_them() -> None:
    found = code_map([("a.py", 'table.query(IndexName="gsi1")')], INDEXED)
    assert {"gsi1": [("a.py", "reads", (1,))], "by-section": []} == {
        name: [(use.file, use.use, use.lines) for use in uses] for name, uses in found.indexes.items()
    }
    assert not any(found.entities.values())


def test_an_index_with_items_of_one_entity_names_it() -> None:
    found = code_map([("a.ts", "client.send(new QueryCommand({ IndexName: 'by-section' }))")], INDEXED)
    (use,) = found.indexes["by-section"]
    assert ("reads", (1,)) == (use.use, use.lines)
    assert found.entities["work_item"] == (use,)
    assert found.entities["message"] == found.entities["case"] == ()


def test_an_index_is_read_or_named_whatever_is_written_beside_it() -> None:
    (use,) = code_map([("a.py", 'table.put_item(Item={})  # not in "by-section"')], INDEXED).indexes["by-section"]
    assert "names" == use.use


@pytest.mark.parametrize(
    "text",
    ['"gsi1pk"', "'gsi1_pk'", "x-gsi1", "gsi1-old", "gsi1 = read()", "'status'", "'gsi2pk,pk'", "'my_gsi1'", "gsi1"],
)
def test_what_only_looks_like_the_name_of_an_index_is_none(text: str) -> None:
    assert not any(code_map([("a.py", text)], INDEXED).indexes.values())


@pytest.mark.parametrize(
    "text", ['"gsi1"', "'gsi1'", "`gsi1`", "IndexName: gsi1", "indexes: [gsi1, gsi2]", "/index/gsi1"]
)
def test_the_name_of_an_index_is_found_in_quotes_or_where_a_line_speaks_of_an_index(text: str) -> None:
    assert any(code_map([("a.py", text)], INDEXED).indexes.values())


def transactions(*files: str) -> list[tuple[tuple[str, ...], tuple[tuple[str, int], ...]]]:
    named = [(f"{number}.ts", text) for number, text in enumerate(files)]
    return [(one.entities, one.places) for one in code_map(named, PROPOSAL).transactions]


TRANSACTION = """\
import { TransactWriteCommand } from '@aws-sdk/lib-dynamodb';

export const send = async (message, workItem) =>
  client.send(
    new TransactWriteCommand({
      TransactItems: [
        { Put: { Item: { pk: `case|${message.caseId}`, sk: `message|${message.id}` } } },
        { Put: { Item: { pk: `work-item|${workItem.id}`, sk: `work-item|${workItem.id}` } } },
      ],
    }),
  );
"""


def test_entities_that_one_transaction_writes_are_found_with_the_line_of_its_call() -> None:
    assert [(("message", "work_item"), (("0.ts", 5),))] == transactions(TRANSACTION)
    assert [(("message", "work_item"), (("0.ts", 5), ("1.ts", 5)))] == transactions(TRANSACTION, TRANSACTION)


@pytest.mark.parametrize(
    "call",
    [
        "client.transact_write_items(",
        "ddb.transactWrite({",
        "TransactWriteItemsRequest.builder()",
        "dynamodb.TransactWriteItemsInput{",
        "service.transaction.write(",
        "mapper.transactionWrite(",
        "client.execute_transaction(",
    ],
)
def test_a_transaction_is_known_by_its_call_in_any_language(call: str) -> None:
    assert [(("case", "work_item"), (("0.ts", 1),))] == transactions(f"{call}\n'case|' + a\n'work-item|' + b\n")


def test_a_partition_key_that_names_another_entity_says_nothing_of_it() -> None:
    one_line = "{ pk: `case|${a}`, sk: `message|${b}` }"
    two_lines = "{\n pk: `case|${a}`,\n sk: `message|${b}`,\n}"
    case = "{\n pk: `case|${a}`,\n sk: `case|${a}`,\n}"
    for text in (one_line, two_lines, f"{one_line}\n{two_lines}"):
        assert [] == transactions(f"transactWrite([\n{text}\n])")
    for text in (f"{case}\n{one_line}", f"{two_lines}\n{case}", f"{one_line}\n{case}\n{two_lines}"):
        assert [(("case", "message"), (("0.ts", 1),))] == transactions(f"transactWrite([\n{text}\n])")


def test_a_partition_key_with_the_word_of_another_entitys_type_says_nothing_of_it() -> None:
    customer = entity("customer", "CUSTOMER#{id}", "PROFILE", kind="CUSTOMER")
    proposal = replace(PROPOSAL, entities=(customer, entity("order", "CUSTOMER#{id}", "ORDER#{number}")))
    text = "transactWrite([{ pk: `CUSTOMER#${a}`, sk: `ORDER#${b}` }])"
    assert () == code_map([("a.ts", text)], proposal).transactions
    assert ("customer", "order") == code_map([("a.ts", f"{text} // PROFILE")], proposal).transactions[0].entities


def test_entities_far_from_a_transaction_or_nearer_to_another_one_are_not_written_by_it() -> None:
    far = "\n" * 13
    assert [] == transactions(f"transactWrite()\n'case|x'{far}'work-item|x'")
    assert [] == transactions("transactWrite()\n'case|x'\n\n\n'work-item|x'\ntransactWrite()")
    assert [] == transactions("import { TransactWriteCommand }\n'case|x'\n'work-item|x'")
    assert [] == transactions("const { TransactWriteCommand } = require('x')\n'case|x'\n'work-item|x'")
    assert [] == transactions("transactGet(['case|x', 'work-item|x'])")


@given(
    st.lists(
        st.sampled_from(
            ["transactWrite(", "pk: `case|`", "sk: `message|`", "'work-item|'", "query(", "'gsi1'", "", "x"]
        ),
        max_size=40,
    )
)
def test_a_transaction_is_one_of_several_entities_in_a_line_that_calls_for_it(lines: list[str]) -> None:
    found = code_map([("a.ts", "\n".join(lines))], INDEXED)
    for one in found.transactions:
        assert len(set(one.entities)) > 1
        assert list(one.entities) == sorted(one.entities)
        for file, line in one.places:
            assert ("a.ts", "transactWrite(") == (file, lines[line - 1])
            around = lines[max(0, line - 1 - WINDOW) : line + WINDOW]
            assert all(any(name.replace("_", "-") in text for text in around) for name in one.entities)


def test_ignored_binary_and_long_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("generated/\n*.log\n")
    for name in ("src/a.py", "generated/b.py", "node_modules/c.js", "d.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("case|")
    (tmp_path / "image.png").write_bytes(b"case|\0\xff")
    (tmp_path / "latin.txt").write_bytes(b"case|\xe4")
    (tmp_path / "long.txt").write_text("case|" * LARGEST)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert [name for name, _ in source_files(tmp_path)] == [".gitignore", "src/a.py"]
