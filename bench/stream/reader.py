"""One client of bench-stream: a bare socket that reads three fields of an event and tells what it saw.

Quotes carry a serial number as their price, so a client knows what it sees and when that was published.
"""

import asyncio
import re
import time
from dataclasses import dataclass, field

SYMBOLS_PER_CLIENT = 10
HEAD = (
    "GET /api/stream?symbols={symbols} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n"
    "Accept-Language: en-US,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nCache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n"
    "Origin: http://127.0.0.1:{port}\r\nReferer: http://127.0.0.1:{port}/\r\nConnection: keep-alive\r\n\r\n"
)
EVENT = re.compile(rb'id: (\d+)-(\d+)\nevent: quote\ndata: \{"symbol":"(\w+)","price":(\d+)\.0,')


@dataclass(slots=True)
class Seen:
    """What the clients saw. `published`: serial number to the time before the publish; `newest`: symbol to its last serial number."""

    published: list[float] = field(default_factory=list)
    newest: dict[str, int] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)  # seconds
    went_back: int = 0
    ended: int = 0
    measuring: bool = False


class Reader(asyncio.Protocol):
    """One client: the newest serial number that it saw of each symbol."""

    def __init__(self, seen: Seen, request: bytes) -> None:
        self.newest: dict[str, int] = {}
        self.snapshot = asyncio.get_running_loop().create_future()
        self._seen, self._request = seen, request
        self._rest, self._last = b"", (0, 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        whole, mark, self._rest = (self._rest + data).rpartition(b"\n\n")
        for millis, serial, symbol, price in EVENT.findall(whole + mark):
            self._take(symbol.decode(), int(price), (int(millis), int(serial)), now)
        if len(self.newest) == SYMBOLS_PER_CLIENT and not self.snapshot.done():
            self.snapshot.set_result(None)
        if self._rest.endswith(b"0\r\n\r\n"):
            self._seen.ended += 1

    def _take(self, symbol: str, number: int, event: tuple[int, int], now: float) -> None:
        seen = self._seen
        seen.went_back += event < self._last or number <= self.newest.get(symbol, -1)
        self.newest[symbol], self._last = number, event
        if seen.measuring and self.snapshot.done():
            seen.delays.append(now - seen.published[number])

    def connection_lost(self, _: Exception | None) -> None:
        if not self.snapshot.done():
            self.snapshot.set_exception(ConnectionError("refused"))
