"""Two items that give one row key: both are rejected, whole, and the key can be built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ashore.ledger import rejected, units
from ashore.ledger.errors import CountMismatch
from ashore.load.errors import SourceRepeatsItems
from ashore.load.order import LoadOrder, OpenLoad
from ashore.mapping.encoded import Rejected
from ashore.mapping.plan import EntityPlan
from ashore.mapping.reasons import explanations
from ashore.model.item import mask
from ashore.postgres.connect import Conn
from ashore.postgres.names import TableName
from ashore.postgres.violations import delete_keys, repeated_keys

_KEYS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """A table of an entity whose key is violated, and how its rows name the entity's row.

    `columns` name the entity's key in this table, in the order of the entity's key.
    """

    entity: EntityPlan
    columns: tuple[str, ...]
    key: tuple[str, ...]


def reject_repeated(conn: Conn, order: LoadOrder, load: OpenLoad, table: TableName) -> int:
    """Reject some of the items of which several have one row key in `table`; return how many, 0 if there are none.

    Their rows and those of their children are removed. Bounded: call it until it returns 0. The caller owns the
    transaction. Of a live table, those that are no longer there are counted as gone.

    Raises:
        SourceRepeatsItems: They are one and the same item.
    """
    link = _link(order, load, table)
    keys = repeated_keys(conn, table, link.columns, group_by=link.key, limit=_KEYS_AT_ONCE)
    if not keys:
        return 0
    entity = link.entity
    if entity.copies is not None and table == load.targets[entity.copies.table.fullname]:
        raise SourceRepeatsItems(table=str(table), key=mask(keys[0]))
    items = order.rebuild(conn, entity.name, keys)
    again = [key for key, number in Counter(key for _, key in items).items() if number > 1]
    if again:
        raise SourceRepeatsItems(table=str(table), key=mask(again[0]))
    removed = _remove(conn, load, entity, keys)
    main = str(load.targets[entity.table.fullname])
    gone = removed[main] - len(items)
    if gone < 0 or (gone and order.source.origin.get("kind") != "table"):
        raise CountMismatch(where=f"items of repeated keys in {main}", expected=removed[main], actual=len(items))
    detail = explanations["duplicate_key"]
    rejected.keep_rejected(
        conn,
        load=load.record.id,
        source=load.record.source,
        rejected=[
            Rejected(entity=entity.name, attribute=None, reason="duplicate_key", detail=detail, key=key, raw=raw)
            for raw, key in items
        ],
    )
    changed: dict[tuple[str | None, str], int] = {
        (entity.name, "rows"): -removed[main],
        (entity.name, "rejected"): len(items),
    }
    if gone:
        changed[entity.name, "gone"] = gone
    units.add_counts(conn, load.record.id, units.corrections, changed)
    units.add_rows(conn, load.record.id, units.corrections, {name: -rows for name, rows in removed.items()})
    return removed[main]


def _link(order: LoadOrder, load: OpenLoad, table: TableName) -> _Link:
    for name in order.entities:
        entity = order.plan.entities[name]
        for declared in entity.tables:
            if load.targets[declared.fullname] == table:
                key = tuple(column.name for column in declared.primary_key.columns)
                return _Link(entity=entity, columns=_naming(entity, declared.fullname) or key, key=key)
    raise CountMismatch(where=f"tables that {table} can be", expected=1, actual=0)


def _naming(entity: EntityPlan, fullname: str) -> tuple[str, ...] | None:
    for child in entity.children:
        if child.record.table.fullname == fullname:
            ours = {parent: column for column, parent in child.parent}
            return tuple(ours[column.name] for column in entity.table.primary_key.columns)
    return None


def _remove(conn: Conn, load: OpenLoad, entity: EntityPlan, keys: Sequence[Sequence[str]]) -> Counter[str]:
    removed: Counter[str] = Counter()
    places = [(child.record.table.fullname, _naming(entity, child.record.table.fullname)) for child in entity.children]
    key = tuple(column.name for column in entity.table.primary_key.columns)
    for fullname, columns in (*places, (entity.table.fullname, key)):
        table = load.targets[fullname]
        removed[str(table)] += delete_keys(conn, table, columns or (), keys)
    return removed
