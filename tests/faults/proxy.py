"""A TCP or Unix proxy between one process and one of its servers, which can be cut. It passes bytes and knows no protocol."""

import asyncio
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from weakref import WeakSet

Mode = Literal["open", "slow", "silent", "no_replies", "reset"]
Address = Path | int  # a unix socket, or a port of 127.0.0.1
SLOW_DELAY = 0.03  # seconds for each piece, as of a store in another region


@dataclass(slots=True)
class Proxy:
    """`silent` loses all bytes, `no_replies` those of the server, `reset` ends every connection, `slow` delays each piece.

    A connection that lost bytes loses all later ones too, and stays open: both ends believe in it, as after a firewall has dropped its
    entry. `marked_at` is when a client last sent `marker` (monotonic seconds).
    """

    address: Address
    upstream: Address
    mode: Mode = "open"
    marker: bytes = b"LPUSH"
    marked_at: float = 0.0
    connections: set[asyncio.Task[None]] = field(default_factory=set)
    server_sides: WeakSet[asyncio.WriteTransport] = field(default_factory=WeakSet)

    async def open(self) -> asyncio.Server:
        if isinstance(self.address, Path):
            return await asyncio.start_unix_server(self._accept, str(self.address))
        return await asyncio.start_server(self._accept, "127.0.0.1", self.address)

    def reset(self) -> None:
        """End the connections that are open now."""
        for connection in self.connections:
            connection.cancel()

    async def close(self) -> None:
        """End the open connections. A closed transport waits until its peer has read all; a frozen server never does, so it is aborted."""
        self.reset()
        await asyncio.gather(*self.connections, return_exceptions=True)
        for transport in self.server_sides:
            transport.abort()
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next turn

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self.connections.add(connection)
        with suppress(OSError, asyncio.CancelledError), closing(writer):
            try:
                await self._connect(reader, writer)
            finally:
                self.connections.discard(connection)
                writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode in ("silent", "reset"):
            return await self._wait_in_silence()
        if isinstance(self.upstream, Path):
            replies, requests = await asyncio.open_unix_connection(str(self.upstream))
        else:
            replies, requests = await asyncio.open_connection("127.0.0.1", self.upstream)
        self.server_sides.add(requests.transport)
        lost = {"requests": False, "replies": False}
        with closing(requests):
            ways = self._forward(reader, requests, lost, "requests"), self._forward(replies, writer, lost, "replies")
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, lost: dict[str, bool], way: str
    ) -> None:
        while data := await source.read(1 << 16):
            lost[way] |= self.mode == "silent" or (self.mode == "no_replies" and way == "replies")
            if lost[way]:
                continue
            if self.mode == "slow":
                await asyncio.sleep(SLOW_DELAY)
            if way == "requests" and self.marker in data:
                self.marked_at = time.monotonic()
            target.write(data)
            await target.drain()
        if lost[way]:
            await self._wait_in_silence()

    async def _wait_in_silence(self) -> None:
        """Neither end learns that a connection was opened or closed while the proxy is silent."""
        while self.mode == "silent":  # noqa: ASYNC110  the mode is a plain value
            await asyncio.sleep(0.1)
