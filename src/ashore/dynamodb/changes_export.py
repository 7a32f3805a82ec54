"""Which keys were changed in a window of time, by an *incremental* Export to S3: deletes included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from ashore.dynamodb.data_file import DataFileReader
from ashore.dynamodb.errors import ExportUnsupported
from ashore.dynamodb.lines import BrokenLine, ChangedKey, changed_keys_of
from ashore.dynamodb.manifest import Manifest, find_exports, read_changes_manifest
from ashore.dynamodb.settings import Aws
from ashore.dynamodb.storage import Storage, storage_at


@dataclass(frozen=True, kw_only=True)
class ChangesExport:
    """One incremental export in DynamoDB JSON. A small picklable value.

    An item that was written in the window is in it once, however often it was. One that was made and deleted again
    within the window is not in it: it was not there before, and is not there after.

    Source: https://aws.amazon.com/blogs/database/introducing-incremental-export-from-amazon-dynamodb-to-amazon-s3/
    """

    storage: Storage

    def describe(self) -> Manifest:
        """What the export says of itself; read and checked once.

        Raises:
            ExportUnsupported, ExportDamaged, StorageFailed
        """
        return self._manifest

    @property
    def window(self) -> tuple[datetime, datetime]:
        """From a moment, inclusive, to another, exclusive, by DynamoDB's clock."""
        window = self.describe().window
        if window is None:
            raise ExportUnsupported(self.storage.location, "FULL_EXPORT")
        return window

    def changed(self) -> Iterator[list[ChangedKey]]:
        """All changed keys, some hundreds at a time; each file's MD5 is compared before its first key is handed out.

        Raises:
            ExportDamaged: A file is not what the manifest says, or a line of it is broken. Keys of earlier lines have
                been handed out.
            StorageFailed: It cannot be read.
        """
        manifest = self.describe()
        for file in manifest.files:
            with manifest.data.open(file.name) as content:
                reader = DataFileReader(location=manifest.location, file=file, content=content)
                reader.check_md5()
                found = 0
                for lines, _ in reader.blocks():
                    try:
                        keys = changed_keys_of(lines)
                    except BrokenLine as error:
                        raise reader.damaged(error.problem, reader.lines + error.index + 1) from error
                    found += len(keys)
                    yield keys
                reader.check_count(found)

    @cached_property
    def _manifest(self) -> Manifest:
        return read_changes_manifest(self.storage)


def changes_exports(path: str, aws: Aws) -> list[ChangesExport]:
    """The incremental exports at a path: a folder or ``s3://bucket/prefix``, of one of them or with several below.

    Full exports that lie among several are passed by.

    Raises:
        ExportNotFound, ExportUnsupported, ExportDamaged, StorageFailed
    """
    found = [ChangesExport(storage=storage) for storage in find_exports(storage_at(path, aws))]
    incremental = []
    full: ExportUnsupported | None = None
    for export in found:
        try:
            export.describe()
        except ExportUnsupported as error:
            if error.kind != "FULL_EXPORT":
                raise
            full = error
        else:
            incremental.append(export)
    if full is not None and not incremental:
        raise full
    return incremental
