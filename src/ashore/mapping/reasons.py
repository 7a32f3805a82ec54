"""The closed set of reasons for which an item, or one of its attributes, cannot become a column's value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Reason = Literal[
    "unmatched",
    "unreadable",
    "key_spelling",
    "key_too_long",
    "nul_in_text",
    "nul_in_name",
    "wrong_type",
    "not_a_date",
    "not_a_timestamp",
    "not_a_uuid",
    "not_a_label",
    "not_a_number",
    "not_base64",
    "out_of_range",
    "too_long",
    "too_precise",
    "missing",
    "not_a_record",
    "duplicate_key",
    "orphan",
    "refused_by_postgres",
]

explanations: Final[dict[str, str]] = {
    "unmatched": "the item's key fits no declared entity, `not_yet` or `leave_out`",
    "unreadable": "the item is not DynamoDB JSON",
    "key_spelling": "the key's text is not what its column would give back (two spellings of one value are two items)",
    "key_too_long": "the key is longer than a PostgreSQL B-tree index can hold",
    "nul_in_text": "the text holds U+0000, which PostgreSQL cannot store in text or jsonb",
    "nul_in_name": "an attribute's name holds U+0000, which PostgreSQL cannot store in jsonb",
    "wrong_type": "the attribute's DynamoDB type is not the one that the column takes",
    "not_a_date": "the text is not a date (YYYY-MM-DD)",
    "not_a_timestamp": "the text is not a timestamp of the form that the column takes",
    "not_a_uuid": "the text is not a UUID",
    "not_a_label": "the text is not one of the enum's labels",
    "not_a_number": "the text is not a number",
    "not_base64": "the binary value is not base64",
    "out_of_range": "the number does not fit the column's type",
    "too_long": "the text is longer than the column allows",
    "too_precise": "the column would have to round the value",
    "missing": "the attribute is absent or NULL, and the column is NOT NULL",
    "not_a_record": "the children's attribute is not a list of maps",
    "duplicate_key": "another item gives the same row key",
    "orphan": "the copy's original does not exist",
    "refused_by_postgres": "PostgreSQL refused the row",
}


def shown(name: str) -> str:
    """An attribute's name as PostgreSQL can store it in a text: U+0000 is shown as its picture, U+2400."""
    return name.replace("\0", "\u2400")


@dataclass(slots=True)
class UnfitError(Exception):
    """A value, or a whole item, that cannot be what its declaration says. Caught inside `ashore.mapping`."""

    reason: Reason
    attribute: str | None = None
    detail: str = ""

    def at(self, attribute: str) -> UnfitError:
        """The same, blamed on `attribute` unless it is already blamed on a part of it."""
        return self if self.attribute is not None else UnfitError(self.reason, attribute, self.detail)
