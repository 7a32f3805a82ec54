"""When a source was first opened, in whichever process, and when the last chunk was committed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ashore.model.chunk import Chunk, Estimate, ItemSource, Position, Unit
from ashore.observe.events import Event, Progress


@dataclass(frozen=True, kw_only=True)
class ClockedSource:
    """A source that notes in `folder` when each process opened its first unit (`time.monotonic`, one for all)."""

    source: ItemSource
    folder: Path

    @property
    def origin(self) -> dict[str, object]:
        return self.source.origin

    def units(self) -> list[Unit]:
        return self.source.units()

    def estimate(self) -> Estimate:
        return self.source.estimate()

    def read(self, unit: Unit, after: Position | None) -> Iterator[Chunk]:
        note = self.folder / f"{os.getpid()}.opened"
        if not note.exists():
            note.write_text(repr(time.monotonic()), encoding="ascii")
        yield from self.source.read(unit, after)

    def first_open(self) -> float:
        """The moment of the first open; the notes are taken away."""
        notes = list(self.folder.glob("*.opened"))
        moments = [float(note.read_text(encoding="ascii")) for note in notes]
        for note in notes:
            note.unlink()
        return min(moments)


@dataclass(slots=True)
class LastCommit:
    """Listens to a load or a verification: the moment of its last commit of rows, and the bytes that were read."""

    at: float = 0.0
    items: int = 0
    bytes: int = 0

    def __call__(self, event: Event) -> None:
        """Take note of a chunk that was committed."""
        if isinstance(event, Progress):
            self.at = time.monotonic()
            self.items += event.items
            self.bytes += event.bytes
