"""All distinct values of a column, or tuples of several columns, as hashes: compared exactly, in bounded memory.

A hash is 64 bits of blake2b. A value that is missing among n others is taken for found with a chance of n / 2^64, and a
reference for proven that is not only if all of its missing values are: for a billion keys, once in 18 thousand million
times. PostgreSQL then refuses the foreign key after the load, and nothing is lost; nor does anybody get more than that
who makes two values of one hash, for which some 2^32 have to be tried. No value itself is written.

Source: https://www.rfc-editor.org/rfc/rfc7693 (BLAKE2)
"""

from __future__ import annotations

import os
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, ClassVar, Final, Self

from ashore.errors import AshoreError

HELD: Final = 1 << 15
"""Hashes of one set that are held in memory. To sort four times as many takes twice as long, each."""
HELD_TOGETHER: Final = 1 << 20
"""Hashes of all sets of one process that are held in memory: 8 MB."""
AT_ONCE: Final = 1 << 17
"""Hashes that are compared at once, about: 15 MB as Python's sets."""

_space: Final = 1 << 64
_bytes: Final = 8
_more: Final = 64
"""Hashes that are read beyond those expected: few, and seldom too few."""


@dataclass(eq=False, kw_only=True)
class CannotKeepValues(AshoreError):
    """The temporary folder did not take, or give back, the values that references are proven with."""

    folder: str
    reason: str

    code: ClassVar[str] = "ASH723"
    exit_code: ClassVar[int] = 2

    def what(self) -> str:
        return f"values of references could not be kept in {self.folder}: {self.reason}"

    def hint(self) -> str:
        return "make room there, about 8 bytes for each value of a reference, or let TMPDIR name another folder"


def hashes_of(values: Iterable[bytes]) -> array[int]:
    """The hash of each value, in order."""
    return array("Q", b"".join([blake2b(value, digest_size=_bytes).digest() for value in values]))


@dataclass(frozen=True, slots=True)
class Run:
    """Hashes in a file, in order, each once: so many from the one with the number `start`."""

    path: Path
    start: int
    count: int


class Spill:
    """The sets of one process, and one file for what they do not hold, made in the folder once there is something."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sets: list[ValueSet] = []
        self._file: BinaryIO | None = None
        self._path = folder
        self._written = 0

    def new_set(self) -> ValueSet:
        """An empty set."""
        one = ValueSet(spill=self)
        self._sets.append(one)
        return one

    @property
    def most(self) -> int:
        """Hashes that each of the sets may hold."""
        return min(HELD, HELD_TOGETHER // len(self._sets))

    def write(self, hashes: array[int]) -> Run:
        """Write hashes, which are in order.

        Raises:
            CannotKeepValues: The folder did not take them.
        """
        with _told(self._folder):
            if self._file is None:
                descriptor, path = tempfile.mkstemp(dir=self._folder)
                self._file, self._path = os.fdopen(descriptor, "wb"), Path(path)
            hashes.tofile(self._file)
        run = Run(self._path, self._written, len(hashes))
        self._written += len(hashes)
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with _told(self._folder):
                self._file.close()

    def keep(self) -> None:
        """Write what the sets hold, and let them go: then they can go to another process, and are written no more.

        Raises:
            CannotKeepValues: The folder did not take it.
        """
        for one in self._sets:
            one.let_go()
        self._sets = []
        if self._file is not None:
            with _told(self._folder):
                self._file.flush()


@dataclass(slots=True)
class ValueSet:
    """Hashes of values. A value may be held more than once, and be in several runs; in one run it is once."""

    spill: Spill | None = None
    held: array[int] = field(default_factory=lambda: array("Q"))
    runs: list[Run] = field(default_factory=list)

    def add(self, values: Iterable[bytes]) -> None:
        """Add values."""
        self.held += hashes_of(set(values))
        if self.spill is not None and len(self.held) >= self.spill.most:
            self._write(self.spill)

    def merge(self, other: ValueSet) -> None:
        """Add the values of another set."""
        self.held += other.held
        self.runs += other.runs

    def let_go(self) -> None:
        """Write what is held; nothing is written any more after that."""
        if self.spill is not None and self.held:
            self._write(self.spill)
        self.spill = None

    def _write(self, spill: Spill) -> None:
        self.runs.append(spill.write(array("Q", sorted(set(self.held)))))
        self.held = array("Q")

    def __len__(self) -> int:
        """How many hashes are held and written: at least as many as there are values."""
        return len(self.held) + sum(run.count for run in self.runs)


def missing(ones: ValueSet, others: ValueSet) -> tuple[int, int]:
    """(distinct values of the first set, how many of them the second has not).

    Both are looked at range by range of their hashes, in time that grows with their values and memory that does not.

    Raises:
        CannotKeepValues: A file could not be read.
    """
    distinct = absent = 0
    for values, theirs in _side_by_side(ones, others):
        distinct += len(values)
        absent += len(values - theirs)
    return distinct, absent


def hashes_in(among: ValueSet, hashes: Iterable[int]) -> set[int]:
    """Which of the hashes are those of values of a set.

    Raises:
        CannotKeepValues: A file could not be read.
    """
    wanted = ValueSet(held=array("Q", hashes))
    return {one for values, theirs in _side_by_side(wanted, among) for one in values & theirs}


def _side_by_side(ones: ValueSet, others: ValueSet) -> Iterator[tuple[set[int], set[int]]]:
    """The hashes of two sets, range by range."""
    ranges = 1 + (len(ones) + len(others)) // AT_ONCE
    with ExitStack() as files:
        mine, theirs = _Reader(ones, files), _Reader(others, files)
        for number in range(1, ranges + 1):
            below = _space * number // ranges
            yield mine.until(below), theirs.until(below)


class _Reader:
    """Gives the hashes of a set in ascending ranges."""

    def __init__(self, values: ValueSet, files: ExitStack) -> None:
        self._held = array("Q", sorted(values.held))
        self._runs = values.runs
        self._files: dict[Path, BinaryIO] = {}
        for path in {run.path for run in values.runs}:
            with _told(path.parent):
                self._files[path] = files.enter_context(path.open("rb"))
        self._places = [0] * len(values.runs)
        self._from = 0
        self._held_place = 0

    def until(self, below: int) -> set[int]:
        """The hashes that are lower, without those given before."""
        end = bisect_left(self._held, below, self._held_place)
        found = set(self._held[self._held_place : end])
        self._held_place = end
        for number, run in enumerate(self._runs):
            taken = self._taken(run, self._places[number], below)
            self._places[number] += len(taken)
            found.update(taken)
        self._from = below
        return found

    def _taken(self, run: Run, place: int, below: int) -> array[int]:
        """The run's next hashes that are lower: read are as many as there would be if they were spread evenly."""
        taken: array[int] = array("Q")
        file = self._files[run.path]
        share = (below - self._from) / (_space - self._from)
        expected = _more + round((run.count - place) * share)
        with _told(run.path.parent):
            file.seek((run.start + place) * _bytes)
            while len(taken) < run.count - place and (not taken or taken[-1] < below):
                taken.fromfile(file, min(expected, run.count - place - len(taken)))
        return taken[: bisect_left(taken, below)]


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError) as error:
        raise CannotKeepValues(folder=str(folder), reason=str(error)) from error
