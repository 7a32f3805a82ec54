"""Reading a source, or a part of it: first a sample, which gives the shapes of keys; then a census of each group."""

from __future__ import annotations

import gc
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import msgspec

from ashore.assess.census import Census
from ashore.assess.key_tuples import Fields, joined_texts, sampled_of, wanted_tuples
from ashore.assess.key_values import wanted_values
from ashore.assess.kinds import Group
from ashore.assess.routing import Route, placeholder_names, router
from ashore.assess.shapes import Seen, Shape, shapes_of
from ashore.assess.table_key import Keys
from ashore.assess.value_sets import Spill
from ashore.mapping.reasons import UnfitError
from ashore.mapping.wire import read_item
from ashore.model.chunk import ItemSource, Unit
from ashore.model.item import Item
from ashore.model.marker import PREFIX, is_marker_text
from ashore.observe.events import Emit, Progress, silent

FIRST_LOOK: Final = 10_000
"""Items of the sample that gives the shapes when all are read."""

_most_strays: Final = 10_000
_most_stray_bytes: Final = 64_000_000
_more_passes: Final = 2
Raw = bytes

_read: Final = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
"""As `read_item` without its look at each value: the census takes no value for granted."""
_unreadable: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_nul: Final = rb"\u0000"
"""How U+0000 stands in JSON, always."""

_shares: Final = 3
"""Of the units, for each worker: few, since merging takes time; more than one, to tell how far it is."""
_batch: Final = 500
"""Items that are looked at together: few enough for the cache of a core to hold them, parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was read. `strays` are items of no shape, as (partition key text, sort key text, bytes)."""

    groups: tuple[Group, ...]
    complete: bool
    items_read: int
    bytes_read: int
    read_units: float
    unreadable: int
    strays: tuple[tuple[str, str | None, int], ...] = ()


@dataclass
class _Sample:
    raw: list[bytes] = field(default_factory=list)
    read_units: float = 0.0
    everything: bool = True


def survey(  # noqa: PLR0913 (what may be known of a source, and where to)
    source: ItemSource,
    keys: Keys,
    *,
    sample: int | None,
    workers: int = 1,
    read_units: float = math.inf,
    folder: Path | None = None,
    emit: Emit = silent,
) -> Survey:
    """Read `sample` items, spread evenly, or all where None, and count what they hold.

    The same items give the same survey, whatever the number of workers.

    Args:
        source: What is read.
        keys: The table's key.
        sample: How many items to read at most; None for all of them.
        workers: Processes that read, where all items are read.
        read_units: The most read units to take for a sample.
        folder: An empty one, for what is to be known of all values and is too much for memory. References of the
            survey's groups are proven with it, so it has to outlive that. Without it, only few values are known.
        emit: Is told of progress.

    Raises:
        CannotKeepValues: The folder did not take more; what is there is of no use.
        AshoreError: As the source does.
    """
    with _without_collector(), _processes(workers if sample is None else 1) as pool:
        looked = _sample(source, FIRST_LOOK if sample is None else sample, read_units)
        seen = _seen(looked.raw, keys)
        look = _Look.at(seen, keys)
        if sample is not None or looked.everything:
            with _tally(look, folder if looked.everything else None) as tally:
                tally.add(looked.raw)
            return tally.survey(complete=looked.everything, read_units=looked.read_units)
        tally = _read_all(source, look, pool, emit, folder)
        for _ in range(_more_passes):
            if not tally.strays:
                break
            seen += _seen(tally.strays, keys)
            wider = _Look.at(seen, keys)
            if wider.shapes == look.shapes:
                break
            look = wider
            tally = _read_all(source, look, pool, emit, folder)
        return tally.survey(complete=True, read_units=looked.read_units)


def _sample(source: ItemSource, wanted: int, read_units: float) -> _Sample:
    """Items from the beginning of every unit, as many of each, until there are enough."""
    found = _Sample()
    units = source.units()
    left = wanted
    for place, unit in enumerate(units):
        share = math.ceil(left / (len(units) - place))
        taken, ended = 0, share > 0 and found.read_units < read_units
        if not ended:
            found.everything = False
            break
        for chunk in source.read(unit, None):
            found.raw += chunk.items[: share - taken]
            found.read_units += chunk.read_units
            ended = chunk.last and taken + len(chunk.items) <= share
            taken += len(chunk.items)
            if taken >= share or found.read_units >= read_units:
                break
        found.everything &= ended
        left -= min(taken, share)
    return found


