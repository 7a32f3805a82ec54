"""The two manifests of an export, and the checks that they, and the files they name, are whole.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
The page names the checksum files ``*.checksum``; the exports seen in buckets have ``*.md5`` (24 bytes of base64).
Both are accepted. An incremental export names a window of time in place of a moment, and its data files lie in the
folder ``data`` that all incremental exports below ``AWSDynamoDB`` share.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec

from ashore.dynamodb.errors import ExportDamaged, ExportNotFound, ExportUnsupported, SeveralExports
from ashore.dynamodb.storage import Storage

summary_name = "manifest-summary.json"
files_name = "manifest-files.json"
container = "AWSDynamoDB"

Decoded = TypeVar("Decoded")


class _Summary(msgspec.Struct, rename="camel"):
    export_arn: str
    table_arn: str
    item_count: int
    output_format: str
    billed_size_bytes: int = 0
    export_time: datetime | None = None
    export_from_time: datetime | None = None
    export_to_time: datetime | None = None
    export_type: str = "FULL_EXPORT"
    output_view: str | None = None
    table_id: str | None = None

    @property
    def is_incremental(self) -> bool:
        return self.export_type != "FULL_EXPORT" or self.output_view is not None


class _File(msgspec.Struct, rename="camel"):
    item_count: int
    md5_checksum: str
    data_file_key: str = msgspec.field(name="dataFileS3Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One data file: its name under ``data/``, how many items it holds, its MD5 (base64)."""

    name: str
    items: int
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an export says of itself. `bytes` is the size of the items as DynamoDB bills it.

    `data` is where the data files lie. `window` is set for an incremental export: from a moment (inclusive) to another
    (exclusive), by DynamoDB's clock; `items` counts the keys that were changed then.
    """

    location: str
    export_arn: str
    table_arn: str
    exported_at: datetime | None
    items: int
    bytes: int
    files: tuple[DataFile, ...]
    files_md5: str
    data: Storage
    table_id: str | None = None
    window: tuple[datetime, datetime] | None = None

    def file(self, name: str) -> DataFile | None:
        """The data file with this name."""
        return next((file for file in self.files if file.name == name), None)


def find_export(storage: Storage) -> Storage:
    """The one export that lies in `storage` itself, in its ``AWSDynamoDB`` folder or beside other exports' folders.

    Raises:
        ExportNotFound: There is none, or none that is finished.
        SeveralExports: There is more than one.
    """
    found = find_exports(storage)
    if len(found) > 1:
        raise SeveralExports(storage.location, tuple(one.location for one in found))
    return found[0]


def find_exports(storage: Storage) -> list[Storage]:
    """The finished exports that lie in `storage` itself, in its ``AWSDynamoDB`` folder or beside each other in it.

    Raises:
        ExportNotFound: There is none.
    """
    here = storage.files()
    if summary_name in here:
        return [storage]
    folders = storage.folders()
    parent = storage.below(container) if container in folders else storage
    names = parent.folders() if parent is not storage else folders
    exports = [(name, parent.below(name).files()) for name in names]
    finished = [name for name, files in exports if summary_name in files]
    if not finished:
        started = "_started" in here or any("_started" in files for _, files in exports)
        raise ExportNotFound(storage.location, started)
    return [parent.below(name) for name in finished]


def read_manifest(storage: Storage) -> Manifest:
    """Read and check both manifests of the export in `storage`; no data file is opened.

    Raises:
        ExportDamaged: A manifest does not match its checksum, cannot be read, or the two do not agree; a data file
            that it names is missing.
        ExportUnsupported: The export is in Amazon Ion, or incremental.
    """
    summary = _summary(storage)
    if summary.is_incremental:
        raise ExportUnsupported(storage.location, "INCREMENTAL_EXPORT")
    return _whole(storage, summary, storage.below("data"), None)


def read_changes_manifest(storage: Storage) -> Manifest:
    """As `read_manifest`, of an incremental export.

    Raises:
        ExportDamaged: As `read_manifest`.
        ExportUnsupported: The export is in Amazon Ion, or a full one.
    """
    summary = _summary(storage)
    if not summary.is_incremental:
        raise ExportUnsupported(storage.location, "FULL_EXPORT")
    if summary.export_from_time is None or summary.export_to_time is None:
        raise ExportDamaged(storage.location, summary_name, "does not say from when to when the export is")
    data = storage.below("data") if "data" in storage.folders() else storage.above().below("data")
    return _whole(storage, summary, data, (summary.export_from_time, summary.export_to_time))


def _summary(storage: Storage) -> _Summary:
    return _decode(storage, summary_name, _checked(storage, summary_name, storage.files()), _Summary)


def _whole(storage: Storage, summary: _Summary, data: Storage, window: tuple[datetime, datetime] | None) -> Manifest:
    there = storage.files()
    if summary.output_format != "DYNAMODB_JSON":
        raise ExportUnsupported(storage.location, f"in the format {summary.output_format}")
    if files_name not in there:
        raise ExportDamaged(storage.location, files_name, "is missing")
    content = _checked(storage, files_name, there)
    files = tuple(_files(storage, content))
    _agree(storage, summary, files, data)
    return Manifest(
        location=storage.location,
        export_arn=summary.export_arn,
        table_arn=summary.table_arn,
        exported_at=summary.export_time,
        items=summary.item_count,
        bytes=summary.billed_size_bytes,
        files=files,
        files_md5=_base64(hashlib.md5(content, usedforsecurity=False).digest()),
        data=data,
        table_id=summary.table_id,
        window=window,
    )


def _agree(storage: Storage, summary: _Summary, files: tuple[DataFile, ...], data: Storage) -> None:
    counted = sum(file.items for file in files)
    if counted != summary.item_count:
        problem = f"its files hold {counted} items, but {summary_name} says {summary.item_count}"
        raise ExportDamaged(storage.location, files_name, problem)
    names = [file.name for file in files]
    if len(set(names)) != len(names):
        raise ExportDamaged(storage.location, files_name, "names a data file twice")
    missing = sorted(set(names) - data.files().keys())
    if missing:
        more = f" (and {len(missing) - 1} more of {len(names)} files)" if len(missing) > 1 else ""
        raise ExportDamaged(storage.location, f"data/{missing[0]}", f"is missing{more}")


def _files(storage: Storage, content: bytes) -> Iterator[DataFile]:
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            file = _decode(storage, files_name, line, _File, number)
            yield DataFile(
                name=file.data_file_key.rpartition("/")[2],
                items=file.item_count,
                md5=file.md5_checksum,
            )


def _checked(storage: Storage, name: str, there: dict[str, int]) -> bytes:
    content = storage.read(name)
    actual = hashlib.md5(content, usedforsecurity=False).digest()
    stem = name.removesuffix(".json")
    for checksum in (f"{stem}.md5", f"{stem}.checksum"):
        if checksum in there:
            expected = storage.read(checksum).decode("ascii", "replace").strip()
            if expected not in (_base64(actual), actual.hex()):
                problem = f"its MD5 is {_base64(actual)}, but {checksum} says {expected[:64]}"
                raise ExportDamaged(storage.location, name, problem)
    return content


def _decode(storage: Storage, name: str, content: bytes, to: type[Decoded], line: int | None = None) -> Decoded:
    try:
        return msgspec.json.decode(content, type=to)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExportDamaged(storage.location, name, f"cannot be read: {error}", line) from error


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
