"""A sync worker in a scheduled Lambda: it works until shortly before its time is over, then hands its shards over.

Not for an event source mapping: that shows no shards, may drop records by age, retries and filters, and runs a shard's
batches side by side if it is told to. A worker reads the shards itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from ashore.config.settings import load_settings
from ashore.observe.events import Event, SyncBatch, SyncMerged
from ashore.pipeline.project import open_project
from ashore.pipeline.sync import begin_sync, run_worker, sync_order, write_back

HANDOVER_SECONDS: Final = 20.0
"""What is kept of the time for the page under way and for giving the shards back."""


class Context(Protocol):
    """What Lambda passes to a handler.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    def get_remaining_time_in_millis(self) -> int:
        """How long this invocation may still take."""


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Run one worker for the time that is left, less `HANDOVER_SECONDS`.

    The project lies in the function's package, or where ``ASHORE_PROJECT`` says; ``ASHORE_ENV`` chooses the
    environment, and settings come from ``ASHORE_…`` variables as well. ``{"on_gap": "repair"}`` in the event is as
    ``--on-gap repair``.

    Returns:
        The number of changes that were written and merged.

    Raises:
        AshoreError: As `ashore sync run`; the invocation fails, and the next goes on where this one was.
    """
    folder = Path(os.environ.get("ASHORE_PROJECT") or os.environ.get("LAMBDA_TASK_ROOT") or ".")
    settings = load_settings(folder, environment=None, flags={}, environ=os.environ)
    project = open_project(settings)
    begin_sync(project)
    done = {"changes": 0, "merged": 0}

    def count(told: Event) -> None:
        match told:
            case SyncBatch(changes=changes):
                done["changes"] += changes
            case SyncMerged(changes=changes):
                done["merged"] += changes
            case _:
                return

    over = threading.Event()
    seconds = max(0.0, context.get_remaining_time_in_millis() / 1000 - HANDOVER_SECONDS)
    timer = threading.Timer(seconds, over.set)
    timer.start()
    try:
        order = sync_order(project, on_gap="repair" if event.get("on_gap") == "repair" else "stop")
        run_worker(order, over, emit=count, write_back=write_back(project))
    finally:
        timer.cancel()
    return {"source": project.plan.name, **done}
