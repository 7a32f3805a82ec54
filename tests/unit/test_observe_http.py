"""The small server behind /metrics and /healthz, over a real socket of this machine."""

from __future__ import annotations

import http.client
import socket
import threading
from urllib.parse import urlsplit

import pytest
import typer

from ashore.cli.cmd_sync import _address
from ashore.observe.http import Answer, CannotListen, http_server


def answer(accept: str) -> Answer:
    return Answer(status=200, content_type="text/plain", body=f"you accept {accept}".encode())


def fail(_accept: str) -> Answer:
    message = "a secret"
    raise KeyError(message)


def ask(url: str, method: str, path: str) -> tuple[int, bytes, int]:
    there = urlsplit(url)
    conn = http.client.HTTPConnection(there.hostname or "", there.port, timeout=10)
    try:
        conn.request(method, path, headers={"Accept": "this"})
        found = conn.getresponse()
        return found.status, found.read(), int(found.headers["Content-Length"])
    finally:
        conn.close()


def test_it_answers_what_it_was_given_and_nothing_else() -> None:
    with http_server("127.0.0.1", 0, {"/there": answer}) as url:
        assert url.startswith("http://127.0.0.1:")
        assert (200, b"you accept this", 15) == ask(url, "GET", "/there?and=more")
        assert (200, b"", 15) == ask(url, "HEAD", "/there")
        assert 404 == ask(url, "GET", "/")[0]
        assert 501 == ask(url, "POST", "/there")[0]


def test_a_port_that_is_taken_is_an_error_and_a_server_that_ended_leaves_its_port() -> None:
    with http_server("127.0.0.1", 0, {}) as url:
        port = urlsplit(url).port or 0
        with pytest.raises(CannotListen) as caught, http_server("127.0.0.1", port, {}):
            pass
        assert "ASH840" in str(caught.value)
    with http_server("127.0.0.1", port, {}) as again:
        assert url == again
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert "ashore http" not in {thread.name for thread in threading.enumerate()}


def test_an_answer_that_fails_is_named_without_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    with http_server("127.0.0.1", 0, {"/": fail, "/there": answer}) as url:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(url, "GET", "/")
        assert 200 == ask(url, "GET", "/there")[0]
    assert "ashore: a request could not be answered: KeyError\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9187", ("127.0.0.1", 9187)),
        (":9187", ("127.0.0.1", 9187)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),  # noqa: S104 (it is only parsed)
        ("[::1]:9187", ("::1", 9187)),
        ("metrics.example.org:80", ("metrics.example.org", 80)),
    ],
)
def test_an_address_is_on_this_machine_only_unless_a_host_is_named(text: str, address: tuple[str, int]) -> None:
    assert address == _address(text)


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "localhost:http", "1:65536", "1:-1", "1:²"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        _address(text)
