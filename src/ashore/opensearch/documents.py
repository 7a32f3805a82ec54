"""From an item to a document: the user's functions, and what becomes of them when they fail."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from boto3.dynamodb.types import Binary, TypeDeserializer

from ashore.mapping.declare import Search
from ashore.model.item import Item

ID_BYTES: Final = 512
"""Source: https://docs.opensearch.org/latest/api-reference/document-apis/bulk/"""

_deserialize: Final[Callable[[Any], Any]] = TypeDeserializer().deserialize


class Unshaped(Exception):
    """A user's function raised, or gave what no index can hold. The message names neither values nor keys."""


def document_id(search: Search, key: Item) -> str:
    """The id of the document of an item with this key.

    Raises:
        Unshaped: The function failed, or gave no id.
    """
    found = _call("id", search.id, key, search)
    if not isinstance(found, str) or not found:
        raise Unshaped(f"the id function gave a {type(found).__name__} that is no id")
    if len(found.encode("utf-8", "surrogatepass")) > ID_BYTES:
        raise Unshaped(f"the id is longer than {ID_BYTES} bytes")
    return found


def document(search: Search, item: Item) -> bytes | None:
    """The document of an item as JSON, its numbers exact; None where the index is to have none.

    Sets become lists, binaries base64, as DynamoDB's JSON has them.

    Raises:
        Unshaped: The function failed, or its document cannot be JSON.
    """
    found = _call("document", search.document, item, search)
    if found is None:
        return None
    if not isinstance(found, Mapping):
        raise Unshaped(f"the document function gave a {type(found).__name__}, not a mapping")
    try:
        return _encode(dict(found))
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise Unshaped(f"the document cannot be JSON ({type(error).__name__})") from None


def _call(what: str, function: Callable[[dict[str, Any]], Any], attributes: Item, search: Search) -> Any:
    given = _plain(attributes) if search.item == "plain" else dict(attributes)
    try:
        return function(given)
    except Exception as error:  # noqa: BLE001 (the user's code may raise anything; its document is refused, and shown)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename.rsplit('/', 1)[-1]} line {frame.lineno}"
        raise Unshaped(f"the {what} function raised {type(error).__name__} at {place}") from None


def _plain(item: Item) -> dict[str, Any]:
    """As boto3's resources give an item."""
    return {name: _deserialize(_with_bytes(value)) for name, value in item.items()}


def _with_bytes(value: Mapping[str, Any]) -> dict[str, Any]:
    """A typed value with its base64 decoded, as botocore's parser hands it to the deserializer."""
    [(kind, content)] = value.items()
    match kind:
        case "B":
            return {"B": base64.b64decode(content)}
        case "BS":
            return {"BS": [base64.b64decode(one) for one in content]}
        case "L":
            return {"L": [_with_bytes(one) for one in content]}
        case "M":
            return {"M": {name: _with_bytes(one) for name, one in content.items()}}
        case _:
            return {kind: content}


def _fallback(value: Any) -> Any:
    if isinstance(value, Binary):
        return bytes(value.value)  # type: ignore[attr-defined]  # the stubs lack it
    raise TypeError(type(value).__name__)


_encoder: Final = msgspec.json.Encoder(enc_hook=_fallback, decimal_format="number")
_encode: Final = partial(msgspec.json.Encoder.encode, _encoder)
