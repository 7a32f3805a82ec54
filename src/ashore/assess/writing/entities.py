"""The declaration of a proposal: the source, its entities and rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ashore.assess.proposal import Child, Column, Copies, Derived, Entity, KeyPattern, KeyType, Rule
from ashore.assess.writing.layout import Code, Part, argument, call, dict_of, lines_of, list_of, value
from ashore.assess.writing.python import comment, text
from ashore.assess.writing.scope import FILLED_OTHERWISE, Scope, exceptions, key_filled, placeholders
from ashore.assess.writing.words import counted, joined, share, size


def declaration_lines(scope: Scope) -> Iterator[str]:
    """The source, then every entity in the order in which they should cross, then the rules."""
    proposal = scope.proposal
    arguments = [argument("partition_key", _key_attribute(scope, proposal.partition_key))]
    sort_key = "None" if proposal.sort_key is None else _key_attribute(scope, proposal.sort_key)
    arguments.append(argument("sort_key", sort_key))
    arguments += [] if proposal.names == "same_name" else [argument("names", scope.use(proposal.names))]
    yield from lines_of(call(scope.use("Source"), text(proposal.name), *arguments), before="source = ")
    groups = [group for group in proposal.groups if len(group) > 1]
    yield from [""] if groups else []
    for group in groups:
        yield from comment(f"Name each other, so writes to them may have to move together: {joined(group)}.")
    for entity in proposal.entities:
        yield ""
        name = scope.names.take(f"{entity.name}_items", otherwise="entity")
        yield from lines_of(_entity(scope, entity), before=f"{name} = ")
    if proposal.rules:
        yield ""
    for rule in proposal.rules:
        yield from _rule(rule)


def _key_attribute(scope: Scope, key: tuple[str, KeyType]) -> Code:
    name, kind = key
    if kind == "S":
        return text(name)
    return call(scope.use("KeyAttribute"), argument("name", text(name)), argument("type", text(kind)))


def _entity(scope: Scope, entity: Entity) -> Code:
    keys = [Part(_key(key), note=_about_key(key, alone=len(entity.keys) == 1)) for key in entity.keys]
    parts: list[Part | Code] = [scope.tables[entity.name]]
    parts += keys if len(keys) == 1 else [list_of(keys)]
    if entity.constant:
        parts.append(
            argument("constant", dict_of((text(name), value(one), "") for name, one in entity.constant.items()))
        )
    if entity.derived:
        parts.append(argument("derived", dict_of(_derived(scope, one) for one in entity.derived)))
    parts += _attributes(scope, entity.name, entity.columns)
    if entity.null:
        explicit = scope.use("explicit")
        parts.append(argument("null", dict_of((text(name), explicit, "") for name in entity.null)))
    if entity.unfit:
        policies = ((text(name), scope.use(policy), "") for name, policy in entity.unfit.items())
        parts.append(argument("unfit", dict_of(policies)))
    if entity.children:
        parts.append(argument("children", list_of([_child(scope, child) for child in entity.children])))
    if entity.copies:
        parts.append(argument("copies", list_of([_copies(scope, entity, one) for one in entity.copies])))
    if entity.ttl is not None:
        parts.append(argument("ttl", text(entity.ttl)))
    filled = key_filled(entity)
    unfilled = [column.name for column in entity.columns if column.path is None and column.name not in filled]
    if unfilled:
        columns = list_of([scope.column(entity.name, name) for name in unfilled])
        parts.append(argument("only_in_postgres", columns))
    return call(scope.use("Entity"), *parts, always=True)


def _key(key: KeyPattern) -> Code:
    return call("source.key", text(key.partition), *([] if key.sort is None else [text(key.sort)]))


def _about_key(key: KeyPattern, *, alone: bool) -> str:
    said = [] if alone else [counted(key.items, "item")]
    said += ["such as " + " ".join(text(part) for part in one if part is not None) for one in key.examples[:1]]
    return ", ".join(said)


def _derived(scope: Scope, one: Derived) -> tuple[str, Code, str]:
    template: Code = text(one.template)
    note = "" if one.holds >= 1 else f"right in {share(one.holds)} of the items; residue keeps the others' own"
    return text(one.attribute), call(scope.use("maybe"), template) if one.maybe else template, note


def _attributes(scope: Scope, table: str, columns: Collection[Column]) -> list[Part]:
    named = exceptions(scope, columns)
    if not named:
        return []
    return [argument("attributes", dict_of((_path(one), _target(scope, table, one), "") for one in named))]


def _path(column: Column) -> str:
    path = column.path or ()
    if not any("." in step for step in path):
        return text(".".join(path))
    return "(" + ", ".join(map(text, path)) + (",)" if len(path) == 1 else ")")


def _target(scope: Scope, table: str, column: Column) -> Code:
    target = scope.column(table, column.name)
    return call(scope.use(column.kind), target) if column.kind in FILLED_OTHERWISE else target


def _child(scope: Scope, child: Child) -> Code:
    return call(
        scope.use("Child"),
        argument("table", scope.tables[child.table]),
        argument("attribute", text(child.attribute)),
        argument("order", scope.column(child.table, child.order)),
        *_attributes(scope, child.table, child.columns),
    )


def _copies(scope: Scope, entity: Entity, copies: Copies) -> Part:
    given = {name for one in entity.derived for name in placeholders(one.template)}
    patterns = {"partition": copies.key.partition, "sort": copies.key.sort}
    parts = [argument(name, text(pattern)) for name, pattern in patterns.items() if pattern is not None]
    parts.append(argument("of", text(copies.of)))
    if key_filled(entity) <= given:
        parts.append(argument("orphan", scope.use("promote")))
    compared = f"{copies.differing:,} differ from their original, {copies.orphaned:,} without one"
    note = f"{counted(copies.key.items, 'item')}; {copies.compared:,} looked at: {compared}"
    return Part(call(scope.use("Copy"), *parts), note=note)


def _rule(rule: Rule) -> Iterator[str]:
    yield from comment(f"{counted(rule.items, 'item')}, {size(rule.bytes)}: {rule.because}")
    sort = [] if rule.sort == "*" else [argument("sort", text(rule.sort))]
    yield from lines_of(call("source.not_yet", text(rule.partition), *sort))
