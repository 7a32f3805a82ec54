"""Incremental exports in a folder: the keys that were written, deletes included, and nothing damaged passes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ashore.dynamodb.changes_export import ChangesExport, changes_exports
from ashore.dynamodb.errors import ExportDamaged, ExportNotFound, ExportUnsupported
from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.lines import BrokenLine, ChangedKey, changed_keys_of
from ashore.dynamodb.settings import Aws
from ashore.local.export_writer import WrittenKey, write_changes_export, write_export

TEN = datetime(2026, 1, 14, 10, 20, tzinfo=UTC)
HALF = datetime(2026, 1, 14, 10, 35, tzinfo=UTC)
AT = datetime(2026, 1, 14, 10, 30, tzinfo=UTC)
KEYS = [{"pk": {"S": f"case|{number}"}, "sk": {"S": 'ä"\\'}} for number in range(5)]
CHANGES = [
    WrittenKey(key=KEYS[0], new={**KEYS[0], "Keys": {"M": {}}}, at=AT),
    WrittenKey(key=KEYS[1], old=KEYS[1], new={**KEYS[1], "v": {"N": "1"}}, at=AT),
    *(WrittenKey(key=key, old=key, at=AT) for key in KEYS[2:]),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_changes_export(tmp_path, CHANGES, window=(TEN, HALF))


def keys_of(export: ChangesExport) -> list[Any]:
    return [json.loads(one.key) for block in export.changed() for one in block]


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        change(line)
    path.write_text("\n".join(map(json.dumps, lines)))
    checksum = base64.b64encode(hashlib.md5(path.read_bytes(), usedforsecurity=False).digest())
    path.with_suffix(".md5").write_bytes(checksum)


@pytest.mark.parametrize("view", ["NEW_AND_OLD_IMAGES", "NEW_IMAGE"])
@pytest.mark.parametrize("up", [0, 1, 2], ids=["its own folder", "AWSDynamoDB", "the parent"])
def test_every_written_key_is_read_whatever_became_of_its_item(tmp_path: Path, view: str, up: int) -> None:
    home = write_changes_export(tmp_path, CHANGES, window=(TEN, HALF), view=view)
    [export] = changes_exports(str([home, *home.parents][up]), Aws())
    assert (KEYS, (TEN, HALF), 5) == (keys_of(export), export.window, export.describe().items)
    assert {AT.timestamp() * 1e6} == {one.written for block in export.changed() for one in block}
    assert keys_of(export) == keys_of(pickle.loads(pickle.dumps(export)))


def test_an_export_is_laid_out_as_dynamodb_lays_it_out(home: Path) -> None:
    first = json.loads((home / "manifest-files.json").read_text().splitlines()[0])
    assert first["dataFileS3Key"].startswith("AWSDynamoDB/data/")
    summary = json.loads((home / "manifest-summary.json").read_text())
    assert (
        "2026-01-14T10:20:00.000Z",
        "2026-01-14T10:35:00.000Z",
        "NEW_AND_OLD_IMAGES",
        "INCREMENTAL_EXPORT",
    ) == tuple(summary[name] for name in ("exportFromTime", "exportToTime", "outputView", "exportType"))
    lines = gzip.decompress((home.parent.parent / first["dataFileS3Key"]).read_bytes()).splitlines()
    assert ["Metadata", "Keys", "OldImage"] == list(json.loads(lines[-1]))


def test_several_exports_in_one_place_are_all_read_and_full_ones_passed_by(tmp_path: Path, home: Path) -> None:
    write_changes_export(tmp_path, CHANGES[:1], window=(HALF, datetime(2026, 1, 14, 11, tzinfo=UTC)))
    write_export(tmp_path, [b'{"pk":{"S":"full"}}'])
    exports = changes_exports(str(tmp_path), Aws())
    assert [1, 5] == sorted(len(keys_of(export)) for export in exports)
    assert str(home) in {export.describe().location for export in exports}


def test_a_full_export_is_refused_where_changes_are_asked_for_and_the_other_way_round(
    tmp_path: Path, home: Path
) -> None:
    full = write_export(tmp_path / "full", [b'{"pk":{"S":"full"}}'])
    with pytest.raises(ExportUnsupported, match="INCREMENTAL_EXPORT"):
        changes_exports(str(full), Aws())
    with pytest.raises(ExportUnsupported, match="FULL_EXPORT"):
        ExportSource(path=str(home)).units()
    with pytest.raises(ExportNotFound):
        changes_exports(str(tmp_path / "nowhere"), Aws())


def test_an_ion_export_is_refused(home: Path) -> None:
    rewrite(home / "manifest-summary.json", lambda summary: summary.update(outputFormat="ION"))
    with pytest.raises(ExportUnsupported, match="DYNAMODB_JSON"):
        changes_exports(str(home), Aws())


def test_an_export_that_does_not_say_its_window_is_refused(home: Path) -> None:
    rewrite(home / "manifest-summary.json", lambda summary: summary.pop("exportToTime"))
    with pytest.raises(ExportDamaged, match="from when to when"):
        changes_exports(str(home), Aws())


def test_a_copy_without_the_shared_folder_names_what_is_missing(tmp_path: Path, home: Path) -> None:
    alone = shutil.copytree(home, tmp_path / "elsewhere" / "alone")
    with pytest.raises(ExportDamaged, match=r"data/.*\.json\.gz: is missing"):
        changes_exports(str(alone), Aws())


def test_a_flipped_byte_stops_before_the_first_key_of_its_file(home: Path) -> None:
    [export] = changes_exports(str(home), Aws())
    path = home.parent / "data" / export.describe().files[0].name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ExportDamaged, match="MD5"):
        next(export.changed())


def test_another_number_of_keys_than_the_manifest_says_is_refused(home: Path) -> None:
    rewrite(home / "manifest-files.json", lambda line: line.update(itemCount=line["itemCount"] and 6))
    rewrite(home / "manifest-summary.json", lambda summary: summary.update(itemCount=6))
    [export] = changes_exports(str(home), Aws())
    with pytest.raises(ExportDamaged, match="holds 5 items, but the manifest says 6"):
        list(export.changed())


@pytest.mark.parametrize(
    "written", ['{"N":"17"}', '"17"', "17", None], ids=["as exports have it", "as the page has it", "a number", "none"]
)
def test_the_time_of_a_write_is_taken_in_every_form(written: str | None) -> None:
    metadata = "{}" if written is None else f'{{"WriteTimestampMicros":{written}}}'
    line = f'{{"Metadata": {metadata}, "Keys": {{"pk":{{"S":"a"}}}}, "OldImage":{{"x":{{"S":"y"}}}}}}'.encode()
    assert [ChangedKey(b'{"pk":{"S":"a"}}', None if written is None else 17)] == changed_keys_of([b"", line])


@pytest.mark.parametrize(
    "line", [b"{", b'{"Item":{}}', b'{"Keys":[]}', b'{"Keys":{"pk":{"S":"a"}},"Metadata":1}', b"\xff"]
)
def test_a_line_without_a_key_is_broken(line: bytes) -> None:
    with pytest.raises(BrokenLine) as broken:
        changed_keys_of([b'{"Keys":{"pk":{"S":"a"}}}', line])
    assert 1 == broken.value.index
