"""What a user writes: sources, entities, children, copies, and how their attributes meet columns.

A declaration is data. `Source.compile` checks it whole and turns it into a `Plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from ashore.mapping.names import Convention, same_name

if TYPE_CHECKING:
    from ashore.mapping.plan import Plan

KeyType = Literal["S", "N", "B"]
Unfit = Literal["reject", "strip", "residue"]
Attribute = str | tuple[str, ...]


class Explicit:
    """The type of `explicit`."""

    def __repr__(self) -> str:
        return "explicit"


explicit: Final = Explicit()
"""For `null={...}`: a NULL column is an attribute of type NULL, and an absent attribute is the exception."""

reject: Final[Unfit] = "reject"
"""For `unfit={...}`: an item whose value the column cannot hold is rejected whole. The default."""
strip: Final[Unfit] = "strip"
"""For `unfit={...}`: U+0000 is taken out of the attribute's texts. What is stripped is lost, by declaration."""
residue: Final[Unfit] = "residue"
"""For `unfit={...}`: the column is NULL, and the residue keeps the value."""

promote: Final = "promote"
"""For `Copy(orphan=...)`: a copy whose original is gone becomes a row itself."""
render: Final = "render"
"""For `Copy(rebuild=...)`: on the way back every row has the copy whose key its columns give."""
carry: Final = "carry"
"""For `Copy(rebuild=...)`: on the way back a row's changes are carried to the copies that there are."""


@dataclass(frozen=True, slots=True)
class Maybe:
    """A derived attribute that is absent while one of its columns is NULL."""

    template: str


def maybe(template: str) -> Maybe:
    """For `derived={...}`: the attribute is absent while one of the template's columns is NULL."""
    return Maybe(template)


@dataclass(frozen=True, slots=True)
class Epoch:
    """A timestamptz column that holds a number of seconds or milliseconds since 1970."""

    column: sa.Column[Any]
    unit: Literal["s", "ms"]


def epoch_seconds(column: sa.Column[Any]) -> Epoch:
    """For `attributes={...}`: the attribute is a number of seconds since 1970, as a TTL is; the column timestamptz."""
    return Epoch(column, "s")


def epoch_milliseconds(column: sa.Column[Any]) -> Epoch:
    """For `attributes={...}`: the attribute is a number of milliseconds since 1970; the column timestamptz."""
    return Epoch(column, "ms")


@dataclass(frozen=True, slots=True)
class InText:
    """A whole-number column whose attribute is text."""

    column: sa.Column[Any]


def number_in_text(column: sa.Column[Any]) -> InText:
    """For `attributes={...}`: the attribute is text that spells a whole number; the column an integer."""
    return InText(column)


def remainder() -> list[sa.Column[Any]]:
    """The two columns that every target table has besides its own: `extra` and `residue`, both nullable jsonb."""
    return [sa.Column("extra", postgresql.JSONB), sa.Column("residue", postgresql.JSONB)]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAttribute:
    """One of a DynamoDB table's key attributes and its type."""

    name: str
    type: KeyType = "S"


