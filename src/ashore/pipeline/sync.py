"""Sync: begin, run, pause and stop; and loading beside a captured stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ashore.config.settings import Settings
from ashore.dynamodb.scan import TableSource
from ashore.dynamodb.stream import TableStream
from ashore.dynamodb.write import UNITS_A_MARKER, MarkerWriter
from ashore.dynamodb.write_back import TableWriter
from ashore.errors import AshoreError
from ashore.ledger import loads, outbox, pending, records, streams
from ashore.ledger.marking import want
from ashore.ledger.passing import moment_ago, passing
from ashore.ledger.repairs import count_repairs
from ashore.ledger.schema import ensure_ledger
from ashore.mapping.plan import Plan
from ashore.observe.events import Emit, silent
from ashore.pipeline.load import tables_of
from ashore.pipeline.project import Items, Project, item_source
from ashore.pipeline.reverse import Reverser, WriteBack
from ashore.postgres.connect import Conn, connect
from ashore.postgres.errors import translated
from ashore.postgres.names import TableName
from ashore.sync.errors import NotBegun, OtherTable, SyncPaused
from ashore.sync.order import OnGap, SyncLimits, SyncOrder
from ashore.sync.outages import over_outages
from ashore.sync.start import ensure_stream
from ashore.sync.stop import Stopped, set_paused, stop
from ashore.sync.turns import quick_turns
from ashore.sync.worker import Worker, new_executor, new_name

EXPORT_MARGIN_SECONDS: Final = 60.0
"""How much later than the pause of the stream an export has to be: clocks differ, and a last page takes time."""


@dataclass(eq=False, kw_only=True)
class NeedsTable(AshoreError):
    """A sync reads a table's stream, and the settings name an export."""

    code = "ASH630"
    exit_code = 2

    def what(self) -> str:
        return "a sync reads a table's stream, and the settings name no table"

    def hint(self) -> str:
        return "give --table, or set table in ashore.toml"


@dataclass(eq=False, kw_only=True)
class ExportTooEarly(AshoreError):
    """An export is older than the pause of the stream, so that changes between the two may be in neither."""

    found: str
    needed: str

    code = "ASH631"
    exit_code = 3

    def what(self) -> str:
        return f"the export is of {self.found}, and has to be of {self.needed} or later (a margin for clocks included)"

    def hint(self) -> str:
        return "export the table again, now that the sync is paused"


