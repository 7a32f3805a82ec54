"""The compiler of what reverse sync makes beside items: rendered copies, and mirrors of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ashore.errors import Problem
from ashore.mapping.compile_record import Refusals
from ashore.mapping.declare import Maybe, Mirror, Rule, Source
from ashore.mapping.pattern import Glob
from ashore.mapping.plan import DerivedPlan, EntityPlan, Generation, MirrorPlan, RulePlan, key_attributes
from ashore.mapping.pointer import token

_ANY_TEXT = "\ue000"
"""Stands for what a placeholder takes: a text that no form has in its own."""


def rule_plans(
    source: Source, plans: Sequence[EntityPlan], problems: list[Problem]
) -> tuple[list[RulePlan], list[EntityPlan]]:
    """The compiled rules, and the entities with their mirrors; what is wrong is added to `problems`."""
    by_name = {plan.name: plan for plan in plans}
    rules = []
    for rule in source.rules:
        partition, sort = Glob(rule.partition), Glob(rule.sort)
        mirrors = []
        for mirror in rule.mirrors:
            plan = by_name.get(mirror.of.name)
            compiler = _Compiler(rule, mirror, plan)
            mirrors += compiler.compile(partition, sort)
            problems += compiler.refuse.problems
        rules.append(RulePlan(rule=rule, partition=partition, sort=sort, mirrors=tuple(mirrors)))
    of = {name: tuple(one for rule in rules for one in rule.mirrors if one.entity == name) for name in by_name}
    return rules, [replace(plan, mirrors=of[plan.name]) for plan in plans]


def rendered_copies_problems(plans: Sequence[EntityPlan]) -> Iterator[Problem]:
    """Copies that are to be rendered from columns, and cannot be."""
    for plan in plans:
        copies = plan.copies
        for form, rebuild in () if copies is None else zip(copies.generations, copies.rebuild, strict=True):
            if rebuild not in {None, "render", "carry"}:
                yield Problem(
                    where=f"entity {plan.name!r}", what=f"rebuild={rebuild!r} is no way", hint="say render or carry"
                )
            if rebuild == "render" and (lost := not_rendered(plan, form)):
                yield Problem(
                    where=f"entity {plan.name!r}",
                    what=f"copies {form.partition.text!r} cannot be rendered: {lost}",
                    hint="name columns in the braces, or set rebuild=carry",
                )


def not_rendered(plan: EntityPlan, form: Generation) -> str | None:
    """Why a row's columns do not give a key of this form; None where they do."""
    types = plan.column_types
    for key, pattern in zip(key_attributes(plan), (form.partition, form.sort), strict=False):
        for column in () if pattern is None else pattern.columns:
            if column not in types:
                return f"{{{column}}} is no column that an item fills"
            if key.type == "S" and types[column].render is None:
                return f"column {column!r} cannot be rendered as text"
            is_whole = pattern is not None and pattern.parts == ("", column, "") and types[column].wire == key.type
            if key.type != "S" and not is_whole:
                return f"key attribute {key.name!r} is of type {key.type}, so it is one column of that type"
    return None


class _Compiler:
    def __init__(self, rule: Rule, mirror: Mirror, plan: EntityPlan | None) -> None:
        self.mirror = mirror
        self.plan = plan
        self.refuse = Refusals(f"leave_out({rule.name!r})")

    def compile(self, partition: Glob, sort: Glob) -> list[MirrorPlan]:
        """The mirror; nothing where something is wrong, here or in its entity."""
        mirror, plan = self.mirror, self.plan
        if plan is None:
            self.refuse(f"mirrors {mirror.of.name!r}, no sound entity of this source", "name one of its entities")
            return []
        form = self._form(plan)
        if form is None:
            return []
        self._check_form(plan, form)
        for pattern, glob in ((form.partition, partition), (form.sort, sort)):
            if pattern is not None and not glob.matches(pattern.render(dict.fromkeys(pattern.columns, _ANY_TEXT))):
                self.refuse(f"does not speak of keys {pattern.text!r}", "let the rule's text begin as the mirror's key")
        attributes = [self._attribute(plan, name, said) for name, said in mirror.attributes.items()]
        known = tuple(one for one in attributes if one is not None)
        return [] if self.refuse.problems else [MirrorPlan(entity=plan.name, form=form, attributes=known)]

    def _form(self, plan: EntityPlan) -> Generation | None:
        if (self.mirror.sort is None) is not (plan.sort_key is None):
            self.refuse("its mirror has another key than the table", "give it what the table's key has")
            return None
        partition = self.refuse.pattern(self.mirror.partition)
        sort = None if self.mirror.sort is None else self.refuse.pattern(self.mirror.sort)
        if partition is None or (self.mirror.sort is not None and sort is None):
            return None
        return Generation(partition=partition, sort=sort)

    def _check_form(self, plan: EntityPlan, form: Generation) -> None:
        if lost := not_rendered(plan, form):
            self.refuse(f"mirrors of {plan.name!r} cannot be rendered: {lost}", "name columns of its table")
        named = {*form.partition.columns, *(() if form.sort is None else form.sort.columns)}
        shared = [column.name for column in plan.table.primary_key.columns if column.name not in named]
        if shared:
            self.refuse(
                f"two rows of {plan.name!r} could have one mirror: its key lacks column(s) {', '.join(shared)}",
                "name every column of the table's primary key in it",
            )

    def _attribute(self, plan: EntityPlan, attribute: str, said: str | Maybe) -> DerivedPlan | None:
        pattern = self.refuse.pattern(said.template if isinstance(said, Maybe) else said)
        if pattern is None:
            return None
        types = plan.column_types
        lost = [name for name in pattern.columns if name not in types or types[name].render is None]
        if lost or pattern.held or attribute in {key.name for key in key_attributes(plan)}:
            self.refuse(
                f"its attribute {attribute!r} cannot be rendered",
                f"write columns of {plan.name!r} that items fill and that have a text, and no attribute of the key",
            )
            return None
        whole = types[pattern.columns[0]] if pattern.columns and pattern.parts[::2] == ("", "") else None
        return DerivedPlan(
            attribute=attribute,
            pointer=token(attribute),
            pattern=pattern,
            optional=isinstance(said, Maybe),
            whole=whole,
        )
