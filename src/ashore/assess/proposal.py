"""What an assessment proposes: entities, their tables, and the evidence for each part. Frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

KeyType = Literal["S", "N", "B"]
Convention = Literal["camel_case", "pascal_case", "same_name"]
ColumnKind = Literal[
    "text",
    "uuid",
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "boolean",
    "date",
    "timestamp",
    "timestamptz",
    "epoch_seconds",
    "epoch_milliseconds",
    "number_in_text",
    "bytea",
    "jsonb",
    "text[]",
    "bigint[]",
    "numeric[]",
    "bytea[]",
]
"""A PostgreSQL type. The two of epochs are timestamptz, filled from a number since 1970; `number_in_text` is a bigint,
filled from text."""

Role = Literal["record", "mapping", "setting"]
"""`mapping`: rows that hold only keys, a join table or a lookup. `setting`: counters and single items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column, the attribute that fills it, and why it is so.

    `path` is the attribute's name, or a path of names into a map; None for a column that the key (or only a derived
    attribute) fills. `present` is the share of the entity's items that give it a value, `average_bytes` how long its
    values are as JSON text or digits.
    """

    name: str
    kind: ColumnKind
    path: tuple[str, ...] | None
    nullable: bool
    because: str
    present: float = 1.0
    average_bytes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPattern:
    """A pair of patterns, as `Source.key` takes them; `items` have such keys, `examples` are some of them."""

    partition: str
    sort: str | None
    items: int
    examples: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """An attribute that a template of columns gives; `maybe`: absent while one of them is NULL."""

    attribute: str
    template: str
    maybe: bool
    holds: float
    """The share of items with the attribute that the template gives right; the residue keeps the others' own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A list of maps that becomes a table of its own. Its key is the parent's and `order`."""

    table: str
    attribute: str
    order: str
    columns: tuple[Column, ...]
    extra: tuple[tuple[str, str], ...]
    items: int
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """The same records under other keys, found by the attribute `of`.

    `differing` and `orphaned` count among the `compared` copies that were looked at with their originals.
    """

    key: KeyPattern
    of: str
    compared: int
    differing: int
    orphaned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index, and what it is for."""

    name: str
    columns: tuple[str, ...]
    unique: bool
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """Columns whose values are another entity's keys. `enforced` only if every value seen was found.

    `missing` of `looked_at` distinct values were not found. `because` says why it is not enforced.
    """

    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    looked_at: int
    missing: int
    enforced: bool
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeEvidence:
    """The census of one attribute, as the report shows it. `kinds` and `forms` count values.

    `where` says what became of it: a column, "constant", "derived", "key", "child table …", "extra: why".
    """

    path: str
    present: int
    kinds: Mapping[str, int]
    forms: Mapping[str, int]
    distinct: int
    longest: int
    notes: tuple[str, ...]
    where: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """Items of one kind: their keys, table, and what was seen of them.

    `keys` are generations, the current one first. `key_columns` are the primary key, in order. `null` names attributes
    whose NULL is explicit, `unfit` those with a policy (``"*"`` for all). `extra` are attributes that stay in `extra`,
    each with the reason. `indexed_by` names the table's secondary indexes that have some of the items, or of their
    copies. `notes` are sentences for the report and for comments.
    """

    name: str
    role: Role
    keys: tuple[KeyPattern, ...]
    key_columns: tuple[str, ...]
    columns: tuple[Column, ...]
    constant: Mapping[str, Any] = field(default_factory=dict)
    derived: tuple[Derived, ...] = ()
    null: tuple[str, ...] = ()
    unfit: Mapping[str, Literal["reject", "strip", "residue"]] = field(default_factory=dict)
    children: tuple[Child, ...] = ()
    copies: tuple[Copies, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    ttl: str | None = None
    extra: tuple[tuple[str, str], ...] = ()
    indexed_by: tuple[str, ...] = ()
    items: int = 0
    bytes: int = 0
    largest: int = 0
    evidence: tuple[AttributeEvidence, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Items that no entity takes: `not_yet`, as strays are. The texts are globs, as `Source.not_yet` takes them."""

    partition: str
    sort: str
    items: int
    bytes: int
    because: str


Severity = Literal["stop", "warning", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """Something that makes the crossing risky, what it means, and what to do."""

    severity: Severity
    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Everything proposed for one table. `entities` are in the order in which they should cross.

    `groups` are crossing groups: entities that name each other, of which writes should move together unless the
    application says otherwise. `secondary` has the table's secondary indexes, name → attributes of the key; one that
    nobody named is called as its attributes, with commas between. `complete` says that every item was read; otherwise
    `items_read` of about `items` were.
    """

    name: str
    table: str
    partition_key: tuple[str, KeyType]
    sort_key: tuple[str, KeyType] | None
    names: Convention
    complete: bool
    items: int
    items_read: int
    bytes: int
    entities: tuple[Entity, ...]
    rules: tuple[Rule, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    secondary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hazards: tuple[Hazard, ...] = ()
    questions: tuple[str, ...] = ()
