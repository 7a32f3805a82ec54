"""From a declaration to a plan; every problem of it is found, and all are told at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from ashore.errors import DeclarationError, Problem
from ashore.mapping.compile_entity import EntityCompiler
from ashore.mapping.declare import Source
from ashore.mapping.pattern import Glob, Pattern, common_text
from ashore.mapping.plan import EntityPlan, Generation, Plan, RulePlan


def compile_source(source: Source) -> Plan:
    """Compile all entities and rules of a source.

    Raises:
        DeclarationError: With every problem that there is.
    """
    problems: list[Problem] = []
    plans: list[EntityPlan] = []
    for entity in source.entities:
        compiler = EntityCompiler(source, entity)
        plan = compiler.compile()
        problems += compiler.problems
        if plan is not None:
            plans.append(plan)
    if not source.entities:
        problems.append(
            Problem(where=f"source {source.name!r}", what="declares no entity", hint="add an Entity(table, source.key(…))")
        )
    rules = [RulePlan(rule=rule, partition=Glob(rule.partition), sort=Glob(rule.sort)) for rule in source.rules]
    problems += _twice(plans)
    problems += _overlaps(plans, rules)
    if problems:
        raise DeclarationError(problems)
    return Plan(
        name=source.name,
        partition_key=source.partition_key,
        sort_key=source.sort_key,
        entities={plan.name: plan for plan in plans},
        rules=tuple(sorted(rules, key=lambda one: one.rule.outcome)),
    )


def _twice(plans: list[EntityPlan]) -> Iterator[Problem]:
    for one, other in combinations(plans, 2):
        where = f"entity {other.name!r}"
        if one.name == other.name:
            yield Problem(where=where, what="is declared twice", hint="give one of them another `name`")
        for table in {table.fullname for table in one.tables} & {table.fullname for table in other.tables}:
            yield Problem(
                where=where,
                what=f"fills table {table!r}, and so does entity {one.name!r}",
                hint="a table belongs to one entity: declare several key generations, or another table",
            )


_Forms = tuple[Pattern | Glob, Pattern | Glob | None]


def _overlaps(plans: list[EntityPlan], rules: list[RulePlan]) -> Iterator[Problem]:
    """Pairs of key patterns that one key could match, each with such a key.

    Placeholders are taken as any text: whether a key is of an entity never depends on its column's type.
    `not_yet` may overlap with anything: entities and `leave_out` come first.
    """
    forms: list[tuple[str, _Forms]] = []
    for plan in plans:
        forms += [(f"entity {plan.name!r}", _forms(generation)) for generation in plan.generations]
        if plan.copies is not None:
            forms += [(f"copies of {plan.name!r}", _forms(generation)) for generation in plan.copies.generations]
    forms += [
        (f"leave_out({rule.rule.name!r})", (rule.partition, rule.sort))
        for rule in rules
        if rule.rule.outcome == "left_out"
    ]
    for (one, first), (other, second) in combinations(forms, 2):
        example = _common_key(first, second)
        if example is not None:
            yield Problem(
                where=other,
                what=f"its keys overlap with those of {one}: an item with key {example} is of both",
                hint="make one pattern longer, so that a key fits one of them only",
            )


def _forms(generation: Generation) -> _Forms:
    return (generation.partition, generation.sort)


def _common_key(one: _Forms, other: _Forms) -> str | None:
    partition = common_text(one[0], other[0])
    if partition is None:
        return None
    if one[1] is None or other[1] is None:
        return repr(partition)
    sort = common_text(one[1], other[1])
    return None if sort is None else f"{partition!r}, {sort!r}"