def _seen(raw: Iterable[bytes], keys: Keys) -> list[Seen]:
    """The items that have a key; whoever counts them all counts those that cannot be read."""
    seen: list[Seen] = []
    for one in raw:
        try:
            item = read_item(one)
        except UnfitError:
            continue
        texts = keys.texts(item)
        if texts is not None and not is_marker_text(texts[0]):
            seen.append(Seen(texts, item))
    return seen


@dataclass(frozen=True, slots=True)
class _Look:
    """What a first look at some items says of the others: the shapes of keys, and which tuples of each to count.

    `every` are those of which all values are to be held, single fields among them.
    """

    keys: Keys
    shapes: tuple[Shape, ...]
    tuples: tuple[tuple[Fields, ...], ...]
    every: tuple[tuple[Fields, ...], ...]

    @classmethod
    def at(cls, seen: Sequence[Seen], keys: Keys) -> _Look:
        shapes = tuple(shapes_of(seen, keys.types, keys.not_telling))
        sampled = sampled_of(shapes, seen, keys)
        tuples, single = wanted_tuples(sampled), wanted_values(sampled)
        every = {place: {*tuples.held.get(place, ()), *((one,) for one in single.get(place, ()))} for place in sampled}
        return cls(keys, shapes, _in_order(tuples.counted, shapes), _in_order(every, shapes))


def _in_order(wanted: Mapping[int, Collection[Fields]], shapes: Sequence[Shape]) -> tuple[tuple[Fields, ...], ...]:
    return tuple(tuple(sorted(wanted.get(place, ()))) for place in range(len(shapes)))


@dataclass
class _Tally:
    """The censuses of one process; they merge."""

    look: _Look
    names: tuple[tuple[str, ...], ...]
    spill: Spill | None = None
    censuses: dict[int, Census] = field(default_factory=dict)
    unequal: dict[int, set[tuple[str, str]]] = field(default_factory=dict)
    strays: list[Raw] = field(default_factory=list)
    stray_bytes: int = 0
    dropped: int = 0
    items: int = 0
    bytes: int = 0
    unreadable: int = 0
    read_units: float = 0.0

    @classmethod
    def of(cls, look: _Look, spill: Spill | None = None) -> _Tally:
        return cls(look, tuple(placeholder_names(shape) for shape in look.shapes), spill)

    def add(self, raw: Sequence[Raw], route: Route | None = None) -> None:
        route = route or router(self.look.shapes)
        with _without_collector():
            for start in range(0, len(raw), _batch):
                self._add(raw[start : start + _batch], route)

    def _add(self, raw: Sequence[Raw], route: Route) -> None:
        grouped: dict[int, tuple[list[Item], list[int], list[tuple[str, ...]]]] = defaultdict(lambda: ([], [], []))
        texts = self.look.keys.texts
        markers = 0
        for one in raw:
            self.bytes += len(one)
            try:
                item = _read(one)
            except _unreadable:
                self.unreadable += 1
                continue
            key = texts(item)
            if key is None:
                self.unreadable += 1
                continue
            if key[0].startswith(PREFIX) and is_marker_text(key[0]):
                markers += 1
                continue
            found = route(*key)
            if found is None:
                self._stray(one)
                continue
            items, sizes, taken = grouped[found[0]]
            items.append(item)
            sizes.append(len(one))
            taken.append(found[1])
        self.items += len(raw) - markers
        has_nul = any(_nul in one for one in raw)
        for place, (items, sizes, taken) in grouped.items():
            columns = dict(zip(self.names[place], zip(*taken, strict=True), strict=True))
            census = self._census(place)
            census.add(items, sizes, columns, has_nul=has_nul)
            for fields in self.look.tuples[place]:
                census.add_tuples(fields, joined_texts(fields, items, columns, has_nul=has_nul))
            unequal = self.unequal.setdefault(place, set())
            for (one_name, ones), (other_name, others) in combinations(columns.items(), 2):
                if (one_name, other_name) not in unequal and ones != others:
                    unequal.add((one_name, other_name))

    def _census(self, place: int) -> Census:
        if place not in self.censuses:
            spill, wanted = self.spill, self.look.every[place]
            every = {} if spill is None else {fields: spill.new_set() for fields in wanted}
            self.censuses[place] = Census(every=every)
        return self.censuses[place]

    def _stray(self, raw: Raw) -> None:
        if len(self.strays) < _most_strays and self.stray_bytes < _most_stray_bytes:
            self.strays.append(raw)
            self.stray_bytes += len(raw)
        else:
            self.dropped += 1

    def merge(self, other: _Tally) -> None:
        for place, census in other.censuses.items():
            self.censuses.setdefault(place, Census()).merge(census)
        for place, pairs in other.unequal.items():
            self.unequal.setdefault(place, set()).update(pairs)
        for raw in sorted(other.strays):
            self._stray(raw)
        self.dropped += other.dropped
        self.items += other.items
        self.bytes += other.bytes
        self.unreadable += other.unreadable
        self.read_units += other.read_units

    def progress(self) -> Progress:
        return Progress(items=self.items, bytes=self.bytes, read_units=self.read_units, throttled=0, rejected=0)

    def survey(self, *, complete: bool, read_units: float) -> Survey:
        strays = [(seen.key, len(raw)) for raw in sorted(self.strays) for seen in _seen([raw], self.look.keys)]
        groups = tuple(
            Group(
                shape=self.look.shapes[place],
                census=census,
                equal=frozenset(set(combinations(self.names[place], 2)) - self.unequal.get(place, set())),
                keys=self.look.keys,
            )
            for place, census in sorted(self.censuses.items())
        )
        return Survey(
            groups=groups,
            complete=complete and not self.dropped,
            items_read=self.items,
            bytes_read=self.bytes,
            read_units=self.read_units + read_units,
            unreadable=self.unreadable,
            strays=tuple((*key, size) for key, size in strays),
        )