@dataclass(frozen=True, slots=True)
class Key:
    """The patterns of an entity's keys. Made by `Source.key`."""

    source: Source
    partition: str
    sort: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """Records in a list of maps that become rows of a table of their own.

    Args:
        table: The child table. It has the parent's primary key columns under their own names (or a foreign key to
            them), a column for the order, columns for the elements' attributes, `extra` and `residue`.
        attribute: The attribute that holds the list.
        order: The integer column that keeps an element's place, from 0.
        attributes, constant, null, unfit: As of `Entity`, for one element.
    """

    table: sa.Table
    attribute: str
    order: sa.Column[Any]
    attributes: Mapping[Attribute, sa.Column[Any] | Epoch | InText] = field(default_factory=dict)
    constant: Mapping[str, Any] = field(default_factory=dict)
    null: Mapping[str, Explicit] = field(default_factory=dict)
    unfit: Mapping[str, Unfit] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The same records under other keys.

    Args:
        partition, sort: Patterns of the copies' keys; the placeholders' names are free.
        of: The attribute by which a copy knows its original: a derived one of the entity, or one that has a column.
        orphan: What becomes of a copy without an original: `promote`, or `reject`.
        rebuild: What reverse sync makes of them: `render`, where the placeholders are columns of the entity's table;
            `carry`; None where an entity with such copies may have no way back.

    Copies are kept in a table named after the entity's, with ``_copy`` behind it.
    """

    partition: str
    sort: str | None = None
    of: str
    orphan: Literal["promote", "reject"] = "reject"
    rebuild: Literal["render", "carry"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Items that are left out because rows say all that they say: each row gives one, for `Source.leave_out`.

    Args:
        of: The entity whose rows give them.
        partition, sort: Patterns of the items' keys; the placeholders are columns of the entity's table, those of its
            primary key among them. A row in which one of them is NULL has no such item.
        attributes: The item's other attributes, as `derived` of `Entity`.
    """

    of: Entity
    partition: str
    sort: str | None = None
    attributes: Mapping[str, str | Maybe] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What items are in an index of OpenSearch: one item, with its children, is one document.

    Args:
        index: The index, or an alias that has one index to write to. Ashore makes none.
        id: From the item's key attributes to the document's id. Different items must give different ids, for ever.
        document: From the item to the document, made of what JSON can hold; None where the index is to have none. It
            is called again and again for the same item, also for one that was not changed.
        item: How `id` and `document` get attributes: "plain" as boto3's resources give them (text, Decimal, set, …),
            "dynamodb" as a stream's record has them (``{"S": "text"}``).
    """

    index: str
    id: Callable[[dict[str, Any]], str]
    document: Callable[[dict[str, Any]], Mapping[str, Any] | None]
    item: Literal["plain", "dynamodb"] = "plain"


class Entity:
    """Items of one kind, and the table that they become.

    Args:
        table: The target. Its columns take the attributes that the source's naming convention names, except those of
            the key, and those that `attributes` or `only_in_postgres` speak of.
        key: The patterns of the items' keys, several for several generations of them, the current one first.
        name: What the entity is called; the table's name by default.
        constant: Attributes that have one value in every item; rebuilt, not stored.
        derived: Attributes that follow from columns: text with ``{column}`` placeholders, or `maybe` of it.
        attributes: Exceptions to the naming convention, and paths into maps (``"judge.userId"``, or a tuple of names).
        null: Attributes whose NULL is `explicit`.
        unfit: What to do by attribute with a value that the column cannot hold; ``"*"`` for all others.
        children: Lists of records that become rows of their own.
        copies: The same records under other keys.
        ttl: The attribute of the table's time to live, if items of this entity expire.
        expired: What a sync does when DynamoDB deletes an expired item: "apply" deletes the row as well, "ignore" keeps
            it, a column of timestamps keeps it and notes when (no item fills that column).
        only_in_postgres: Columns that no item fills.
        search: What the items are in an index of OpenSearch, for `ashore index` to feed.
    """

    def __init__(  # noqa: PLR0913 (a declaration is named arguments)
        self,
        table: sa.Table,
        key: Key | Sequence[Key],
        *,
        name: str | None = None,
        constant: Mapping[str, Any] | None = None,
        derived: Mapping[str, str | Maybe] | None = None,
        attributes: Mapping[Attribute, sa.Column[Any] | Epoch | InText] | None = None,
        null: Mapping[str, Explicit] | None = None,
        unfit: Mapping[str, Unfit] | None = None,
        children: Sequence[Child] = (),
        copies: Sequence[Copy] = (),
        ttl: str | None = None,
        expired: Literal["apply", "ignore"] | sa.Column[Any] = "apply",
        only_in_postgres: Collection[sa.Column[Any]] = (),
        search: Search | None = None,
    ) -> None:
        self.table = table
        self.keys: tuple[Key, ...] = (key,) if isinstance(key, Key) else tuple(key)
        self.name = name or str(table.name)
        self.constant = dict(constant or {})
        self.derived = dict(derived or {})
        self.attributes = dict(attributes or {})
        self.null = dict(null or {})
        self.unfit = dict(unfit or {})
        self.children = tuple(children)
        self.copies = tuple(copies)
        self.ttl = ttl
        self.expired = expired
        self.search = search
        marks = (expired,) if isinstance(expired, sa.Column) else ()
        self.only_in_postgres = frozenset(column.name for column in (*only_in_postgres, *marks))
        for one in self.keys[:1]:
            one.source.entities.append(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Items that do not become rows: *known but not crossing now*, or *left out because …*."""

    name: str
    outcome: Literal["not_yet", "left_out"]
    partition: str
    sort: str
    because: str | None = None
    rebuild: Entity | None = None
    mirrors: tuple[Mirror, ...] = ()


