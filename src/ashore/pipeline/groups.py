"""Crossing groups: entities whose writes move together."""

from __future__ import annotations

from collections.abc import Sequence

from ashore.cutover.errors import NotOneGroup
from ashore.mapping.plan import Plan
from ashore.pipeline.project import chosen_entities


def whole_groups(plan: Plan, entities: Sequence[str]) -> tuple[str, ...]:
    """The names, or all of the plan's, sorted.

    Raises:
        UnknownEntity, NotOneGroup: They are not those of one or several whole crossing groups.
    """
    names = chosen_entities(plan, entities)
    wanted = frozenset[str]().union(*(plan.group_of(name) for name in names))
    if missing := wanted - set(names):
        raise NotOneGroup(named=tuple(names), missing=tuple(sorted(missing)))
    return tuple(sorted(names))
