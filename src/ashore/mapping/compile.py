"""From a declaration to a plan; every problem of it is found, and all are told at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

from ashore.errors import DeclarationError, Problem
from ashore.mapping.compile_entity import EntityCompiler
from ashore.mapping.compile_rebuilt import rendered_copies_problems, rule_plans
from ashore.mapping.declare import Source
from ashore.mapping.match import matches
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
    rules, plans = rule_plans(source, plans, problems)
    problems += rendered_copies_problems(plans)
    problems += _source_problems(source)
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
        groups=tuple(frozenset(entity.name for entity in group) for group in source.groups),
    )


def _source_problems(source: Source) -> Iterator[Problem]:
    where = f"source {source.name!r}"
    if not source.entities:
        yield Problem(where=where, what="declares no entity", hint="add an Entity(table, source.key(…))")
    if source.sort_key is not None and source.sort_key.name == source.partition_key.name:
        hint = "name the table's two key attributes; sort_key=None for a table without a sort key"
        yield Problem(where=where, what=f"has {source.sort_key.name!r} as partition key and as sort key", hint=hint)
    yield from _group_problems(source, where)
    for rule in source.rules:
        if source.sort_key is None and rule.sort != "*":
            what = f"has no sort key, the rule {rule.name!r} speaks of one"
            yield Problem(where=where, what=what, hint="leave `sort` out")


def _group_problems(source: Source, where: str) -> Iterator[Problem]:
    grouped = [entity for group in source.groups for entity in group]
    for name in sorted({entity.name for entity in grouped if entity not in source.entities}):
        yield Problem(where=where, what=f"together(…) names {name!r}, which is not its own", hint="leave it out")
    for name in sorted({entity.name for entity in grouped if grouped.count(entity) > 1}):
        yield Problem(where=where, what=f"together(…) names {name!r} twice", hint="make one group of both")


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

    Placeholders without a form are taken as any text: whether a key is of an entity never depends on its column's type.
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
        partition = common_text(first[0], second[0])
        sort = None if first[1] is None or second[1] is None else common_text(first[1], second[1])
        if partition is None or (sort is None and first[1] is not None):
            continue
        example = _common_key(first, second, (partition, sort))
        shown = ", ".join(repr(text) for text in example or () if text is not None)
        yield Problem(
            where=other,
            what=f"its keys overlap with those of {one}"
            + (f": an item with key {shown} is of both" if shown else " as far as their literal text goes"),
            hint="make one pattern longer, or give a placeholder a form, so that a key fits one of them only",
        )


def _forms(generation: Generation) -> _Forms:
    return (generation.partition, generation.sort)


_KeyTexts = tuple[str, str | None]


def _common_key(one: _Forms, other: _Forms, candidate: _KeyTexts) -> _KeyTexts | None:
    """A key that both forms match; None where none was found.

    The candidate's two texts may give one column two values. Then one of them is rendered again from the other.
    """
    partition, sort = candidate
    candidates = [candidate]
    if sort is not None:
        for form, other_form in product((one, other), repeat=2):
            candidates += _rendered(form, other_form, partition, sort)
    return next((key for key in candidates if _fits(one, key) and _fits(other, key)), None)


def _rendered(form: _Forms, by: _Forms, partition: str, sort: str) -> Iterator[_KeyTexts]:
    first, second = form[0], by[1]
    if isinstance(first, Pattern) and isinstance(second, Pattern):
        texts = second.match(sort) or {}
        if first.columns and set(first.columns) <= texts.keys():
            yield first.render(texts), sort
    first, second = by[0], form[1]
    if isinstance(first, Pattern) and isinstance(second, Pattern):
        texts = first.match(partition) or {}
        if second.columns and set(second.columns) <= texts.keys():
            yield partition, second.render(texts)


def _fits(form: _Forms, key: _KeyTexts) -> bool:
    partition, sort = form
    match partition, sort:
        case Pattern(), Pattern() | None:
            return matches(Generation(partition=partition, sort=sort), *key) is not None
        case Glob(), Glob():
            return partition.matches(key[0]) and (key[1] is None or sort.matches(key[1]))
        case _:
            return False