class Source:
    """A DynamoDB table and what its items are.

    Args:
        name: What the table is called here; the ledger keeps its state under this name.
        partition_key, sort_key: The key attributes: a name, or a `KeyAttribute` where it is not text.
            ``sort_key=None`` for a table without one.
        names: The naming convention, from a column's name to an attribute's.
    """

    def __init__(
        self,
        name: str,
        *,
        partition_key: str | KeyAttribute = "pk",
        sort_key: str | KeyAttribute | None = "sk",
        names: Convention = same_name,
    ) -> None:
        self.name = name
        self.partition_key = _key_attribute(partition_key)
        self.sort_key = None if sort_key is None else _key_attribute(sort_key)
        self.names = names
        self.entities: list[Entity] = []
        self.rules: list[Rule] = []
        self.groups: list[tuple[Entity, ...]] = []

    def key(self, partition: str, sort: str | None = None) -> Key:
        """The patterns of a key, as in ``court.key("case|{docket_number}", "message|{message_id}")``."""
        return Key(self, partition, sort)

    def not_yet(self, *partitions: str, sort: str = "*") -> None:
        """Say that items are known but do not cross now. ``*`` stands for any text; entities come first."""
        for partition in partitions:
            name = partition if sort == "*" else f"{partition} {sort}"
            self.rules.append(Rule(name=name, outcome="not_yet", partition=partition, sort=sort))

    def leave_out(
        self,
        partition: str,
        sort: str = "*",
        *,
        because: str,
        rebuild: Entity | Mirror | Sequence[Mirror] | None = None,
    ) -> None:
        """Say that items are left out for good: why, and which entity they can be rebuilt from, if one, and how."""
        name = partition if sort == "*" else f"{partition} {sort}"
        mirrors: tuple[Mirror, ...] = ()
        if isinstance(rebuild, Mirror):
            mirrors = (rebuild,)
        elif rebuild is not None and not isinstance(rebuild, Entity):
            mirrors = tuple(rebuild)
        self.rules.append(
            Rule(
                name=name,
                outcome="left_out",
                partition=partition,
                sort=sort,
                because=because,
                rebuild=rebuild if isinstance(rebuild, Entity) else None,
                mirrors=mirrors,
            )
        )

    def together(self, *entities: Entity) -> None:
        """Say that one transaction writes items of these entities: their writes cross together, or not at all."""
        self.groups.append(entities)

    def compile(self) -> Plan:
        """Check the declaration whole and compile it.

        Raises:
            DeclarationError: With every problem that there is.
        """
        from ashore.mapping.compile import compile_source  # noqa: PLC0415 (the compiler reads declarations)

        return compile_source(self)


def _key_attribute(key: str | KeyAttribute) -> KeyAttribute:
    return KeyAttribute(name=key) if isinstance(key, str) else key
