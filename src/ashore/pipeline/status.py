"""How far each entity is, as the ledger says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ashore.ledger import loads, units
from ashore.ledger.schema import found_version
from ashore.pipeline.project import Project
from ashore.pipeline.rejects import count_rejects
from ashore.postgres.connect import connect
from ashore.postgres.errors import translated


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityStatus:
    """One declared entity. `tables` is empty while the ledger does not know it."""

    entity: str
    state: str
    tables: tuple[str, ...]
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStatus:
    """The newest load of the source; `phase` is rows, keys, done or discarded."""

    load: int
    phase: str
    started_at: str
    host: str
    pid: int
    units: int
    units_done: int
    items_read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a source."""

    source: str
    entities: tuple[EntityStatus, ...]
    load: LoadStatus | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def status(project: Project) -> Status:
    """Read the ledger; changes nothing. An entity that the ledger does not know is `declared`."""
    name = project.plan.name
    with (
        connect(project.dsn, application_name="ashore status", autocommit=True) as conn,
        translated("reading the ledger"),
    ):
        if not found_version(conn):
            unknown = (
                EntityStatus(entity=one, state="declared", tables=(), rejected=0) for one in project.plan.entities
            )
            return Status(source=name, entities=tuple(unknown), load=None)
        known = loads.entities_of(conn, name)
        rejected = count_rejects(conn, name)
        last = loads.last(conn, name)
        tally = None if last is None else units.tally(conn, last.id)
    entities = []
    for entity in dict.fromkeys([*project.plan.entities, *known]):
        record = known.get(entity)
        entities.append(
            EntityStatus(
                entity=entity,
                state="declared" if record is None else record.state,
                tables=() if record is None else tuple(record.tables),
                rejected=sum(number for (of, _), number in rejected.items() if of == entity),
            )
        )
    load = None
    if last is not None and tally is not None:
        load = LoadStatus(
            load=last.id,
            phase=last.phase,
            started_at=last.started_at.isoformat(),
            host=last.host,
            pid=last.pid,
            units=tally.units,
            units_done=tally.units_done,
            items_read=tally.items_read,
        )
    return Status(source=name, entities=tuple(entities), load=load)
