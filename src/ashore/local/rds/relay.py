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

    _is_clients_turn: bool = field(default=True, repr=False)

    def from_client(self) -> None:
        """The client has sent something."""
        if self._is_clients_turn:
            self.count += 1
            self._is_clients_turn = False

    def from_server(self) -> None:
        """The server has answered."""
        self._is_clients_turn = True


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
    to_server = asyncio.create_task(_carry(reader, server, delay=way, first_delay=3 * way, sent=trips.from_client))
    to_client = asyncio.create_task(_carry(server_reader, writer, delay=way, first_delay=way, sent=trips.from_server))
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
    sent: Callable[[], None],
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
            if data:
                sent()
            await on_the_way.put((max(loop.time() + delay, not_before), data))
            if not data:
                break
        await delivering
    finally:
        delivering.cancel()
