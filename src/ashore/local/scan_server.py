"""A server on loopback that answers Scan from prepared pages as fast as a client can read them, with real faults.

Emulators measure themselves: they give some hundreds of items a second. This one only looks an answer up and sends
it, so a benchmark of Scan measures the client, and a test can have it throttle, fail, lie or hang up on a real socket.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import socket
import socketserver
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final, Self

import msgspec

api: Final = b"DynamoDB_20120810."
read_unit_bytes: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Which Scan requests go wrong: each n-th of all that arrive, counted from 1; None: none of that kind.

    `refuse` answers every Scan with this error type and status 400, as in ``"AccessDeniedException"``.
    """

    throttle_every: int | None = None
    fail_every: int | None = None
    cut_every: int | None = None
    corrupt_every: int | None = None
    refuse: str | None = None


class _ScanRequest(msgspec.Struct, rename="pascal"):
    segment: int = 0
    total_segments: int = 1
    limit: int | None = None
    exclusive_start_key: dict[str, dict[str, Any]] | None = None


_decode_scan = msgspec.json.Decoder(_ScanRequest).decode


@dataclass(slots=True)
class ServedTable:
    """A table whose pages are prepared: for each segment its pages, each rendered once as a whole HTTP answer."""

    name: str
    key: tuple[tuple[str, str], ...]
    items: int = 0
    size_bytes: int = 0
    segments: list[_Segment] = field(default_factory=list)

    @property
    def arn(self) -> str:
        return f"arn:aws:dynamodb:us-east-1:123456789012:table/{self.name}"

    def add_segment(self, pages: Iterable[Sequence[bytes]]) -> None:
        """Prepare one segment. `pages` holds raw items, and is read once."""
        segment = _Segment(tuple(name for name, _ in self.key))
        for page in pages:
            segment.add(page)
            self.items += len(page)
            self.size_bytes += sum(map(len, page))
        segment.finish()
        self.segments.append(segment)


