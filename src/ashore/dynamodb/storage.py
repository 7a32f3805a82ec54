"""Where an export lies: a folder, or a bucket and a prefix. Paths are relative to it, joined by slashes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from ashore.dynamodb.errors import StorageFailed
from ashore.dynamodb.settings import Aws, s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef


class Storage(Protocol):
    """A small picklable value; each process opens its own connections."""

    @property
    def location(self) -> str:
        """The folder's path, or ``s3://bucket/prefix``."""

    def below(self, path: str) -> Storage:
        """The same storage, one or more folders down."""

    def above(self) -> Storage:
        """The folder that this one lies in."""

    def folders(self) -> list[str]:
        """The names of the folders directly in it, sorted. A folder that does not exist has none."""

    def files(self) -> dict[str, int]:
        """The files directly in it: name → size in bytes. A folder that does not exist has none."""

    def read(self, name: str) -> bytes:
        """A whole file, for manifests."""

    def open(self, name: str) -> BinaryIO:
        """A file on this machine's disk, to be read more than once; the caller closes it."""


@dataclass(frozen=True, slots=True)
class Folder:
    """An export that was copied to this machine."""

    root: Path

    @property
    def location(self) -> str:
        return str(self.root)

    def below(self, path: str) -> Folder:
        return Folder(self.root / path)

    def above(self) -> Folder:
        return Folder(self.root.resolve().parent)

    def folders(self) -> list[str]:
        if not self.root.is_dir():
            return []
        with self._told("list"):
            return sorted(entry.name for entry in self.root.iterdir() if entry.is_dir())

    def files(self) -> dict[str, int]:
        if not self.root.is_dir():
            return {}
        with self._told("list"):
            return {entry.name: entry.stat().st_size for entry in self.root.iterdir() if entry.is_file()}

    def read(self, name: str) -> bytes:
        with self._told(f"read {name}"):
            return (self.root / name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        with self._told(f"read {name}"):
            return (self.root / name).open("rb", buffering=0)

    @contextmanager
    def _told(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageFailed(self.location, action, error.strerror or type(error).__name__) from error


@dataclass(frozen=True, slots=True)
class Bucket:
    """An export where DynamoDB wrote it. `prefix` is empty or ends in a slash."""

    bucket: str
    prefix: str
    aws: Aws = field(default_factory=Aws)

    @property
    def location(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def below(self, path: str) -> Bucket:
        return Bucket(self.bucket, f"{self.prefix}{path.strip('/')}/", self.aws)

    def above(self) -> Bucket:
        parent, _, _ = self.prefix.rstrip("/").rpartition("/")
        return Bucket(self.bucket, f"{parent}/" if parent else "", self.aws)

    def folders(self) -> list[str]:
        found = []
        with self._told("s3:ListBucket"):
            for page in self._pages():
                found += [entry["Prefix"][len(self.prefix) :].rstrip("/") for entry in page.get("CommonPrefixes", [])]
        return sorted(found)

    def files(self) -> dict[str, int]:
        found = {}
        with self._told("s3:ListBucket"):
            for page in self._pages():
                for entry in page.get("Contents", []):
                    found[entry["Key"][len(self.prefix) :]] = entry["Size"]
        return found

    def read(self, name: str) -> bytes:
        with self._told("s3:GetObject"):
            answer = s3_client(self.aws).get_object(Bucket=self.bucket, Key=self.prefix + name)
            return answer["Body"].read()

    def open(self, name: str) -> BinaryIO:
        """Downloads the whole file into a temporary one, which goes away when it is closed."""
        file = tempfile.TemporaryFile(prefix="ashore-export-")  # noqa: SIM115  # the caller closes it
        try:
            with self._told("s3:GetObject"):
                s3_client(self.aws).download_fileobj(self.bucket, self.prefix + name, file)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def _pages(self) -> Iterator[ListObjectsV2OutputTypeDef]:
        pages = s3_client(self.aws).get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=self.bucket, Prefix=self.prefix, Delimiter="/")

    @contextmanager
    def _told(self, action: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise StorageFailed(self.location, action, error.response["Error"]["Code"]) from error
        except (BotoCoreError, Boto3Error, OSError) as error:
            raise StorageFailed(self.location, action, type(error).__name__) from error


def storage_at(path: str, aws: Aws) -> Storage:
    """The storage of ``s3://bucket/prefix`` or of a folder."""
    if path.startswith("s3://"):
        bucket, _, prefix = path.removeprefix("s3://").partition("/")
        prefix = prefix.strip("/")
        return Bucket(bucket, f"{prefix}/" if prefix else "", aws)
    return Folder(Path(path).expanduser())
