"""Assess: from an unknown table or export to a proposal, a report and a project."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ashore.assess.entities import Context
from ashore.assess.find_key import index_like, key_of
from ashore.assess.proposal import Proposal
from ashore.assess.propose import propose
from ashore.assess.survey import FIRST_LOOK, Survey, survey
from ashore.assess.table_key import Keys
from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.table import read_unit_bytes
from ashore.model.chunk import ItemSource
from ashore.model.item import mask
from ashore.observe.events import Emit, silent

DEFAULT_SAMPLE: Final = 10_000
SEGMENTS: Final = 64
"""Parts of a table that a sample is taken from, as many items of each."""

_look_for_key: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """What was read, and what is proposed."""

    proposal: Proposal
    survey: Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What an assessment will read at most: `items` of about `of`, for `read_units`."""

    items: int
    of: int
    read_units: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def sampled_source(source: TableSource | ExportSource, sample: int | None) -> TableSource | ExportSource:
    """The source as a sample reads it: a table in small pages of many segments."""
    if sample is None or not isinstance(source, TableSource):
        return source
    segments = max(1, min(SEGMENTS, sample))
    return replace(source, segments=segments, page_limit=max(1, math.ceil(sample / segments)))


def announce(source: TableSource | ExportSource, sample: int | None) -> Announced:
    """What will be read at most. A sample's read units count each page's last unit as a whole one."""
    estimate = source.estimate()
    if sample is None or isinstance(source, ExportSource):
        items = estimate.items if sample is None else min(sample, estimate.items)
        return Announced(items=items, of=estimate.items, read_units=estimate.read_units)
    items = min(sample, estimate.items) if estimate.items else sample
    average = estimate.bytes / max(estimate.items, 1)
    pages = 2 * min(SEGMENTS, sample)
    units = math.ceil(1.25 * items * average / read_unit_bytes) + pages
    return Announced(items=items, of=estimate.items, read_units=units)


def assess(  # noqa: PLR0913 (the options of the command)
    source: ItemSource,
    *,
    table_name: str,
    partition_key: tuple[str, str] | None = None,
    sort_key: tuple[str, str] | None = None,
    indexes: Mapping[str, Sequence[str]] | None = None,
    ttl: str | None = None,
    sample: int | None = None,
    workers: int = 1,
    read_units: float = math.inf,
    show_values: bool = False,
    emit: Emit = silent,
) -> Assessed:
    """Read a source, or a sample of it, and propose entities. Writes nothing that stays.

    Hashes of values that references are proven with may take about 8 bytes for each value in the temporary folder
    (TMPDIR) meanwhile. They are removed whatever happens, but for a kill that cannot be caught. The survey that is
    returned knows of them no more: its groups tell how much of a column's values is found in another one from a part.

    Args:
        source: What is read.
        table_name: What the table is called.
        partition_key: Name and type ("S", "N", "B") of the partition key; where None, both are told from the items.
        sort_key: Those of the sort key, if the table has one.
        indexes: The names of the secondary indexes with the attributes of their keys.
        ttl: The attribute of the table's time to live.
        sample: How many items to read at most; None for all.
        workers: How many processes read all items.
        read_units: The most read units that a sample may take.
        show_values: Whether example values stand in the proposal; otherwise stand-ins for them.
        emit: Is told of progress.

    Raises:
        KeyUnknown: The key was not given, and the items leave it open.
        AshoreError: As the source does.
    """
    if partition_key is None:
        key, more = _key_from_items(source)
    else:
        key, more = tuple(one for one in (partition_key, sort_key) if one is not None), frozenset()
    secondary = {name: tuple(names) for name, names in (indexes or {}).items()}
    in_indexes = frozenset(name for names in secondary.values() for name in names) | more
    keys = Keys(
        names=tuple(name for name, _ in key),
        types=tuple(kind for _, kind in key),
        not_telling=in_indexes | {name for name, _ in key},
    )
    with TemporaryDirectory(prefix="ashore-assess-") as made:
        found = survey(
            source, keys, sample=sample, workers=workers, read_units=read_units, folder=Path(made), emit=emit
        )
        estimate = source.estimate()
        context = Context(
            table=table_name,
            key_types=keys.types,
            secondary=secondary or {name: (name,) for name in sorted(more)},
            ttl=ttl,
            complete=found.complete,
            show=str if show_values else mask,
        )
        items, size = max(estimate.items, found.items_read), max(estimate.bytes, found.bytes_read)
        proposal = propose(found, keys, context, items=items, size=size)
    return Assessed(proposal=proposal, survey=found)


def _key_from_items(source: ItemSource) -> tuple[tuple[tuple[str, str], ...], frozenset[str]]:
    raw: list[bytes] = []
    for unit in source.units():
        for chunk in source.read(unit, None):
            raw += islice(chunk.items, _look_for_key - len(raw))
            break
        if len(raw) >= _look_for_key:
            break
    from ashore.mapping.document import decode  # noqa: PLC0415

    names = {name for one in raw[:FIRST_LOOK] for name in decode(one)}
    return key_of(raw), index_like(names)
