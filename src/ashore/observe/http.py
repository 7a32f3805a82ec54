"""A small HTTP server in a thread, for what a worker tells of itself; it only answers GET and HEAD."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from ashore.errors import AshoreError

_IDLE_SECONDS: Final = 10.0
"""A client that says nothing for so long is cut off, so that it does not hold a thread."""
_POLL_SECONDS: Final = 0.1


@dataclass(eq=False, kw_only=True)
class CannotListen(AshoreError):
    """The address cannot be listened on."""

    host: str
    port: int
    reason: str

    code = "ASH840"
    exit_code = 2

    def what(self) -> str:
        return f"cannot listen on {self.host} port {self.port}: {self.reason}"

    def hint(self) -> str:
        return "give --listen another port, or an address that this machine has"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back."""

    status: int
    content_type: str
    body: bytes


Answerer = Callable[[str], Answer]
"""From the request's Accept header to its answer."""


@contextmanager
def http_server(host: str, port: int, paths: Mapping[str, Answerer]) -> Iterator[str]:
    """Serve these paths, each request in a thread of its own, until the context ends; yield the server's URL.

    Args:
        host: An address or a name of this machine.
        port: 0 for any that is free.
        paths: Path → what makes the answer; every other path is 404.

    Raises:
        CannotListen: The port is taken, or the address is not this machine's.
    """
    try:
        server = _Server(host, port, paths)
    except OSError as error:
        raise CannotListen(host=host, port=port, reason=error.strerror or str(error)) from None
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS}, name="ashore http", daemon=True
    )
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, paths: Mapping[str, Answerer]) -> None:
        [(self.address_family, *_), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self.paths = paths
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        name = host.decode() if isinstance(host, (bytes, bytearray)) else host
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (the base class's parameters)
        """Name the error and nothing of it: its text may hold values. A client that went away is none."""
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            sys.stderr.write(f"ashore: a request could not be answered: {type(error).__name__}\n")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _IDLE_SECONDS
    server_version = "ashore"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Write nothing."""

    def _answer(self, *, with_body: bool) -> None:
        answerer = self.server.paths.get(self.path.partition("?")[0])
        answer = (
            Answer(status=404, content_type="text/plain; charset=utf-8", body=b"there is nothing here\n")
            if answerer is None
            else answerer(self.headers.get("Accept", ""))
        )
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)
