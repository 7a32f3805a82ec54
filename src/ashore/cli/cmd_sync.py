"""`ashore sync`: the stream flows into PostgreSQL."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ashore.cli import options
from ashore.cli.cmd_sync_repair import repair

if TYPE_CHECKING:
    from pathlib import Path

    from ashore.config.settings import Need
    from ashore.observe.events import Event

_ledger: frozenset[Need] = frozenset({"declarations", "postgres"})
_LINE_SECONDS = 5.0
_LONG_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Let the table's stream flow into PostgreSQL.", epilog="Example:  ashore sync run --on-gap repair"
    )
    group.command("begin", epilog="Example:  ashore sync begin --table efcms")(begin)
    group.command("run", epilog="Example:  ashore sync run --for 10")(run)
    group.command("pause", epilog="Example:  ashore sync pause")(pause)
    group.command("resume", epilog="Example:  ashore sync resume")(resume)
    group.command("limit", epilog="Example:  ashore sync limit --write-back-units 500")(limit)
    group.command("repair", epilog="Example:  ashore sync repair --export s3://my-exports/gap")(repair)
    group.command("stop", epilog="Example:  ashore sync stop")(stop)
    app.add_typer(group, name="sync")


def begin(
    *,
    context: typer.Context,
    table: options.Table = None,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Write down the stream's shards, and let nobody read them yet: the first step before a load from an export."""
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.config.settings import everything  # noqa: PLC0415
    from ashore.pipeline.sync import begin_sync  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    begun = begin_sync(common.project(everything, table=table), paused=True)
    if common.as_json:
        print_json(asdict(begun))
    elif begun.is_new:
        say(f"begun, and paused: {begun.arn}")
    else:
        say(f"was begun before: {begun.arn}")
    return 0


