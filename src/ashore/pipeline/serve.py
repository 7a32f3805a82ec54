"""A sync worker's `/metrics` and `/healthz`, while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from ashore.observe.events import Event
from ashore.observe.health import PATIENCE_SECONDS, Health, WorkerHealth
from ashore.observe.http import Answer, http_server
from ashore.observe.metrics import WorkerMetrics
from ashore.pipeline.metrics import LedgerMetrics
from ashore.pipeline.project import Project
from ashore.postgres.connect import connect
from ashore.postgres.errors import PostgresError, translated

_KEEP_SECONDS: Final = 2.0
_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(slots=True, kw_only=True)
class Serving:
    """What is served, and where; `hear` has to be told the worker's events."""

    url: str = ""
    metrics: WorkerMetrics
    health: WorkerHealth

    def hear(self, event: Event) -> None:
        """Take note of an event of the worker."""
        self.metrics.hear(event)
        self.health.hear(event)


@contextmanager
def serving(project: Project, host: str, port: int, *, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[Serving]:
    """Serve the source's metrics, and the health of a worker of this process, until the context ends.

    `/metrics` has what the ledger knows, of all workers, and what this worker counts. `/healthz` is 200 while the
    worker ends its rounds and PostgreSQL answers, and 503 with a reason otherwise; a paused sync is well.

    Raises:
        CannotListen: Nothing is served.
    """
    now = Serving(
        metrics=WorkerMetrics(source=project.plan.name), health=WorkerHealth(patience_seconds=patience_seconds)
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerMetrics(project=project))
    registry.register(now.metrics)
    ProcessCollector(registry=registry)
    answers = _PostgresAnswers(dsn=project.dsn)

    def metrics(accept: str) -> Answer:
        encode, content_type = choose_encoder(accept)
        return Answer(status=200, content_type=content_type, body=encode(registry))

    def healthz(_accept: str) -> Answer:
        found = now.health.now()
        if found.is_well:
            found = answers.now() or found
        return Answer(status=200 if found.is_well else 503, content_type=_TEXT, body=f"{found.reason}\n".encode())

    with http_server(host, port, {"/metrics": metrics, "/healthz": healthz}) as url:
        now.url = url
        yield now


@dataclass(slots=True, kw_only=True)
class _PostgresAnswers:
    """Whether PostgreSQL answers, asked on a connection of its own and no more often than `_KEEP_SECONDS`."""

    dsn: str = field(repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked_at: float | None = None
    _found: Health | None = None

    def now(self) -> Health | None:
        """What is wrong; None where nothing is."""
        with self._lock:
            if self._asked_at is None or time.monotonic() - self._asked_at > _KEEP_SECONDS:
                self._found = self._ask()
                self._asked_at = time.monotonic()
            return self._found

    def _ask(self) -> Health | None:
        try:
            with connect(self.dsn, application_name="ashore health", autocommit=True) as conn, translated("answering"):
                conn.execute("SELECT 1")
        except PostgresError as error:
            return Health(is_well=False, reason=f"PostgreSQL does not answer ({error.code})")
        return None
