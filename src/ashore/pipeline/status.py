"""How far each entity is, as the ledger says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from ashore.ledger import gaps, leases, loads, pending, streams, taken_off, units
from ashore.ledger.repairs import count_repairs
from ashore.ledger.schema import found_version
from ashore.pipeline.project import Project
from ashore.pipeline.rejects import count_rejects
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated

WARNING_LAG_HOURS: Final = 12
URGENT_LAG_HOURS: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityStatus:
    """One declared entity. `tables` is empty while the ledger does not know it.

    `pending` are changes captured beside its load, `parked` those that wait for another row's UNIQUE value.
    """

    entity: str
    state: str
    tables: tuple[str, ...]
    rejected: int
    pending: int = 0
    parked: int = 0


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
class ShardStatus:
    """A shard that is being read. `lag_seconds` is how long ago the moment was up to which all of it has arrived."""

    shard: str
    owner: str | None
    lag_seconds: float | None
    records: int
    last_record_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """The sync of a source; `state` is running, paused or stopped.

    `lag_seconds` is that of the slowest shard, None while one has not been read yet. `alarm` is set at 12 and at 18
    hours of lag: DynamoDB keeps a stream for 24. `waits` are the keys and foreign keys that are off until later.
    """

    state: str
    arn: str
    started_at: str
    lag_seconds: float | None
    alarm: str | None
    shards: tuple[ShardStatus, ...]
    workers: int
    repairs: int
    gaps: int
    pending_mb: float
    refused: tuple[str, ...]
    waits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a source. A verification is fresh for a day, while no change is rejected and nothing is loaded."""

    source: str
    entities: tuple[EntityStatus, ...]
    load: LoadStatus | None
    sync: SyncStatus | None = None
    verified_at: str | None = None
    verification_is_fresh: bool = False

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
        sync = _sync(conn, name)
        pending_changes = pending.count_pending(conn, [one.load for one in known.values() if one.load is not None])
        parked = pending.count_parked(conn, name)
        verified_at, is_fresh = streams.last_verification(conn, name)
    entities = []
    for entity in dict.fromkeys([*project.plan.entities, *(one for one in known if one != loads.UNMATCHED)]):
        record = known.get(entity)
        entities.append(
            EntityStatus(
                entity=entity,
                state="declared" if record is None else record.state,
                tables=() if record is None else tuple(record.tables),
                rejected=sum(number for (of, _), number in rejected.items() if of == entity),
                pending=pending_changes.get(entity, 0),
                parked=parked.get(entity, 0),
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
    return Status(
        source=name,
        entities=tuple(entities),
        load=load,
        sync=sync,
        verified_at=None if verified_at is None else verified_at.isoformat(),
        verification_is_fresh=is_fresh,
    )


def _sync(conn: Conn, source: str) -> SyncStatus | None:
    stream = streams.stream_of(conn, source)
    if stream is None:
        return None
    shards = tuple(
        ShardStatus(
            shard=shard,
            owner=owner,
            lag_seconds=None if lag is None else round(lag, 1),
            records=records,
            last_record_at=None if last is None else last.isoformat(),
        )
        for shard, owner, lag, records, last in streams.shard_lags(conn, source)
    )
    lags = [one.lag_seconds for one in shards]
    lag = None if None in lags or not lags else max(one for one in lags if one is not None)
    off = taken_off.taken_off(conn, source)
    return SyncStatus(
        state=stream.state,
        arn=stream.arn,
        started_at=stream.started_at.isoformat(),
        lag_seconds=lag,
        alarm=alarm_of(lag),
        shards=shards,
        workers=leases.count_workers(conn, source),
        repairs=count_repairs(conn, source),
        gaps=len(gaps.open_gaps(conn, source)),
        pending_mb=round(pending.pending_bytes(conn) / 1e6, 1),
        refused=tuple(f"{one.name} of {one.table}" for one, state in off if state == "refused"),
        waits=tuple(f"{one.name} of {one.table}" for one, state in off if state == "off"),
    )


def alarm_of(lag_seconds: float | None) -> str | None:
    """What to say of a lag: DynamoDB keeps a stream for 24 hours, so 12 are a warning and 18 are urgent."""
    hours = 0.0 if lag_seconds is None else lag_seconds / 3600
    if hours >= URGENT_LAG_HOURS:
        return f"urgent: {hours:.0f} hours behind, and the stream keeps 24"
    if hours >= WARNING_LAG_HOURS:
        return f"warning: {hours:.0f} hours behind, and the stream keeps 24"
    return None
