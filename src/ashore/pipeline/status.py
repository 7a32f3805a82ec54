"""How far each entity is, as the ledger says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from ashore.dynamodb.write import dollars_for
from ashore.ledger import counts, echoes, freshness, leases, loads, outbox, pending, purges, streams, taken_off, units
from ashore.ledger.marking import marking_of
from ashore.ledger.passing import passing
from ashore.ledger.repairs import count_repairs
from ashore.ledger.schema import found_version
from ashore.ledger.shadow_reads import ShadowReads, shadow_reads
from ashore.model.item import mask
from ashore.pipeline.gaps import GapStatus, gaps_of
from ashore.pipeline.project import Project
from ashore.pipeline.rejects import count_rejects
from ashore.pipeline.status_feed import FeedStatus, feed_status
from ashore.postgres.connect import Conn, connect, one_row
from ashore.postgres.errors import translated
from ashore.sync.alarm import alarm_of

_SHARDS_NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityStatus:
    """One declared entity. `tables` is empty while the ledger does not know it.

    `pending` are changes captured beside its load, `parked` those that wait for another row's UNIQUE value. `changes`
    are all that the stream brought, by outcome; a captured one counts again when it is merged. `purged_at` is when its
    items were last deleted from DynamoDB.
    """

    entity: str
    state: str
    tables: tuple[str, ...]
    rejected: int
    pending: int = 0
    parked: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    purged_at: str | None = None

    @property
    def written(self) -> int:
        """Changes that went to the tables, or to the rejected or parked ones."""
        return sum(number for outcome, number in self.changes.items() if outcome not in {"captured", "passed_by"})


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
    """A shard that is being read. `lag_seconds` is how long ago the moment was up to which all of it has arrived.

    `last_marker_at` is when the newest marker was written that came back from it; None where none ever did.
    `records_per_s` needs two readings of the ledger: see `with_rates`.
    """

    shard: str
    owner: str | None
    lag_seconds: float | None
    records: int
    last_record_at: str | None
    records_per_s: float | None = None
    last_marker_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkingStatus:
    """Whether the leading worker writes markers: `on`, `off`, `refused` by IAM, or `unfit` for the table's key.

    `sent` markers were written for the moment that was waited for last, of at most `budget`.
    `waits_for` is the moment that is waited for now. `not_reached` names the shards that have not shown by a marker
    that they passed it, or, while nothing waits, never returned one; at most 20.
    """

    state: str
    sent: int
    budget: int
    waits_for: str | None
    not_reached: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """The sync of a source; `state` is running, paused or stopped.

    Every change that is older than `lag_seconds` has arrived; None where that is not known, as of a shard that has not
    been read yet. `unread_seconds` is known then too: how old the oldest record may be that was not read. `alarm` is
    set when that is 12 and 18 hours: DynamoDB keeps a stream for 24. `changes_per_s` is that of the last minute, of all
    workers together. `unmatched` are changes that belong to no entity, by outcome. `waits` are the keys and foreign
    keys that are off until later.
    """

    state: str
    arn: str
    started_at: str
    lag_seconds: float | None
    unread_seconds: float | None
    alarm: str | None
    changes_per_s: float
    unmatched: Mapping[str, int]
    shards: tuple[ShardStatus, ...]
    workers: int
    repairs: int
    gaps: int
    open_gaps: tuple[GapStatus, ...]
    pending_bytes: int
    refused: tuple[str, ...]
    waits: tuple[str, ...]
    marking: MarkingStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBackStatus:
    """How far rows that PostgreSQL was given are from being in DynamoDB; None in `Status` before the first cutover.

    `refused` names entity, row key and reason of rows that DynamoDB cannot hold, at most 100. `foreign` writes of
    others are not decided on. What waits takes about `estimated_units` write units: `estimated_dollars` on demand in
    us-east-1, and `estimated_seconds` at the cap `units_per_second`; both None without a cap. `waited_seconds` were
    spent at the cap so far.
    """

    waiting: int
    behind_seconds: float
    written: int
    removed: int
    write_units: float
    refused: tuple[str, ...]
    foreign: int
    estimated_units: float = 0.0
    estimated_dollars: float = 0.0
    units_per_second: float | None = None
    estimated_seconds: float | None = None
    waited_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a source. `verification_stale` says why the last verification does not count any more."""

    source: str
    at: str
    entities: tuple[EntityStatus, ...]
    load: LoadStatus | None
    sync: SyncStatus | None = None
    verified_at: str | None = None
    verification_is_fresh: bool = False
    verification_stale: tuple[str, ...] = ()
    shadow_reads: tuple[ShadowReads, ...] = ()
    way_back: WayBackStatus | None = None
    feed: FeedStatus | None = None

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
        at = _now(conn)
        version = found_version(conn)
        if not version:
            unknown = (
                EntityStatus(entity=one, state="declared", tables=(), rejected=0) for one in project.plan.entities
            )
            return Status(source=name, at=at, entities=tuple(unknown), load=None)
        known = loads.entities_of(conn, name)
        rejected = count_rejects(conn, name)
        last = loads.last(conn, name)
        tally = None if last is None else units.tally(conn, last.id)
        changes = _changes(conn, name)
        sync = _sync(conn, name, changes.get(loads.UNMATCHED, {}), project.settings.marker_writes)
        pending_changes = pending.count_pending(conn, [one.load for one in known.values() if one.load is not None])
        parked = pending.count_parked(conn, name)
        verified = freshness.last_verified(conn, name)
        compared = shadow_reads(conn, name)
        way_back = _way_back(conn, name, list(known))
        purged = purges.purged(conn, name) if version >= purges.SINCE_VERSION else {}
        feed = feed_status(conn, name)
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
                changes=changes.get(entity, {}),
                purged_at=purged[entity].isoformat() if entity in purged else None,
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
        at=at,
        entities=tuple(entities),
        load=load,
        sync=sync,
        verified_at=None if verified is None else verified.at.isoformat(),
        verification_is_fresh=verified is not None and verified.is_fresh,
        verification_stale=() if verified is None else verified.stale,
        shadow_reads=tuple(compared),
        way_back=way_back,
        feed=feed,
    )


