"""A wire to PostgreSQL that is as slow as one likes on the way back, or that somebody has cut."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from psycopg import conninfo


@dataclass(slots=True)
class Wire:
    """What goes back to clients takes `delay_seconds` more; while `is_cut` nobody is let in."""

    dsn: str
    delay_seconds: float = 0.0
    is_cut: bool = False
    sessions: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """End all sessions and let nobody in."""
        self.is_cut = True
        for session in self.sessions:
            with suppress(OSError):
                session.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let clients in again."""
        self.is_cut = False


@contextmanager
def wire_to(dsn: str) -> Iterator[Wire]:
    """A wire to a server that listens on a Unix socket; `dsn` of the wire leads through it."""
    to = conninfo.conninfo_to_dict(dsn)
    path = f"{to['host']}/.s.PGSQL.{to.get('port', 5432)}"
    with socket.create_server(("127.0.0.1", 0)) as entry:
        port = entry.getsockname()[1]
        wire = Wire(conninfo.make_conninfo(dsn, host="127.0.0.1", port=port))
        threading.Thread(target=_let_in, args=(wire, entry, path), daemon=True).start()
        try:
            yield wire
        finally:
            wire.cut()


def _let_in(wire: Wire, entry: socket.socket, path: str) -> None:
    while True:
        try:
            client, _ = entry.accept()
        except OSError:
            return
        if wire.is_cut:
            client.close()
            continue
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.connect(path)
        wire.sessions += [client, server]
        threading.Thread(target=_carry, args=(wire, client, server, False), daemon=True).start()
        threading.Thread(target=_carry, args=(wire, server, client, True), daemon=True).start()


def _carry(wire: Wire, source: socket.socket, to: socket.socket, is_back: bool) -> None:
    with source, to, suppress(OSError):
        while said := source.recv(65_536):
            if is_back and wire.delay_seconds:
                time.sleep(wire.delay_seconds)
            to.sendall(said)
        to.shutdown(socket.SHUT_RDWR)
