"""Showing how far a load or a verification is: a bar on a terminal, plain lines elsewhere, nothing with `--json`."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ashore.cli.output import console, duration
from ashore.observe import events
from ashore.observe.events import Event

_LINE_SECONDS = 5.0


class Watcher:
    """Listens to events for as long as its context lasts; `emit` is what a pipeline calls.

    `items` is how many are expected where the source does not say so itself.
    """

    def __init__(self, *, items: int, is_quiet: bool) -> None:
        self._expected = items
        self._is_quiet = is_quiet
        self._console = console(stderr=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._began = time.monotonic()
        self._said = self._began
        self._items = self._before = self._bytes = self._rejected = self._throttled = 0
        self._read_units = 0.0

    def __enter__(self) -> Self:
        if not self._is_quiet and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[pace]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def emit(self, event: Event) -> None:
        """Take note of an event."""
        if self._is_quiet:
            return
        match event:
            case events.LoadStarted():
                self._start(event)
            case events.Progress():
                self._add(event)
            case events.PhaseChanged(phase="keys"):
                took = duration(time.monotonic() - self._began)
                self._say(f"{self._items:,} items read in {took}; keys and indexes are next")
            case events.StepStarted(step=step):
                self._describe(step)
            case events.StepFinished(step=step, seconds=seconds, finding=finding):
                self._say(f"{step}: {duration(seconds)}" + (f", {finding.kind} finding" if finding else ""))
            case _:
                return

    def _start(self, event: events.LoadStarted) -> None:
        self._began = self._said = time.monotonic()
        self._items = self._before = event.items_done
        self._expected = event.items_expected or self._expected
        if event.resumed:
            self._say(f"goes on with {event.what} {event.load}: {event.items_done:,} items are done already")
        if self._bar is not None:
            total = max(self._expected, 1)
            self._task = self._bar.add_task(event.source, total=total, completed=self._items, pace="")

    def _add(self, event: events.Progress) -> None:
        self._items += event.items
        self._bytes += event.bytes
        self._read_units += event.read_units
        self._rejected += event.rejected
        self._throttled += event.throttled
        if self._bar is not None and self._task is not None:
            total = max(self._expected, self._items)
            self._bar.update(self._task, completed=self._items, total=total, pace=self._pace())
        elif time.monotonic() - self._said >= _LINE_SECONDS:
            self._say(f"{self._items:,} of {self._expected:,} items, {self._pace()}{self._left()}")

    def _pace(self) -> str:
        seconds = max(time.monotonic() - self._began, 0.001)
        words = [f"{(self._items - self._before) / seconds:,.0f} items/s", f"{self._bytes / 1e6 / seconds:,.1f} MB/s"]
        if self._read_units:
            words.append(f"{self._read_units / seconds:,.0f} read units/s")
        if self._throttled:
            words.append(f"throttled {self._throttled:,}×")
        if self._rejected:
            words.append(f"{self._rejected:,} rejected")
        return ", ".join(words)

    def _left(self) -> str:
        done, seconds = self._items - self._before, time.monotonic() - self._began
        left = self._expected - self._items
        return f", about {duration(left * seconds / done)} left" if done and left > 0 else ""

    def _describe(self, step: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=step, pace="")

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        if self._bar is not None:
            self._bar.console.print(line, markup=False)
        else:
            sys.stderr.write(line + "\n")
