"""A declaration that people have edited, beside what an assessment proposes now. Reads both, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ashore.assess.fit import lacks_values, misfits
from ashore.assess.proposal import AttributeEvidence, Child, Column, Entity, KeyPattern, Proposal
from ashore.assess.sample_keys import overlaps, sample_keys
from ashore.assess.writing.words import counted, joined
from ashore.mapping.declare import Source
from ashore.mapping.match import AsRow, KeyTexts, Match, matcher, matches
from ashore.mapping.plan import EntityPlan, Plan, RecordPlan, key_attributes
from ashore.mapping.reasons import UnfitError
from ashore.mapping.rows import key_value

Kind = Literal["table", "new_keys", "gone", "new_attribute", "misfit", "missing", "not_constant"]
_Matcher = Callable[[str, str | None], Match]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing in which the table is no longer what the declaration says.

    `where` names the declared entity, or the keys where there is none. No value of an item is in any of the texts.
    """

    kind: Kind
    where: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Every finding, and what is worth knowing besides.

    `items` counts, for each declared entity, those of the proposal's entities that are its own. `in_extra` has the
    attributes without a column that the proposal would give none either.
    """

    findings: tuple[Finding, ...]
    items: Mapping[str, int]
    in_extra: Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class _Seen:
    """What the proposal has of one declared entity."""

    items: int = 0
    entities: list[Entity] = field(default_factory=list)
    in_part: bool = False
    """Whether it may have items of keys that are not all its own."""


def compare(declared: Plan | Source, proposal: Proposal) -> Drift:
    """Find where the declaration does not take what the proposal saw, or takes it less well.

    Entities are matched by keys that the proposed patterns give, never by names, which people may change. A column
    that the declaration leaves out stays a finding for as long as the proposal has it. A proposal never differs from
    its own declaration.

    Raises:
        DeclarationError: The declaration does not compile.
    """
    plan = declared.compile() if isinstance(declared, Source) else declared
    findings = list(_table(plan, proposal))
    seen = {name: _Seen() for name in plan.entities}
    if not findings:
        findings += _keys(plan, proposal, seen)
        findings += _gone(plan, proposal, seen)
        for name, one in seen.items():
            for entity in one.entities:
                findings += _attributes(plan.entities[name], entity)
    return Drift(
        findings=tuple(dict.fromkeys(findings)),
        items={name: one.items for name, one in seen.items()},
        in_extra={name: _in_extra(plan.entities[name], one.entities) for name, one in seen.items()},
    )


def _table(plan: Plan, proposal: Proposal) -> Iterator[Finding]:
    actual = tuple((key.name, key.type) for key in key_attributes(plan))
    expected = (proposal.partition_key, *([] if proposal.sort_key is None else [proposal.sort_key]))
    if actual != expected:
        spelled = [joined([f"{name!r} ({kind})" for name, kind in keys]) for keys in (expected, actual)]
        yield Finding(
            kind="table",
            where=f"source {plan.name!r}",
            what=f"the table's key is {spelled[0]}, declared is {spelled[1]}",
            hint="name the table's key attributes in Source, or assess the table that is declared",
        )


def _keys(plan: Plan, proposal: Proposal, seen: Mapping[str, _Seen]) -> Iterator[Finding]:
    match = matcher(plan)
    for entity in proposal.entities:
        for key in entity.keys:
            yield from _rows_keys(plan, match, entity, key, seen)
        for copies in entity.copies:
            for texts in sample_keys(copies.key, {}):
                if match(*texts) is None:
                    yield _unmatched(copies.key, plan, proposal_of=f"copies of {entity.name!r}")
    for rule in proposal.rules:
        key = KeyPattern(partition=rule.partition, sort=rule.sort if plan.sort_key else None, items=rule.items)
        if match(_anything(key.partition), None if key.sort is None else _anything(key.sort)) is None:
            yield _unmatched(key, plan, proposal_of="no entity")


def _rows_keys(
    plan: Plan, match: _Matcher, entity: Entity, key: KeyPattern, seen: Mapping[str, _Seen]
) -> Iterator[Finding]:
    kinds = {column.name: column.kind for column in entity.columns}
    owners: dict[str, None] = {}
    for texts in sample_keys(key, kinds):
        found = match(*texts)
        if isinstance(found, AsRow):
            owners[found.entity.name] = None
            yield from _key_columns(found, texts, key)
        elif found is None:
            partly = overlaps(plan, key)
            for name in partly:
                seen[name].in_part = True
            yield _unmatched(key, plan, proposal_of=repr(entity.name), partly=partly)
    for name in owners:
        seen[name].items += key.items
        if entity not in seen[name].entities:
            seen[name].entities.append(entity)


def _unmatched(key: KeyPattern, plan: Plan, *, proposal_of: str, partly: Collection[str] = ()) -> Finding:
    takes = f" but in part entity {joined(list(map(repr, partly)))}" if partly else ""
    return Finding(
        kind="new_keys",
        where=_shown(key),
        what=f"nothing declared takes such keys{takes}; {counted(key.items, 'item')}, proposed: {proposal_of}",
        hint=f"add an Entity or a key generation for them to source {plan.name!r}, or a rule: not_yet or leave_out",
    )


def _key_columns(found: AsRow, texts: KeyTexts, key: KeyPattern) -> Iterator[Finding]:
    entity = found.entity
    taken = matches(entity.generations[found.generation], *texts) or {}
    for column in entity.key:
        try:
            key_value(column, taken[column.column])
        except UnfitError as unfit:
            if unfit.reason != "key_spelling":
                yield Finding(
                    kind="misfit",
                    where=f"entity {entity.name!r}",
                    what=f"keys such as {_shown(key)} do not fit key column {column.column!r}, {column.type.name}",
                    hint="give the column the type that is proposed; a text key holds everything",
                )


def _gone(plan: Plan, proposal: Proposal, seen: Mapping[str, _Seen]) -> Iterator[Finding]:
    for name in plan.entities:
        if not seen[name].entities and not seen[name].in_part:
            read = "all items were read" if proposal.complete else f"{proposal.items_read:,} items were read"
            yield Finding(
                kind="gone",
                where=f"entity {name!r}",
                what=f"no item of it was seen; {read}",
                hint="take it out, or correct its keys"
                if proposal.complete
                else "assess with --all before you believe it",
            )


def _attributes(declared: EntityPlan, entity: Entity) -> Iterator[Finding]:
    where = f"entity {declared.name!r}"
    evidence = {one.path: one for one in entity.evidence}
    elsewhere = {one.attribute for one in declared.derived} | {child.attribute for child in declared.children}
    elsewhere |= {key.name for key in (declared.partition_key, declared.sort_key) if key is not None}
    columns = [column for column in entity.columns if column.path is not None]
    yield from _record(where, declared.record, elsewhere, columns, evidence)
    for path in [*entity.constant, *(one.attribute for one in entity.derived)]:
        if not _is_known(declared.record, elsewhere, (path,)):
            yield _new_attribute(where, path, "a constant" if path in entity.constant else "derived")
    for name, _ in declared.record.constant:
        one = evidence.get(name)
        if one is not None and name not in entity.constant:
            yield Finding(
                kind="not_constant",
                where=where,
                what=f"constant {name!r} has about {counted(one.distinct, 'value')} now",
                hint="give it a column; until then residue keeps what differs",
            )
    children = {child.attribute: child for child in declared.children}
    for proposed in entity.children:
        if proposed.attribute in children:
            record = children[proposed.attribute].record
            yield from _record(f"{where}, children {proposed.attribute!r}", record, set(), _own(proposed), {})
        elif not _is_known(declared.record, elsewhere, (proposed.attribute,)):
            yield _new_attribute(where, proposed.attribute, "a child table")


def _record(
    where: str,
    record: RecordPlan,
    elsewhere: Collection[str],
    columns: Collection[Column],
    evidence: Mapping[str, AttributeEvidence],
) -> Iterator[Finding]:
    proposed = {column.path: column for column in columns if column.path is not None}
    for path, column in proposed.items():
        if not _is_known(record, elsewhere, path):
            yield _new_attribute(where, ".".join(path), f"column {column.name!r}, {column.kind}")
    for declared in record.columns:
        name = ".".join(declared.path)
        pair = proposed.get(declared.path), evidence.get(name)
        for misfit in misfits(declared, *pair):
            yield Finding(
                kind="misfit",
                where=where,
                what=f"attribute {name!r} {misfit}; its column {declared.column!r} is {declared.type.name}",
                hint="widen the column, or say in `unfit` what becomes of such values",
            )
        if lacks_values(declared, *pair):
            yield Finding(
                kind="missing",
                where=where,
                what=f"attribute {name!r} is absent or NULL in some items; its column {declared.column!r} is NOT NULL",
                hint="make the column nullable, or give those items a value",
            )


def _is_known(record: RecordPlan, elsewhere: Collection[str], path: tuple[str, ...]) -> bool:
    """Whether the declaration gives the attribute at a path a place other than `extra`."""
    if path[0] in elsewhere or path[0] in dict(record.constant):
        return True
    return any(path[: len(column.path)] == column.path for column in record.columns)


def _new_attribute(where: str, name: str, proposed: str) -> Finding:
    return Finding(
        kind="new_attribute",
        where=where,
        what=f"attribute {name!r} has no place in it and falls into extra; proposed: {proposed}",
        hint="add a column for it, or leave it where it is",
    )


def _in_extra(declared: EntityPlan, entities: Collection[Entity]) -> tuple[str, ...]:
    names = dict.fromkeys(name for entity in entities for name, _ in entity.extra)
    return tuple(name for name in names if not _is_known(declared.record, (), (name,)))


def _own(child: Child) -> list[Column]:
    return [column for column in child.columns if column.path is not None]


def _anything(glob: str) -> str:
    return glob.replace("*", "\ue000")


def _shown(key: KeyPattern) -> str:
    return ", ".join(repr(one) for one in (key.partition, key.sort) if one is not None)
