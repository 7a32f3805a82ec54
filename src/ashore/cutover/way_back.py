"""Whether each row can be rebuilt into everything that DynamoDB's readers may look for; else what is lost, and why."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from ashore.cutover.switch import Crossing
from ashore.mapping.compile_rebuilt import not_rendered
from ashore.mapping.plan import EXTRA, RESIDUE, CopyPlan, EntityPlan, Generation, RecordPlan, key_attributes
from ashore.postgres.connect import Conn
from ashore.postgres.tables import columns_of

_MOST_NAMES = 5
_OWN_NAMES = """
    SELECT k.name FROM (SELECT DISTINCT jsonb_object_keys(c.item) FROM {copies} AS c WHERE NOT c.promoted) AS k(name)
    WHERE k.name <> ALL(%s) AND NOT EXISTS (SELECT FROM {originals} AS o WHERE o.extra ? k.name)
    ORDER BY 1 LIMIT %s
"""


def lost(conn: Conn, one: Crossing) -> list[str]:
    """What reverse sync could not write back of these entities; reads their tables of copies whole."""
    found: list[str] = []
    for entity in (one.plan.entities[each] for each in one.entities):
        if entity.copies is not None:
            found += _lost_copies(conn, one, entity, entity.copies)
        mapped = {*entity.column_types, EXTRA, RESIDUE, entity.expired_column}
        others = [column for column in columns_of(conn, one.tables[entity.table.fullname]) if column not in mapped]
        found += [f"column {column} of {entity.table.fullname} has no attribute" for column in others]
        for child in entity.children:
            theirs = {column.column for column in child.record.columns} | {column for column, _ in child.parent}
            theirs |= {child.order, EXTRA, RESIDUE}
            columns = columns_of(conn, one.tables[child.record.table.fullname])
            name = child.record.table.fullname
            found += [f"column {column} of {name} has no attribute" for column in columns if column not in theirs]
    for rule in (found.rule for found in one.plan.rules):
        if rule.rebuild is not None and rule.rebuild.name in one.entities:
            found.append(
                f"items {rule.name!r}, left out, are not rebuilt from {rule.rebuild.name}: no Mirror says of which"
                " columns they are made"
            )
    return found


def _lost_copies(conn: Conn, one: Crossing, entity: EntityPlan, copies: CopyPlan) -> Iterator[str]:
    for form, rebuild in zip(copies.generations, copies.rebuild, strict=True):
        if rebuild is None:
            why = not_rendered(entity, form)
            yield (
                f"copies {_shown(form)} of {entity.name} are not made of rows that PostgreSQL adds: "
                + (why or "rebuild=render is not said")
            )
    if "render" in copies.rebuild:
        known = [key.name for key in key_attributes(entity)] + sorted(_attributes(entity))
        statement = sql.SQL(_OWN_NAMES).format(
            copies=one.tables[copies.table.fullname].identifier,
            originals=one.tables[entity.table.fullname].identifier,
        )
        names = [row[0] for row in conn.execute(statement, (known, _MOST_NAMES))]
        if names:
            yield (
                f"copies of {entity.name} have attributes of their own, which new ones would lack: "
                + ", ".join(map(repr, names))
            )


def _attributes(entity: EntityPlan) -> set[str]:
    """The attributes that an item of the entity can have, those in `extra` left out."""
    record: RecordPlan = entity.record
    names = {column.path[0] for column in record.columns} | {name for name, _ in record.constant}
    return names | {one.attribute for one in entity.derived} | {one.attribute for one in entity.children}


def _shown(form: Generation) -> str:
    return repr(form.partition.text if form.sort is None else f"{form.partition.text} {form.sort.text}")
