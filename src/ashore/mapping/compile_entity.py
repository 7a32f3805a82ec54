"""The compiler of one entity: its key, columns, derived attributes, children and copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from ashore.errors import Problem
from ashore.mapping.compile_record import RecordCompiler, Refusals
from ashore.mapping.declare import Child, Copy, Entity, Key, KeyAttribute, Maybe, Source
from ashore.mapping.pattern import Pattern
from ashore.mapping.plan import ChildPlan, CopyPlan, DerivedPlan, EntityPlan, Generation, KeyColumn, RecordPlan
from ashore.mapping.pointer import token
from ashore.mapping.types import column_type
from ashore.mapping.types.base import ColumnType

_COPY_COLUMNS: Final = frozenset({"partition_key", "sort_key", "promoted", "item"})
_key_types: Final[dict[str, sa.types.TypeEngine[Any]]] = {
    "S": sa.Text(collation="C"),
    "N": sa.Numeric(),
    "B": sa.LargeBinary(),
}


class EntityCompiler:
    """Compiles one `Entity`; what is wrong with it is gathered in `problems`."""

    def __init__(self, source: Source, entity: Entity) -> None:
        self.source = source
        self.entity = entity
        self.refuse = Refusals(f"entity {entity.name!r}")
        self.types: dict[str, ColumnType] = {}

    @property
    def problems(self) -> list[Problem]:
        return self.refuse.problems

    def compile(self) -> EntityPlan | None:
        """The plan; None where something is wrong."""
        entity, source = self.entity, self.source
        generations = [self._generation(key) for key in entity.keys]
        known = [generation for generation in generations if generation is not None]
        key = self._key(known)
        keys = {source.partition_key.name, *([source.sort_key.name] if source.sort_key else [])}
        taken = {**dict.fromkeys(keys, "the key"), **dict.fromkeys(entity.derived, "derived")}
        taken |= dict.fromkeys([child.attribute for child in entity.children], "children")
        self._check_roles(keys)
        record = RecordCompiler(
            self.refuse,
            entity.table,
            names=source.names,
            attributes=entity.attributes,
            constant=entity.constant,
            null=entity.null,
            unfit=entity.unfit,
            filled=frozenset(one.column for one in key) | entity.only_in_postgres,
            taken=taken,
        ).compile()
        self.types = {one.column: one.type for one in key}
        self.types |= {one.column: one.type for one in record.columns}
        derived = self._derived({one.column for one in key})
        children = [self._child(child, key) for child in entity.children]
        copies = self._copies(key, record, derived)
        if entity.ttl is not None and not any(column.path == (entity.ttl,) for column in record.columns):
            self.refuse(f"ttl attribute {entity.ttl!r} has no column", "add one, or map it with `attributes`")
        self._check_expired()
        self._check_search()
        if self.problems:
            return None
        return EntityPlan(
            name=entity.name,
            partition_key=source.partition_key,
            sort_key=source.sort_key,
            generations=tuple(known),
            key=tuple(key),
            record=record,
            derived=tuple(derived),
            children=tuple(child for child in children if child is not None),
            copies=copies,
            ttl=entity.ttl,
            expired="mark" if isinstance(entity.expired, sa.Column) else entity.expired,
            expired_column=entity.expired.name if isinstance(entity.expired, sa.Column) else None,
            search=entity.search,
        )

    def _check_search(self) -> None:
        search = self.entity.search
        if search is None:
            return
        if not search.index or set(search.index) & set(' "*+/\\|?#<>,') or search.index != search.index.lower():
            self.refuse(
                f"search index {search.index!r} is no name of an index", "use lower-case letters, digits, - and _"
            )
        functions: tuple[Any, ...] = (search.id, search.document)
        if not all(map(callable, functions)):
            self.refuse("`id` and `document` of search are not both functions", "give a function for each")
        if search.item not in {"plain", "dynamodb"}:
            self.refuse(f"search item={search.item!r} is no form", 'say "plain" or "dynamodb"')

    def _check_expired(self) -> None:
        expired = self.entity.expired
        if not isinstance(expired, sa.Column):
            if expired not in {"apply", "ignore"}:
                self.refuse(f"expired={expired!r} is no policy", 'say "apply", "ignore", or name a column')
            return
        column = self.entity.table.columns.get(expired.name)
        if column is not expired or not isinstance(expired.type, sa.DateTime) or not expired.nullable:
            self.refuse(
                f"expired items cannot be noted in column {expired.name!r}",
                "name a nullable column of this table, of type DateTime(timezone=True)",
            )

    def _check_roles(self, keys: set[str]) -> None:
        """Each attribute has one role, each table one set of records."""
        entity = self.entity
        roles: dict[str, list[str]] = {name: ["the key"] for name in keys}
        for role, names in (
            ("constant", list(entity.constant)),
            ("derived", list(entity.derived)),
            ("children", [child.attribute for child in entity.children]),
        ):
            for name in names:
                roles.setdefault(name, []).append(role)
        for name, found in roles.items():
            if len(found) > 1:
                self.refuse(f"attribute {name!r} has several roles: {', '.join(found)}", "leave one")
        tables = [entity.table, *(child.table for child in entity.children)]
        for table in {table.fullname for table in tables if tables.count(table) > 1}:
            self.refuse(f"table {table!r} takes several kinds of records", "give each list of children its own table")

    def _generation(self, key: Key) -> Generation | None:
        if key.source is not self.source:
            self.refuse("its key belongs to another source", "make all keys of an entity by one source.key(…)")
            return None
        return self._patterns(key.partition, key.sort)

    def _patterns(self, partition: str, sort: str | None) -> Generation | None:
        if (sort is None) is not (self.source.sort_key is None):
            has = "has no" if self.source.sort_key is None else "has a"
            self.refuse(
                f"the source {has} sort key, the key {partition!r} is otherwise", "give key(…) what the table has"
            )
            return None
        first, second = self.refuse.pattern(partition), None if sort is None else self.refuse.pattern(sort)
        if first is None or (sort is not None and second is None):
            return None
        for pattern, attribute in ((first, self.source.partition_key), (second, self.source.sort_key)):
            if (
                pattern is not None
                and attribute is not None
                and attribute.type != "S"
                and (pattern.parts[::2] != ("", "") or pattern.held)
            ):
                self.refuse(
                    f"key attribute {attribute.name!r} is of type {attribute.type}, its pattern is {pattern.text!r}",
                    "such a key is one column: '{column}'",
                )
        return Generation(partition=first, sort=second)

    def _key(self, generations: list[Generation]) -> list[KeyColumn]:
        table = self.entity.table
        sets = [{name for pattern in _pair(one) for name in pattern.columns} for one in generations]
        if not sets:
            if not self.problems:
                self.refuse("has no key", "give it source.key(…)")
            return []
        for other in sets[1:]:
            if other != sets[0]:
                self.refuse("its key generations name different columns", "every generation names the same columns")
        missing = [column.name for column in table.primary_key.columns if column.name not in sets[0]]
        if not table.primary_key.columns:
            self.refuse(f"table {table.fullname!r} has no primary key", "its columns are those that the key names")
        if missing:
            self.refuse(
                f"primary key column(s) {', '.join(missing)} are not in the key's patterns",
                "a row's key comes from the item's key: name them there, or take them out of the primary key",
            )
        ordered = dict.fromkeys(name for pattern in _pair(generations[0]) for name in pattern.columns)
        return [one for name in ordered if (one := self._key_column(name, generations)) is not None]

    def _key_column(self, name: str, generations: list[Generation]) -> KeyColumn | None:
        column = self.entity.table.columns.get(name)
        if column is None:
            self.refuse(f"its key names column {name!r}, which the table does not have", "name a column of the table")
            return None
        found = column_type(column.type)
        if isinstance(found, str):
            self.refuse(f"key column {name!r}: {found}", "see the reference of column types")
            return None
        if column.nullable:
            self.refuse(f"key column {name!r} may be NULL", "a key has all its columns: make it NOT NULL")
        typed_as = self._typed_as(name, generations)
        if typed_as not in {None, "S", found.wire}:
            self.refuse(f"key column {name!r} is {found.name}, the key attribute is of type {typed_as}", "change one")
        if (typed_as != found.wire) and found.parse is None:
            self.refuse(f"key column {name!r} of type {found.name} cannot be part of a text", "use Text")
        if isinstance(column.type, sa.String) and not isinstance(column.type, sa.Enum) and column.type.collation != "C":
            self.refuse(
                f'key column {name!r} is not COLLATE "C": it would sort otherwise than in DynamoDB',
                'declare it as Text(collation="C")',
            )
        return KeyColumn(column=name, type=found, typed_as=typed_as if typed_as == found.wire else None)

    def _typed_as(self, name: str, generations: list[Generation]) -> str | None:
        whole = ("", name, "")
        attributes: list[KeyAttribute] = []
        for generation in generations:
            if generation.partition.parts == whole:
                attributes.append(self.source.partition_key)
            if generation.sort is not None and self.source.sort_key and generation.sort.parts == whole:
                attributes.append(self.source.sort_key)
        return attributes[0].type if attributes else None

    def _derived(self, key: set[str]) -> list[DerivedPlan]:
        plans = []
        for attribute, declared in self.entity.derived.items():
            optional = isinstance(declared, Maybe)
            pattern = self.refuse.pattern(declared.template if isinstance(declared, Maybe) else declared)
            if pattern is None:
                continue
            if pattern.held:
                self.refuse(
                    f"derived {attribute!r} holds a placeholder to a form", "only a key does that: write {column} alone"
                )
                continue
            types = [self._rendered(attribute, name, optional=optional or name in key) for name in pattern.columns]
            whole = types[0] if pattern.parts[::2] == ("", "") else None
            plans.append(
                DerivedPlan(
                    attribute=attribute, pointer=token(attribute), pattern=pattern, optional=optional, whole=whole
                )
            )
        return plans

    def _rendered(self, attribute: str, name: str, *, optional: bool) -> ColumnType | None:
        column = self.entity.table.columns.get(name)
        if column is None:
            self.refuse(f"derived {attribute!r} names column {name!r}, which the table does not have", "name a column")
            return None
        found = self.types.get(name)
        if found is None or found.render is None:
            what = "is filled by no item" if found is None else "cannot be rendered as text"
            self.refuse(f"derived {attribute!r}: column {name!r} {what}", "leave it out: the attribute is then stored")
            return None
        if column.nullable and not optional:
            self.refuse(
                f"derived {attribute!r} needs column {name!r}, which may be NULL",
                f"write maybe({attribute!r}'s template), or make the column NOT NULL",
            )
        return found

    def _child(self, child: Child, key: list[KeyColumn]) -> ChildPlan | None:
        refuse = self.refuse.inside(f"children {child.attribute!r}")
        parent = _parent_columns(child.table, self.entity.table)
        primary = [column.name for column in self.entity.table.primary_key.columns]
        pairs = tuple((theirs, ours) for ours in primary for theirs in [parent.get(ours, ours)])
        for theirs, ours in pairs:
            if theirs not in child.table.columns:
                refuse(
                    f"table {child.table.fullname!r} has no column for the parent's key column {ours!r}",
                    "add one of the same name, or a foreign key to the parent",
                )
        if child.order.name not in child.table.columns or not isinstance(child.order.type, sa.Integer):
            refuse(f"`order` {child.order.name!r} is no integer column of the child table", "add `position integer`")
        expected = {theirs for theirs, _ in pairs} | {child.order.name}
        if {column.name for column in child.table.primary_key.columns} != expected:
            refuse("its primary key is not the parent's key and the order", f"make it ({', '.join(sorted(expected))})")
        record = RecordCompiler(
            refuse,
            child.table,
            names=self.source.names,
            attributes=child.attributes,
            constant=child.constant,
            null=child.null,
            unfit=child.unfit,
            filled=frozenset(expected),
            taken={},
        ).compile()
        types = {one.column: one.type.name for one in key}
        for theirs, ours in pairs:
            if theirs in child.table.columns:
                found = column_type(child.table.columns[theirs].type)
                name = found if isinstance(found, str) else found.name
                if ours in types and name != types[ours]:
                    refuse(f"column {theirs!r} is {name}, the parent's {ours!r} is {types[ours]}", "use one type")
        return ChildPlan(
            name=child.table.name,
            attribute=child.attribute,
            pointer=token(child.attribute),
            order=child.order.name,
            parent=pairs,
            record=record,
            unfit=self.entity.unfit.get(child.attribute, self.entity.unfit.get("*", "reject")),
        )

    def _copies(self, key: list[KeyColumn], record: RecordPlan, derived: list[DerivedPlan]) -> CopyPlan | None:
        copies = self.entity.copies
        if not copies:
            return None
        if len({copy.of for copy in copies}) > 1:
            self.refuse("its copies name their original by different attributes", "all copies have one `of`")
        generations = [self._patterns(copy.partition, copy.sort) for copy in copies]
        link = self._link(copies[0], record, derived)
        if link is None or any(generation is None for generation in generations):
            return None
        links = tuple((name, self.types[name]) for name in dict.fromkeys(link.columns) if name in self.types)
        for name in _COPY_COLUMNS & set(link.columns):
            self.refuse(f"copies would link by column {name!r}, a name that their own table needs", "name it otherwise")
            return None
        promoted = tuple(copy.orphan == "promote" for copy in copies)
        if any(promoted):
            self._check_promotion(key, derived)
        return CopyPlan(
            generations=tuple(one for one in generations if one is not None),
            table=self._copies_table(links),
            of=copies[0].of,
            link=link,
            links=links,
            promoted=promoted,
            rebuild=tuple(copy.rebuild for copy in copies),
        )

    def _link(self, copy: Copy, record: RecordPlan, derived: list[DerivedPlan]) -> Pattern | None:
        for one in derived:
            if one.attribute == copy.of:
                return one.pattern
        paths: dict[tuple[str, ...], str] = {column.path: column.column for column in record.columns}
        named: dict[tuple[str, ...], str] = {
            (self.source.names(name),): name for name in self.types if name not in paths.values()
        }
        column = paths.get((copy.of,)) or named.get((copy.of,))
        if column is not None and self.types[column].parse is not None:
            return Pattern.parse("{" + column + "}")
        self.refuse(
            f"copies are `of` {copy.of!r}, which is neither derived nor a column's attribute",
            "name the attribute by which a copy knows its original",
        )
        return None

    def _check_promotion(self, key: list[KeyColumn], derived: list[DerivedPlan]) -> None:
        given = {name for one in derived for name in one.pattern.columns}
        lost = [one.column for one in key if one.column not in given]
        if lost:
            self.refuse(
                f"an orphan cannot be promoted: nothing but the key gives column(s) {', '.join(lost)}",
                'declare the attribute that repeats it in `derived`, or set orphan="reject"',
            )

    def _copies_table(self, links: tuple[tuple[str, ColumnType], ...]) -> sa.Table:
        table = self.entity.table
        name = f"{table.name}_copy"
        source = self.source
        existing = table.metadata.tables.get(f"{table.schema}.{name}" if table.schema else name)
        if existing is not None:
            if {*existing.columns.keys()} - {"sort_key"} != (_COPY_COLUMNS - {"sort_key"}) | {one for one, _ in links}:
                self.refuse(f"its copies need table {name!r}, which is declared as another", "call the other otherwise")
            return existing
        keys: list[sa.Column[Any]] = [
            sa.Column("partition_key", _key_types[source.partition_key.type], primary_key=True)
        ]
        if source.sort_key is not None:
            keys.append(sa.Column("sort_key", _key_types[source.sort_key.type], primary_key=True))
        return sa.Table(
            name,
            table.metadata,
            *keys,
            *(sa.Column(column, table.columns[column].type, index=True) for column, _ in links),
            sa.Column("promoted", sa.Boolean, nullable=False, server_default=sa.false()),
            sa.Column("item", postgresql.JSONB, nullable=False),
            schema=table.schema,
            comment=f"Copies of {table.name} under other DynamoDB keys, each item whole",
        )


def _pair(generation: Generation) -> list[Pattern]:
    return [generation.partition, *([generation.sort] if generation.sort is not None else [])]


def _parent_columns(child: sa.Table, parent: sa.Table) -> Mapping[str, Any]:
    """The parent's column → the child's, as the child's foreign key to the parent says."""
    return {
        element.column.name: element.parent.name
        for constraint in child.foreign_key_constraints
        if constraint.referred_table is parent
        for element in constraint.elements
    }
