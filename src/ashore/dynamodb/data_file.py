"""One data file of an export: compared with its checksum, decompressed, cut into lines."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from gzip import BadGzipFile
from typing import BinaryIO, Final, Protocol, cast

from isal import igzip, igzip_lib

from ashore.dynamodb.errors import ExportDamaged, SourceChanged, StorageFailed
from ashore.dynamodb.manifest import DataFile

block_bytes: Final = 256 * 1024
"""Decompressed bytes that are split into lines at once: small enough to stay in a core's cache."""

_broken_gzip = (BadGzipFile, cast("type[Exception]", igzip_lib.IsalError))


class _Reader(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(slots=True, kw_only=True)
class DataFileReader:
    """Reads an open data file once, from its beginning. `lines` counts those that were handed out; the caller closes.

    `location` is the export's, for errors.
    """

    location: str
    file: DataFile
    content: BinaryIO
    lines: int = 0

    def check_md5(self) -> None:
        """Read the file whole, and go back to its beginning.

        Raises:
            ExportDamaged: It is not what the manifest says.
            StorageFailed: It cannot be read.
        """
        digest = hashlib.md5(usedforsecurity=False)
        while block := self._read(self.content, 1024 * 1024):
            digest.update(block)
        actual = base64.b64encode(digest.digest()).decode("ascii")
        if actual != self.file.md5:
            raise self.damaged(f"its MD5 is {actual}, but the manifest says {self.file.md5}")
        self.content.seek(0)

    def blocks(self, offset: int = 0) -> Iterator[tuple[list[bytes], int]]:
        """Some whole lines at a time, without their newlines, and how many decompressed bytes they took.

        Begins after `offset` decompressed bytes, of which the caller has counted the lines.

        Raises:
            ExportDamaged: The gzip data is broken.
            SourceChanged: The file ends before `offset`.
            StorageFailed: It cannot be read.
        """
        rest = b""
        for block in self.raw_blocks(offset):
            whole = (rest + block).split(b"\n")
            length = len(rest) + len(block)
            rest = whole.pop()
            yield whole, length - len(rest)
            self.lines += len(whole)
        if rest:
            yield [rest], len(rest)
            self.lines += 1

    def raw_blocks(self, offset: int = 0) -> Iterator[bytes]:
        """What follows after `offset` decompressed bytes, not cut into lines; raises as `blocks`."""
        unzipped = igzip.IGzipFile(fileobj=self.content, mode="rb")  # type: ignore[no-untyped-call]  # isal does not say
        self._skip(unzipped, offset)
        while block := self._unzip(unzipped, block_bytes):
            yield block

    def check_count(self, found: int) -> None:
        """Raise ExportDamaged if the file held another number of items than the manifest says."""
        if found != self.file.items:
            raise self.damaged(f"it holds {found} items, but the manifest says {self.file.items}")

    def damaged(self, problem: str, line: int | None = None) -> ExportDamaged:
        """The error that says so of this file."""
        return ExportDamaged(self.location, f"data/{self.file.name}", problem, line)

    def _skip(self, unzipped: _Reader, offset: int) -> None:
        left = offset
        while left:
            skipped = len(self._unzip(unzipped, min(left, block_bytes)))
            if not skipped:
                problem = f"the file ends before the position that was stored, {offset} bytes"
                raise SourceChanged(self.file.name, problem)
            left -= skipped

    def _unzip(self, unzipped: _Reader, size: int) -> bytes:
        try:
            return self._read(unzipped, size)
        except EOFError as error:
            raise self.damaged("the gzip data ends too early, after this line", self.lines) from error
        except _broken_gzip as error:
            raise self.damaged(f"the gzip data is broken after this line: {error}", self.lines) from error

    def _read(self, content: _Reader, size: int) -> bytes:
        try:
            return content.read(size)
        except BadGzipFile:
            raise
        except OSError as error:
            raise StorageFailed(self.location, "read", error.strerror or type(error).__name__) from error
