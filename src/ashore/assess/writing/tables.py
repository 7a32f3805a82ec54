"""The tables of a proposal as SQLAlchemy declares them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ashore.assess.proposal import Child, Column, ColumnKind, Entity, ForeignKey
from ashore.assess.writing.layout import Code, Part, argument, call, lines_of, list_of
from ashore.assess.writing.python import comment, text
from ashore.assess.writing.scope import (
    Scope,
    enforced,
    in_order_of_reference,
    key_filled,
    ordered_as_bytes,
    parent_columns,
)
from ashore.assess.writing.words import counted, joined, share, size

_MOST_NAMES: Final = 20
_IDENTIFIER_BYTES: Final = 63
_types: Final[dict[ColumnKind, str]] = {
    "text": "sa.Text",
    "uuid": "sa.Uuid",
    "smallint": "sa.SmallInteger",
    "integer": "sa.Integer",
    "bigint": "sa.BigInteger",
    "numeric": "sa.Numeric",
    "boolean": "sa.Boolean",
    "date": "sa.Date",
    "timestamp": "sa.DateTime",
    "timestamptz": "sa.DateTime(timezone=True)",
    "epoch_seconds": "sa.DateTime(timezone=True)",
    "epoch_milliseconds": "sa.DateTime(timezone=True)",
    "number_in_text": "sa.BigInteger",
    "bytea": "sa.LargeBinary",
    "jsonb": "JSONB",
    "text[]": "ARRAY(sa.Text)",
    "bigint[]": "ARRAY(sa.BigInteger)",
    "numeric[]": "ARRAY(sa.Numeric)",
    "bytea[]": "ARRAY(sa.LargeBinary)",
}
_integers: Final = frozenset({"smallint", "integer", "bigint"})
_roles: Final = {
    "record": "",
    "mapping": " Rows that hold only keys.",
    "setting": " Counters and single items.",
}


def table_lines(scope: Scope) -> Iterator[str]:
    """Every table, each after those that it refers to where there is no cycle."""
    written: set[str] = set()
    for entity in in_order_of_reference(scope.proposal.entities):
        written.add(entity.name)
        yield ""
        yield from _about(entity)
        yield from _table(scope, entity, written)
        for child in entity.children:
            yield ""
            yield from comment(f"{counted(child.items, 'element')} of {text(child.attribute)}: {child.because}")
            yield from _child_table(scope, entity, child)


def _about(entity: Entity) -> Iterator[str]:
    measures = [counted(entity.items, "item")]
    measures += [size(entity.bytes)] if entity.bytes else []
    measures += [f"the largest {size(entity.largest)}"] if entity.largest else []
    yield from comment(f"{', '.join(measures)}.{_roles[entity.role]}")
    for note in entity.notes:
        yield from comment(note)


def _table(scope: Scope, entity: Entity, written: set[str]) -> Iterator[str]:
    keys = set(entity.key_columns)
    in_order = tuple(column.name for column in entity.columns if column.name in keys) == entity.key_columns
    filled = key_filled(entity) | keys
    as_bytes = ordered_as_bytes(entity)
    parts: list[Part | Code] = [text(entity.name), "metadata"]
    for column in entity.columns:
        code: list[Part | Code] = [text(column.name), _type(scope, column.kind, as_bytes=column.name in as_bytes)]
        code += [_foreign_key(scope, entity, key, written) for key in enforced(entity) if key.columns == (column.name,)]
        if column.name in keys and in_order:
            code.append(argument("primary_key", "True"))
        elif not column.nullable or column.name in filled:
            code.append(argument("nullable", "False"))
        if keys == {column.name} and column.kind in _integers:
            code.append(argument("autoincrement", "False"))
        parts.append(Part(call("sa.Column", *code), note=_why(entity, column)))
    parts.append(_remainder(scope, entity.extra))
    if not in_order:
        parts.append(call("sa.PrimaryKeyConstraint", *map(text, entity.key_columns)))
    parts += [_constraint(scope, entity, key, written) for key in enforced(entity) if len(key.columns) > 1]
    for index in entity.indexes:
        unique = [argument("unique", "True")] if index.unique else []
        parts.append(Part(call("sa.Index", *map(text, (index.name, *index.columns)), *unique), note=index.because))
    yield from lines_of(call("sa.Table", *parts, always=True), before=f"{scope.tables[entity.name]} = ")


def _child_table(scope: Scope, parent: Entity, child: Child) -> Iterator[str]:
    repeated = parent_columns(parent)
    parts: list[Part | Code] = [text(child.table), "metadata"]
    for column in repeated:
        code: list[Part | Code] = [text(column.name), _type(scope, column.kind, as_bytes=True)]
        code += [call("sa.ForeignKey", scope.column(parent.name, column.name))] if len(repeated) == 1 else []
        parts.append(call("sa.Column", *code, argument("primary_key", "True")))
    parts.append(call("sa.Column", text(child.order), "sa.Integer", argument("primary_key", "True")))
    for column in child.columns:
        code = [text(column.name), _type(scope, column.kind, as_bytes=False)]
        code += [] if column.nullable else [argument("nullable", "False")]
        parts.append(Part(call("sa.Column", *code), note=_because(column)))
    parts.append(_remainder(scope, child.extra))
    if len(repeated) > 1:
        theirs = [scope.column(parent.name, column.name) for column in repeated]
        ours = [text(column.name) for column in repeated]
        parts.append(call("sa.ForeignKeyConstraint", list_of(ours), list_of(theirs)))
    yield from lines_of(call("sa.Table", *parts, always=True), before=f"{scope.tables[child.table]} = ")


def _type(scope: Scope, kind: ColumnKind, *, as_bytes: bool) -> Code:
    if kind == "text" and as_bytes:
        return 'sa.Text(collation="C")'
    if kind == "jsonb":
        scope.use("JSONB")
    elif kind.endswith("[]"):
        scope.use("ARRAY")
    return _types[kind]


def _foreign_key(scope: Scope, entity: Entity, key: ForeignKey, written: set[str]) -> Code:
    return call("sa.ForeignKey", *_targets(scope, entity, key, written), *_late(entity, key, written))


def _constraint(scope: Scope, entity: Entity, key: ForeignKey, written: set[str]) -> Code:
    ours, theirs = list_of(map(text, key.columns)), list_of(_targets(scope, entity, key, written))
    return call("sa.ForeignKeyConstraint", ours, theirs, *_late(entity, key, written))


def _targets(scope: Scope, entity: Entity, key: ForeignKey, written: set[str]) -> list[Code]:
    if key.target == entity.name or key.target not in written:
        return [text(f"{key.target}.{name}") for name in key.target_columns]
    return [scope.column(key.target, name) for name in key.target_columns]


def _late(entity: Entity, key: ForeignKey, written: set[str]) -> list[Part]:
    """For the foreign key that closes a cycle: it is added once both tables are there, and needs a name for that."""
    if key.target in written:
        return []
    name = f"{entity.name}_{'_'.join(key.columns)}_fkey".encode()[:_IDENTIFIER_BYTES].decode(errors="ignore")
    return [argument("name", text(name)), argument("use_alter", "True")]


def _why(entity: Entity, column: Column) -> str:
    said = [_because(column)]
    for key in entity.foreign_keys:
        if not key.enforced and key.columns[:1] == (column.name,):
            ours = f"({joined(key.columns)}) " if len(key.columns) > 1 else ""
            looked_at = counted(key.looked_at, "value")
            found = f"{key.missing:,} of {looked_at} not found there" if key.missing else f"all {looked_at} found there"
            why = f" ({key.because})" if key.because and not key.missing else ""
            said.append(f"{ours}refers to {key.target}, without a foreign key: {found}{why}")
    return "; ".join(filter(None, said))


def _because(column: Column) -> str:
    if column.because or not column.nullable:
        return column.because
    return f"in {share(column.present)} of them"


def _remainder(scope: Scope, extra: tuple[tuple[str, str], ...]) -> Part:
    shown = [f"{text(name)} ({why})" for name, why in extra[:_MOST_NAMES]]
    shown += [f"{len(extra) - _MOST_NAMES} more"] if len(extra) > _MOST_NAMES else []
    return Part(f"*{scope.use('remainder')}()", note=f"extra holds {joined(shown)}" if shown else "")
