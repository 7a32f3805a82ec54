"""The messages of PostgreSQL's protocol that open a session. Pure.

Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

SSL_REQUEST: Final = 80877103
GSS_REQUEST: Final = 80877104
CANCEL_REQUEST: Final = 80877102
TLS_HANDSHAKE: Final = b"\x16"
"""The first byte of a ClientHello: a client of PostgreSQL 17 that negotiates TLS directly begins with it."""

LONGEST_STARTUP: Final = 10_000
LONGEST_PASSWORD: Final = 65_535
"""Bytes; both are the server's own limits (MAX_STARTUP_PACKET_LENGTH, PG_MAX_AUTH_TOKEN_LENGTH)."""

AUTHENTICATION_OK: Final = 0
ASK_FOR_PASSWORD: Final = struct.pack("!cII", b"R", 8, 3)


def startup_parameters(body: bytes) -> dict[str, str]:
    """What a startup packet says, after its length and version: `user`, `database`, settings."""
    texts = body.split(b"\0")
    names = texts[0::2]
    return {
        name.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for name, value in zip(names, texts[1::2], strict=False)
        if name
    }


def error(text: str, *, sqlstate: str, routine: str = "auth_failed") -> bytes:
    """A FATAL error, as the server words it."""
    fields: Mapping[str, str] = {
        "S": "FATAL",
        "V": "FATAL",
        "C": sqlstate,
        "M": text,
        "F": "auth.c",
        "R": routine,
    }
    body = b"".join(name.encode() + value.encode() + b"\0" for name, value in fields.items()) + b"\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body


def authentication_request(message: bytes) -> int | None:
    """Which kind of authentication a backend's message asks for; None if it is another message."""
    if message[:1] != b"R":
        return None
    kind: int = struct.unpack("!I", message[5:9])[0]
    return kind