class _Segment:
    """The answers of one segment by start key, and its items for requests with a Limit, which are rendered anew."""

    def __init__(self, key_names: tuple[str, ...]) -> None:
        self._key_names = key_names
        self._pages: list[Sequence[bytes]] = []
        self._answers: dict[bytes | None, bytes] = {}
        self._places: dict[bytes | None, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def add(self, page: Sequence[bytes]) -> None:
        self._pages.append(page)

    def finish(self) -> None:
        start: bytes | None = None
        for number, page in enumerate(self._pages or [()]):
            last = self._key_of(page[-1]) if number + 1 < len(self._pages) else None
            self._answers[start] = _answer(200, _page_body(page, last))
            start = None if last is None else _packed(last)

    def answer(self, start: dict[str, Any] | None, limit: int | None) -> bytes | None:
        packed = None if start is None else _packed(start)
        prepared = self._answers.get(packed)
        if prepared is not None and limit is None:
            return prepared
        return self._rendered(packed, limit)

    def _rendered(self, start: bytes | None, limit: int | None) -> bytes | None:
        place = self._place_after(start)
        if place is None:
            return None
        number, index = place
        page = self._pages[number] if number < len(self._pages) else ()
        items = page[index:] if limit is None else page[index : index + limit]
        is_end = number + 1 >= len(self._pages) and index + len(items) >= len(page)
        return _answer(200, _page_body(items, None if is_end or not items else self._key_of(items[-1])))

    def _place_after(self, start: bytes | None) -> tuple[int, int] | None:
        with self._lock:
            if not self._places:
                self._places[None] = (0, 0)
                for number, page in enumerate(self._pages):
                    for index, item in enumerate(page, start=1):
                        after = (number, index) if index < len(page) else (number + 1, 0)
                        self._places[_packed(self._key_of(item))] = after
        return self._places.get(start)

    def _key_of(self, item: bytes) -> dict[str, Any]:
        attributes = msgspec.json.decode(item, type=dict[str, msgspec.Raw])
        return {name: msgspec.json.decode(attributes[name]) for name in self._key_names}


def _packed(key: dict[str, Any]) -> bytes:
    return json.dumps(key, sort_keys=True).encode()


def _page_body(items: Sequence[bytes], last: dict[str, Any] | None) -> bytes:
    joined = b",".join(items)
    units = max(1, -(-len(joined) // read_unit_bytes))
    body = b'{"Count":%d,"Items":[%b],' % (len(items), joined)
    if last is not None:
        body += b'"LastEvaluatedKey":' + json.dumps(last, separators=(",", ":")).encode() + b","
    return body + b'"ScannedCount":%d,"ConsumedCapacity":{"TableName":"t","CapacityUnits":%d.0}}' % (len(items), units)


def _answer(status: int, body: bytes) -> bytes:
    reason = {200: b"OK", 400: b"Bad Request", 500: b"Internal Server Error"}[status]
    head = (
        b"HTTP/1.1 %d %b\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n"
        b"x-amzn-RequestId: SCANSERVER\r\nx-amz-crc32: %d\r\n\r\n"
    )
    return head % (status, reason, len(body), zlib.crc32(body)) + body


def _error(status: int, kind: str, message: str = "") -> bytes:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message or kind}
    return _answer(status, json.dumps(body).encode())


class ScanServer:
    """Serves one table from threads of this process while it is entered; over TLS where `tls` is given."""

    def __init__(self, table: ServedTable, faults: Faults | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.table = table
        self.faults = faults or Faults()
        self.scans = 0
        self._tls = tls
        self._count = itertools.count(1)

    def __enter__(self) -> Self:
        served: ScanServer = self

        class Handler(_Handler):
            server_of_table = served

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.tls = self._tls
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint_url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, operation: str, body: bytes) -> tuple[bytes, bool]:
        """The answer, and whether to hang up in the middle of it."""
        if operation == "Scan":
            return self._scan(body)
        if operation == "DescribeTable":
            return _answer(200, json.dumps({"Table": self._description()}).encode()), False
        if operation == "DescribeTimeToLive":
            return _answer(200, b'{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}'), False
        if operation == "DescribeContinuousBackups":
            return _answer(200, b'{"ContinuousBackupsDescription":{"ContinuousBackupsStatus":"ENABLED"}}'), False
        return _error(400, "UnknownOperationException"), False

    def _scan(self, body: bytes) -> tuple[bytes, bool]:
        number = next(self._count)
        self.scans = number
        faults = self.faults

        def is_due(every: int | None) -> bool:
            return every is not None and number % every == 0

        if faults.refuse is not None:
            return _error(400, faults.refuse), False
        if is_due(faults.throttle_every):
            return _error(400, "ProvisionedThroughputExceededException"), False
        if is_due(faults.fail_every):
            return _error(500, "InternalServerError"), False
        request = _decode_scan(body)
        if request.total_segments != len(self.table.segments) or not 0 <= request.segment < request.total_segments:
            return _error(400, "ValidationException", "no such segment was prepared"), False
        answer = self.table.segments[request.segment].answer(request.exclusive_start_key, request.limit)
        if answer is None:
            return _error(400, "ValidationException", "no page starts after this key"), False
        if is_due(faults.corrupt_every):
            middle = len(answer) - len(answer) // 4
            answer = answer[:middle] + bytes([answer[middle] ^ 1]) + answer[middle + 1 :]
        return answer, is_due(faults.cut_every)

    def _description(self) -> dict[str, Any]:
        table = self.table
        return {
            "TableName": table.name,
            "TableArn": table.arn,
            "TableId": "00000000-0000-4000-8000-000000000001",
            "TableStatus": "ACTIVE",
            "KeySchema": [
                {"AttributeName": name, "KeyType": role}
                for (name, _), role in zip(table.key, ("HASH", "RANGE"), strict=False)
            ],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in table.key],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "ItemCount": table.items,
            "TableSizeBytes": table.size_bytes,
        }


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread."""
        if self.tls is None:
            return super().finish_request(request, client_address)
        try:
            with self.tls.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)
        except (ssl.SSLError, ConnectionError):
            return None


class _Handler(socketserver.BaseRequestHandler):
    """One connection: requests one after another until the client hangs up."""

    server_of_table: ScanServer

    def handle(self) -> None:
        connection: socket.socket = self.request
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rest = b""
        try:
            while (read := _read_request(connection, rest)) is not None:
                operation, body, rest = read
                answer, is_cut = self.server_of_table.answer(operation, body)
                if is_cut:
                    connection.sendall(answer[: len(answer) // 2])
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                connection.sendall(answer)
        except ConnectionError:
            return


def _read_request(connection: socket.socket, rest: bytes) -> tuple[str, bytes, bytes] | None:
    while (end := rest.find(b"\r\n\r\n")) < 0:
        received = connection.recv(65536)
        if not received:
            return None
        rest += received
    head = rest[:end].lower()
    length = int(_header(head, b"content-length") or 0)
    operation = rest[:end][head.index(api.lower()) + len(api) :].partition(b"\r\n")[0]
    body = rest[end + 4 :]
    while len(body) < length:
        received = connection.recv(65536)
        if not received:
            return None
        body += received
    return operation.decode(), body[:length], body[length:]


def _header(head: bytes, name: bytes) -> bytes:
    return head.partition(b"\r\n" + name + b":")[2].partition(b"\r\n")[0].strip()


def _serve(build: Callable[..., ServedTable], arguments: tuple[Any, ...], faults: Faults, pipe: Connection) -> None:
    with ScanServer(build(*arguments), faults) as server:
        pipe.send(server.endpoint_url)
        try:
            pipe.recv()
        except EOFError:
            return


@contextmanager
def scan_server_process(
    build: Callable[..., ServedTable], *arguments: Any, faults: Faults | None = None
) -> Iterator[str]:
    """Serve ``build(*arguments)`` from a process of its own; give its endpoint's URL.

    The table is built there, so that it never crosses a pipe; `build` must be importable by name. The process ends
    with the block, or when this process does.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(build, arguments, faults or Faults(), there), daemon=True)
    process.start()
    there.close()
    try:
        yield here.recv()
    finally:
        here.close()
        process.join(timeout=10)
        if process.is_alive():
            process.kill()
            process.join()
