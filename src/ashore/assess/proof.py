"""When a reference is proven, so that a foreign key can be enforced."""

from __future__ import annotations


def why_not_enforced(
    *, complete: bool, counted: tuple[int, int] | None, as_they_stand: bool, all_rows: bool, one_type: bool
) -> str:
    """Why a reference is no foreign key; empty where every value of every row was looked up, and found as it stands.

    Args:
        complete: Every item was read, and each of its attributes counted.
        counted: (distinct values, how many of them were not found); None where not all could be looked up.
        as_they_stand: The values are keys as they are.
        all_rows: What else becomes a row, such as a copy without an original, was counted too.
        one_type: PostgreSQL can hold a foreign key between the columns.
    """
    if not complete:
        return "not everything was read"
    if counted is not None and counted[1]:
        return "not all are found"
    if not as_they_stand:
        return "a label stands before the values"
    if not all_rows:
        return "copies may become rows, with values that were not looked up"
    if not one_type:
        return "the types of the columns differ"
    if counted is None:
        return "not all values were looked up, since the first items that were read showed no such reference"
    return ""
