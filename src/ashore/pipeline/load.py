"""Load: every item of a source becomes rows, a rejected item, or is counted under a declared rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ashore.dynamodb.find import find_items
from ashore.ledger.copies import CopiesReport, CopiesSettler
from ashore.load.order import Limits, LoadOrder, Moved, PlannedEncoding
from ashore.load.report import LoadReport
from ashore.load.run import run_load
from ashore.mapping.declared import PlanReference
from ashore.mapping.document import encode
from ashore.mapping.encoded import Rejected
from ashore.mapping.encoder import item_key
from ashore.mapping.items import from_rows
from ashore.mapping.plan import EntityPlan, Plan
from ashore.model.chunk import ItemSource
from ashore.observe.events import Emit, silent
from ashore.postgres.connect import Conn
from ashore.postgres.items import RowReader, prepare
from ashore.postgres.names import TableName, table_name
from ashore.postgres.tables import current_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOutcome:
    """What a load did, and what the copies of its entities are."""

    report: LoadReport
    copies: tuple[CopiesReport, ...]
    is_captured: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values, with the copies under their own name."""
        return {**self.report.as_json(), "copies": [one.as_json() for one in self.copies]}


def load(  # noqa: PLR0913 (the options of the command)
    *,
    plan: Plan,
    reference: PlanReference,
    source: ItemSource,
    dsn: str,
    entities: Sequence[str] = (),
    workers: int = 2,
    restart: bool = False,
    limits: Limits | None = None,
    is_captured: bool = False,
    native: bool = True,
    emit: Emit = silent,
) -> LoadOutcome:
    """Load some entities of a source (all that are declared, if none is named), or go on with an unfinished load.

    `is_captured` says that the source's stream is being read (`ashore.pipeline.sync.begin_sync`): the load ends in
    `merging`, and a sync goes on from there. `native=False` leaves the native path out where it is installed.

    Raises:
        AshoreError: As `ashore.load.run.run_load`; what was committed stays, and calling again goes on.
    """
    names = tuple(entities) or tuple(plan.entities)
    after_rows = _AfterRows(plan=plan)
    report = run_load(
        LoadOrder(
            dsn=dsn,
            plan=plan,
            make_encoding=PlannedEncoding(reference=reference, entities=names, native=native),
            source=source,
            entities=names,
            rebuild=_Rebuild(plan=plan, source=source),
            after_rows=after_rows,
            workers=workers,
            restart=restart,
            limits=limits or Limits(),
            is_captured=is_captured,
        ),
        emit,
    )
    return LoadOutcome(report=report, copies=tuple(after_rows.reports), is_captured=is_captured)


def tables_of(conn: Conn, entity: EntityPlan) -> dict[str, TableName]:
    """Where the entity's rows are in this database: declared tables' full names → tables."""
    schema = current_schema(conn)
    return {table.fullname: table_name(table, default_schema=schema) for table in entity.tables}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rebuild:
    """Items of rows whose keys repeat: from the rows, or from the source where children make rows ambiguous."""

    plan: Plan
    source: ItemSource

    def __call__(self, conn: Conn, name: str, keys: Sequence[Sequence[str]]) -> list[tuple[bytes, str]]:
        entity = self.plan.entities[name]
        prepare(conn)
        reader = RowReader(plan=entity, tables=tables_of(conn, entity))
        items = [from_rows(entity, rows) for _, rows in reader.by_key(conn, [tuple(key) for key in keys])]
        if not entity.children:
            return [(encode(item), item_key(self.plan, item)) for item in items]
        names = [key.name for key in (entity.partition_key, entity.sort_key) if key is not None]
        found = find_items(self.source, [{key: item[key] for key in names} for item in items])
        return [(raw, self._key_of(raw)) for raw in found]

    def _key_of(self, raw: bytes) -> str:
        return item_key(self.plan, _decode(raw))


def _decode(raw: bytes) -> Any:
    return msgspec.json.decode(raw, type=dict[str, dict[str, Any]])


@dataclass(frozen=True, slots=True, kw_only=True)
class _AfterRows:
    """Settles an entity's copies in the load's own transaction, and remembers what they are."""

    plan: Plan
    reports: list[CopiesReport] = field(default_factory=list)

    def __call__(self, conn: Conn, name: str) -> Moved:
        entity = self.plan.entities[name]
        if entity.copies is None:
            return Moved()
        prepare(conn)
        rejected: list[Rejected] = []
        settler = CopiesSettler(plan=entity, copies=entity.copies, tables=tables_of(conn, entity), keep=rejected.extend)
        self.reports.append(settler.settle(conn))
        moved = len(rejected)
        return Moved(counts={(name, "copy"): -moved, (name, "rejected"): moved} if moved else {}, rejected=rejected)
