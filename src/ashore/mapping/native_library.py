"""The native library, if it is there: its C interface by ctypes. See ``native/src/boundary.rs``."""

from __future__ import annotations

import ctypes
import importlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from ashore.mapping.encoded import BinaryRows
from ashore.mapping.native_plan import VERSION
from ashore.model.packed import Pack, PackedItems

REFUSALS: Final = (
    *("none", "form", "not_utf8", "no_key", "unrouted", "key", "missing", "type"),
    *("value", "nul", "escape", "repeated", "deep", "large", "contradiction", "fault"),
)
"""Kinds of refusals by number; what each means is in ``native/src/refusal.rs`` and the reference of the load."""

_MOST_BYTES: Final = 1 << 29
"""Bytes that are given to the library at once; what is more is encoded in Python."""

_SHORTEST_LINE: Final = 32
"""Bytes: a line whose item has one attribute of one character, and a key, is longer."""
_SHAPES: Final = 1
_GOING_ON: Final = 2


class _Outcome(ctypes.Structure):
    _fields_ = (
        ("refused", ctypes.POINTER(ctypes.c_uint32)),
        ("refused_count", ctypes.c_uint64),
        ("by_slot", ctypes.POINTER(ctypes.c_uint64)),
        ("slots", ctypes.c_uint64),
        ("by_refusal", ctypes.c_uint64 * len(REFUSALS)),
        ("shapes", ctypes.POINTER(ctypes.c_uint64)),
        ("shapes_count", ctypes.c_uint64),
    )


class _Output(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_uint64), ("count", ctypes.c_uint64))


@dataclass(frozen=True, slots=True)
class Availability:
    """The library, or why there is none. `where` says which one it is."""

    library: ctypes.CDLL | None
    where: str


@cache
def find_library() -> Availability:
    """Load the library of the distribution ``ashore-native``, once in a process."""
    try:
        module = importlib.import_module("ashore_native")
    except ImportError:
        return Availability(None, "ashore-native is not installed (pip install 'ashore[native]', or make native)")
    path = Path(str(module.library))
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return Availability(None, f"{path} cannot be loaded: {error}")
    found = int(library.ashore_version())
    if found != VERSION or library.ashore_refusals() != len(REFUSALS):
        return Availability(None, f"{path} is of interface {found}, this Ashore needs {VERSION}: install both anew")
    return Availability(_declared(library), f"{path}")


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    library.ashore_open.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    library.ashore_open.restype = ctypes.c_void_p
    library.ashore_close.argtypes = [ctypes.c_void_p]
    library.ashore_close.restype = None
    library.ashore_encode.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_uint32,
        ctypes.POINTER(_Outcome),
    ]
    library.ashore_lines.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_size_t,
        ctypes.c_size_t,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
    ]
    library.ashore_lines.restype = ctypes.c_int64
    library.ashore_rows.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(_Output)]
    return library


def plain_lines(data: bytes, start: int, end: int) -> Pack | None:
    """The items in the lines of an export from `start` to `end`, each ``{"Item":{…}}`` and a newline.

    None where the library is not there, or where a line has another form.
    """
    library = find_library().library
    if library is None or len(data) > _MOST_BYTES:
        return None
    most = (end - start) // _SHORTEST_LINE + 1
    starts, ends = array("I", bytes(4 * most)), array("I", bytes(4 * most))
    address, other = starts.buffer_info()[0], ends.buffer_info()[0]
    count = library.ashore_lines(data, len(data), start, end, address, other, most)
    return None if count < 0 else Pack(data, starts[:count], ends[:count])


@dataclass(frozen=True, slots=True)
class NativeChunk:
    """What the library made of a chunk: see `ashore.mapping.encoded.Encoded`.

    `rows` are by the place of their table in the plan, `by_slot` by the plan's slots, `refused` those that
    were refused. `shapes` has a number for each item, 0 for a refused one; empty where none were asked for.
    """

    rows: dict[int, BinaryRows]
    by_slot: list[int]
    refused: list[int]
    by_refusal: dict[str, int]
    shapes: list[int]


class NativeTranscoder:
    """An encoder of the library. One is for one thread at a time; the interpreter is let go while it works."""

    def __init__(self, library: ctypes.CDLL, plan: bytes, *, tables: int) -> None:
        """Open it.

        Raises:
            ValueError: The library does not read the plan: a fault of ours.
        """
        self._library = library
        self._tables = tables
        self._handle = library.ashore_open(plan, len(plan))
        if not self._handle:
            message = "the native library does not read the plan"
            raise ValueError(message)

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            self._library.ashore_close(handle)

    def encode(self, items: Sequence[bytes], *, wants_shapes: bool) -> NativeChunk | None:
        """Encode a chunk; None where the library would not: it is too large, or there was a fault."""
        packs = PackedItems.of(items).packs
        outcome = _Outcome()
        flags = _SHAPES if wants_shapes else 0
        for pack in packs:
            if len(pack.data) > _MOST_BYTES:
                return None
            (starts, count), (ends, _) = pack.starts.buffer_info(), pack.ends.buffer_info()
            status = self._library.ashore_encode(
                self._handle, pack.data, len(pack.data), starts, ends, count, flags, outcome
            )
            if status:
                return None
            flags |= _GOING_ON
        return NativeChunk(
            rows=self._rows(),
            by_slot=_numbers(outcome.by_slot, outcome.slots),
            refused=_numbers(outcome.refused, outcome.refused_count),
            by_refusal={name: n for name, n in zip(REFUSALS, outcome.by_refusal, strict=True) if n},
            shapes=_numbers(outcome.shapes, outcome.shapes_count),
        )

    def _rows(self) -> dict[int, BinaryRows]:
        rows = {}
        for table in range(self._tables):
            output = _Output()
            if self._library.ashore_rows(self._handle, table, output) == 0 and output.count:
                rows[table] = BinaryRows(output.count, ctypes.string_at(output.data, output.length))
        return rows


def _numbers(pointer: Any, count: int) -> list[int]:
    numbers: list[int] = pointer[:count] if count else []
    return numbers