def run(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    table: options.Table = None,
    on_gap: Annotated[
        str,
        typer.Option(
            "--on-gap",
            metavar="stop|repair",
            help="When records left the stream before they were read: stop, or go on and remember what to repair.",
        ),
    ] = "stop",
    minutes: Annotated[
        float | None, typer.Option("--for", metavar="MINUTES", min=0.01, help="Hand over and end after so long.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when what is in the stream now has arrived.")] = False,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="[HOST:]PORT",
            help="Serve /metrics for Prometheus and /healthz; on 127.0.0.1 unless a host is named.",
        ),
    ] = None,
    poll_seconds: Annotated[
        float,
        typer.Option(
            "--poll-seconds", metavar="S", min=0.2, max=60, help="The longest pause between reads of a shard."
        ),
    ] = 1.0,
    write_back_units: options.WriteBackUnits = None,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Capture the stream beside a load, merge what was captured, and apply it from then on.

    Several of these share the work. SIGTERM and Ctrl-C end it cleanly; killed, another goes on where it was.
    """
    from ashore.config.settings import everything  # noqa: PLC0415 (quick start)
    from ashore.pipeline import sync  # noqa: PLC0415
    from ashore.pipeline.serve import serving  # noqa: PLC0415
    from ashore.sync.order import SyncLimits  # noqa: PLC0415

    address = None if listen is None else _address(listen)
    if on_gap not in {"stop", "repair"}:
        message = f"{on_gap!r} is neither stop nor repair"
        raise typer.BadParameter(message, param_hint="--on-gap")
    common = options.common(context, project=project, environment=environment, as_json=as_json)
    opened = common.project(everything, table=table, write_back_units=write_back_units)
    begun = sync.begin_sync(opened)
    watcher = _Watcher(is_quiet=common.as_json)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    limits = SyncLimits(poll_seconds=poll_seconds)
    order = sync.sync_order(opened, on_gap="repair" if on_gap == "repair" else "stop", limits=limits)
    until = sync.caught_up(opened.plan.name, time.time()) if once else None
    timer = threading.Timer(minutes * 60, ended.set) if minutes is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        with nullcontext() if address is None else serving(opened, *address) as served:
            watcher.begun(begun.source, begun.arn, is_new=begun.is_new, url=None if served is None else served.url)

            def hear(event: Event) -> None:
                watcher.emit(event)
                if served is not None:
                    served.hear(event)

            sync.run_worker(order, ended, emit=hear, until=until, write_back=sync.write_back(opened))
    finally:
        if timer is not None:
            timer.cancel()
    watcher.ended()
    return 0


def _address(text: str) -> tuple[str, int]:
    """Host and port of ``PORT``, ``HOST:PORT`` or ``[IPv6]:PORT``."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        message = f"{text!r} is not a port, or a host and a port, such as 127.0.0.1:9187"
        raise typer.BadParameter(message, param_hint="--listen")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def pause(
    *,
    context: typer.Context,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Let the workers wait. DynamoDB keeps the stream for 24 hours: what is older then is lost."""
    return _set_paused(context, project, environment, as_json=as_json, paused=True)


def resume(
    *,
    context: typer.Context,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Let paused workers go on."""
    return _set_paused(context, project, environment, as_json=as_json, paused=False)


def limit(  # noqa: PLR0913 (a command's parameters are its options)
    *,
    context: typer.Context,
    write_back_units: Annotated[
        float | None,
        typer.Option("--write-back-units", metavar="N", min=0.001, help="The most write units a second."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="As many as it takes.")] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """Cap what writing back to DynamoDB takes, for all workers and at once. Without options, let their settings hold.

    At the cap it waits; nothing is lost, and a rollback waits for it.
    """
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.pipeline.sync import limit_write_back  # noqa: PLC0415

    if none and write_back_units is not None:
        message = "there is a cap, or there is none: give one of --write-back-units and --none"
        raise typer.BadParameter(message, param_hint="--none")
    common = options.common(context, project=project, environment=environment, as_json=as_json)
    opened = common.project(_ledger)
    limit_write_back(opened, math.inf if none else write_back_units)
    if common.as_json:
        print_json({"source": opened.plan.name, "write_back_units": write_back_units, "none": none})
    elif none:
        say("writing back takes as many write units as it takes")
    elif write_back_units is None:
        say("writing back takes what the workers' settings say")
    else:
        say(f"writing back takes at most {write_back_units:,g} write units a second")
    return 0


def stop(
    *,
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it ends.")] = False,
    project: options.ProjectFolder = None,
    environment: options.Environment = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,  # noqa: ARG001 (main looks at it)
) -> int:
    """End the sync for good. What was synced stays as a copy as of now; loads under way are given up."""
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.pipeline.sync import stop_sync  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    opened = common.project(_ledger)
    question = f"End the sync of {opened.plan.name}? To sync again, everything has to be loaded again."
    if not (yes or common.as_json) and sys.stdin.isatty() and not typer.confirm(question, err=True):
        raise typer.Abort
    stopped = stop_sync(opened)
    if common.as_json:
        print_json(asdict(stopped))
        return 1 if stopped.findings else 0
    say(f"the sync of {stopped.source} has ended")
    if stopped.loaded:
        say(f"a copy as of now: {', '.join(stopped.loaded)}")
    if stopped.given_up:
        say(f"given up: {', '.join(stopped.given_up)} (load anew with --restart)")
    for finding in stopped.findings:
        say(f"{finding.kind} {finding.name} of {finding.table}: {finding.detail}")
    return 1 if stopped.findings else 0


def _set_paused(
    context: typer.Context, project: Path | None, environment: str | None, *, as_json: bool, paused: bool
) -> int:
    from ashore.cli.output import print_json, say  # noqa: PLC0415 (quick start)
    from ashore.pipeline.sync import pause_sync  # noqa: PLC0415

    common = options.common(context, project=project, environment=environment, as_json=as_json)
    opened = common.project(_ledger)
    state = pause_sync(opened, paused=paused)
    if common.as_json:
        print_json({"source": opened.plan.name, "state": state})
    else:
        say(f"the sync of {opened.plan.name} is {state}")
    return 0


class _Watcher:
    """Says now and then what arrives; with `--json` nothing but the last line, and alarms on stderr."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._began = self._said = time.monotonic()
        self._changes = self._before = 0

    def begun(self, source: str, arn: str, *, is_new: bool, url: str | None) -> None:
        self._say(f"{'begins' if is_new else 'goes on'} to read the stream of {source}: {arn}")
        if url is not None:
            self._say(f"serves {url}/metrics and {url}/healthz")

    def emit(self, event: Event) -> None:
        from ashore.observe import events  # noqa: PLC0415 (quick start)

        match event:
            case events.SyncBatch(changes=changes):
                self._changes += changes
            case events.SyncLagging(alarm=alarm, hours=hours):
                sys.stderr.write(f"ashore: {_alarm(alarm, hours)}\n")
            case _:
                line = _line(event)
                if line is None:
                    return
                self._say(line)
        now = time.monotonic()
        if now - self._said >= _LINE_SECONDS and self._changes > self._before:
            pace = (self._changes - self._before) / (now - self._said)
            self._say(f"{self._changes:,} changes, {pace:,.0f} a second")
            self._said, self._before = now, self._changes

    def ended(self) -> None:
        from ashore.cli.output import duration, print_json  # noqa: PLC0415 (quick start)

        seconds = time.monotonic() - self._began
        if self._is_quiet:
            print_json({"changes": self._changes, "seconds": round(seconds, 3)})
        self._say(f"handed over after {duration(seconds)}: {self._changes:,} changes")

    def _say(self, line: str) -> None:
        from ashore.cli.output import say  # noqa: PLC0415 (quick start)

        if not self._is_quiet:
            say(line)


def _line(event: Event) -> str | None:
    """What to say of an event; nothing of most."""
    from ashore.observe import events  # noqa: PLC0415 (quick start)

    match event:
        case events.SyncMerged(changes=changes):
            return f"merged {changes:,} captured changes"
        case events.SyncStateChanged(entity=entity, state=state):
            return f"{entity} is {state}"
        case events.MarkersRefused(reason=reason):
            return f"no markers: {reason}; what has been passed is judged by time"
        case events.MarkersSpent(markers=markers, not_reached=not_reached):
            named = ", ".join(not_reached[:5]) + (" and others" if len(not_reached) > 5 else "")
            return f"{markers:,} markers, and none came back from {named}: judged by time"
        case events.SyncReconnecting(reason=reason):
            return f"connecting again: {reason}"
        case events.StepStarted(step=step):
            return f"begins {step}"
        case events.StepFinished(step=step, seconds=seconds) if seconds >= _LONG_SECONDS:
            return f"took {seconds:.0f} s {step}"
        case _:
            return None


def _alarm(alarm: str | None, hours: float) -> str:
    if alarm is None:
        return f"the alarm is over: the stream was read up to {hours:.1f} hours ago"
    return f"{alarm}: the stream was not read for {hours:.0f} hours, and DynamoDB keeps it for 24"
