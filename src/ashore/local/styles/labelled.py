"""A labelled table: items in DynamoDB JSON, and what a good engineer would say of each from the items alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import msgspec
from boto3.dynamodb.types import TypeSerializer

from ashore.model.item import Item

Role = Literal["record", "mapping", "setting"]
Truth = Literal[
    "text",
    "uuid",
    "integer",
    "numeric",
    "boolean",
    "date",
    "timestamptz",
    "timestamp",
    "epoch",
    "number_in_text",
    "binary",
    "set",
    "document",
    "any",
]
"""What an attribute's values are. `any`: of several types, or so rare that it needs no column."""

_serialize: Final = TypeSerializer().serialize


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The truth about the items of one label.

    `types` are by attribute. `parents` are by the attribute (of the key too) whose text holds the parent's key.
    `mirrors` names the label of which these items are the other direction: a proposal may take the two for one.
    """

    role: Role = "record"
    types: Mapping[str, Truth] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    mirrors: str | None = None


@dataclass(frozen=True, slots=True)
class LabelledItem:
    """An item and its label. A copy has the label of its original."""

    label: str
    item: Item
    is_copy: bool = False


@dataclass(kw_only=True)
class LabelledTable:
    """A table with its truth; `key` are names and types ("S", "N", "B"), `indexes` attributes by index."""

    name: str
    key: tuple[tuple[str, str], ...] = (("PK", "S"), ("SK", "S"))
    indexes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    type_attribute: str | None = None
    ttl: str | None = None
    kinds: dict[str, Kind] = field(default_factory=dict)
    items: list[LabelledItem] = field(default_factory=list)

    def kind(
        self,
        label: str,
        types: str = "",
        *,
        role: Role = "record",
        parents: Mapping[str, str] | None = None,
        mirrors: str | None = None,
    ) -> None:
        """Say what items of a label are; `types` as in ``"orderId uuid, total numeric"``."""
        pairs: Any = (pair.split() for pair in types.split(",") if pair.strip())
        self.kinds[label] = Kind(role=role, types=dict(pairs), parents=parents or {}, mirrors=mirrors)

    def add(self, label: str, attributes: Mapping[str, Any], *, is_copy: bool = False) -> None:
        """Add an item of Python values, as boto3 takes them; sets in a fixed order are `keys()` of a dictionary."""
        item = msgspec.to_builtins({name: _serialize(value) for name, value in attributes.items()})
        self.items.append(LabelledItem(label, item, is_copy))

    def raw(self) -> list[bytes]:
        """The items as an export's lines have them."""
        return [msgspec.json.encode(one.item) for one in self.items]

    def without_type_attribute(self) -> LabelledTable:
        """The same table without the attribute that tells kinds apart."""
        gone = self.type_attribute
        items = [
            replace(one, item={name: value for name, value in one.item.items() if name != gone}) for one in self.items
        ]
        return replace(self, items=items, type_attribute=None)

    def renamed(self, rename: Callable[[str], str]) -> LabelledTable:
        """The same table with other names for all attributes but the key's, those inside of documents too."""
        keys = {name for name, _ in self.key}

        def other(name: str) -> str:
            return name if name in keys else rename(name)

        kinds = {
            label: replace(
                kind,
                types={other(name): truth for name, truth in kind.types.items()},
                parents={other(name): parent for name, parent in kind.parents.items()},
            )
            for label, kind in self.kinds.items()
        }
        return replace(
            self,
            kinds=kinds,
            items=[
                replace(one, item={other(name): _renamed(value, rename) for name, value in one.item.items()})
                for one in self.items
            ],
            indexes={name: tuple(map(other, names)) for name, names in self.indexes.items()},
            type_attribute=None if self.type_attribute is None else other(self.type_attribute),
            ttl=None if self.ttl is None else other(self.ttl),
        )


def _renamed(value: Mapping[str, Any], rename: Callable[[str], str]) -> Mapping[str, Any]:
    match value:
        case {"M": members}:
            return {"M": {rename(name): _renamed(member, rename) for name, member in members.items()}}
        case {"L": elements}:
            return {"L": [_renamed(element, rename) for element in elements]}
        case _:
            return value
