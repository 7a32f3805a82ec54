"""Whether a declared column still takes what was seen of its attribute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ashore.assess.proposal import AttributeEvidence, Column
from ashore.mapping.plan import ColumnPlan

_wires: Final[dict[str, frozenset[str]]] = {
    "smallint": frozenset({"N"}),
    "integer": frozenset({"N"}),
    "bigint": frozenset({"N"}),
    "numeric": frozenset({"N"}),
    "boolean": frozenset({"BOOL"}),
    "bytea": frozenset({"B"}),
    "text[]": frozenset({"SS", "L"}),
    "smallint[]": frozenset({"NS", "L"}),
    "integer[]": frozenset({"NS", "L"}),
    "bigint[]": frozenset({"NS", "L"}),
    "numeric[]": frozenset({"NS", "L"}),
    "bytea[]": frozenset({"BS", "L"}),
    "timestamptz, epoch s": frozenset({"N"}),
    "timestamptz, epoch ms": frozenset({"N"}),
}
"""Column type → the types of DynamoDB that it takes; all others but jsonb take texts. A NULL is never out of place."""

_forms: Final[dict[str, frozenset[str]]] = {
    "uuid": frozenset({"uuid"}),
    "date": frozenset({"date"}),
    "timestamptz": frozenset({"timestamp", "date"}),
    "timestamp": frozenset({"local", "date"}),
    "bigint in text": frozenset({"integer"}),
    "integer in text": frozenset({"integer"}),
    "smallint in text": frozenset({"integer"}),
}
"""Column type → the forms of texts that it takes; see `ashore.assess.forms`."""

_wider: Final = ("smallint", "integer", "bigint", "numeric")


def misfits(declared: ColumnPlan, proposed: Column | None, evidence: AttributeEvidence | None) -> Iterator[str]:
    """What was seen that the column does not take, as ends of sentences: ``has 3 values of type S``.

    The ranges of numbers are taken from the column that is proposed, if one is.
    """
    kind = declared.type.name
    if kind == "jsonb" or declared.unfit == "residue":
        return
    taken = _wires.get(_plain(kind), frozenset({"S"})) | {"NULL"}
    if evidence is not None:
        for wire, values in sorted(evidence.kinds.items()):
            if wire not in taken and values:
                yield f"has {values:,} of type {wire}"
        forms = _forms.get(kind)
        for form, values in sorted(evidence.forms.items()):
            if forms is not None and form not in forms and values:
                yield f"has {values:,} written as {form}"
        if declared.type.longest is not None and evidence.longest > declared.type.longest:
            yield f"is up to {evidence.longest:,} characters long"
    if proposed is not None and kind in _wider and proposed.kind in _wider:
        place = _wider.index(proposed.kind)
        if place > _wider.index(kind):
            yield f"has numbers that need {proposed.kind}"


def lacks_values(declared: ColumnPlan, proposed: Column | None, evidence: AttributeEvidence | None) -> bool:
    """Whether items were seen that give no value to a column that needs one."""
    if not declared.required:
        return False
    absent = proposed is not None and proposed.present < 1
    return absent or (evidence is not None and bool(evidence.kinds.get("NULL")))


def _plain(kind: str) -> str:
    """A type without its length or precision."""
    return kind.partition("(")[0] if kind.startswith("numeric(") else kind
