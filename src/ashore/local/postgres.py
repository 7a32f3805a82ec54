"""PostgreSQL on this machine: whole servers for the demo, the benchmarks and the tests, gone when the context ends."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

import psycopg
from psycopg import sql

from ashore.local import unprivileged
from ashore.local.clusters import SUPERUSER, Installation, embedded_bin_dir, environment, installation
from ashore.local.process import ServerCommand, ServerProcess

READY_SECONDS = 60.0
"""A cluster that replays its log after a crash takes a while; a new one is ready in less than a second."""

POLL_SECONDS = 0.01
RETRY_SECONDS = 0.1

RestartMode = Literal["fast", "immediate", "kill"]
_SIGNALS: Final[Mapping[RestartMode, str]] = {"fast": "SIGINT", "immediate": "SIGQUIT", "kill": "SIGKILL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPostgres:
    """A running server that only the user of this process can reach, through a Unix socket.

    Attributes:
        bin_dir: The programs: `pg_dump`, `psql`, `pg_basebackup` where the installation has them.
        data: The data folder.
        socket_folder: What clients give as host.
        port: Names the socket; a TCP port only where the settings have `listen_addresses`.
        version: Such as `18.6`.
        process: The server's process.
        superuser: The role that the cluster was made with.
    """

    bin_dir: Path
    data: Path
    socket_folder: Path
    port: int
    version: str
    process: ServerProcess
    superuser: str = SUPERUSER

    @property
    def major(self) -> int:
        """The major version, such as 18."""
        return Installation(self.bin_dir, self.version).major

    @property
    def pid(self) -> int:
        """The process id of the server; another one after `restart`."""
        return self.process.pid

    @property
    def dsn(self) -> str:
        """The URI of the database `postgres`, as the superuser."""
        return self.dsn_of("postgres")

    def dsn_of(self, database: str, *, user: str | None = None) -> str:
        """Return the URI of a database, whether or not it exists; as the superuser unless another role is named."""
        host = quote(str(self.socket_folder), safe="")
        role = quote(user or self.superuser, safe="")
        return f"postgresql://{role}@/{quote(database, safe='')}?host={host}&port={self.port}"

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create a database as a copy of `template`, to which nobody may be connected; return its URI."""
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.dsn_of(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending the sessions in it; no effect if there is none."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def restart(self, mode: RestartMode = "immediate") -> None:
        """Stop the server and start it on the same data and address; return once it takes connections.

        Args:
            mode: `fast` ends sessions and stops cleanly. `immediate` stops without a checkpoint, so that the start
                replays the log: a crash, as far as committed data goes. `kill` is SIGKILL to the server alone, whose
                sessions then end by themselves.

        Raises:
            ServerDidNotStart: It did not come back; it is not running.
        """
        deadline = time.monotonic() + READY_SECONDS
        self.process.restart(_SIGNALS[mode])
        while not _is_ready(self.process, self.data, deadline):
            # sessions that SIGKILL has orphaned hold the shared memory for a moment, and at that a server ends
            if time.monotonic() > deadline:
                raise self.process.not_started(f"it was not ready after {READY_SECONDS:.0f} s")
            time.sleep(RETRY_SECONDS)
            self.process.restart(_SIGNALS[mode])

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def embedded_postgres(
    data: Path | None = None,
    *,
    bin_dir: Path | None = None,
    settings: Mapping[str, str] | None = None,
    initdb_options: Sequence[str] = (),
    superuser: str = SUPERUSER,
) -> Iterator[LocalPostgres]:
    """Run a PostgreSQL server for as long as the context lasts.

    It listens on a Unix socket in a folder that only this user can enter, and nowhere else. Durability is as in
    production: `fsync` and `synchronous_commit` stay on. Also as root; the server then runs as another user. It ends
    with this process, whatever ends that.

    Args:
        data: The data folder, made where there is none, kept at the end and stopped cleanly. None for a temporary one.
        bin_dir: Programs of another PostgreSQL, such as Debian's `/usr/lib/postgresql/15/bin`. None for PostgreSQL 18
            out of the package embedded-postgres.
        settings: Parameters of the server, such as `{"wal_level": "logical"}`.
        initdb_options: Further options for a new cluster, such as `--data-checksums` or another locale.
        superuser: The role that a new cluster is made with, and that addresses name.

    Raises:
        LocalExtraMissing: There is no embedded-postgres.
        DataFolderFromOtherVersion: `data` belongs to another major version.
        FolderUnreachable: Root runs this and the server's user cannot enter `data`.
        ServerDidNotStart: The server ended, or was not ready within `READY_SECONDS`.
    """
    postgres = installation(bin_dir or embedded_bin_dir())

    def prepare(reachable: Installation, folder: Path) -> list[str]:
        options = [f"--username={superuser}", *initdb_options]
        return reachable.initdb(folder, durable=data is not None, options=options)

    with serving(postgres, prepare, data=data, settings=settings, superuser=superuser) as server:
        yield server


@contextmanager
def serving(
    postgres: Installation,
    prepare: Callable[[Installation, Path], list[str]],
    *,
    data: Path | None,
    settings: Mapping[str, str] | None,
    superuser: str,
) -> Iterator[LocalPostgres]:
    """Run a server as `embedded_postgres` does; `prepare` gives the command that makes a new data folder."""
    user = unprivileged.server_user(data)
    is_new = data is None or postgres.needs_cluster(data.absolute(), user)
    work = unprivileged.make_work_folder(user)
    folder = work / "server" / "data" if data is None else data.absolute()
    parameters = {"port": "5432", "listen_addresses": "", "cluster_name": "ashore"} | dict(settings or {})
    try:
        reachable = Installation(unprivileged.reachable_programs(postgres.bin_dir, user, work), postgres.version)
        process = ServerProcess(
            ServerCommand(
                name=f"PostgreSQL {postgres.version}",
                prepare=prepare(reachable, folder) if is_new else (),
                command=reachable.serve(folder, work / "server", parameters),
                environment=environment(),
                user=(user.uid, user.gid) if user else None,
                folder=work / "server",
                log=work / "log",
                stop_signals=("SIGQUIT",) if data is None else ("SIGINT", "SIGQUIT"),
                remove=work,
            )
        )
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    try:
        if not _is_ready(process, folder, time.monotonic() + READY_SECONDS):
            raise process.not_started("it was not ready in time" if process.is_running else "it ended")
        yield LocalPostgres(
            bin_dir=postgres.bin_dir,
            data=folder,
            socket_folder=work / "server",
            port=int(parameters["port"]),
            version=postgres.version,
            process=process,
            superuser=superuser,
        )
    finally:
        process.stop()


def _is_ready(process: ServerProcess, folder: Path, deadline: float) -> bool:
    """Wait until the server takes connections; False if it ended, or if the deadline came.

    The server says so in the eighth line of its `postmaster.pid`, where `pg_ctl` looks for it too.
    Source: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/utils/pidfile.h
    """
    pid_file = folder / "postmaster.pid"
    while process.is_running and time.monotonic() < deadline:
        try:
            lines = pid_file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
            return True
        time.sleep(POLL_SECONDS)
    return False
