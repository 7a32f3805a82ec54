"""Exports as DynamoDB writes them, made on this machine: for tests, benchmarks and the demo.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any, BinaryIO

from isal import isal_zlib

some_table_arn = "arn:aws:dynamodb:us-east-1:123456789012:table/example"
some_time = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
batch_items = 256


class _DataFile:
    """One gzip file of lines, and its line in the manifest."""

    def __init__(self, stream: BinaryIO, key: str) -> None:
        self._stream = stream
        self._key = key
        self._gzip = isal_zlib.compressobj(level=1, wbits=31)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.items = 0
        self.item_bytes = 0

    def write(self, items: list[bytes]) -> None:
        lines = b'{"Item":' + b'}\n{"Item":'.join(items) + b"}\n"
        self.items += len(items)
        self.item_bytes += len(lines) - 10 * len(items)
        self._put(self._gzip.compress(lines))

    def close(self) -> None:
        self._put(self._gzip.flush())

    def manifest_line(self) -> dict[str, Any]:
        digest = self._md5.digest()
        return {
            "itemCount": self.items,
            "md5Checksum": base64.b64encode(digest).decode(),
            "etag": f"{digest.hex()}-1",
            "dataFileS3Key": self._key,
        }

    def _put(self, compressed: bytes) -> None:
        self._md5.update(compressed)
        self._stream.write(compressed)


def write_export(
    folder: Path,
    items: Iterable[bytes],
    *,
    files: int = 4,
    table_arn: str = some_table_arn,
    export_time: datetime = some_time,
) -> Path:
    """Write a full export in DynamoDB JSON under `folder`; return its own folder, ``folder/AWSDynamoDB/<export id>``.

    `folder` then holds what the bucket would, for an export without a prefix. `items`, each
    ``b'{"pk":{"S":"…"},…}'`` on one line, are read once, and dealt in turn to the data files, all of which are open
    at once. The same arguments give the same names. Takes about 3 µs an item of 1.1 KB.
    """
    export_id = _export_id(table_arn, export_time)
    home = folder / "AWSDynamoDB" / export_id
    (home / "data").mkdir(parents=True)
    (home / "_started").touch()
    key = f"AWSDynamoDB/{export_id}"
    with ExitStack() as opened:
        written = []
        for number in range(files):
            name = f"{_token(export_id, number)}.json.gz"
            stream = opened.enter_context((home / "data" / name).open("wb"))
            written.append(_DataFile(stream, f"{key}/data/{name}"))
        source = iter(items)
        for file in cycle(written):
            batch = list(islice(source, batch_items))
            if not batch:
                break
            file.write(batch)
        for file in written:
            file.close()
    lines = [file.manifest_line() for file in written]
    _write_manifest(home, "manifest-files", "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    time = export_time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    summary = {
        "version": "2020-06-30",
        "exportArn": f"{table_arn}/export/{export_id}",
        "startTime": time,
        "endTime": time,
        "tableArn": table_arn,
        "tableId": "00000000-0000-4000-8000-000000000000",
        "exportTime": time,
        "s3Bucket": "example-exports",
        "s3Prefix": None,
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{key}/manifest-files.json",
        "billedSizeBytes": sum(file.item_bytes for file in written),
        "itemCount": sum(file.items for file in written),
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
    }
    _write_manifest(home, "manifest-summary", json.dumps(summary, separators=(",", ":")))
    return home


def _write_manifest(home: Path, stem: str, text: str) -> None:
    content = text.encode()
    (home / f"{stem}.json").write_bytes(content)
    checksum = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest())
    (home / f"{stem}.md5").write_bytes(checksum)


def _export_id(table_arn: str, export_time: datetime) -> str:
    milliseconds = int(export_time.timestamp() * 1000)
    return f"{milliseconds:014d}-{hashlib.sha256(table_arn.encode()).hexdigest()[:8]}"


def _token(export_id: str, number: int) -> str:
    """26 characters, as in the names of DynamoDB's data files."""
    digest = hashlib.sha256(f"{export_id}/{number}".encode()).digest()
    return base64.b32encode(digest[:16]).decode().rstrip("=").lower()
