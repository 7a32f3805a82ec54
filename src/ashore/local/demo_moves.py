"""The demo's cutover, its way back, and the second cutover: the commands' own pipeline, and every gate of it."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from psycopg import sql

from ashore.local.clusters import environment
from ashore.local.demo_events import DemoEvent, Moved, Moving, ReadsMoved, Rehearsed, RestorePoint
from ashore.local.postgres import LocalPostgres
from ashore.local.traffic import Writers
from ashore.pipeline.cutover import Options, opened
from ashore.pipeline.project import Project
from ashore.postgres.connect import Conn

ENTITIES: Final = ("docket_entry", "message")
"""What crosses in the demo; the writers write cases as well, which stay where they are."""
ROLE: Final = "court_app"
VALIDITY_SECONDS: Final = 2.0
_MOST_PAUSE_SECONDS: Final = 30.0
HOLD_SECONDS: Final = 2 * _MOST_PAUSE_SECONDS
"""How long a writer waits at most: a move that takes too long has given up by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Moves reads and writes of `ENTITIES` while `writers` write."""

    project: Project
    restore_point: RestorePoint
    writers: Writers
    emit: Callable[[DemoEvent], None]

    def reads(self) -> None:
        """As `ashore cutover reads`."""
        with opened(self.project, ENTITIES, self._options) as cutover:
            gates = cutover.plan_reads().gates
            cutover.reads()
        self.emit(ReadsMoved(entities=ENTITIES, gates=len(gates)))

    def rehearse(self) -> Rehearsed:
        """As `ashore cutover writes --rehearse`."""
        with opened(self.project, ENTITIES, self._options) as cutover:
            found = cutover.rehearse()
        rehearsed = Rehearsed(seconds=found.pause_seconds, passed=found.passed)
        self.emit(rehearsed)
        return rehearsed

    def writes(self) -> Moved:
        """As `ashore cutover writes`."""
        with opened(self.project, ENTITIES, self._options) as cutover:
            gates = tuple(gate.name for gate in cutover.plan_writes().gates)
            self.emit(Moving(to="postgres", gates=gates))
            began = time.monotonic()
            done = cutover.writes()
        return self._moved("postgres", len(gates), began, done.pause_seconds, done.passed)

    def back(self) -> Moved:
        """As `ashore rollback`."""
        with opened(self.project, ENTITIES, self._options) as cutover:
            gates = tuple(gate.name for gate in cutover.plan_back().gates)
            self.emit(Moving(to="dynamodb", gates=gates))
            began = time.monotonic()
            done = cutover.back()
        return self._moved("dynamodb", len(gates), began, done.pause_seconds, done.passed)

    @property
    def _options(self) -> Options:
        return Options(
            roles=(ROLE,),
            max_pause_seconds=_MOST_PAUSE_SECONDS,
            validity_seconds=VALIDITY_SECONDS,
            restore_point=self.restore_point.name,
        )

    def _moved(self, to: str, gates: int, began: float, held: float, passed: str) -> Moved:
        moved = Moved(
            to="postgres" if to == "postgres" else "dynamodb",
            gates=gates,
            held_seconds=held,
            longest_seconds=self.writers.longest_since(began),
            passed=passed,
        )
        self.emit(moved)
        return moved


def make_role(conn: Conn) -> None:
    """The application's role, which may ask where to read and write; it owns nothing."""
    role = sql.Identifier(ROLE)
    conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    conn.execute(sql.SQL("GRANT USAGE ON SCHEMA ashore TO {}").format(role))
    conn.execute(sql.SQL("GRANT EXECUTE ON FUNCTION ashore.routes(text) TO {}").format(role))


def let_role_write(conn: Conn) -> None:
    """The privileges that it will need, once the tables are there; the guard takes and gives them from then on."""
    role = sql.Identifier(ROLE)
    conn.execute(sql.SQL("GRANT USAGE ON SCHEMA court TO {}").format(role))
    conn.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA court TO {}").format(role))


@contextmanager
def backed_up(server: LocalPostgres) -> Iterator[RestorePoint]:
    """A base backup by PostgreSQL's own program, to which the server could be restored; removed at the end."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ashore-backup-") as folder:
        address = f"host={server.socket_folder} port={server.port} user={server.superuser}"
        options = ("--checkpoint=fast", "--wal-method=fetch", "--no-sync", "--format=tar", f"--pgdata={folder}")
        command = [str(server.bin_dir / "pg_basebackup"), f"--dbname={address}", *options]
        subprocess.run(command, check=True, env=environment(), stdin=subprocess.DEVNULL, capture_output=True)
        yield RestorePoint(
            name=f"pg_basebackup of {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            bytes=sum(file.stat().st_size for file in Path(folder).iterdir()),
            seconds=time.monotonic() - began,
        )
