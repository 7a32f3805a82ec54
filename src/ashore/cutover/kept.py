"""Keeping items in a folder before they are deleted: DynamoDB JSON, a line an item, gzip."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ashore.cutover.errors import KeptItemsMissing


@dataclass(frozen=True, slots=True)
class KeptItems:
    """A folder with one file a unit; what `keep` has returned for stays, whatever dies.

    A page is a gzip member of its own at the end of the file, so that the file is whole after each.
    """

    folder: Path

    def keep(self, name: str, whole_bytes: int, items: Iterable[bytes]) -> int:
        """Append items to a unit's file, on disk when this returns; return how long the file is then.

        What stands behind `whole_bytes` is of a run that died before it deleted anything of it, and is cut off.

        Raises:
            KeptItemsMissing: The file is shorter than that. Nothing was written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.json.gz"
        found = path.stat().st_size if path.exists() else 0
        if found < whole_bytes:
            raise KeptItemsMissing(path=str(path), expected=whole_bytes, found=found)
        member = gzip.compress(b"".join(b'{"Item":' + item + b"}\n" for item in items), compresslevel=6)
        with path.open("ab") as file:
            file.truncate(whole_bytes)
            file.seek(whole_bytes)
            file.write(member)
            file.flush()
            os.fsync(file.fileno())
        if not whole_bytes:
            _sync_folder(self.folder)
        return whole_bytes + len(member)


def _sync_folder(folder: Path) -> None:
    """Let the name of a new file survive as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
