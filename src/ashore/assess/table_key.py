"""The key of the table that is assessed."""

from __future__ import annotations

from dataclasses import dataclass

from ashore.mapping.match import KeyTexts
from ashore.model.item import Item

_none = type(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The names and types of the key attributes, and all attributes of keys and indexes."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    not_telling: frozenset[str]

    def texts(self, item: Item) -> KeyTexts | None:
        """The item's key texts; None where it has not the key that the table has."""
        try:
            partition = item[self.names[0]][self.types[0]]
            sort = item[self.names[1]][self.types[1]] if len(self.names) > 1 else None
        except KeyError:
            return None
        if type(partition) is not str or not partition or sort == "" or type(sort) not in {str, _none}:
            return None
        return partition, sort
