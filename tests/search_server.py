"""A small OpenSearch: HTTP, and the documented semantics of versions, deletions, bulk requests and failures.

No real OpenSearch can be had where these tests run. This one keeps to what its documentation says of
`version_type` (internal, external, external_gte), `index.gc_deletes`, `_bulk`, `_mget` and settings, and forgets a
deletion as soon as it may. `docs/verified-on.md` says line by line what was read where.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

Fault = Literal["reset before", "reset after", "429", "503", "413", "garbage", "some items 429"]


@dataclass
class Index:
    """Documents by id, and the versions of deleted ones with the time of their deletion."""

    mappings: dict[str, str] = field(default_factory=dict)
    gc_deletes: float = 60.0
    documents: dict[str, tuple[int, Any]] = field(default_factory=dict)
    tombstones: dict[str, tuple[int, float]] = field(default_factory=dict)


class SearchServer:
    """Serves on loopback until it is left. `faults` are met by the next bulk requests, one each, None for none.

    `requests` are method, path, headers and body of all so far. `before_bulk` is called before a bulk request is
    carried out, `clock` gives the seconds that deletions are kept by.
    """

    def __init__(self, *, login: str | None = None, context: ssl.SSLContext | None = None) -> None:
        self.indexes: dict[str, Index] = {}
        self.aliases: dict[str, str] = {}
        self.login = login
        self.clock: Callable[[], float] = time.monotonic
        self.faults: list[Fault | None] = []
        self.before_bulk: Callable[[], object] = lambda: None
        self.bulk_requests = 0
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.lock = threading.RLock()
        self._server = _Quiet(("127.0.0.1", 0), _Handler)
        self._server.search = self
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "http" if context is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def create(self, name: str, /, gc_deletes: float = 60.0, **mappings: str) -> Index:
        """An index; `mappings` are the types of fields, what else a document has is taken as it is."""
        self.indexes[name] = Index(mappings=mappings, gc_deletes=gc_deletes)
        return self.indexes[name]

    def documents(self, name: str) -> dict[str, Any]:
        """Id → source, of the documents that are there."""
        with self.lock:
            return {one: source for one, (_, source) in self.indexes[name].documents.items()}

    def find(self, name: str) -> Index | None:
        return self.indexes.get(self.aliases.get(name, name))

    def write(self, name: str, op: str, about: dict[str, Any], source: Any) -> dict[str, Any]:
        """One action of a bulk request, or one written by a feed of the user's own."""
        with self.lock:
            index = self.find(name) or self.create(name)
            one = about["_id"]
            now = self.clock()
            index.tombstones = {
                each: (version, at) for each, (version, at) in index.tombstones.items() if now - at < index.gc_deletes
            }
            answer: dict[str, Any] = {"_index": name, "_id": one}
            if len(one.encode()) > 512:
                return answer | _error(400, "illegal_argument_exception", "id is too long")
            if op == "index" and (wrong := _unfit(index, one, source)) is not None:
                return answer | wrong
            held = index.documents[one][0] if one in index.documents else index.tombstones.get(one, (None, 0))[0]
            version = _next(held, about)
            if version is None:
                kind = "version_conflict_engine_exception"
                reason = f"[{one}]: version conflict, current version [{held}] is higher or equal to the one provided"
                return answer | _error(409, kind, f"{reason} [{about['version']}]")
            was_there = index.documents.pop(one, None) is not None
            if op == "index":
                index.tombstones.pop(one, None)
                index.documents[one] = (version, source)
                found = {"result": "updated" if was_there else "created", "status": 200 if was_there else 201}
            else:
                index.tombstones[one] = (version, now)
                found = {"result": "deleted" if was_there else "not_found", "status": 200 if was_there else 404}
            return answer | {"_version": version} | found


def _next(held: int | None, about: dict[str, Any]) -> int | None:
    """The version that a write gives a document; None where it conflicts with the one that is held."""
    match about.get("version_type", "internal"):
        case "external":
            return about["version"] if held is None or about["version"] > held else None
        case "external_gte":
            return about["version"] if held is None or about["version"] >= held else None
        case _:
            return (held or 0) + 1


