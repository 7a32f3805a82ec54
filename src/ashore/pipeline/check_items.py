"""A first look at some items: would they become rows? Only read, never written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import msgspec

from ashore.dynamodb.export import ExportSource
from ashore.dynamodb.scan import TableSource
from ashore.errors import Problem
from ashore.mapping.match import AsRow, key_texts, matcher
from ashore.mapping.plan import EXTRA, EntityPlan, Plan
from ashore.mapping.reasons import UnfitError, explanations
from ashore.mapping.rows import Rows, to_rows
from ashore.model.item import Item
from ashore.pipeline.project import Items

SAMPLE_ITEMS: Final = 25


def first_items(source: Items) -> list[bytes]:
    """Some items from the beginning of the source: at most `SAMPLE_ITEMS`, none from an export in a bucket.

    Raises:
        SourceError: They cannot be read.
    """
    if isinstance(source, ExportSource) and source.describe().location.startswith("s3://"):
        return []
    few = replace(source, page_limit=SAMPLE_ITEMS) if isinstance(source, TableSource) else source
    return list(islice(_items(few), SAMPLE_ITEMS))


def _items(source: Items) -> Iterator[bytes]:
    for unit in source.units()[:1]:
        for chunk in source.read(unit, None):
            yield from chunk.items
            if isinstance(source, TableSource):
                return


def advice_on(plan: Plan, items: list[bytes]) -> Iterator[Problem]:
    """What some items say of the declaration: rejections, and attributes that repeat a key column."""
    match = matcher(plan)
    unfit: Counter[tuple[str, str, str | None]] = Counter()
    repeated: set[tuple[str, str, str]] = set()
    for raw in items:
        entity = "no entity"
        try:
            item: Item = msgspec.json.decode(raw, type=dict[str, dict[str, Any]])
            found = match(*key_texts(plan, item))
            if found is None:
                unfit[entity, "unmatched", None] += 1
            elif isinstance(found, AsRow):
                entity = found.entity.name
                repeated |= set(_repeated(found.entity, to_rows(found.entity, item, found.generation)))
        except msgspec.DecodeError:
            unfit[entity, "unreadable", None] += 1
        except UnfitError as error:
            unfit[entity, error.reason, error.attribute] += 1
    for (entity, reason, attribute), number in unfit.most_common():
        what = f"{number} of the first {len(items)} items would be rejected: {explanations.get(reason, reason)}"
        where = entity if attribute is None else f"{entity}, attribute {attribute}"
        yield Problem(where=where, what=what, hint=f"reason {reason}: see the reference of the declaration")
    for entity, attribute, column in sorted(repeated):
        what = f"attribute {attribute!r} repeats key column {column!r}, and is stored again in `extra`"
        hint = f'declare it: derived={{"{attribute}": "{{{column}}}"}}'
        yield Problem(where=f"entity {entity}", what=what, hint=hint)


def _repeated(entity: EntityPlan, rows: Rows) -> Iterator[tuple[str, str, str]]:
    for attribute, value in (rows.row[EXTRA] or {}).items():
        for key in entity.key:
            own = rows.row[key.column]
            if isinstance(value, str) and value == (str(own) if key.type.render is None else key.type.render(own)):
                yield entity.name, attribute, key.column
