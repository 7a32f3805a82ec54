"""The front door of one PostgreSQL server: it does what RDS does before a session begins, then passes bytes on.

Who logs in with IAM is the server's own decision, by its pg_hba.conf: a member of `rds_iam` is trusted there, so the
server says "authentication ok" to a startup packet, and the door asks for a token before it lets that answer through.
All others are asked for a password by the server itself, and the door only passes it on.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ashore.local.rds import wire
from ashore.local.rds.behaviour import Behaviour, Rate
from ashore.local.rds.certificates import ALPN
from ashore.local.rds.verifying import Endpoint, Identity, refusal

HBA: Final = """\
local   all           rdsadmin                trust
local   replication   rdsadmin                trust
local   all           +rds_iam                trust
local   all           all                     scram-sha-256
"""
"""The same order as on RDS, where the third line is ``hostssl all +rds_iam all pam``: membership of `rds_iam` wins over
a password, and a superuser is no member by being one."""

_CHUNK: Final = 65_536
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Whom the door did not let in, and why. The client is not told."""

    user: str
    reason: str


@dataclass(slots=True, kw_only=True, eq=False)
class Door:
    """One endpoint.

    Attributes:
        server_socket: The Unix socket of the server behind it.
        logins: How many tokens were taken.
        refusals: Those that were not, oldest first.
        resumed: How often a connection had to wait for a paused database.
    """

    endpoint: Endpoint
    server_socket: str
    tls: ssl.SSLContext
    identities: Sequence[Identity]
    clock: Callable[[], float]
    behaviour: Behaviour
    logins: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    resumed: int = 0
    sessions: set[asyncio.StreamWriter] = field(default_factory=set)
    _rate: Rate = field(init=False)
    _left_at: float = field(init=False)
    _resuming: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._rate = Rate(self.behaviour.new_connections_per_second)
        self._left_at = self.clock()

    async def serve(self, client: socket.socket) -> None:
        """Serve one client from its first byte to its last."""
        try:
            try:
                reader, writer = await self._streams(client)
            except BaseException:
                client.close()
                raise
            try:
                await self._open(reader, writer)
            except asyncio.CancelledError:
                writer.transport.abort()
                raise
            finally:
                writer.close()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            return  # the client left, or did not want our certificate

    async def _streams(self, client: socket.socket) -> Streams:
        """Streams to the client: encrypted ones, however that was agreed on, unless it never asked.

        What it says before is read to the last byte and no further. So nothing that was sent in the clear is taken for
        a part of what is encrypted (CVE-2021-23214).
        """
        loop = asyncio.get_running_loop()
        while True:
            await _readable(client)
            if client.recv(1, socket.MSG_PEEK) == wire.TLS_HANDSHAKE:
                streams = await _connected(client, b"", self.tls)
                if streams[1].get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
                    streams[1].transport.abort()
                    raise ConnectionAbortedError
                return streams
            head = await _exactly(client, 8)
            (code,) = struct.unpack("!I", head[4:])
            if code == wire.SSL_REQUEST:
                await loop.sock_sendall(client, b"S")
                return await _connected(client, b"", self.tls)
            if code != wire.GSS_REQUEST:
                return await _connected(client, head, None)
            await loop.sock_sendall(client, b"N")

    async def _open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await _startup_packet(reader)
        (code,) = struct.unpack("!I", packet[4:8])
        if code == wire.CANCEL_REQUEST:
            await self._cancel(packet)
        else:
            is_encrypted = writer.get_extra_info("ssl_object") is not None
            await self._begin(reader, writer, packet, is_encrypted=is_encrypted)

    async def _begin(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, packet: bytes, *, is_encrypted: bool
    ) -> None:
        """Answer a startup packet: by an error, or by a session that lasts until either side ends it."""
        given = wire.startup_parameters(packet[8:])
        user = given.get("user", "")
        if not is_encrypted:
            host = (writer.get_extra_info("peername") or ("",))[0]
            where = f'host "{host}", user "{user}", database "{given.get("database", user)}", no encryption'
            text = f"no pg_hba.conf entry for {where}"
            self._refuse(writer, user, "there is no TLS", wire.error(text, sqlstate="28000"))
            await writer.drain()
            return
        await self._resume()
        server_reader, server = await asyncio.open_unix_connection(self.server_socket, limit=2**20)
        try:
            server.write(packet)
            if await self._lets_in(reader, writer, server_reader, user):
                await self._session((reader, writer), (server_reader, server))
        finally:
            server.close()

    async def _lets_in(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: asyncio.StreamReader, user: str
    ) -> bool:
        """Whether bytes may be passed on from here: the token is good, or the server itself asks for a password."""
        while True:
            answer = await _message(server)
            asked = wire.authentication_request(answer)
            if asked != wire.AUTHENTICATION_OK:
                writer.write(answer)
                await writer.drain()
                if asked is None and answer[:1] == b"v":  # the protocol's version is negotiated first
                    continue
                return True
            writer.write(wire.ASK_FOR_PASSWORD)
            await writer.drain()
            token = (await _message(reader, longest=wire.LONGEST_PASSWORD))[5:].rstrip(b"\0")
            reason = self._reason(token.decode("utf-8", "replace"), user)
            if reason is not None:
                text = f'PAM authentication failed for user "{user}"'
                self._refuse(writer, user, reason, wire.error(text, sqlstate="28000"))
                await writer.drain()
                return False
            self.logins += 1
            writer.write(answer)
            return True

    def _reason(self, token: str, user: str) -> str | None:
        now = self.clock()
        if not self._rate.takes_one_more(now):
            return "there are too many logins at once"
        return refusal(token, user=user, endpoint=self.endpoint, identities=self.identities, now=now)

    def _refuse(self, writer: asyncio.StreamWriter, user: str, reason: str, message: bytes) -> None:
        self.refusals.append(Refusal(user=user, reason=reason))
        writer.write(message)

    async def _session(self, client: Streams, server: Streams) -> None:
        self.sessions.add(client[1])
        both = [
            asyncio.create_task(_pump(client[0], server[1])),
            asyncio.create_task(_pump(server[0], client[1])),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            self.sessions.discard(client[1])
            self._left_at = self.clock()

    async def _resume(self) -> None:
        """Wait while the database comes back, if it was paused."""
        pauses = self.behaviour.pauses_after_seconds
        if pauses is None or self.sessions:
            return
        if self._resuming is None and self.clock() - self._left_at >= pauses:
            self._resuming = asyncio.create_task(asyncio.sleep(self.behaviour.resume_seconds))
            self.resumed += 1
        if self._resuming is not None:
            await asyncio.shield(self._resuming)
            self._resuming = None
            self._left_at = self.clock()

    async def _cancel(self, packet: bytes) -> None:
        reader, server = await asyncio.open_unix_connection(self.server_socket)
        server.write(packet)
        await reader.read()
        server.close()


async def _connected(client: socket.socket, already_read: bytes, tls: ssl.SSLContext | None) -> Streams:
    """Streams over a socket, of which something may have been read already."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**20)
    if already_read:
        reader.feed_data(already_read)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, client, ssl=tls)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _exactly(client: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = await asyncio.get_running_loop().sock_recv(client, length - len(data))
        if not more:
            raise ConnectionAbortedError
        data += more
    return data


async def _startup_packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    (length,) = struct.unpack("!I", head)
    if not 8 <= length <= wire.LONGEST_STARTUP:
        raise ConnectionAbortedError
    return head + await reader.readexactly(length - 4)


async def _message(reader: asyncio.StreamReader, *, longest: int = 2**20) -> bytes:
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!I", head[1:])
    if not 4 <= length <= longest:
        raise ConnectionAbortedError
    return head + await reader.readexactly(length - 4)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()


async def _readable(client: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(client, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(client)
