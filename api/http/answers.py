"""Answers that are ready to be written: encoded once, with validators and the caching headers that CDNs, nginx and browsers obey.

Quotes, charts, searches and the overview share this design. A hot answer is written as bytes, including its head, through aiohttp's
public interface; the ordinary path builds the same head as a response. A test checks that the two are equal.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import formatdate
from hashlib import blake2b

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

MAX_ANSWER_BYTES = 64 << 20  # of one process
OVERHEAD = 2 << 10  # bytes of an answer beside its bodies: its entry and the heads of 200 and 304, as measured
FALLBACK_TTL = 900.0  # seconds that an expired answer stays for `last`
SWEEP_INTERVAL = 30.0  # seconds
REVALIDATE = 30  # seconds that a cache may serve an old answer while it fetches a new one
SERVER = "quotewell"  # the `Server` header
NO_STORE = {"Cache-Control": "no-store"}
ALWAYS = {  # on every answer, unless its handler sets another value
    "Vary": "Origin",  # also without an Origin: a shared cache must not give one origin another's answer
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",  # for requests without CORS
    "Strict-Transport-Security": "max-age=31536000",  # browsers obey it over https only
}


@dataclass(slots=True)
class Answer:
    """A body with the data that caches need. Times are Unix seconds.

    Caches may keep it until `fresh_until`, and after that for `stale_for` seconds at a time. It expires here at `good_until`.
    `symbol`: the symbol that a read of it counts for. `vouched`: the body without its estimates. An answer that has one gets a weak
    validator: bodies that differ only in an estimate are equivalent (RFC 9110, 8.8.1).
    """

    body: bytes
    modified: datetime
    fresh_until: float
    stale_for: int
    good_until: float
    symbol: str = ""
    vouched: bytes | None = None
    etag: str = ""
    _second: int = 0
    _heads: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind, content = ("", self.body) if self.vouched is None else ("W/", self.vouched)
        self.etag = f'{kind}"{blake2b(content, digest_size=12).hexdigest()}"'

    def headers(self, now: float) -> dict[str, str]:
        """The headers of the body, or of a 304."""
        left = int(self.fresh_until - now)
        return {
            "ETag": self.etag,
            "Cache-Control": f"public, max-age={left if left > 0 else self.stale_for}, "
            f"stale-while-revalidate={REVALIDATE}",
            "Age": "0",
            "Last-Modified": formatdate(self.modified.timestamp(), usegmt=True),
        }

    def respond(self, request: web.Request) -> web.Response:
        """The ordinary response: 304 if the client has this body."""
        headers = self.headers(time.time())
        if matches(request.headers.get("If-None-Match"), self.etag):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, content_type="application/json", charset="utf-8", headers=headers)

    def raw(self, status: int, now: float, request_id: str) -> bytes:
        """The whole answer as bytes. Its head is built once a second."""
        if int(now) != self._second:
            self._second, self._heads = int(now), {}
        head = self._heads.get(status)
        if head is None:
            head = self._heads[status] = self._head(status, now)
        return b"%bX-Request-ID: %b\r\n\r\n%b" % (head, request_id.encode(), self.body if status == 200 else b"")

    def _head(self, status: int, now: float) -> bytes:
        lines = {"Content-Type": "application/json; charset=utf-8"} if status == 200 else {}
        lines |= self.headers(now)
        if status == 200:
            lines["Content-Length"] = str(len(self.body))
        lines["Date"] = formatdate(now, usegmt=True)
        start = "HTTP/1.1 200 OK" if status == 200 else "HTTP/1.1 304 Not Modified"
        return f"{start}\r\n{_lines(lines)}{_SAME}".encode()


def _lines(headers: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


_SAME = _lines(ALWAYS | {"Server": SERVER})


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names this validator; weak comparison (RFC 9110, 8.8.3.2)."""
    if if_none_match is None:
        return False
    if if_none_match == etag:
        return True
    return any(part.strip().removeprefix("W/") in (etag.removeprefix("W/"), "*") for part in if_none_match.split(","))


class Ready(web.StreamResponse):
    """An answer whose bytes are complete; `prepare` writes them."""

    def __init__(self, wire: bytes, status: int) -> None:
        super().__init__(status=status)
        self._wire = wire
        self._keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        writer = request.writer
        await writer.write(self._wire)
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `prepare` wrote everything."""

    @property
    def prepared(self) -> bool:
        return True


class Answers:
    """The answers of one process by path or question, bounded in bytes: the least recently used are evicted."""

    def __init__(self, max_bytes: int = MAX_ANSWER_BYTES) -> None:
        self.size = 0  # bytes
        self._max_bytes = max_bytes
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def find(self, path: str, now: float) -> Answer | None:
        answer = self._answers.get(path)
        if answer is None or now >= answer.good_until:
            return None
        self._answers.move_to_end(path)
        return answer

    def last(self, path: str) -> Answer | None:
        """The last answer, up to `FALLBACK_TTL` after it expired, for when no store answers."""
        return self._answers.get(path)

    def keep(self, path: str, answer: Answer) -> Answer:
        self.drop(path)
        self._answers[path] = answer
        self.size += _size(path, answer)
        while self.size > self._max_bytes:
            self.drop(next(iter(self._answers)))
        return answer

    def drop(self, path: str) -> None:
        answer = self._answers.pop(path, None)
        if answer is not None:
            self.size -= _size(path, answer)

    def sweep(self, now: float) -> None:
        """Drop the answers that expired `FALLBACK_TTL` ago."""
        for path in [path for path, answer in self._answers.items() if answer.good_until + FALLBACK_TTL <= now]:
            self.drop(path)

    async def sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            self.sweep(time.time())


def _size(path: str, answer: Answer) -> int:
    """The bytes that a kept answer takes."""
    return OVERHEAD + len(path) + len(answer.body) + len(answer.vouched or b"")
