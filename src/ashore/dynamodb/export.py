"""Items from an *Export to S3*: DynamoDB JSON in gzip files, in a bucket or copied to a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ashore.dynamodb.data_file import DataFileReader
from ashore.dynamodb.errors import SourceChanged
from ashore.dynamodb.lines import BrokenLine, items_of, pack_of
from ashore.dynamodb.manifest import Manifest, find_export, read_manifest
from ashore.dynamodb.settings import Aws
from ashore.dynamodb.storage import Storage, storage_at
from ashore.model.chunk import Chunk, Estimate, Position, Unit
from ashore.model.packed import Pack, PackedItems


@dataclass(frozen=True, kw_only=True)
class ExportSource:
    """An export as a source of items.

    `path` is a folder or ``s3://bucket/prefix``: the export's own folder, the ``AWSDynamoDB`` folder, or its parent
    when it holds exactly one export. One unit is one data file. A position is
    ``{"items": n, "lines": n, "offset": decompressed bytes}``, all from the beginning of the file.

    Guarantees:
        - A file's MD5 is compared with the manifest before its first item is handed out, on each call of `read`.
        - The last chunk of a file is handed out only if the file held as many items as the manifest says.
        - About `chunk_bytes` of decompressed lines, or `chunk_items` items, are in memory at a time.
    """

    path: str
    region: str | None = None
    endpoint_url: str | None = None
    profile: str | None = None
    chunk_bytes: int = 4 * 1024 * 1024
    chunk_items: int = 4_000

    @property
    def origin(self) -> dict[str, Any]:
        """The export's identity, wherever it was copied to."""
        manifest = self.describe()
        return {
            "kind": "export",
            "export_arn": manifest.export_arn,
            "table_arn": manifest.table_arn,
            "files_md5": manifest.files_md5,
        }

    def describe(self) -> Manifest:
        """What the export says of itself; read and checked once.

        Raises:
            ExportNotFound, SeveralExports, ExportUnsupported, ExportDamaged, StorageFailed
        """
        return self._manifest

    def units(self) -> list[Unit]:
        """One unit a data file, in the order of the manifest."""
        return [Unit(name=file.name, items=file.items) for file in self.describe().files]

    def estimate(self) -> Estimate:
        """What the manifest says; nothing is billed by DynamoDB."""
        manifest = self.describe()
        taken = "" if manifest.exported_at is None else f" as of {manifest.exported_at:%Y-%m-%d %H:%M:%S %Z}"
        note = f"an export{taken}: it takes nothing from the table"
        if manifest.location.startswith("s3://"):
            note += f"; {len(manifest.files)} GET requests to S3 cost less than a cent per ten thousand"
        return Estimate(items=manifest.items, bytes=manifest.bytes, read_units=0.0, dollars=0.0, note=note)

    def read(self, unit: Unit, after: Position | None) -> Iterator[Chunk]:
        """Read one data file. A file in a bucket is first downloaded into a temporary one.

        Raises:
            ExportDamaged: The file is not what the manifest says, or a line of it is broken.
            StorageFailed: It cannot be read.
            SourceChanged: The unit or the position is not of this export.
        """
        file = self.describe().file(unit.name)
        if file is None:
            raise SourceChanged(unit.name, "the export has no such file")
        with self.describe().data.open(file.name) as content:
            reader = DataFileReader(location=self.describe().location, file=file, content=content)
            reader.check_md5()
            yield from self._chunks(reader, after)

    @cached_property
    def _storage(self) -> Storage:
        aws = Aws(region=self.region, endpoint_url=self.endpoint_url, profile=self.profile)
        return find_export(storage_at(self.path, aws))

    @cached_property
    def _manifest(self) -> Manifest:
        return read_manifest(self._storage)

    def _chunks(self, reader: DataFileReader, after: Position | None) -> Iterator[Chunk]:
        at = _At(reader.file.name, after)
        reader.lines = at.lines
        parts: list[Sequence[bytes] | Pack] = []
        taken = count = 0
        rest = b""
        for block in reader.raw_blocks(at.offset):
            first, last = block.find(b"\n") + 1, block.rfind(b"\n") + 1
            if not last:
                rest += block
                continue
            for data, start, end in ((rest + block[:first], 0, len(rest) + first), (block, first, last)):
                if start < end:
                    parts.append(self._part(reader, data, (start, end), at))
                    count += len(parts[-1])
                    reader.lines = at.lines
            taken += len(rest) + last
            rest = block[last:]
            if taken >= self.chunk_bytes or count >= self.chunk_items:
                yield Chunk(items=_together(parts), position=at.position(), last=False, bytes_read=taken)
                parts, taken, count = [], 0, 0
        if rest:
            parts.append(self._part(reader, rest, (0, len(rest)), at))
        reader.check_count(at.items)
        yield Chunk(items=_together(parts), position=at.position(), last=True, bytes_read=taken + len(rest))

    @staticmethod
    def _part(reader: DataFileReader, data: bytes, place: tuple[int, int], at: _At) -> Sequence[bytes] | Pack:
        """The items of the lines at this place; the file's last may be without its newline."""
        start, end = place
        items: Sequence[bytes] | Pack | None = pack_of(data, start, end)
        if items is not None:
            count = len(items)
        else:
            lines = data[start:end].removesuffix(b"\n").split(b"\n")
            count = len(lines)
            try:
                items = items_of(lines)
            except BrokenLine as error:
                raise reader.damaged(error.problem, at.lines + error.index + 1) from error
        at.items += len(items)
        at.lines += count
        at.offset += end - start
        return items


def _together(parts: Sequence[Sequence[bytes] | Pack]) -> Sequence[bytes]:
    packs = [part for part in parts if isinstance(part, Pack)]
    return PackedItems(packs) if packs and len(packs) == len(parts) else [item for part in parts for item in part]


class _At:
    """How far a data file has been read: items, lines and decompressed bytes from its beginning."""

    __slots__ = ("items", "lines", "offset")

    def __init__(self, unit: str, position: Position | None) -> None:
        try:
            self.items, self.lines, self.offset = (
                (0, 0, 0) if position is None else (int(position[name]) for name in ("items", "lines", "offset"))
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SourceChanged(unit, f"the stored position is not one of an export: {error}") from error

    def position(self) -> Position:
        return {"items": self.items, "lines": self.lines, "offset": self.offset}