@dataclass(eq=False, kw_only=True)
class NotPaused(AshoreError):
    """An export is to be loaded beside a stream that workers read: they pass by what the export lacks."""

    source: str

    code = "ASH632"
    exit_code = 3

    def what(self) -> str:
        return f"the sync of {self.source} is running, and an export is to be loaded beside it"

    def hint(self) -> str:
        return (
            "`ashore sync pause`, export the table, load the export, and `ashore sync resume` once the load has begun:"
            " then the stream still has all that the export lacks"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The stream that is read for a source; `is_new` where it was begun by this call."""

    source: str
    arn: str
    is_new: bool


def table_source(project: Project) -> TableSource:
    """The live table that the settings name.

    Raises:
        NeedsTable: They name none.
    """
    source = None if project.settings.items_from is None else item_source(project.settings)
    if not isinstance(source, TableSource):
        raise NeedsTable
    return source


def stream_source(source: TableSource) -> TableStream:
    """The stream of a table."""
    return TableStream(
        table=source.table, region=source.region, endpoint_url=source.endpoint_url, profile=source.profile
    )


def begin_sync(project: Project, *, paused: bool = False) -> Begun:
    """Begin to read the table's stream, unless it is read already. Idempotent; nothing is captured or applied yet.

    With `paused`, a stream that is begun now is read by nobody before `pause_sync(…, paused=False)`.

    Raises:
        NoStream, StreamReplaced, OtherTable, NeedsTable: Nothing was changed.
    """
    source = stream_source(table_source(project))
    with connect(project.dsn, application_name="ashore sync", autocommit=True) as conn, translated("beginning to sync"):
        ensure_ledger(conn)
        stream, is_new = ensure_stream(conn, project.plan, source, _table_names(conn, project.plan))
        if paused and is_new:
            set_paused(conn, project.plan.name, paused=True)
    return Begun(source=project.plan.name, arn=stream.arn, is_new=is_new)


def prepare_captured_load(project: Project, source: Items) -> None:
    """Make sure that the stream is being read before a load begins beside it.

    A table's stream is begun if it is not. An export must be of the table whose stream was begun, and that stream must
    have been paused before the export was made, by `EXPORT_MARGIN_SECONDS`: workers that read meanwhile would pass by
    changes of entities that are not loading yet, and the export does not have those.

    Raises:
        NoStream, StreamReplaced, OtherTable: As `begin_sync`.
        NotBegun: An export is to be loaded, and no stream was begun yet.
        NotPaused: The stream is being read.
        ExportTooEarly: The export was made before the stream was paused.
    """
    if isinstance(source, TableSource):
        begin_sync(project)
        return
    manifest = source.describe()
    with connect(project.dsn, application_name="ashore sync", autocommit=True) as conn, translated("preparing to load"):
        ensure_ledger(conn)
        stream = streams.stream_of(conn, project.plan.name)
    if stream is None or stream.state == "stopped":
        raise NotBegun(source=project.plan.name)
    if stream.origin.get("table_arn") != manifest.table_arn:
        raise OtherTable(source=project.plan.name)
    if stream.state != "paused":
        raise NotPaused(source=project.plan.name)
    needed = stream.since + timedelta(seconds=EXPORT_MARGIN_SECONDS)
    if manifest.exported_at is None or manifest.exported_at < needed:
        found = "an unknown moment" if manifest.exported_at is None else f"{manifest.exported_at:%Y-%m-%d %H:%M:%S %Z}"
        raise ExportTooEarly(found=found, needed=f"{needed:%Y-%m-%d %H:%M:%S %Z}")


def sync_order(project: Project, *, on_gap: OnGap = "stop", limits: SyncLimits | None = None) -> SyncOrder:
    """What a worker of this project is asked to do.

    Raises:
        NeedsTable: The settings name no table.
    """
    source = table_source(project)
    return SyncOrder(
        dsn=project.dsn,
        plan=project.plan,
        source=stream_source(source),
        fetch=source.get_items,
        markers=marker_writer(project.settings, source) if project.settings.markers else None,
        on_gap=on_gap,
        limits=limits or _limits(project.settings),
    )


def marker_writer(settings: Settings, source: TableSource) -> MarkerWriter:
    """What writes markers to a table, within the settings' write units."""
    return MarkerWriter(
        table=source.table,
        region=source.region,
        endpoint_url=source.endpoint_url,
        profile=source.profile,
        units_per_second=settings.marker_write_units,
    )


def _limits(settings: Settings) -> SyncLimits:
    """The budget for markers, and the time that it takes beside that in which they return."""
    writing = UNITS_A_MARKER * settings.marker_writes / settings.marker_write_units
    patience = SyncLimits().marker_patience_seconds + writing
    return SyncLimits(marker_writes=settings.marker_writes, marker_patience_seconds=patience)


def write_back(project: Project) -> WriteBack:
    """What is written back once entities are written in PostgreSQL: to the table that the settings name.

    Raises:
        NeedsTable: They name none.
    """
    source = table_source(project)
    return WriteBack(
        store=TableWriter(
            table=source.table, region=source.region, endpoint_url=source.endpoint_url, profile=source.profile
        ),
        units_per_second=project.settings.write_back_units,
    )


def limit_write_back(project: Project, units_per_second: float | None) -> None:
    """Set the cap on write units for all workers, at once and until it is set again.

    `math.inf` is no cap; None leaves it to the workers' own settings.
    """
    with connect(project.dsn, application_name="ashore sync", autocommit=True) as conn, translated("setting the cap"):
        ensure_ledger(conn)
        with conn.transaction():
            outbox.limit(conn, project.plan.name, units_per_second)
            said = None if units_per_second is None else str(units_per_second)
            records.audit(conn, "sync limit", {"source": project.plan.name, "units_per_second": said})


def run_worker(
    order: SyncOrder,
    stop_event: threading.Event,
    *,
    emit: Emit = silent,
    until: Callable[[Conn], bool] | None = None,
    write_back: WriteBack | None = None,
) -> None:
    """Work until `stop_event` is set, or `until` says so (it is asked about once a second), then hand the shards over.

    With `write_back`, rows of entities that are written in PostgreSQL become items again, and those whose time is over
    are deleted. A PostgreSQL that restarts, fails over, or drops the connection is connected to again.

    Raises:
        SyncError: See each subclass; nothing was skipped.
        SourceError, PostgresError: PostgreSQL was away for longer than the limits say, or refused something; what was
            committed stays, and calling again goes on.
    """
    name = new_name()

    def work(conn: Conn, alive: Callable[[], None]) -> None:
        tables = _tables(conn, order.plan)
        worker = Worker(conn=conn, order=order, tables=tables, executor=executor, emit=emit, name=name)
        asked_at = 0.0
        try:
            while not stop_event.is_set():
                if not worker.round():
                    stop_event.wait(0.05)
                alive()
                if reverser is not None and reverser.failure is not None:
                    raise reverser.failure
                if until is not None and order.clock() - asked_at >= min(1.0, order.limits.tend_seconds):
                    asked_at = order.clock()
                    if until(conn):
                        return
        finally:
            worker.leave()

    with ExitStack() as stack:
        stack.enter_context(quick_turns())
        executor = stack.enter_context(new_executor(order))
        reverser = None if write_back is None else stack.enter_context(Reverser(order, write_back))
        over_outages(order, name, stop_event, work, emit)


def caught_up(source: str, moment: float) -> Callable[[Conn], bool]:
    """Whether a sync has nothing to do any more that was there at `moment` (seconds since 1970); for `run_worker`.

    Changes that are parked even so have been tried again since everything else was done: what stands in their way are
    other items, for good or until the application changes them.

    The function raises SyncPaused where it would wait for ever.
    """
    done_at: datetime | None = None

    def is_caught_up(conn: Conn) -> bool:
        nonlocal done_at
        stream = streams.stream_of(conn, source)
        if stream is not None and stream.state == "paused":
            raise SyncPaused(source=source)
        then = moment_ago(conn, time.time() - moment)
        is_past = passing(conn, source, then).is_past
        if not is_past:
            want(conn, source, then)
        now = moment_ago(conn, 0.0)
        is_done = (
            is_past
            and not any(one.state == "merging" for one in loads.entities_of(conn, source).values())
            and not count_repairs(conn, source)
        )
        done_at = (done_at or now) if is_done else None
        return done_at is not None and not pending.is_parked_since_before(conn, source, done_at)

    return is_caught_up


def pause_sync(project: Project, *, paused: bool) -> str:
    """Let the workers wait, or go on; return the state. Raises NotBegun or SyncStopped."""
    with connect(project.dsn, application_name="ashore sync", autocommit=True) as conn, translated("pausing the sync"):
        ensure_ledger(conn)
        return set_paused(conn, project.plan.name, paused=paused)


def stop_sync(project: Project) -> Stopped:
    """End the sync of the source; see `ashore.sync.stop.stop`."""
    with connect(project.dsn, application_name="ashore sync", autocommit=True) as conn, translated("stopping the sync"):
        ensure_ledger(conn)
        return stop(conn, project.plan.name)


def _tables(conn: Conn, plan: Plan) -> dict[str, TableName]:
    return {name: table for entity in plan.entities.values() for name, table in tables_of(conn, entity).items()}


def _table_names(conn: Conn, plan: Plan) -> dict[str, list[str]]:
    return {name: [str(table) for table in tables_of(conn, one).values()] for name, one in plan.entities.items()}
