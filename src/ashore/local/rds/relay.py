"""A distance: bytes take their time both ways, and round trips are counted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_CHUNK: Final = 65_536


@dataclass(slots=True)
class RoundTrips:
    """How often a client of one connection had to wait for an answer before it could go on."""

    count: int = 1
    """Opening a TCP connection is one."""

    _is_waiting: bool = field(default=False, repr=False)
    _has_left: bool = field(default=False, repr=False)

    def from_client(self, data: bytes) -> None:
        """The client has sent something; nothing, where it has closed its side."""
        self._is_waiting = bool(data)
        self._has_left = not data

    def from_server(self, data: bytes) -> None:
        """The server has answered; what it says to a client that has left is waited for by nobody."""
        if data and self._is_waiting and not self._has_left:
            self.count += 1
            self._is_waiting = False


async def relay(client: socket.socket, server_port: int, *, round_trip_ms: float, trips: RoundTrips) -> None:
    """Carry one connection to a port of this machine, over a distance, until either side ends it.

    Bandwidth is not limited: what is sent at once arrives at once. TCP's own handshake, which the kernel has done
    already, is made up for by one round trip before the first byte of the client is carried.
    """
    reader, writer = await asyncio.open_connection(sock=client)
    try:
        server_reader, server = await asyncio.open_connection("127.0.0.1", server_port)
    except OSError:
        writer.close()
        return
    way = round_trip_ms / 2_000
    to_server = asyncio.create_task(_carry(reader, server, delay=way, first_delay=3 * way, seen=trips.from_client))
    to_client = asyncio.create_task(_carry(server_reader, writer, delay=way, first_delay=way, seen=trips.from_server))
    try:
        await asyncio.wait([to_server, to_client], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in (to_server, to_client):
            one.cancel()
        await asyncio.gather(to_server, to_client, return_exceptions=True)
        server.close()
        writer.close()


async def _carry(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    delay: float,
    first_delay: float,
    seen: Callable[[bytes], None],
) -> None:
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1_000)

    async def deliver() -> None:
        while True:
            at, data = await on_the_way.get()
            await asyncio.sleep(max(0.0, at - loop.time()))
            if not data:
                return
            writer.write(data)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    not_before = loop.time() + first_delay
    try:
        while True:
            data = await reader.read(_CHUNK)
            seen(data)
            await on_the_way.put((max(loop.time() + delay, not_before), data))
            if not data:
                break
        await delivering
    finally:
        delivering.cancel()
