"""From a survey to a proposal."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ashore.assess.entities import Context, entities_of, separable, with_references_in_order
from ashore.assess.kinds import Group, kinds_of
from ashore.assess.naming import convention_of, unique_name
from ashore.assess.proposal import Column, Entity, KeyPattern, KeyType, Proposal, Rule
from ashore.assess.shapes import Parts
from ashore.assess.survey import Survey
from ashore.assess.table_key import Keys
from ashore.assess.tables import evidence, table_of
from ashore.mapping.declare import Unfit

_placeholder = re.compile(r"\{[^{}]*\}")
_not_in_a_pattern = frozenset("{},")


def propose(survey: Survey, keys: Keys, context: Context, *, items: int, size: int) -> Proposal:
    """Propose entities for all that the survey saw. The same survey gives the same proposal.

    Args:
        survey: What was read.
        keys: The table's key.
        context: What else is known of the table.
        items: How many items the table is said to have.
        size: Of how many bytes in all.
    """
    single = [group for group in survey.groups if not group.shape.placeholders]
    expressible = [group for group in survey.groups if group.shape.placeholders and _expressible(group)]
    settings, odd = _settings(single, context)
    taken = [group for group in survey.groups if group.shape.placeholders and not _expressible(group)] + odd
    strays = [(partition, sort) for partition, sort, _ in survey.strays]
    entities = entities_of(kinds_of(expressible), context, strays)
    for setting in settings:
        entities.append(replace(setting, name=unique_name(setting.name, [one.name for one in entities])))
    entities, overlapping = separable(entities)
    attributes = {name for group in survey.groups for name in group.census.attributes}
    return Proposal(
        name=context.table,
        table=context.table,
        partition_key=(keys.names[0], _key_type(keys.types[0])),
        sort_key=None if len(keys.names) == 1 else (keys.names[1], _key_type(keys.types[1])),
        names=convention_of(attributes - set(keys.names)),
        complete=survey.complete,
        items=items,
        items_read=survey.items_read,
        bytes=size,
        entities=tuple(with_references_in_order(entities)),
        rules=(*map(_rule, taken), *map(_overlap_rule, overlapping), *_stray_rules(survey)),
        groups=_crossing_groups(entities),
        secondary=context.secondary,
        questions=_questions(entities),
    )


def _key_type(text: str) -> KeyType:
    match text:
        case "S" | "N" | "B":
            return text
        case _:
            message = f"no type of a key: {text}"
            raise ValueError(message)


def _expressible(group: Group) -> bool:
    """Whether a pattern can say the shape: no braces in its text, no two placeholders that touch."""
    for parts in (group.shape.partition, group.shape.sort or ()):
        if any(part.form is None and set(part.text) & {"{", "}"} for part in parts):
            return False
        if any(one.form and other.form for one, other in pairwise(parts)):
            return False
    return True


def _settings(groups: Sequence[Group], context: Context) -> tuple[list[Entity], list[Group]]:
    """Single items as the rows of a table: one for items whose keys are alike, one for the others."""
    alike: list[Group] = []
    others: list[Group] = []
    odd: list[Group] = []
    for group in groups:
        partition, sort = _texts(group)
        if set(partition + (sort or "")) & _not_in_a_pattern:
            odd.append(group)
        elif sort is None or sort == partition:
            alike.append(group)
        else:
            others.append(group)
    found = [
        _setting(name, members, context, is_alike=members is alike)
        for name, members in (("setting", alike), ("single_item", others))
        if members
    ]
    return found, odd


def _texts(group: Group) -> tuple[str, str | None]:
    shape = group.shape
    first = "".join(part.text for part in shape.partition)
    return first, None if shape.sort is None else "".join(part.text for part in shape.sort)


def _setting(name: str, groups: Sequence[Group], context: Context, *, is_alike: bool) -> Entity:
    census = type(groups[0].census)()
    for group in groups:
        census.merge(group.census)
    texts = [_texts(group) for group in groups]
    names = "{name=" + ",".join(sorted({partition for partition, _ in texts})) + "}"
    columns = [Column(name="name", kind="text", path=None, nullable=False, because="the key of a single item")]
    sort: str | None
    if is_alike:
        sort = None if texts[0][1] is None else names
    else:
        sort = "{part=" + ",".join(sorted({sort or "" for _, sort in texts})) + "}"
        columns.append(Column(name="part", kind="text", path=None, nullable=False, because="the sort key"))
    free = sorted(set(census.attributes) - set(groups[0].keys.names))
    table = table_of(census, columns, free, name=name, ttl=context.ttl, complete=context.complete, tables={name})
    unfit: dict[str, Unfit] = {} if context.complete else {"*": "residue"}
    where = {column.path[0]: f"column {column.name}" for column in table.columns if column.path}
    return Entity(
        name=name,
        role="setting",
        keys=(KeyPattern(partition=names, sort=sort, items=census.items),),
        key_columns=tuple(column.name for column in columns),
        columns=tuple(table.columns),
        null=tuple(table.null),
        unfit=unfit | dict.fromkeys(sorted(table.nul), "residue"),
        children=tuple(table.children),
        extra=tuple(table.extra),
        indexed_by=context.indexes_with(census),
        items=census.items,
        bytes=census.bytes,
        largest=census.largest,
        evidence=evidence(census, where, context.show),
        notes=("Single items, each under a key of its own.",),
    )


def _rule(group: Group) -> Rule:
    return Rule(
        partition=_glob(group.shape.partition),
        sort="*" if group.shape.sort is None else _glob(group.shape.sort),
        items=group.census.items,
        bytes=group.census.bytes,
        because="no key pattern can say this key's form",
    )


def _glob(parts: Parts) -> str:
    return "".join("*" if part.form else part.text for part in parts)


def _overlap_rule(entity: Entity) -> Rule:
    key = entity.keys[0]
    return Rule(
        partition=_placeholder.sub("*", key.partition),
        sort="*" if key.sort is None else _placeholder.sub("*", key.sort),
        items=entity.items,
        bytes=entity.bytes,
        because="their keys cannot be told from those of another entity",
    )


def _stray_rules(survey: Survey) -> list[Rule]:
    sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for partition, sort, size in survey.strays[:100]:
        sizes[partition, "*" if sort is None else sort].append(size)
    return [
        Rule(partition=partition, sort=sort, items=len(found), bytes=sum(found), because="like nothing else")
        for (partition, sort), found in sorted(sizes.items())
    ]


def _crossing_groups(entities: Sequence[Entity]) -> tuple[tuple[str, ...], ...]:
    """Mappings cross with what they refer to; everything else alone, until the application says more."""
    group_of = {entity.name: {entity.name} for entity in entities}
    for entity in entities:
        if entity.role == "mapping":
            for key in entity.foreign_keys:
                joined = group_of[entity.name] | group_of.get(key.target, set())
                for name in joined:
                    group_of[name] = joined
    return tuple(sorted({tuple(sorted(group)) for group in group_of.values() if len(group) > 1}))


def _questions(entities: Sequence[Entity]) -> tuple[str, ...]:
    questions = ["Which entities does one transaction write together? They have to cross together."]
    questions.append("Which programs write to this table, and can each be told where to write?")
    if any(key.missing for entity in entities for key in entity.foreign_keys):
        questions.append("Some references lead nowhere: are those rows still wanted?")
    return tuple(questions)
