"""A court whose messages and docket entries are synced by a worker in a process of its own, ready to be moved."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from ashore.app import Routes
from ashore.bench.errors import MeasuringProcessEnded
from ashore.config.settings import load_settings
from ashore.cutover import switch
from ashore.ledger import crossing
from ashore.ledger.schema import ensure_ledger
from ashore.local import demo_moves
from ashore.local.court.awkward import expected_rejected
from ashore.local.court.items import court_items
from ashore.local.demo_table import fill, nothing_but, table_name
from ashore.local.dynamodb import LocalAws, dynamodb_local, find_dynamodb_local, moto_server
from ashore.local.errors import JavaMissing
from ashore.local.postgres import LocalPostgres
from ashore.local.traffic import WRITE_SECONDS, Application, Writers, application_client
from ashore.model.item import Item
from ashore.pipeline.cutover import Cutover, Options, opened
from ashore.pipeline.load import load, tables_of
from ashore.pipeline.project import Project, open_project
from ashore.pipeline.sync import run_worker, sync_order, table_source, write_back
from ashore.postgres.connect import Conn, connect, one_row
from ashore.sync.start import ensure_stream

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

MOST_PAUSE_SECONDS: Final = 60.0
_DECLARATIONS: Final = "ashore.local.court.declaration:court"
_SYNCED_SECONDS: Final = 300.0
_SYNCING: Final = "SELECT bool_and(state = 'syncing') FROM ashore.entity WHERE source = %s"
_context: Final = get_context("spawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class CourtCrossing:
    """Both stores, what they hold, and the commands that move it. `conn` is the superuser's, in autocommit mode."""

    server: LocalPostgres
    aws: LocalAws
    conn: Conn
    project: Project
    cutover: Cutover
    items: Sequence[Item]

    @contextmanager
    def writing(self, *, writers: int, a_second: float, seed: int) -> Iterator[Writers]:
        """An application that writes until the context ends, or until it is told to stop."""
        dsn = self.server.dsn_of("postgres", user=demo_moves.ROLE)
        with Routes(
            self.project.plan.name, dsn, write_seconds=WRITE_SECONDS, hold_seconds=MOST_PAUSE_SECONDS
        ) as routes:
            application = Application(
                routes=routes,
                client=application_client,
                table=table_name,
                dsn=dsn,
                writers=writers,
                a_second=a_second,
            )
            traffic = Writers(application, self.items, seed=seed)
            traffic.start()
            try:
                yield traffic
            finally:
                traffic.end()


@contextmanager
def some_dynamodb() -> Iterator[LocalAws]:
    """DynamoDB Local where it and Java are on this machine, moto elsewhere."""
    folder = find_dynamodb_local()
    with ExitStack() as stack:
        try:
            aws = None if folder is None else stack.enter_context(dynamodb_local(folder))
        except JavaMissing:
            aws = None
        yield aws or stack.enter_context(moto_server())


@contextmanager
def court_crossing(
    server: LocalPostgres, aws: LocalAws, *, cases: int, validity_seconds: float, seed: int
) -> Iterator[CourtCrossing]:
    """Fill a table, load and sync it, and guard what is about to move.

    Markers are on, but for DynamoDB Local: it cuts the times of its records to minutes, and a marker claims no more.

    Raises:
        MeasuringProcessEnded: The worker failed.
    """
    with ExitStack() as stack:
        stack.enter_context(nothing_but(aws))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ashore-bench-")))
        conn = stack.enter_context(connect(server.dsn, application_name="ashore bench", autocommit=True))
        flags = {
            "declarations": _DECLARATIONS,
            "postgres": server.dsn,
            "table": table_name,
            "region": aws.region,
            "endpoint_url": aws.endpoint_url,
            "markers": aws.process_id is None,
        }
        project = _project(folder, flags)
        items = list(court_items(cases, seed))[: -sum(expected_rejected.values())]  # the last cannot be rows
        ensure_ledger(conn)
        crossing.set_validity(conn, project.plan.name, round(validity_seconds * 1000))
        demo_moves.make_role(conn)
        fill(aws.client("dynamodb"), items, lambda _: None)
        plan = project.plan
        names = {name: [str(one) for one in tables_of(conn, entity).values()] for name, entity in plan.entities.items()}
        ensure_stream(conn, plan, sync_order(project).source, names)
        worker = stack.enter_context(_working(folder, flags))
        load(
            plan=plan,
            reference=project.reference,
            source=table_source(project),
            dsn=server.dsn,
            workers=1,
            is_captured=True,
        )
        demo_moves.let_role_write(conn)
        _wait_until_synced(conn, plan.name, worker)
        cutover = stack.enter_context(opened(project, demo_moves.ENTITIES, Options(roles=(demo_moves.ROLE,))))
        switch.guard_up(conn, cutover.one, (demo_moves.ROLE,))
        yield CourtCrossing(server=server, aws=aws, conn=conn, project=project, cutover=cutover, items=items)


def _project(folder: Path, flags: Mapping[str, Any]) -> Project:
    return open_project(load_settings(folder, environment=None, flags=flags, environ={}))


@contextmanager
def _working(folder: Path, flags: Mapping[str, Any]) -> Iterator[BaseProcess]:
    stop = _context.Event()
    worker = _context.Process(target=_work, args=(folder, flags, stop), daemon=True)
    worker.start()
    try:
        yield worker
    finally:
        stop.set()
        worker.join(30)
        worker.kill()


def _work(folder: Path, flags: Mapping[str, Any], stop: Event) -> None:
    """The worker's process, with the limits that `ashore sync run` has."""
    project = _project(folder, flags)
    # multiprocessing's event has what a worker asks of a threading one: is_set and wait
    run_worker(sync_order(project), cast("threading.Event", stop), write_back=write_back(project))


def _wait_until_synced(conn: Conn, source: str, worker: BaseProcess) -> None:
    give_up_at = time.monotonic() + _SYNCED_SECONDS
    while not one_row(conn.execute(_SYNCING, (source,)))[0]:
        if not worker.is_alive() or time.monotonic() > give_up_at:
            raise MeasuringProcessEnded(doing="syncing")
        time.sleep(0.1)
