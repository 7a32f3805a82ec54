"""`ashore status`: how far each entity is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options

if TYPE_CHECKING:
    from ashore.pipeline.status import MarkingStatus, Status


_WATCH_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog="Example:  ashore status --env prod")(status)


def status(
    *,
    context: typer.Context,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Show each entity's state, the newest load, and how far the stream is, as the ledger has them."""
    from ashore.cli.output import console, print_json  # noqa: PLC0415 (quick start)
    from ashore.pipeline.project import open_project  # noqa: PLC0415
    from ashore.pipeline.status import status as read  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    opened = open_project(common.settings({}, frozenset({"declarations", "postgres"})))
    found = read(opened)
    while watch and not common.as_json:
        console().clear()
        _show(found)
        time.sleep(_WATCH_SECONDS)
        found = read(opened)
    if common.as_json:
        print_json(found.as_json())
        return 0
    _show(found)
    return 0


def _show(found: Status) -> None:
    from ashore.cli.output import console, duration, table  # noqa: PLC0415 (quick start)

    rows = [
        (one.entity, one.state, ", ".join(one.tables), one.rejected, one.pending, one.parked) for one in found.entities
    ]
    out = console()
    headings = ("entity", "state", "tables", "rejected", "pending", "parked")
    out.print(table(f"Entities of {found.source}", headings, rows, numbers=3))
    sync = found.sync
    if sync is not None:
        shards = [
            (one.shard, one.owner or "(nobody)", one.last_record_at, one.last_marker_at, one.records, one.lag_seconds)
            for one in sync.shards
        ]
        out.print()
        out.print(
            table(
                f"Stream, {sync.state}",
                ("shard", "read by", "last record", "last marker", "records", "lag s"),
                shards,
                numbers=2,
            )
        )
        lag = "not known yet" if sync.lag_seconds is None else duration(sync.lag_seconds)
        out.print(f"lag {lag}; {sync.workers} workers; {sync.repairs:,} keys to repair; {sync.gaps} gaps", markup=False)
        for line in (sync.alarm, _markers(sync.marking), *(f"refused, and off: {one}" for one in sync.refused)):
            if line is not None:
                out.print(line, markup=False)
        if sync.waits:
            out.print(f"off until the cutover: {', '.join(sync.waits)}", markup=False)
    if found.verified_at is not None:
        state = "fresh" if found.verification_is_fresh else "stale: verify again"
        out.print(f"\nFound equal at {found.verified_at} ({state})", markup=False)
    load = found.load
    if load is not None:
        done = f"{load.items_read:,} items, {load.units_done} of {load.units} units"
        where = f"process {load.pid} on {load.host}"
        out.print(f"\nLoad {load.load}, phase {load.phase}: {done}; begun {load.started_at} by {where}", markup=False)


def _markers(found: MarkingStatus | None) -> str | None:
    """What to say of markers; nothing where they are off."""
    if found is None or found.state == "off":
        return None
    if found.state != "on":
        why = "IAM refuses them" if found.state == "refused" else "the partition key is not text"
        return f"no markers ({why}): what has been passed is judged by time"
    waits = "" if found.waits_for is None else f", for what waits since {found.waits_for}"
    none = f"; none came back from {', '.join(found.not_reached)}" if found.not_reached else ""
    return f"markers: {found.sent:,} of at most {found.budget:,}{waits}{none}"
