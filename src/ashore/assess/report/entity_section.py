"""All that is known of one entity: keys, columns, what stays beside them, and the census behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ashore.assess.proposal import AttributeEvidence, Column, Entity
from ashore.assess.report.document import (
    Block,
    Bullets,
    Paragraph,
    Phrase,
    Section,
    code,
    codes,
    joined_by,
    key_pair,
    table,
    words,
)
from ashore.assess.report.schema import postgres_type
from ashore.assess.writing.words import counted, joined, share, size

_ROLES = {"record": "records", "mapping": "only keys, a join table or a lookup", "setting": "counters and single items"}


def entity_section(number: int, entity: Entity) -> Section:
    """The section of an entity, which the map of entities leads to."""
    parts = (
        *_summary(entity),
        *_keys(entity),
        *_columns(f"Columns of {entity.name}", entity.columns, entity.key_columns),
        *_constants(entity),
        *_derived(entity),
        *_extra(f"Attributes of {entity.name} that stay in extra", entity.extra),
        *_children(entity),
        *_copies(entity),
        *_references(entity),
        *_indexes(entity),
        *_policies(entity),
        *_census(entity),
    )
    return Section(anchor=f"entity-{number}", title=words(code(entity.name)), blocks=parts)


def _summary(entity: Entity) -> tuple[Block, ...]:
    seen = f"{counted(entity.items, 'item')}, {size(entity.bytes)}, the largest {size(entity.largest)}."
    expires = () if entity.ttl is None else (" Items expire by ", code(entity.ttl), ".")
    key = (" Primary key: ", *codes(entity.key_columns), ".") if entity.key_columns else ()
    notes = tuple(words(note) for note in entity.notes)
    return (
        Paragraph(words(f"Holds {_ROLES[entity.role]}: {seen}", *key, *expires)),
        *((Bullets(items=notes),) if notes else ()),
    )


def _keys(entity: Entity) -> tuple[Block, ...]:
    rows = [
        (
            code(key.partition),
            words() if key.sort is None else words(code(key.sort)),
            f"{key.items:,}",
            joined_by(", ", [key_pair(*one) for one in key.examples]),
        )
        for key in entity.keys
    ]
    caption = f"Keys of {entity.name}" + (", the current generation first" if len(entity.keys) > 1 else "")
    return table(caption, ("Partition key", "Sort key", "Items#", "Examples"), [*rows])


def _columns(caption: str, columns: tuple[Column, ...], key: tuple[str, ...]) -> tuple[Block, ...]:
    rows = [
        (
            code(column.name),
            words(code(postgres_type(column.kind))),
            _null(column, key),
            words() if column.path is None else words(code(".".join(column.path))),
            share(column.present),
            words(column.because),
        )
        for column in columns
    ]
    return table(caption, ("Column", "Type", "NULL", "Filled from", "Present#", "Why"), [*rows])


def _null(column: Column, key: tuple[str, ...]) -> str:
    if column.name in key:
        return "primary key"
    return "may be" if column.nullable else "never"


def _constants(entity: Entity) -> tuple[Block, ...]:
    rows = [(code(name), words(code(_plain(value)))) for name, value in entity.constant.items()]
    return table(f"Constant attributes of {entity.name}, rebuilt and not stored", ("Attribute", "Value"), [*rows])


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _derived(entity: Entity) -> tuple[Block, ...]:
    rows = [
        (
            code(one.attribute),
            words(code(one.template)),
            "may be absent" if one.maybe else "always there",
            share(one.holds),
        )
        for one in entity.derived
    ]
    caption = f"Derived attributes of {entity.name}, rebuilt and not stored"
    return table(caption, ("Attribute", "Template", "Presence", "Right in#"), [*rows])


def _extra(caption: str, extra: tuple[tuple[str, str], ...]) -> tuple[Block, ...]:
    return table(caption, ("Attribute", "Why"), [(code(name), words(why)) for name, why in extra])


def _children(entity: Entity) -> tuple[Block, ...]:
    blocks: list[Block] = []
    for child in entity.children:
        said = (" is a table of its own, of ", counted(child.items, "row"), ", in the order of ", code(child.order))
        blocks.append(Paragraph(words(code(child.attribute), *said, f": {child.because}.")))
        blocks += _columns(f"Columns of {child.table}, a child table of {entity.name}", child.columns, (child.order,))
        blocks += _extra(f"Attributes of {child.table} that stay in extra", child.extra)
    return tuple(blocks)


def _copies(entity: Entity) -> tuple[Block, ...]:
    rows = [
        (
            key_pair(one.key.partition, one.key.sort),
            words(code(one.of)),
            f"{one.key.items:,}",
            f"{one.compared:,}",
            f"{one.differing:,}",
            f"{one.orphaned:,}",
        )
        for one in entity.copies
    ]
    heads = ("Keys", "Found by", "Copies#", "Compared#", "Differ#", "Without original#")
    return table(f"Copies of {entity.name} under other keys", heads, [*rows])


def _references(entity: Entity) -> tuple[Block, ...]:
    rows = [
        (
            codes(one.columns),
            words(code(one.target), " (", *codes(one.target_columns), ")"),
            f"{one.looked_at:,}",
            f"{one.missing:,}",
            "foreign key" if one.enforced else ": ".join(filter(None, ("not enforced", one.because))),
        )
        for one in entity.foreign_keys
    ]
    heads = ("Columns", "Refer to", "Values looked at#", "Not found#", "Becomes")
    return table(f"References of {entity.name}", heads, [*rows])


def _indexes(entity: Entity) -> tuple[Block, ...]:
    rows = [
        (code(one.name), codes(one.columns), "unique" if one.unique else "", words(one.because))
        for one in entity.indexes
    ]
    return table(f"Indexes of {entity.name}", ("Index", "Columns", "Kind", "Why"), [*rows])


def _policies(entity: Entity) -> tuple[Block, ...]:
    unfit = [(code(name), f"values that do not fit: {policy}") for name, policy in entity.unfit.items()]
    null = [(code(name), "NULL is kept apart from absent") for name in entity.null]
    return table(f"Exceptions of {entity.name}", ("Attribute", "What is done"), [*unfit, *null])


def _census(entity: Entity) -> tuple[Block, ...]:
    rows = [_attribute(one, entity.items) for one in entity.evidence]
    heads = ("Attribute", "Present#", "Kinds", "Forms", "Distinct#", "Longest#", "Became", "Seen")
    return table(f"Census of the attributes of {entity.name}", heads, [*rows])


def _attribute(one: AttributeEvidence, items: int) -> tuple[Phrase | str, ...]:
    remarks = joined(one.notes)
    examples = codes(one.examples)
    seen = (*words(remarks), *(words("; ") if remarks and examples else ()), *examples)
    present = f"{one.present:,}" + (f" ({share(one.present / items)})" if items else "")
    return (
        words(code(one.path)),
        present,
        _counts(one.kinds),
        _counts(one.forms),
        f"{one.distinct:,}",
        f"{one.longest:,}",
        words(one.where),
        seen,
    )


def _counts(counts: Mapping[str, int]) -> str:
    most_first = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(name if len(counts) == 1 else f"{name} {number:,}" for name, number in most_first)
