"""A compiled declaration: frozen values that say, for each column, where it comes from and where it goes back to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from ashore.mapping.declare import KeyAttribute, Rule, Search, Unfit
from ashore.mapping.pattern import Glob, Pattern
from ashore.mapping.types.base import ColumnType
from ashore.model.attribute import TypedValue

if TYPE_CHECKING:
    from collections.abc import Collection

    from ashore.mapping.encoded import Encoder

EXTRA: Final = "extra"
RESIDUE: Final = "residue"
KEY_BYTES: Final = 2_600
"""A B-tree entry holds at most 2,704 bytes on a page of 8 KB, headers included.

Source: https://www.postgresql.org/docs/current/btree.html (about one third of a page)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPlan:
    """A column that an attribute fills. `path` has more than one name for a path into a map."""

    column: str
    type: ColumnType
    path: tuple[str, ...]
    pointer: str
    required: bool
    explicit_null: bool
    unfit: Unfit


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPlan:
    """What an item's own attributes, or those of one element of a list of children, become: one row of a table."""

    table: sa.Table
    columns: tuple[ColumnPlan, ...]
    constant: tuple[tuple[str, TypedValue], ...]
    unfit: Mapping[str, Unfit]

    def unfit_of(self, attribute: str) -> Unfit:
        """The policy for an attribute without a column."""
        return self.unfit.get(attribute, self.unfit.get("*", "reject"))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyColumn:
    """A column that a key pattern fills. `typed_as` is the key attribute's type where it fills the whole of it."""

    column: str
    type: ColumnType
    typed_as: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One form that the entity's keys have, or had."""

    partition: Pattern
    sort: Pattern | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedPlan:
    """An attribute that is rendered from columns. `whole` is set where it is one column's value and nothing else."""

    attribute: str
    pointer: str
    pattern: Pattern
    optional: bool
    whole: ColumnType | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildPlan:
    """A list of maps that becomes rows. `parent` pairs a child's column with the parent's key column."""

    name: str
    attribute: str
    pointer: str
    order: str
    parent: tuple[tuple[str, str], ...]
    record: RecordPlan
    unfit: Unfit


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """Copies of the entity's items. `link` matches the attribute `of`; `links` are its columns and their types.

    `promoted` and `rebuild` are said of each generation, in their order.
    """

    generations: tuple[Generation, ...]
    table: sa.Table
    of: str
    link: Pattern
    links: tuple[tuple[str, ColumnType], ...]
    promoted: tuple[bool, ...]
    rebuild: tuple[Literal["render", "carry"] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPlan:
    """Items that are left out: each row of `entity` in which no column of their keys is NULL gives one."""

    entity: str
    form: Generation
    attributes: tuple[DerivedPlan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityPlan:
    """One entity: which items are of it, and what they become.

    `expired` says what a sync does with a removal by time to live; "mark" notes it in `expired_column`.
    """

    name: str
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None
    generations: tuple[Generation, ...]
    key: tuple[KeyColumn, ...]
    record: RecordPlan
    derived: tuple[DerivedPlan, ...]
    children: tuple[ChildPlan, ...]
    copies: CopyPlan | None
    ttl: str | None
    expired: Literal["apply", "ignore", "mark"] = "apply"
    expired_column: str | None = None
    mirrors: tuple[MirrorPlan, ...] = ()
    search: Search | None = None

    @property
    def table(self) -> sa.Table:
        """The entity's own table."""
        return self.record.table

    @property
    def tables(self) -> tuple[sa.Table, ...]:
        """Every table that items of this entity fill: its own, its children's, its copies'."""
        copies = () if self.copies is None else (self.copies.table,)
        return (self.table, *(child.record.table for child in self.children), *copies)

    @property
    def column_types(self) -> dict[str, ColumnType]:
        """Every column of the entity's table that an item fills, `extra` and `residue` left out."""
        keys = {column.column: column.type for column in self.key}
        return keys | {column.column: column.type for column in self.record.columns}


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePlan:
    """A compiled `not_yet` or `leave_out`."""

    rule: Rule
    partition: Glob
    sort: Glob
    mirrors: tuple[MirrorPlan, ...] = ()

    @property
    def rebuilt_from(self) -> frozenset[str]:
        """The entities whose rows say all that these items say; none where they are nobody's."""
        own = () if self.rule.rebuild is None else (self.rule.rebuild.name,)
        return frozenset((*own, *(mirror.entity for mirror in self.mirrors)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A compiled `Source`. Cheap to share inside a process; other processes load it by a `PlanReference`.

    `groups` are the crossing groups of more than one entity: their writes move together.
    """

    name: str
    partition_key: KeyAttribute
    sort_key: KeyAttribute | None
    entities: Mapping[str, EntityPlan]
    rules: tuple[RulePlan, ...]
    groups: tuple[frozenset[str], ...] = ()

    def group_of(self, entity: str) -> frozenset[str]:
        """The entities whose writes move together with this one's, itself included."""
        return next((group for group in self.groups if entity in group), frozenset({entity}))

    def encoder(
        self,
        entities: Collection[str] | None = None,
        tables: Mapping[str, str] | None = None,
        *,
        sample: int = 0,
    ) -> Encoder:
        """A new encoder for some of the entities (all by default).

        Args:
            entities: Names of the entities whose items become rows; items of the others are counted as "other".
            tables: Full name of a target → the name under which its COPY data is returned instead.
            sample: How many items of each shape to hand back as `Encoded.samples`.
        """
        from ashore.mapping.encoder import GeneratedEncoder  # noqa: PLC0415 (the encoder reads plans)

        return GeneratedEncoder(self, entities, tables, sample=sample)


def key_attributes(plan: Plan | EntityPlan) -> tuple[KeyAttribute, ...]:
    """The key attributes of the source: the partition key's, and the sort key's where there is one."""
    return (plan.partition_key,) if plan.sort_key is None else (plan.partition_key, plan.sort_key)


def full_name(table: sa.Table) -> str:
    """``schema.table``, or ``table`` where no schema is declared; the name that COPY data is kept under."""
    return table.fullname


def copy_columns(record: RecordPlan, before: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a record's COPY data in order: key columns, its own, `extra`, `residue`."""
    return (*before, *(column.column for column in record.columns), EXTRA, RESIDUE)


Row = dict[str, Any]
