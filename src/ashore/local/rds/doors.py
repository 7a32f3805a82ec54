"""Front doors of servers on this machine, served by one thread for as long as a context lasts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from ashore.local.postgres import LocalPostgres
from ashore.local.rds.behaviour import Behaviour, MovableClock
from ashore.local.rds.certificates import Authority, new_authority
from ashore.local.rds.door import HBA, Door
from ashore.local.rds.relay import RoundTrips, relay
from ashore.local.rds.verifying import Endpoint, Identity
from ashore.postgres.connect import Conn, connect, one_row

SUPERUSER: Final = "rdsadmin"
"""The server's own superuser, named as on RDS; nobody logs in as it through a door."""

LOOPBACK: Final = "127.0.0.1"
_RELOAD_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
_TURNS_TO_CLOSE: Final = 10
"""Of the event loop, in which transports that were aborted let go of their sockets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDoor:
    """A door that is listened at.

    Attributes:
        port: What clients dial, on the loopback address.
        authority: The file with what they verify the endpoint by.
        trips: The round trips of each connection so far, oldest first; only behind a distance.
    """

    door: Door
    port: int
    authority: Path
    trips: list[RoundTrips]
    _call: Callable[[Callable[[], None]], None] = field(repr=False)

    @property
    def endpoint(self) -> Endpoint:
        """What it is called."""
        return self.door.endpoint

    def address(self, user: str, database: str, **more: str) -> str:
        """Ashore's address of a database behind it; libpq's is the same without ``+iam``."""
        query = {"hostaddr": LOOPBACK, "sslmode": "verify-full", "sslrootcert": str(self.authority), **more}
        if self.endpoint.port != self.port:
            query["sign_for"] = f"{self.endpoint.host}:{self.endpoint.port}"
        where = f"{quote(user, safe='')}@{self.endpoint.host}:{self.port}/{quote(database, safe='')}"
        return f"postgresql+iam://{where}?{urlencode(query)}"

    def drop_sessions(self) -> None:
        """Cut every session, as a failover does: their clients learn of it when they next use them."""

        def cut() -> None:
            for writer in list(self.door.sessions):
                writer.transport.abort()

        self._call(cut)


class Doors:
    """Opens doors; they share one authority, one clock, and those whom AWS knows (`identities`, which may grow)."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.authority: Authority = new_authority(folder)
        self.clock = MovableClock()
        self.identities: list[Identity] = []
        self._folder = folder
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[socket.socket] = []

    def open(
        self,
        server: LocalPostgres,
        *,
        host: str,
        region: str,
        resource_id: str = "cluster-ASHORELOCAL",
        signed_port: int | None = None,
        behaviour: Behaviour | None = None,
    ) -> OpenDoor:
        """Open a door to a server that was prepared by `prepare`, or to a replica of one.

        Args:
            server: What is behind it.
            host: The endpoint's name, as on RDS; it is dialled with ``hostaddr=127.0.0.1``.
            region: Of the endpoint.
            resource_id: What policies name it by.
            signed_port: The endpoint's own port, where clients dial another, as behind a tunnel. None: what they dial.
            behaviour: None for the plain one.
        """
        how = behaviour or Behaviour()
        listener = self._listen()
        port: int = listener.getsockname()[1]
        door = Door(
            endpoint=Endpoint(host=host, port=signed_port or port, region=region, resource_id=resource_id),
            server_socket=f"{server.socket_folder}/.s.PGSQL.{server.port}",
            tls=self.authority.tls_context(host, self._folder),
            identities=self.identities,
            clock=self.clock,
            behaviour=how,
        )
        trips: list[RoundTrips] = []
        if how.round_trip_ms:
            inner = self._listen()
            self._accept(inner, door.serve)

            async def from_afar(client: socket.socket) -> None:
                trips.append(RoundTrips())
                inner_port = inner.getsockname()[1]
                await relay(client, inner_port, round_trip_ms=how.round_trip_ms, trips=trips[-1])

            self._accept(listener, from_afar)
        else:
            self._accept(listener, door.serve)
        return OpenDoor(door=door, port=port, authority=self.authority.file, trips=trips, _call=self._call)

    def close(self) -> None:
        """End every session, and listen no more."""

        async def end() -> None:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for _ in range(_TURNS_TO_CLOSE):
                await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        for listener in self._listeners:
            listener.close()

    def _listen(self) -> socket.socket:
        listener = socket.create_server((LOOPBACK, 0), backlog=512)
        listener.setblocking(False)
        self._listeners.append(listener)
        return listener

    def _accept(self, listener: socket.socket, serve: Callable[[socket.socket], Coroutine[Any, Any, None]]) -> None:
        async def accepting() -> None:
            while True:
                client, _ = await self._loop.sock_accept(listener)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._keep(self._loop.create_task(serve(client)))

        self._call(lambda: self._keep(self._loop.create_task(accepting())))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _call(self, function: Callable[[], None]) -> None:
        async def run() -> None:
            function()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()


@contextlib.contextmanager
def open_doors() -> Iterator[Doors]:
    """A thread that serves doors; they are closed, and all sessions through them ended, when the context ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="ashore local endpoints", daemon=True)
    thread.start()
    with tempfile.TemporaryDirectory(prefix="ashore-doors-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        doors = Doors(folder, loop)
        try:
            yield doors
        finally:
            doors.close()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def prepare(server: LocalPostgres) -> None:
    """Make a server whose superuser is `SUPERUSER` take logins as RDS does: its pg_hba.conf, and the role `rds_iam`."""
    (server.data / "pg_hba.conf").write_text(HBA, encoding="ascii")
    with connect(server.dsn, application_name="ashore local", autocommit=True) as conn:
        exists = conn.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_iam'").fetchone() is not None
        if not exists:
            conn.execute("CREATE ROLE rds_iam NOLOGIN")
        before = _loaded_at(conn)
        conn.execute("SELECT pg_catalog.pg_reload_conf()")
    give_up_at = time.monotonic() + _RELOAD_SECONDS
    while time.monotonic() < give_up_at:  # sessions that begin before the server has read the file go by the old one
        with connect(server.dsn, application_name="ashore local", autocommit=True) as conn:
            if _loaded_at(conn) != before:
                return
        time.sleep(_POLL_SECONDS)
    raise server.process.not_started(f"it did not read its pg_hba.conf within {_RELOAD_SECONDS:.0f} s")


def _loaded_at(conn: Conn) -> str:
    [moment] = one_row(conn.execute("SELECT pg_catalog.pg_conf_load_time()::text"))
    return str(moment)