@contextmanager
def _without_collector() -> Iterator[None]:
    """Parsed items have no cycles, and looking for some takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Pool:
    size: int
    executor: Executor | None


@contextmanager
def _processes(size: int) -> Iterator[_Pool]:
    """Processes to read with, which begin to start at once, beside the look at the sample; none where one is enough.

    Whatever ends the context, none reads or writes any more after it; after an error, none begins another share.
    """
    if size == 1:
        yield _Pool(1, None)
        return
    with ProcessPoolExecutor(size, mp_context=get_context("spawn")) as executor:
        for _ in range(size):
            executor.submit(_start)
        try:
            yield _Pool(size, executor)
        except BaseException:
            executor.shutdown(wait=True, cancel_futures=True)
            raise


def _start() -> None:
    """Nothing: that this module is imported is what takes time."""


def _read_all(source: ItemSource, look: _Look, pool: _Pool, emit: Emit, folder: Path | None) -> _Tally:
    """Read everything; what an earlier reading left in the folder is removed."""
    for path in folder.iterdir() if folder is not None else ():
        path.unlink()
    units = source.units()
    total = _Tally.of(look)
    shares = [share for place in range(pool.size * _shares) if (share := units[place :: pool.size * _shares])]
    if pool.executor is None or len(units) == 1:
        for share in shares:
            _add_share(emit, total, _read_units(source, share, look, folder))
        return total
    submitted = [pool.executor.submit(_read_units, source, share, look, folder) for share in shares]
    for finished in as_completed(submitted):
        _add_share(emit, total, finished.result())
    return total


def _add_share(emit: Emit, total: _Tally, done: _Tally) -> None:
    emit(done.progress())
    total.merge(done)


def _read_units(source: ItemSource, units: Sequence[Unit], look: _Look, folder: Path | None) -> _Tally:
    route = router(look.shapes)
    with _tally(look, folder) as tally:
        for unit in units:
            for chunk in source.read(unit, None):
                tally.add(chunk.items, route)
                tally.read_units += chunk.read_units
    return tally


@contextmanager
def _tally(look: _Look, folder: Path | None) -> Iterator[_Tally]:
    """One to add to; after that it can go to another process. With a folder, all values that are wanted are in it."""
    if folder is None:
        yield _Tally.of(look)
        return
    with Spill(folder) as spill:
        tally = _Tally.of(look, spill)
        yield tally
        spill.keep()
        tally.spill = None
