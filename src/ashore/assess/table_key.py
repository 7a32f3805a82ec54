"""The key of the table that is assessed."""

from __future__ import annotations

from dataclasses import dataclass

from ashore.mapping.match import KeyTexts
from ashore.model.item import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The names and types of the key attributes, and all attributes of keys and indexes."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    not_telling: frozenset[str]

    def texts(self, item: Item) -> KeyTexts | None:
        """The item's key texts; None where it has not the key that the table has."""
        texts = [item.get(name, {}).get(kind) for name, kind in zip(self.names, self.types, strict=True)]
        if not all(isinstance(text, str) and text for text in texts):
            return None
        return str(texts[0]), (str(texts[1]) if len(texts) > 1 else None)
