"""Things between a worker and its servers that go wrong when they are told to: sockets cut, requests refused."""

from __future__ import annotations

import http.client
import json
import os
import random
import select
import shutil
import socket
import struct
import tempfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

Fault = Literal["throttled", "internal", "reset", "cut", "expired"]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


class CutConnections:
    """Stands in front of a PostgreSQL server's socket; `cut` ends every connection in the middle of what it sends."""

    def __init__(self, server: Path, port: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ashore-cut-"))
        self._server = server / f".s.PGSQL.{port}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / f".s.PGSQL.{port}"))
        self._listener.listen(64)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._left: int | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.cuts = 0

    def cut(self, *, after_bytes: int) -> None:
        """End every connection once this many more bytes have gone to the server, wherever that is."""
        with self._lock:
            self._left = after_bytes

    def refuse(self) -> None:
        """Let nobody connect any more, and end every connection."""
        (self.folder / self._server.name).unlink()
        self.cut(after_bytes=0)

    def _accept(self) -> None:
        while not self._is_over:
            ready, _, _ = select.select([self._listener], [], [], 0.1)
            if ready:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._server))
                except OSError:
                    client.close()
                    server.close()
                    continue
                with self._lock:
                    self._open |= {client, server}
                threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while not self._is_over:
                ready, _, _ = select.select([client, server], [], [], 0.2)
                for one in ready:
                    sent = one.recv(65_536)
                    if not sent:
                        return
                    if one is client:
                        sent, is_last = self._allowed(sent)
                        server.sendall(sent)
                        if is_last:
                            return
                    else:
                        client.sendall(sent)
        except OSError:
            return
        finally:
            with self._lock:
                self._open -= {client, server}
            client.close()
            server.close()

    def _allowed(self, sent: bytes) -> tuple[bytes, bool]:
        """What of this may still be sent, and whether the connections end with it."""
        with self._lock:
            if self._left is None:
                return sent, False
            if len(sent) <= self._left:
                self._left -= len(sent)
                return sent, False
            allowed, self._left = sent[: self._left], None
            self.cuts += 1
            for one in self._open:
                _end(one)
            return allowed, True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        self._listener.close()
        with self._lock:
            for one in self._open:
                _end(one)
        shutil.rmtree(self.folder)


def _end(one: socket.socket) -> None:
    """End a connection that may have ended already."""
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class FaultyDynamoDb:
    """Stands in front of a DynamoDB; what was asked for goes on to it, or one of the prepared faults comes back.

    `throttled` and `internal` are answers, `reset` ends the connection before there is one, `cut` in the middle of it,
    `expired` says so of an iterator. `requests` are operation and body of everything that was asked.
    """

    def __init__(self, endpoint: str) -> None:
        self._target = urlsplit(endpoint)
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.faults: Counter[Fault] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                """Write nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail_next(self, *faults: Fault) -> None:
        """Let the next requests end so, unless others are to end so already."""
        with self._lock:
            if not self._faults:  # so that they do not add up to more than anybody would try again
                self._faults += faults

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        operation = handler.headers["x-amz-target"].rpartition(".")[2]
        with self._lock:
            self.requests.append((operation, json.loads(body)))
            fault = self._next(operation)
        match fault:
            case "throttled":
                _send(handler, 400, _refusal("ProvisionedThroughputExceededException"))
            case "internal":
                _send(handler, 500, _refusal("InternalServerError"))
            case "expired":
                _send(handler, 400, _refusal("ExpiredIteratorException"))
            case "reset":
                _hang_up(handler)
            case _:
                status, answered, kind = self._ask(handler, body)
                _send(handler, status, answered, kind=kind, cut=fault == "cut")

    def _next(self, operation: str) -> Fault | None:
        for place, fault in enumerate(self._faults):
            if fault != "expired" or operation == "GetRecords":
                self.faults[fault] += 1
                return self._faults.pop(place)
        return None

    def _ask(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=60)
        try:
            headers = {name: value for name, value in handler.headers.items() if name.lower() != "accept-encoding"}
            connection.request("POST", handler.path, body=body, headers=headers)
            answered = connection.getresponse()
            return answered.status, answered.read(), answered.headers.get("x-amz-crc32", "")
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, *, kind: str = "", cut: bool = False) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/x-amz-json-1.0")
    handler.send_header("Content-Length", str(len(body)))
    if kind:
        handler.send_header("x-amz-crc32", kind)
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2] if cut else body)
    if cut:
        handler.wfile.flush()
        _hang_up(handler)


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    _end(handler.connection)


def _refusal(kind: str) -> bytes:
    return json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": "made to fail"}).encode()


def some_seed(name: str) -> int:
    """A seed for a run: as ``ASHORE_SEED`` says, or another each time; it is printed, to be given again."""
    given = os.environ.get("ASHORE_SEED")
    seed = int(given) if given else random.SystemRandom().randrange(1 << 32)
    print(f"{name}: ASHORE_SEED={seed}")  # noqa: T201 (pytest shows it where a test fails)
    return seed
