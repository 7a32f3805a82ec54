"""How `ashore status` looks: once, or again and again in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ashore.cli.output import duration, size, table
from ashore.pipeline.gaps import GapStatus
from ashore.pipeline.status import (
    EntityStatus,
    LoadStatus,
    MarkingStatus,
    ShardStatus,
    Status,
    SyncStatus,
    WayBackStatus,
)
from ashore.pipeline.status_feed import FeedStatus

_MOST_SHARDS: Final = 20
_LEAST_SHARDS: Final = 3
_OTHER_LINES: Final = 16
"""Lines beside the entities and the shards, about."""


def shown(found: Status, *, most_shards: int = _MOST_SHARDS) -> Group:
    """All that there is to say, for a terminal."""
    parts: list[RenderableType] = [_entities(found)]
    if found.sync is not None:
        parts += [Text(), *_sync(found.sync, most_shards)]
    if found.way_back is not None:
        parts += [Text(), *_way_back(found.way_back)]
    if found.feed is not None:
        parts += [Text(), *_feed(found.feed)]
    if found.shadow_reads:
        parts += [Text(), _shadow_reads(found)]
    if found.verified_at is not None:
        state = "fresh" if found.verification_is_fresh else f"stale: {'; '.join(found.verification_stale)}"
        parts += [Text(), Text(f"Found equal at {_moment(found.verified_at)} ({state})")]
    if found.load is not None:
        parts += [Text(), _load(found.load)]
    return Group(*parts)


@dataclass(slots=True)
class StatusScreen:
    """Shows one reading after the other: in the same place of a terminal, else one below the other."""

    console: Console
    _live: Live | None = None
    _last: Status | None = field(default=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            if self._last is not None:
                self.console.print(shown(self._last))

    def show(self, found: Status) -> None:
        """Show a reading."""
        self._last = found
        self._put(found)

    def trouble(self, line: str) -> None:
        """Say why there is no new reading, above the last one."""
        if self._last is None or not self.console.is_terminal:
            self.console.print(line, markup=False)
        else:
            self._put(self._last, Text(line, style="red"))

    def _put(self, found: Status, *above: RenderableType) -> None:
        if not self.console.is_terminal:
            self.console.print(Text(f"--- {_moment(found.at)}"), shown(found), sep="\n")
            return
        room = self.console.height - _OTHER_LINES - len(found.entities)
        content = shown(found, most_shards=max(_LEAST_SHARDS, min(_MOST_SHARDS, room)))
        heading = Text(f"{found.source} at {_moment(found.at)}, every 2 s until Ctrl-C", style="dim")
        if self._live is None:
            self._live = Live(console=self.console, screen=True, auto_refresh=False)
            self._live.start()
        self._live.update(Group(heading, *above, Text(), content), refresh=True)


def _entities(found: Status) -> Table:
    if found.sync is None:
        plain = [(one.entity, _state(one), ", ".join(one.tables), one.rejected) for one in found.entities]
        return table(f"Entities of {found.source}", ("entity", "state", "tables", "rejected"), plain, numbers=1)
    rows = [
        (one.entity, _state(one), ", ".join(one.tables), one.written, one.rejected, one.parked, one.pending)
        for one in found.entities
    ]
    headings = ("entity", "state", "tables", "written", "rejected", "parked", "pending")
    return table(f"Entities of {found.source}", headings, rows, numbers=4)


def _state(one: EntityStatus) -> str:
    return one.state if one.purged_at is None else f"{one.state}, purged {_moment(one.purged_at)}"


def _sync(sync: SyncStatus, most_shards: int) -> list[RenderableType]:
    slowest = sorted(sync.shards, key=_slowest_first)
    has_rates = any(one.records_per_s is not None for one in slowest)
    headings = ("shard", "read by", "last record", "records", *(["a second"] if has_rates else []), "lag")
    rows = [
        (one.shard, one.owner or "(nobody)", _moment(one.last_record_at), one.records)
        + ((one.records_per_s, _lag(one)) if has_rates else (_lag(one),))
        for one in slowest[:most_shards]
    ]
    parts: list[RenderableType] = []
    if sync.alarm is not None:
        parts.append(Text(sync.alarm, style="bold red"))
    parts += [table(f"Stream, {sync.state}", headings, rows, numbers=len(headings) - 3)]
    if len(slowest) > most_shards:
        parts.append(Text(f"and {len(slowest) - most_shards:,} shards more, none of them further behind"))
    lag = "lag not known yet" if sync.lag_seconds is None else f"lag {duration(sync.lag_seconds)}"
    words = [
        lag,
        f"{sync.changes_per_s:,.1f} changes/s",
        _count(sync.workers, "worker"),
        f"{_count(sync.repairs, 'key')} to repair",
        _count(sync.gaps, "gap"),
    ]
    waiting = size(sync.pending_bytes) if sync.pending_bytes > 1_000_000 else None
    if waiting is not None:
        words.append(f"{waiting} on disk for captured changes")
    parts.append(Text("; ".join(words)))
    if sync.state == "running" and sync.workers == 0:
        parts.append(Text("nobody reads: start `ashore sync run`", style="bold"))
    if (markers := _markers(sync.marking)) is not None:
        parts.append(Text(markers))
    parts += [Text(_gap(one)) for one in sync.open_gaps]
    parts += [Text(f"refused, and off: {one}") for one in sync.refused]
    if sync.waits:
        parts.append(Text(f"off until the cutover: {', '.join(sync.waits)}"))
    return parts


def _shadow_reads(found: Status) -> Table:
    rows = [
        (
            f"{one.entity}: {one.call}",
            ", ".join(dict.fromkeys(each.field or each.kind for each in one.differences)),
            one.equal + one.settled,
            one.different,
            one.failed + one.slow + one.dropped,
            one.dynamodb_p99_ms,
            one.postgres_p99_ms,
        )
        for one in found.shadow_reads
    ]
    headings = ("call", "differs in", "equal", "different", "not compared", "DynamoDB p99 ms", "PostgreSQL p99 ms")
    return table("Shadow reads", headings, rows, numbers=5)


def _way_back(found: WayBackStatus) -> list[RenderableType]:
    done = f"{found.written:,} items written and {found.removed:,} deleted ({found.write_units:,.0f} write units)"
    lines = [f"Back to DynamoDB: {found.waiting:,} rows wait, {duration(found.behind_seconds)} behind; {done}"]
    if found.waiting or found.units_per_second is not None:
        lines.append(_cost(found))
    lines += [f"DynamoDB cannot hold {one}" for one in found.refused]
    if found.foreign:
        lines.append(f"{found.foreign:,} writes of others in DynamoDB: see `ashore foreign list`")
    return [Text(line) for line in lines]


def _cost(found: WayBackStatus) -> str:
    waits = f"what waits takes about {found.estimated_units:,.0f} write units (${found.estimated_dollars:,.2f})"
    if found.units_per_second is None or found.estimated_seconds is None:
        return f"{waits}; no cap: see `ashore sync limit`"
    at_most = f"at most {found.units_per_second:,g} a second, {duration(found.estimated_seconds)}"
    return f"{waits}; {at_most}; {duration(found.waited_seconds)} waited for the cap so far"


def _feed(found: FeedStatus) -> list[RenderableType]:
    done = f"{found.indexed:,} documents written and {found.deleted:,} deleted"
    lines = [f"To OpenSearch: {found.waiting:,} rows wait, {duration(found.behind_seconds)} behind; {done}"]
    if not found.is_fed:
        lines.append("nobody feeds: start `ashore index run`")
    for one in found.entities:
        state = "every document was made by this feed" if one.is_complete else "not rebuilt since the feed was begun"
        rebuilding = (
            "" if one.rebuilding is None else f"; {one.rebuilding} is being rebuilt, {one.rows_read:,} rows read"
        )
        lines.append(f"  {one.entity} to {one.index}: {state}{rebuilding}")
    lines += [f"refused: {one}" for one in found.refused]
    if found.others:
        lines.append(
            f"another feed wrote {found.others:,} documents since: switch it off, and run `ashore index rebuild`"
        )
    return [Text(line) for line in lines]


def _gap(gap: GapStatus) -> str:
    since = "an unknown moment" if gap.since is None else _moment(gap.since)
    lost = f"gap {gap.gap} ({gap.kind}, shard {gap.shard}): records from {since} to {_moment(gap.until)} were lost"
    return f"{lost}; closed by {gap.closes}"


def _markers(found: MarkingStatus | None) -> str | None:
    """What to say of markers; nothing where they are off."""
    if found is None or found.state == "off":
        return None
    if found.state != "on":
        why = "IAM refuses them" if found.state == "refused" else "the partition key is not text"
        return f"no markers ({why}): what has been passed is judged by time"
    waits = "" if found.waits_for is None else f", for what waits since {_moment(found.waits_for)}"
    none = f"; none came back from {', '.join(found.not_reached)}" if found.not_reached else ""
    return f"markers: {found.sent:,} of at most {found.budget:,}{waits}{none}"


def _load(load: LoadStatus) -> Text:
    done = f"{load.items_read:,} items, {load.units_done} of {load.units} units"
    where = f"process {load.pid} on {load.host}"
    return Text(f"Load {load.load}, phase {load.phase}: {done}; begun {_moment(load.started_at)} by {where}")


def _slowest_first(shard: ShardStatus) -> tuple[bool, float, str]:
    return shard.lag_seconds is not None, -(shard.lag_seconds or 0.0), shard.shard


def _lag(shard: ShardStatus) -> str:
    return "not known" if shard.lag_seconds is None else duration(shard.lag_seconds)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _moment(at: str | None) -> str | None:
    """A moment as people read it, to the second, in its own offset."""
    return None if at is None else datetime.fromisoformat(at).strftime("%Y-%m-%d %H:%M:%S%z")
