"""Exports in a folder: what is read is what was written, and nothing damaged passes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ashore.dynamodb.errors import (
    ExportDamaged,
    ExportNotFound,
    ExportUnsupported,
    SeveralExports,
    SourceChanged,
    StorageFailed,
)
from ashore.dynamodb.export import ExportSource
from ashore.local.export_writer import write_export
from ashore.model.chunk import Position, Unit

ITEMS = [
    json.dumps(
        {"pk": {"S": f"case|{number}"}, "text": {"S": 'ä\n\\"}}' * (number % 7)}}, separators=(",", ":")
    ).encode()
    for number in range(2_000)
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_export(tmp_path, ITEMS, files=3)


def read_all(source: ExportSource, unit: Unit, after: Position | None = None) -> list[bytes]:
    return [item for chunk in source.read(unit, after) for item in chunk.items]


def everything(source: ExportSource) -> list[bytes]:
    return [item for unit in source.units() for item in read_all(source, unit)]


def replace_summary(home: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = home / "manifest-summary.json"
    summary = json.loads(path.read_bytes())
    change(summary)
    path.write_text(json.dumps(summary))
    sign(path)


def replace_data(home: Path, number: int, content: bytes, items: int | None = None) -> str:
    """Put `content` in the place of a data file, with a manifest that agrees with it."""
    path = home / "manifest-files.json"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    name: str = lines[number]["dataFileS3Key"].rpartition("/")[2]
    lines[number]["md5Checksum"] = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    if items is not None:
        lines[number]["itemCount"] = items
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sign(path)
    (home / "data" / name).write_bytes(content)
    replace_summary(home, lambda summary: summary.update(itemCount=sum(line["itemCount"] for line in lines)))
    return name


def sign(path: Path) -> None:
    path.with_suffix(".md5").write_bytes(
        base64.b64encode(hashlib.md5(path.read_bytes(), usedforsecurity=False).digest())
    )


def only_file(tmp_path: Path, lines: bytes, items: int) -> ExportSource:
    """An export of one file with these lines."""
    home = write_export(tmp_path, ITEMS[:1], files=1)
    replace_data(home, 0, gzip.compress(lines), items)
    return ExportSource(path=str(home))


def test_what_was_written_is_read(home: Path) -> None:
    assert sorted(ITEMS) == sorted(everything(ExportSource(path=str(home))))


def test_export_is_laid_out_as_dynamodb_lays_it_out(home: Path) -> None:
    names = sorted(str(path.relative_to(home)) for path in home.iterdir())

    assert [
        "_started",
        "data",
        "manifest-files.json",
        "manifest-files.md5",
        "manifest-summary.json",
        "manifest-summary.md5",
    ] == names
    assert "AWSDynamoDB" == home.parent.name
    assert 24 == len((home / "manifest-files.md5").read_bytes())
    first = json.loads((home / "manifest-files.json").read_text().splitlines()[0])
    assert ["itemCount", "md5Checksum", "etag", "dataFileS3Key"] == list(first)
    content = gzip.decompress((home / "data" / first["dataFileS3Key"].rpartition("/")[2]).read_bytes())
    assert first["itemCount"] == len(content.splitlines())
    assert {"Item"} == set(json.loads(content.splitlines()[0]))


@pytest.mark.parametrize("up", [0, 1, 2], ids=["its own folder", "AWSDynamoDB", "the parent"])
def test_export_is_found_from_each_of_its_folders(home: Path, up: int) -> None:
    path = [home, *home.parents][up]

    assert len(ITEMS) == len(everything(ExportSource(path=str(path))))


def test_two_exports_are_both_named(tmp_path: Path) -> None:
    homes = [write_export(tmp_path, ITEMS[:3], table_arn=f"arn:aws:dynamodb:x:1:table/{name}") for name in "ab"]

    with pytest.raises(SeveralExports) as caught:
        ExportSource(path=str(tmp_path)).units()

    assert sorted(map(str, homes)) == sorted(caught.value.exports)


def test_folder_without_an_export_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ExportNotFound, match="give the folder AWSDynamoDB"):
        ExportSource(path=str(tmp_path / "nowhere")).units()


def test_unfinished_export_is_told_from_none(home: Path) -> None:
    (home / "manifest-summary.json").unlink()

    with pytest.raises(ExportNotFound, match="has begun") as caught:
        ExportSource(path=str(home)).units()

    assert caught.value.started


def test_position_resumes_with_exactly_the_rest(home: Path) -> None:
    source = ExportSource(path=str(home), chunk_bytes=1, chunk_items=1)
    unit = source.units()[0]
    whole = read_all(source, unit)

    taken = 0
    for chunk in source.read(unit, None):
        taken += len(chunk.items)
        assert whole[taken:] == read_all(source, unit, chunk.position)


def test_chunks_are_bounded_and_add_up(tmp_path: Path) -> None:
    source = ExportSource(path=str(write_export(tmp_path, ITEMS * 20, files=1)), chunk_bytes=600_000)
    unit = source.units()[0]

    chunks = list(source.read(unit, None))

    assert len(chunks) > 2
    assert max(chunk.bytes_read for chunk in chunks) < 600_000 + 300_000
    assert len(ITEMS) * 20 == sum(len(chunk.items) for chunk in chunks)
    assert [False] * (len(chunks) - 1) + [True] == [chunk.last for chunk in chunks]


def test_units_are_the_files_with_their_counts(home: Path) -> None:
    units = ExportSource(path=str(home)).units()

    assert 3 == len(units)
    assert len(ITEMS) == sum(unit.items or 0 for unit in units)
    assert all(unit.name.endswith(".json.gz") for unit in units)


def test_source_reads_the_same_after_pickling(home: Path) -> None:
    source = ExportSource(path=str(home))
    source.units()
    copy = pickle.loads(pickle.dumps(source))

    assert source.origin == copy.origin
    assert everything(source) == everything(copy)


def test_origin_is_the_same_for_a_copy_and_another_for_another_export(tmp_path: Path) -> None:
    first, copy = (ExportSource(path=str(write_export(tmp_path / name, ITEMS))) for name in "ab")
    other = ExportSource(path=str(write_export(tmp_path / "c", ITEMS[1:])))

    assert first.origin == copy.origin
    assert first.origin != other.origin


def test_estimate_is_the_manifests_and_costs_nothing(home: Path) -> None:
    estimate = ExportSource(path=str(home)).estimate()

    assert (len(ITEMS), sum(map(len, ITEMS)), 0.0, 0.0) == (
        estimate.items,
        estimate.bytes,
        estimate.read_units,
        estimate.dollars,
    )


def test_flipped_byte_in_a_data_file_stops_before_its_first_item(home: Path) -> None:
    source = ExportSource(path=str(home))
    unit = source.units()[1]
    path = home / "data" / unit.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(ExportDamaged, match="MD5") as caught:
        next(source.read(unit, None))

    assert f"data/{unit.name}" == caught.value.file
    assert 3 == caught.value.exit_code


@pytest.mark.parametrize("name", ["manifest-summary", "manifest-files"])
@pytest.mark.parametrize("suffix", ["md5", "checksum"])
def test_manifest_that_does_not_match_its_checksum_is_refused(home: Path, name: str, suffix: str) -> None:
    (home / f"{name}.md5").rename(home / f"{name}.{suffix}")
    path = home / f"{name}.json"
    path.write_bytes(path.read_bytes() + b" ")

    with pytest.raises(ExportDamaged, match=f"{name}.json.*{name}.{suffix} says"):
        ExportSource(path=str(home)).units()


def test_manifest_without_a_checksum_file_is_taken(home: Path) -> None:
    for path in home.glob("*.md5"):
        path.unlink()

    assert len(ITEMS) == len(everything(ExportSource(path=str(home))))


def test_hexadecimal_checksum_is_taken(home: Path) -> None:
    path = home / "manifest-files.json"
    path.with_suffix(".md5").write_text(hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() + "\n")

    assert 3 == len(ExportSource(path=str(home)).units())


def test_total_that_is_not_the_sum_of_the_files_is_refused(home: Path) -> None:
    replace_summary(home, lambda summary: summary.update(itemCount=1_999))

    with pytest.raises(ExportDamaged, match=r"hold 2000 items, but manifest-summary\.json says 1999"):
        ExportSource(path=str(home)).units()


def test_file_with_fewer_items_than_the_manifest_says_never_ends(tmp_path: Path) -> None:
    source = only_file(tmp_path, b'{"Item":{"pk":{"S":"a"}}}\n', 2)

    with pytest.raises(ExportDamaged, match="holds 1 items, but the manifest says 2"):
        list(source.read(source.units()[0], None))


def test_missing_data_file_is_named(home: Path) -> None:
    gone = next((home / "data").iterdir())
    gone.unlink()

    with pytest.raises(ExportDamaged, match=f"data/{gone.name}: is missing"):
        ExportSource(path=str(home)).units()


def test_data_file_that_goes_away_later_is_an_error_too(home: Path) -> None:
    source = ExportSource(path=str(home))
    unit = source.units()[0]
    (home / "data" / unit.name).unlink()

    with pytest.raises(StorageFailed, match="No such file"):
        list(source.read(unit, None))


def test_missing_manifest_of_files_is_named(home: Path) -> None:
    (home / "manifest-files.json").unlink()

    with pytest.raises(ExportDamaged, match=r"manifest-files\.json: is missing"):
        ExportSource(path=str(home)).units()


def test_ion_export_says_how_to_export_again(home: Path) -> None:
    replace_summary(home, lambda summary: summary.update(outputFormat="ION"))

    with pytest.raises(ExportUnsupported, match=r"ION.*\n.*--export-format DYNAMODB_JSON"):
        ExportSource(path=str(home)).units()


@pytest.mark.parametrize("member", [{"exportType": "INCREMENTAL_EXPORT"}, {"outputView": "NEW_AND_OLD_IMAGES"}])
def test_incremental_export_is_refused(home: Path, member: dict[str, str]) -> None:
    replace_summary(home, lambda summary: summary.update(member))

    with pytest.raises(ExportUnsupported, match="FULL_EXPORT"):
        ExportSource(path=str(home)).units()


def test_truncated_gzip_with_a_matching_checksum_is_an_error_with_its_line(tmp_path: Path) -> None:
    home = write_export(tmp_path, ITEMS, files=1)
    whole = gzip.compress(b"".join(b'{"Item":' + item + b"}\n" for item in ITEMS * 20))
    name = replace_data(home, 0, whole[: len(whole) * 2 // 3], 40_000)
    source = ExportSource(path=str(home))

    with pytest.raises(ExportDamaged, match="gzip data ends too early") as caught:
        list(source.read(source.units()[0], None))

    assert f"data/{name}" == caught.value.file
    assert 0 < (caught.value.line or 0) < 40_000


def test_wrong_crc_in_the_gzip_trailer_is_an_error(tmp_path: Path) -> None:
    home = write_export(tmp_path, ITEMS[:1], files=1)
    whole = bytearray(gzip.compress(b'{"Item":{"pk":{"S":"a"}}}\n'))
    whole[-8] ^= 1
    replace_data(home, 0, bytes(whole), 1)
    source = ExportSource(path=str(home))

    with pytest.raises(ExportDamaged, match="gzip data is broken"):
        list(source.read(source.units()[0], None))


def test_broken_line_is_named_and_ends_the_file(tmp_path: Path) -> None:
    lines = b'{"Item":{"pk":{"S":"a"}}}\n\n{"Item":{"pk":{"S":"b"}\n{"Item":{"pk":{"S":"c"}}}\n'
    source = only_file(tmp_path, lines, 3)

    with pytest.raises(ExportDamaged, match="line 3") as caught:
        list(source.read(source.units()[0], None))

    assert 3 == caught.value.line
    assert '"b"' not in str(caught.value)


def test_gzip_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    home = write_export(tmp_path, ITEMS[:1], files=1)
    members = [gzip.compress(b'{"Item":{"pk":{"S":"%d"}}}\n' % number) for number in range(3)]
    replace_data(home, 0, b"".join(members), 3)

    assert [b'{"pk":{"S":"0"}}', b'{"pk":{"S":"1"}}', b'{"pk":{"S":"2"}}'] == everything(ExportSource(path=str(home)))


@pytest.mark.parametrize("content", [b"", gzip.compress(b"")], ids=["no bytes", "empty gzip"])
def test_file_of_an_empty_partition_is_one_empty_last_chunk(tmp_path: Path, content: bytes) -> None:
    home = write_export(tmp_path, ITEMS[:1], files=1)
    replace_data(home, 0, content, 0)
    source = ExportSource(path=str(home))

    (chunk,) = source.read(source.units()[0], None)

    assert ([], True) == (chunk.items, chunk.last)


def test_item_longer_than_a_block_is_whole(tmp_path: Path) -> None:
    items = [b'{"pk":{"S":"%b"}}' % (b"x" * 900_000), b'{"pk":{"S":"y"}}']
    home = write_export(tmp_path, items, files=1)

    assert items == everything(ExportSource(path=str(home)))


def test_last_line_needs_no_newline(tmp_path: Path) -> None:
    source = only_file(tmp_path, b'{"Item":{"pk":{"S":"a"}}}\n{"Item":{"pk":{"S":"b"}}}', 2)

    (chunk,) = source.read(source.units()[0], None)

    assert 2 == len(chunk.items)
    assert [] == read_all(source, source.units()[0], chunk.position)


@pytest.mark.parametrize("position", [{"key": {}}, {"items": 1, "lines": "x", "offset": 0}, {"items": 0}])
def test_position_of_another_source_is_refused(home: Path, position: Position) -> None:
    source = ExportSource(path=str(home))

    with pytest.raises(SourceChanged):
        list(source.read(source.units()[0], position))


def test_position_beyond_the_end_is_refused(home: Path) -> None:
    source = ExportSource(path=str(home))

    with pytest.raises(SourceChanged, match="ends before"):
        list(source.read(source.units()[0], {"items": 0, "lines": 0, "offset": 10**9}))


def test_unit_of_another_export_is_refused(home: Path) -> None:
    with pytest.raises(SourceChanged, match="no such file"):
        list(ExportSource(path=str(home)).read(Unit(name="other.json.gz"), None))
