"""A server of DynamoDB Streams' answers that were prepared, for what no emulator can be brought to say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of status 400."""

    kind: str


def refusal(kind: str) -> Refusal:
    """The error of this kind, as AWS words it."""
    return Refusal(f"com.amazonaws.dynamodb.v20120810#{kind}")


class StreamAnswers:
    """Serves what was prepared for each operation, in order; keeps each request's headers (lower case) and body."""

    def __init__(self, answers: Mapping[str, Sequence[Any]]) -> None:
        self._answers = {operation: list(prepared) for operation, prepared in answers.items()}
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, content = outer.answer({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Write nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, bytes]:
        """The next answer of the operation that the headers name."""
        self.requests.append((headers, body))
        prepared = self._answers[headers["x-amz-target"].rpartition(".")[2]].pop(0)
        match prepared:
            case Refusal(kind=kind):
                return 400, json.dumps({"__type": kind, "message": "prepared"}).encode()
            case bytes():
                return 200, prepared
            case _:
                return 200, json.dumps(prepared).encode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
