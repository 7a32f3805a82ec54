"""Finding items again by their keys, in a table or in an export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ashore.dynamodb.scan import TableSource
from ashore.mapping.document import encode
from ashore.model.attribute import TypedValue, canonical
from ashore.model.chunk import ItemSource

Key = Mapping[str, TypedValue]


def find_items(source: ItemSource, keys: Sequence[Key]) -> list[bytes]:
    """The raw items with these keys, in no order; those that are not there are left out.

    A table is asked for them, strongly consistent; anything else is read from its beginning until all are found.

    Args:
        source: Where they are.
        keys: Each with exactly the table's key attributes.
    """
    if isinstance(source, TableSource):
        return source.get_items(keys)
    return list(_read_through(source, keys))


def _read_through(source: ItemSource, keys: Sequence[Key]) -> Iterable[bytes]:
    wanted = {_identity(key) for key in keys}
    names = sorted({name for key in keys for name in key})
    fields = [(f"k{place}", dict[str, Any]) for place, _ in enumerate(names)]
    rename = {f"k{place}": name for place, name in enumerate(names)}
    decode = msgspec.json.Decoder(msgspec.defstruct("Key", fields, rename=rename)).decode
    for unit in source.units():
        for chunk in source.read(unit, None):
            for raw in chunk.items:
                identity = _key_of(decode, names, raw)
                if identity in wanted:
                    wanted.discard(identity)
                    yield raw
            if not wanted:
                return


def _key_of(decode: Any, names: Sequence[str], raw: bytes) -> Any:
    try:
        peeked = decode(raw)
    except msgspec.DecodeError:
        return None
    return _identity({name: getattr(peeked, f"k{place}") for place, name in enumerate(names)})


def _identity(key: Key) -> Any:
    return frozenset((name, canonical(value)) for name, value in key.items())


def key_json(key: Key) -> str:
    """A key as JSON text, as rejected items are listed by."""
    return encode(dict(key)).decode()