def _way_back(conn: Conn, source: str, entities: list[str]) -> WayBackStatus | None:
    standing = outbox.standing(conn, source)
    if standing.passed_at is None and not standing.entries and not standing.written:
        return None
    behind = 0.0 if standing.oldest is None else (standing.now - standing.oldest).total_seconds()
    refused = outbox.refused(conn, source)
    return WayBackStatus(
        waiting=standing.entries,
        behind_seconds=round(behind, 1),
        written=standing.written,
        removed=standing.removed,
        write_units=standing.write_units,
        refused=tuple(f"{entity} {mask(chr(0).join(key))}: {reason}" for entity, key, reason in refused),
        foreign=echoes.count_foreign(conn, source, entities),
        estimated_units=round(standing.estimated_units, 1),
        estimated_dollars=round(dollars_for(standing.estimated_units), 6),
        units_per_second=standing.units_per_second,
        estimated_seconds=None if standing.estimated_seconds is None else round(standing.estimated_seconds, 1),
        waited_seconds=round(standing.waited_seconds, 1),
    )


def with_rates(before: Status, now: Status) -> Status:
    """The later of two readings, with the records a second of each shard in between."""
    if before.sync is None or now.sync is None:
        return now
    seconds = (datetime.fromisoformat(now.at) - datetime.fromisoformat(before.at)).total_seconds()
    records = {one.shard: one.records for one in before.sync.shards}
    shards = (
        replace(one, records_per_s=round(max(0, one.records - records.get(one.shard, 0)) / seconds, 1))
        if seconds > 0
        else one
        for one in now.sync.shards
    )
    return replace(now, sync=replace(now.sync, shards=tuple(shards)))


def _now(conn: Conn) -> str:
    at: datetime = one_row(conn.execute("SELECT clock_timestamp()"))[0]
    return at.isoformat()


def _changes(conn: Conn, source: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (entity, outcome), number in counts.counts_of(conn, source).items():
        found.setdefault(entity, {})[outcome] = number
    return found


def _sync(conn: Conn, source: str, unmatched: Mapping[str, int], budget: int) -> SyncStatus | None:
    stream = streams.stream_of(conn, source)
    if stream is None:
        return None
    shards = tuple(
        ShardStatus(
            shard=one.shard,
            owner=one.owner,
            lag_seconds=_rounded(one.lag_seconds),
            records=one.records,
            last_record_at=None if one.newest_record_at is None else one.newest_record_at.isoformat(),
            last_marker_at=None if one.marked_at is None else one.marked_at.isoformat(),
        )
        for one in freshness.shard_lags(conn, source)
    )
    workers, changes_per_s = leases.workers_alive(conn, source)
    unread = None if stream.state == "stopped" else freshness.unread_seconds(conn, source)
    off = taken_off.taken_off(conn, source)
    open_gaps = gaps_of(conn, source)
    return SyncStatus(
        state=stream.state,
        arn=stream.arn,
        started_at=stream.started_at.isoformat(),
        lag_seconds=_rounded(freshness.lag_seconds(conn, source)),
        unread_seconds=_rounded(unread),
        alarm=_said(unread),
        changes_per_s=round(changes_per_s, 1),
        unmatched=unmatched,
        shards=shards,
        workers=workers,
        repairs=count_repairs(conn, source),
        gaps=len(open_gaps),
        open_gaps=open_gaps,
        pending_bytes=pending.pending_bytes(conn),
        refused=tuple(f"{one.name} of {one.table}" for one, state in off if state == "refused"),
        waits=tuple(f"{one.name} of {one.table}" for one, state in off if state == "off"),
        marking=_marking(conn, source, shards, budget),
    )


def _marking(conn: Conn, source: str, shards: tuple[ShardStatus, ...], budget: int) -> MarkingStatus | None:
    found = marking_of(conn, source)
    if found is None:
        return None
    if found.wanted_at is not None:
        not_reached = passing(conn, source, found.wanted_at).unmarked
    else:
        not_reached = tuple(one.shard for one in shards if one.last_marker_at is None)
    return MarkingStatus(
        state=found.marking,
        sent=found.markers_sent,
        budget=budget,
        waits_for=None if found.wanted_at is None else found.wanted_at.isoformat(),
        not_reached=not_reached[:_SHARDS_NAMED] if found.marking == "on" else (),
    )


def _said(unread_seconds: float | None) -> str | None:
    alarm = alarm_of(unread_seconds)
    if alarm is None or unread_seconds is None:
        return None
    return f"{alarm}: not read for {unread_seconds / 3600:.0f} hours, and DynamoDB keeps the stream for 24"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
