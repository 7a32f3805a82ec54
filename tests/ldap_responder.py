"""A small LDAP server that takes a bind if its password is a token of RDS that is good for the role in its name.

The second witness beside `ashore.local.rds`: it shares no line with it. PostgreSQL itself, by `ldap` in pg_hba.conf,
decides who is asked; the signature is computed here with hmac alone, from AWS's description of Signature Version 4.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import socketserver
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime


class Responder(socketserver.ThreadingTCPServer):
    """`netloc` and `region` are the endpoint's; `keys` is access key → (secret key, session token); `now` moves."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, region: str, keys: dict[str, tuple[str, str | None]]) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.netloc = ""
        self.region = region
        self.keys = keys
        self.ahead = 0.0
        self.answers: list[tuple[str, bool]] = []

    def is_good(self, user: str, password: str) -> bool:
        netloc, _, query = password.partition("/?")
        given = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        signature = given.pop("X-Amz-Signature", "")
        access_key, _, scope = given.get("X-Amz-Credential", "").partition("/")
        secret, session = self.keys.get(access_key, ("", None))
        stamp = given.get("X-Amz-Date", "")
        if scope != f"{stamp[:8]}/{self.region}/rds-db/aws4_request" or netloc != self.netloc:
            return False
        if given.get("DBUser") != user or given.get("X-Amz-Security-Token") != session or not secret:
            return False
        age = datetime.now(UTC).timestamp() + self.ahead - datetime.strptime(stamp, "%Y%m%dT%H%M%S%z").timestamp()
        pairs = sorted((quoted(name), quoted(value)) for name, value in given.items())
        canonical = "\n".join(
            ["GET", "/", "&".join(f"{name}={value}" for name, value in pairs), f"host:{netloc}\n", "host", sha(b"")]
        )
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, sha(canonical.encode())])
        key = b"AWS4" + secret.encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        return -300 < age < 900 and hmac.compare_digest(key.hex(), signature)


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Session(socketserver.StreamRequestHandler):
    """One connection of the server: binds, one after another, until it unbinds. RFC 4511, in BER."""

    server: Responder

    def handle(self) -> None:
        while (message := self.element()) is not None:
            _, number, rest = element_of(message)
            operation, body, _ = element_of(rest)
            if operation != 0x60:  # not a bind: an unbind
                return
            _, _, after_version = element_of(body)
            _, name, after_name = element_of(after_version)
            _, password, _ = element_of(after_name)
            user = name.decode().removeprefix("uid=").partition(",")[0]
            is_good = self.server.is_good(user, password.decode())
            self.server.answers.append((user, is_good))
            result = 0 if is_good else 49  # success, invalidCredentials
            self.wfile.write(wrapped(0x30, wrapped(2, number) + wrapped(0x61, bytes([10, 1, result, 4, 0, 4, 0]))))

    def element(self) -> bytes | None:
        """The content of the next message; None at the end."""
        if not self.rfile.read(1):
            return None
        first = self.rfile.read(1)[0]
        length = first if first < 0x80 else int.from_bytes(self.rfile.read(first & 0x7F), "big")
        return self.rfile.read(length)


def element_of(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content, and what follows."""
    start, length = 2, data[1]
    if length >= 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    return data[0], data[start : start + length], data[start + length :]


def wrapped(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


@contextmanager
def responder(region: str, keys: dict[str, tuple[str, str | None]]) -> Iterator[Responder]:
    with Responder(region, keys) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
