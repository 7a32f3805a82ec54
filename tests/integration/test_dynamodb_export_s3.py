"""An export read from its bucket, on moto's S3."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from ashore import local
from ashore.dynamodb.access import check_access
from ashore.dynamodb.changes_export import changes_exports
from ashore.dynamodb.errors import ExportDamaged, ExportNotFound, SeveralExports, StorageFailed
from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.settings import Aws
from ashore.local.export_writer import WrittenKey, write_changes_export, write_export

ITEMS = [json.dumps({"pk": {"S": f"case|{number}"}}).encode() for number in range(3_000)]


_numbers = count(1)


@pytest.fixture
def aws(moto: local.LocalAws, monkeypatch: pytest.MonkeyPatch) -> local.LocalAws:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    return moto


@pytest.fixture
def bucket(aws: local.LocalAws) -> str:
    """A bucket of the test's own."""
    name = f"exports-{next(_numbers)}"
    aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return name


def upload(aws: local.LocalAws, bucket: str, folder: Path, prefix: str) -> None:
    client = aws.client("s3")
    for path in folder.rglob("*"):
        if path.is_file():
            client.put_object(Bucket=bucket, Key=f"{prefix}{path.relative_to(folder)}", Body=path.read_bytes())


def source_of(aws: local.LocalAws, path: str) -> ExportSource:
    return ExportSource(path=path, region=aws.region, endpoint_url=aws.endpoint_url)


def everything(source: ExportSource) -> list[bytes]:
    return [item for unit in source.units() for chunk in source.read(unit, None) for item in chunk.items]


@pytest.mark.parametrize("below", ["", "/", "/AWSDynamoDB", "/AWSDynamoDB/EXPORT/"])
def test_export_is_read_from_its_bucket(aws: local.LocalAws, bucket: str, tmp_path: Path, below: str) -> None:
    home = write_export(tmp_path, ITEMS, files=2)
    upload(aws, bucket, tmp_path, "2025/jan/")

    source = source_of(aws, f"s3://{bucket}/2025/jan" + below.replace("EXPORT", home.name))

    assert sorted(ITEMS) == sorted(everything(source))
    assert f"s3://{bucket}/2025/jan/AWSDynamoDB/{home.name}" == source.describe().location
    assert [] == check_access(source)


def test_export_at_the_root_of_a_bucket_is_found(aws: local.LocalAws, bucket: str, tmp_path: Path) -> None:
    write_export(tmp_path, ITEMS, files=1)
    upload(aws, bucket, tmp_path, "")

    assert len(ITEMS) == len(everything(source_of(aws, f"s3://{bucket}")))


def test_prefix_is_a_folder_not_the_beginning_of_a_name(aws: local.LocalAws, bucket: str, tmp_path: Path) -> None:
    write_export(tmp_path, ITEMS, files=1)
    upload(aws, bucket, tmp_path, "2025/")

    with pytest.raises(ExportNotFound):
        source_of(aws, f"s3://{bucket}/202").units()


def test_two_exports_in_a_bucket_are_both_named(aws: local.LocalAws, bucket: str, tmp_path: Path) -> None:
    for name in "ab":
        write_export(tmp_path, ITEMS[:2], table_arn=f"arn:aws:dynamodb:x:1:table/{name}")
    upload(aws, bucket, tmp_path, "")

    with pytest.raises(SeveralExports) as caught:
        source_of(aws, f"s3://{bucket}").units()

    assert all(path.startswith(f"s3://{bucket}/AWSDynamoDB/0") for path in caught.value.exports)
    assert 2 == len(caught.value.exports)


def test_damaged_object_stops_before_its_first_item(aws: local.LocalAws, bucket: str, tmp_path: Path) -> None:
    home = write_export(tmp_path, ITEMS, files=1)
    (data,) = (home / "data").iterdir()
    data.write_bytes(data.read_bytes()[:-1])
    upload(aws, bucket, tmp_path, "")
    source = source_of(aws, f"s3://{bucket}")

    with pytest.raises(ExportDamaged, match="MD5"):
        next(source.read(source.units()[0], None))


def test_object_that_is_gone_is_named_before_the_load(aws: local.LocalAws, bucket: str, tmp_path: Path) -> None:
    home = write_export(tmp_path, ITEMS, files=2)
    next((home / "data").iterdir()).unlink()
    upload(aws, bucket, tmp_path, "")

    with pytest.raises(ExportDamaged, match="is missing"):
        source_of(aws, f"s3://{bucket}").units()


def test_bucket_that_does_not_exist_is_a_problem(aws: local.LocalAws) -> None:
    source = source_of(aws, "s3://nowhere/x")

    with pytest.raises(StorageFailed, match="s3://nowhere/x: s3:ListBucket failed: NoSuchBucket"):
        source.units()
    (problem,) = check_access(source)
    assert "s3:ListBucket" in problem.hint


@pytest.mark.parametrize("below", ["", "/AWSDynamoDB", "/AWSDynamoDB/EXPORT"])
def test_an_incremental_export_is_read_from_its_bucket_and_from_the_folder_that_exports_share(
    aws: local.LocalAws, bucket: str, tmp_path: Path, below: str
) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    changes = [WrittenKey(key={"pk": {"S": f"case|{number}"}}, at=noon) for number in range(3)]
    home = write_changes_export(tmp_path, changes, window=(noon, noon + timedelta(minutes=15)))
    upload(aws, bucket, tmp_path, "gap/")

    given = Aws(region=aws.region, endpoint_url=aws.endpoint_url)
    [export] = changes_exports(f"s3://{bucket}/gap" + below.replace("EXPORT", home.name), given)

    assert [b'{"pk":{"S":"case|%d"}}' % number for number in range(3)] == [
        one.key for block in export.changed() for one in block
    ]
