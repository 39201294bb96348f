"""A wire that can be cut: between one process and one of its servers. It knows bytes, no protocol."""

import asyncio
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from weakref import WeakSet

Mood = Literal["whole", "slow", "silent", "deaf", "reset"]
Address = Path | int  # a unix socket, or a port of 127.0.0.1
SLOW = 0.03  # seconds for each piece that is sent: a store in another region


@dataclass(slots=True)
class Wire:
    """`silent`: nothing passes, and what was said meanwhile is lost; `deaf`: so are the answers alone; `reset`: no connection holds.

    A connection that was silenced stays so: its ends go on believing in it, as they do when a firewall forgets them. `rang`: when
    `bell`, a word of whoever asks, last passed (monotonic seconds).
    """

    near: Address
    far: Address
    mood: Mood = "whole"
    bell: bytes = b"LPUSH"
    rang: float = 0.0
    lines: set[asyncio.Task[None]] = field(default_factory=set)
    ends: WeakSet[asyncio.WriteTransport] = field(default_factory=WeakSet)

    async def open(self) -> asyncio.Server:
        if isinstance(self.near, Path):
            return await asyncio.start_unix_server(self._take, str(self.near))
        return await asyncio.start_server(self._take, "127.0.0.1", self.near)

    def reset(self) -> None:
        """End what is connected now."""
        for line in self.lines:
            line.cancel()

    async def close(self) -> None:
        """End what is connected. A closed transport waits until its last bytes are taken, and a frozen server takes none: it is aborted."""
        self.reset()
        await asyncio.gather(*self.lines, return_exceptions=True)
        for end in self.ends:
            end.abort()
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next turn

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self.lines.add(line)
        with suppress(OSError, asyncio.CancelledError), closing(writer):
            try:
                await self._join(reader, writer)
            finally:
                self.lines.discard(line)
                writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mood in ("silent", "reset"):
            return await self._hush()
        if isinstance(self.far, Path):
            answers, asks = await asyncio.open_unix_connection(str(self.far))
        else:
            answers, asks = await asyncio.open_connection("127.0.0.1", self.far)
        self.ends.add(asks.transport)
        lost = {"asks": False, "answers": False}
        with closing(asks):
            ways = self._pass(reader, asks, lost, "asks"), self._pass(answers, writer, lost, "answers")
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(
        self, heard: asyncio.StreamReader, said: asyncio.StreamWriter, lost: dict[str, bool], way: str
    ) -> None:
        while data := await heard.read(1 << 16):
            lost[way] |= self.mood == "silent" or (self.mood == "deaf" and way == "answers")
            if lost[way]:
                continue
            if self.mood == "slow":
                await asyncio.sleep(SLOW)
            if way == "asks" and self.bell in data:
                self.rang = time.monotonic()
            said.write(data)
            await said.drain()
        if lost[way]:
            await self._hush()

    async def _hush(self) -> None:
        """A beginning or an end is not heard either, for as long as it is silent."""
        while self.mood == "silent":  # noqa: ASYNC110  a mood is set, not told
            await asyncio.sleep(0.1)
