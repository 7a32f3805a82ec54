"""DynamoDB attribute values in their wire form, and when two of them are the same.

A typed value is the mapping of one DynamoDB type to its wire value, as it stands in an export, in a Scan answer and
in a stream record: ``{"S": "x"}``, ``{"N": "1.50"}``, ``{"B": "aGk="}`` (base64), ``{"SS": ["a", "b"]}``,
``{"M": {"k": {"NULL": true}}}``. The empty mapping, `ABSENT`, says that there is no such attribute.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

type_names: Final = ("S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS")

TypedValue = Mapping[str, Any]
ABSENT: Final[TypedValue] = {}
NULL: Final[TypedValue] = {"NULL": True}


def kind(value: TypedValue) -> str:
    """The DynamoDB type of a typed value, ``"absent"`` for `ABSENT`."""
    for name in value:
        return name
    return "absent"


def canonical(value: TypedValue) -> tuple[Any, ...]:
    """A hashable form: equal for two typed values exactly when DynamoDB holds them for the same value.

    Numbers are compared by value to all 38 digits, sets without order, binary by its bytes.
    """
    for name, content in value.items():
        match name:
            case "N":
                return ("N", Decimal(content))
            case "B":
                return ("B", base64.b64decode(content))
            case "NS":
                return ("NS", frozenset(Decimal(number) for number in content))
            case "SS":
                return ("SS", frozenset(content))
            case "BS":
                return ("BS", frozenset(base64.b64decode(member) for member in content))
            case "M":
                return ("M", frozenset((key, canonical(member)) for key, member in content.items()))
            case "L":
                return ("L", tuple(canonical(member) for member in content))
            case _:
                return (name, content)
    return ("absent",)


def same(one: TypedValue, other: TypedValue) -> bool:
    """Whether two typed values are one and the same to DynamoDB."""
    return one == other or canonical(one) == canonical(other)
