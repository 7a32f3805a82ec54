"""A copy that has lost its original, as a row of its own."""

from __future__ import annotations

from typing import Any

from ashore.mapping import residue as residue_column
from ashore.mapping.plan import RESIDUE, EntityPlan
from ashore.mapping.pointer import token
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import Rows, to_rows
from ashore.model.attribute import TypedValue
from ashore.model.item import Item


def promoted_rows(plan: EntityPlan, item: Item) -> Rows:
    """The rows of an orphaned copy: its row key from the attributes that repeat it, its own key in the residue.

    `from_rows` gives the copy's item again.

    Raises:
        UnfitError: `orphan`, where an attribute that repeats the key is missing; or as `to_rows`.
    """
    texts = _key_texts(plan, item)
    form = plan.generations[0]
    rendered: dict[str, TypedValue] = {plan.partition_key.name: {plan.partition_key.type: form.partition.render(texts)}}
    if plan.sort_key is not None and form.sort is not None:
        rendered[plan.sort_key.name] = {plan.sort_key.type: form.sort.render(texts)}
    rows = to_rows(plan, {**item, **rendered})
    residue: dict[str, Any] = residue_column.from_column(rows.row[RESIDUE])
    residue |= {token(name): [item[name], value] for name, value in rendered.items()}
    rows.row[RESIDUE] = residue_column.to_column(residue)
    return rows


def _key_texts(plan: EntityPlan, item: Item) -> dict[str, str]:
    texts: dict[str, str] = {}
    for derived in plan.derived:
        for content in item.get(derived.attribute, {}).values():
            if isinstance(content, str):
                texts = {**(derived.pattern.match(content) or {}), **texts}
    missing = [column.column for column in plan.key if column.column not in texts]
    if missing:
        raise UnfitError("orphan", detail=f"no attribute gives {', '.join(missing)}, so it cannot be promoted")
    return texts
