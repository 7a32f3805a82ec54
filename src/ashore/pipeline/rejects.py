"""Rejected items: counted, listed and shown. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg.rows import class_row

from ashore.errors import AshoreError
from ashore.ledger.schema import found_version
from ashore.mapping.encoder import masked_key
from ashore.mapping.reasons import explanations
from ashore.model.item import mask
from ashore.pipeline.project import Project
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated

_COUNTS: Final = """
    SELECT entity, reason, count(*) FROM ashore.rejected_item
    WHERE source = %(source)s AND (%(entity)s::text IS NULL OR entity = %(entity)s)
      AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    GROUP BY entity, reason ORDER BY entity NULLS LAST, reason
"""
_LINES: Final = """
    SELECT id, load, entity, key, attribute, reason, detail, rejected_at FROM ashore.rejected_item
    WHERE source = %(source)s AND (%(entity)s::text IS NULL OR entity = %(entity)s)
      AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    ORDER BY id LIMIT %(limit)s
"""
_ONE: Final = """
    SELECT id, load, entity, key, attribute, reason, detail, rejected_at, item FROM ashore.rejected_item
    WHERE source = %(source)s AND id = %(id)s
"""


@dataclass(eq=False, kw_only=True)
class NoSuchReject(AshoreError):
    """No rejected item of this source has the number."""

    number: int
    source: str

    code = "ASH620"
    exit_code = 2

    def what(self) -> str:
        return f"{self.source} has no rejected item {self.number}"

    def hint(self) -> str:
        return "`ashore rejects list` shows those that there are"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A rejected item without the item. `key` is a stand-in; `entity` is None where no pattern matched."""

    id: int
    load: int
    entity: str | None
    key: str
    attribute: str | None
    reason: str
    detail: str
    rejected_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        shown = {name: getattr(self, name) for name in self.__slots__}
        return shown | {"rejected_at": self.rejected_at.isoformat(), "means": explanation(self.reason)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectList:
    """How many rejected items there are by entity and reason, and the first of them."""

    source: str
    counts: Mapping[tuple[str | None, str], int]
    lines: tuple[Reject, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        counts = [
            {"entity": entity, "reason": reason, "items": items} for (entity, reason), items in self.counts.items()
        ]
        total = sum(self.counts.values())
        return {
            "source": self.source,
            "total": total,
            "counts": counts,
            "rejects": [one.as_json() for one in self.lines],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownReject:
    """A rejected item, whole. The values of `item` are stand-ins unless `is_revealed`."""

    reject: Reject
    item: Any = field(repr=False)
    is_revealed: bool

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return self.reject.as_json() | {"item": self.item, "is_revealed": self.is_revealed}


def list_rejects(
    project: Project, *, entity: str | None = None, reason: str | None = None, limit: int = 50
) -> RejectList:
    """The rejected items of the project's source; empty before the first load."""
    source = project.plan.name
    wanted = {"source": source, "entity": entity, "reason": reason, "limit": limit}
    with _connected(project) as conn, translated("listing rejected items"):
        if not found_version(conn):
            return RejectList(source=source, counts={}, lines=())
        counts = {(of, why): number for of, why, number in conn.execute(_COUNTS, wanted)}
        with conn.cursor(row_factory=class_row(Reject)) as cursor:
            lines = [_masked(one) for one in cursor.execute(_LINES, wanted)]
    return RejectList(source=source, counts=counts, lines=tuple(lines))


def show_reject(project: Project, number: int, *, reveal: bool) -> ShownReject:
    """One rejected item with its attributes.

    Raises:
        NoSuchReject
    """
    source = project.plan.name
    with _connected(project) as conn, translated("reading a rejected item"):
        there = found_version(conn)
        row = conn.execute(_ONE, {"source": source, "id": number}).fetchone() if there else None
    if row is None:
        raise NoSuchReject(number=number, source=source)
    names = Reject.__slots__
    reject = Reject(**dict(zip(names, row[:-1], strict=True)))
    item = _decoded(bytes(row[-1]))
    return ShownReject(
        reject=reject if reveal else _masked(reject), item=item if reveal else masked_item(item), is_revealed=reveal
    )


def count_rejects(
    conn: Conn, source: str, *, entity: str | None = None, reason: str | None = None
) -> dict[tuple[str | None, str], int]:
    """Rejected items by entity and reason. The ledger must be there."""
    wanted = {"source": source, "entity": entity, "reason": reason}
    return {(of, why): number for of, why, number in conn.execute(_COUNTS, wanted)}


def explanation(reason: str) -> str:
    """What a reason means; empty for one of a newer Ashore."""
    return explanations.get(reason, "")


def masked_item(item: Any) -> Any:
    """An item with stand-ins for all its values; names and types stay."""
    if not isinstance(item, dict):
        return mask(item)
    return {name: _masked_value(value) for name, value in item.items()}


def _masked_value(value: Any) -> Any:
    if not isinstance(value, dict):
        return mask(value)
    return {kind: _masked_content(kind, content) for kind, content in value.items()}


def _masked_content(kind: str, content: Any) -> Any:
    match kind, content:
        case "NULL", _:
            return content
        case "M", dict():
            return masked_item(content)
        case "L", list():
            return [_masked_value(member) for member in content]
        case _, list():
            return [mask(member) for member in content]
        case _:
            return mask(content)


def _masked(reject: Reject) -> Reject:
    shown = {name: getattr(reject, name) for name in Reject.__slots__}
    return Reject(**(shown | {"key": masked_key(reject.key)}))


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw.decode("utf-8", "backslashreplace")


def _connected(project: Project) -> Conn:
    return connect(project.dsn, application_name="ashore rejects", autocommit=True)