def _unfit(index: Index, one: str, source: Any) -> dict[str, Any] | None:
    for name, kind in index.mappings.items():
        value = source.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind == "long" and value is not None and not is_number and not re.fullmatch(r"-?\d+", str(value)):
            text = f"failed to parse field [{name}] of type [long] in document with id '{one}'."
            return _error(400, "mapper_parsing_exception", f"{text} Preview of field's value: '{value}'")
    return None


def _error(status: int, kind: str, reason: str) -> dict[str, Any]:
    return {"status": status, "error": {"type": kind, "reason": reason}}


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    search: SearchServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or a handshake that it refused, is what tests do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Quiet

    @property
    def search(self) -> SearchServer:
        return self.server.search

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0].strip("/").split("/")
        given = self.headers.get("Authorization", "")
        self.search.requests.append((self.command, self.path, dict(self.headers.items()), body))
        login = self.search.login
        if login is not None and given != "Basic " + base64.b64encode(login.encode()).decode():
            self._send(401, b"Unauthorized")
        elif path == ["_bulk"]:
            self._bulk(body)
        elif path == ["_mget"]:
            self._json(200, {"docs": [_got(self.search, one) for one in json.loads(body)["docs"]]})
        else:
            self._of_index(path, body)

    def _of_index(self, path: list[str], body: bytes) -> None:
        name = path[0]
        index = self.search.find(name)
        match self.command, path[1:]:
            case "PUT", []:
                properties = json.loads(body or b"{}").get("mappings", {}).get("properties", {})
                self.search.create(name, **{key: one["type"] for key, one in properties.items()})
                self._json(200, {"acknowledged": True, "shards_acknowledged": True, "index": name})
            case _ if index is None:
                self._json(404, _error(404, "index_not_found_exception", f"no such index [{name}]"))
            case "HEAD", []:
                self._send(200, b"")
            case "GET", ["_settings", *_]:
                settings = {"index.gc_deletes": f"{index.gc_deletes:g}s"}
                self._json(200, {self.search.aliases.get(name, name): {"settings": settings, "defaults": {}}})
            case "GET", ["_source", one] if one in index.documents:
                self._json(200, index.documents[one][1])
            case _:
                self._json(404, {"found": False})

    def _bulk(self, body: bytes) -> None:
        self.search.before_bulk()
        with self.search.lock:
            self.search.bulk_requests += 1
            fault = self.search.faults.pop(0) if self.search.faults else None
        if fault == "reset before":
            self._cut()
        elif fault in {"429", "503", "413"}:
            status = int(str(fault))
            self._json(status, _error(status, "circuit_breaking_exception", "too much"))
        else:
            items = list(_carried_out(self.search, body, only_some=fault == "some items 429"))
            answer = {"took": 1, "errors": any("error" in one for [one] in map(_values, items)), "items": items}
            if fault == "reset after":
                self._cut()
            elif fault == "garbage":
                self._send(200, json.dumps(answer).encode()[:-7])
            else:
                self._json(200, answer)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _json(self, status: int, content: Any) -> None:
        self._send(status, json.dumps(content).encode())

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _values(item: dict[str, Any]) -> list[Any]:
    return list(item.values())


def _carried_out(server: SearchServer, body: bytes, *, only_some: bool) -> Iterator[dict[str, Any]]:
    lines = iter([line for line in body.split(b"\n") if line])
    for number, line in enumerate(lines):
        [(op, about)] = json.loads(line).items()
        source = json.loads(next(lines)) if op == "index" else None
        if only_some and number % 2:
            busy = _error(
                429, "opensearch_rejected_execution_exception", "rejected execution of coordinating operation"
            )
            yield {op: {"_index": about["_index"], "_id": about["_id"], **busy}}
        else:
            yield {op: server.write(about["_index"], op, about, source)}


def _got(server: SearchServer, wanted: dict[str, Any]) -> dict[str, Any]:
    with server.lock:
        index, one = server.find(wanted["_index"]), wanted["_id"]
        if index is None:
            return {**wanted, "error": {"type": "index_not_found_exception"}}
        if one not in index.documents:
            return {"_index": wanted["_index"], "_id": one, "found": False}
        return {"_index": wanted["_index"], "_id": one, "_version": index.documents[one][0], "found": True}
