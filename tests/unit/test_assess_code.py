from __future__ import annotations

from pathlib import Path

import pytest

from ashore.assess.code import code_map, needles
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
    found = code_map([("cases.ts", TYPESCRIPT), ("work.py", PYTHON), ("Outbox.java", JAVA)], PROPOSAL)
    uses = {name: [(use.file, use.use, use.lines) for use in uses] for name, uses in found.items()}
    assert uses == {
        "case": [("cases.ts", "reads", (2,)), ("cases.ts", "writes", (20,))],
        "message": [("cases.ts", "writes", (20,))],
        "work_item": [("Outbox.java", "names", (2,)), ("work.py", "writes", (2,))],
        "setting": [],
    }


@pytest.mark.parametrize("text", ["'trial-case|x'", "'showcase|x'", "my_case|x", "CaseRecords", "UnCaseRecord"])
def test_a_longer_word_is_another_word(text: str) -> None:
    assert code_map([("a.ts", f"get({text})")], PROPOSAL)["case"] == ()


@pytest.mark.parametrize("text", ["'case|' + id", '"case|%s" % n', "`case|${n}`", "type == 'CaseRecord'", "=case|"])
def test_a_text_is_found_however_it_is_quoted(text: str) -> None:
    (use,) = code_map([("a.any", f"x = {text}")], PROPOSAL)["case"]
    assert (use.use, use.lines) == ("names", (1,))


def test_texts_that_mean_too_little_are_not_looked_for() -> None:
    short = entity("thing", "t#{id}", "{at}")
    assert needles(Proposal(**{**{n: getattr(PROPOSAL, n) for n in PROPOSAL.__slots__}, "entities": (short,)})).of == {}


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
