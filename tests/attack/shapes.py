"""Requests that two readers may cut differently (smuggling), and malformed ones: none hides a second request, and none hangs."""

import asyncio
import gzip
import re
import zlib
from collections.abc import Iterator

from tests.api.http.test_requests import BAD as BODIES
from tests.attack.judge import Answer
from tests.attack.target import Target

MARK = b"smuggled"
HIDDEN = b"GET /api/health/live HTTP/1.1\r\nHost: a\r\nX-Request-ID: " + MARK + b"\r\n\r\n"
POST = b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
LINE = b"GET /api/health/live HTTP/1.1\r\n"
GET = LINE + b"Host: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)
ENDED = b"0\r\n\r\n" + HIDDEN
ANSWER_TIMEOUT, QUIET = 12.0, 0.5  # seconds: a head and a body may take 8 each; then silence ends what is read
AT_ONCE = 8
STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})")
BOMB = 50 << 20  # bytes after decompression


async def attack(target: Target) -> None:
    """Every shape on a connection of its own."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(raw: bytes, *, refused: bool) -> None:
        async with limit:
            answer = await send(target, raw, at=target.new_address())
        target.judge.must_answer(answer)
        smuggled = f"X-Request-ID: {MARK.decode()}" in answer.text
        target.judge.must_bound(smuggled, 0, f"a hidden request was answered: {answer}")
        if refused:
            target.judge.must_refuse(answer)

    async with asyncio.TaskGroup() as group:
        for shapes, refused in ((_ambiguous(), False), (_refused(), True), (_answered(), False)):
            for raw in shapes:
                group.create_task(one(raw, refused=refused))
    await _try_bodies(target)


async def send(target: Target, raw: bytes, *, at: str) -> Answer:
    """Send bytes as they are, and read until nothing more comes."""
    shown, read = repr(raw[:150]), b""
    try:
        reader, writer = await target.connect(at)
        writer.write(raw)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                read = await reader.read(1 << 16)
            while read:
                async with asyncio.timeout(QUIET):
                    if not (more := await reader.read(1 << 16)):
                        break
                    read += more
        finally:
            writer.close()
    except TimeoutError:
        if not read:
            return target.judge.count(Answer(shown, 0, why=f"open and silent for {ANSWER_TIMEOUT:g} s"))
    except OSError as error:
        if not read:
            return target.judge.count(Answer(shown, 0, why=repr(error)))
    statuses = [int(status) for status in STATUS.findall(read)]
    first = 500 if 500 in statuses else statuses[0] if statuses else 400  # closed without an answer is refused, too
    return target.judge.count(Answer(shown, first, text=read.decode(errors="replace")))


def _ambiguous() -> Iterator[bytes]:
    """Each hides a request in what one of two readers takes for a body, or after it."""
    yield from (POST + LENGTH + name + b"\r\n" + ENDED for name in _encodings())
    yield from (POST + name + LENGTH + b"\r\n" + ENDED for name in _encodings())
    yield from (POST + length + b"\r\n" + HIDDEN for length in _lengths())
    yield from (POST + CHUNKED + b"\r\n" + chunks for chunks in _chunks())
    for ending in (b"\n", b"\r", b"\r\r\n", b" \r\n", b"\r\n\r"):
        yield POST + b"Content-Length: 0" + ending + CHUNKED + b"\r\n" + ENDED
    yield from (POST + line + LENGTH + b"\r\n" + ENDED for line in _folded())
    yield POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + ENDED
    yield POST.replace(b"POST", b"GET") + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n" + ENDED


def _encodings() -> Iterator[bytes]:
    """Spellings of `Transfer-Encoding: chunked` that some read and some do not."""
    yield CHUNKED
    for value in (b"xchunked", b"chunked, identity", b"identity, chunked", b"chunked,", b",chunked", b"'chunked'"):
        yield b"Transfer-Encoding: " + value + b"\r\n"
    for value in (b"\x0bchunked", b"\tchunked", b"chunked\t", b"CHUNKED", b"chunked;q=1", b"gzip", b"", b"chu\xffnked"):
        yield b"Transfer-Encoding:" + value + b"\r\n"
    yield b"Transfer-Encoding : chunked\r\n"
    yield b" Transfer-Encoding: chunked\r\n"
    yield b"X: y\r\n Transfer-Encoding: chunked\r\n"
    yield b"Transfer_Encoding: chunked\r\nTransfer-Encoding: identity\r\n"
    yield b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"
    yield b"Transfer-Encoding\x00: chunked\r\n"
    yield b"Foo: bar\rTransfer-Encoding: chunked\r\n"


def _lengths() -> Iterator[bytes]:
    """Lengths that some read as zero and some do not."""
    for value in (b"+0", b"-0", b"0, 5", b"0 5", b"0x0", b"0_0", b"0.0", b"", b" ", b"0;", b"1e0", b"\xb20", b"0\x00"):
        yield b"Content-Length: " + value + b"\r\n"
    yield b"Content-Length: 0\r\nContent-Length: 9\r\n"
    yield b"Content-Length: 9\r\nContent-Length: 0\r\n"
    yield b"Content-Length : 0\r\n"
    yield b"Content-Length\t: 0\r\nContent-Length: 9\r\n"
    yield b"Content-Length: 99999999999999999999999\r\n"
    yield b"Content-Length: -1\r\n"


def _chunks() -> Iterator[bytes]:
    """Chunks whose sizes or ends are wrong; after each an end and the hidden request."""
    for size in (b"+1", b"-1", b"0x1", b"1_0", b" 1", b"", b"1 1", b"g", b"f" * 17, b"1\x00", b"1;\n", b"1;a=\x00"):
        yield size + b"\r\nA\r\n" + ENDED
    yield b"1\nA\n0\n\n" + HIDDEN
    yield b"1\r\nAB\r\n" + ENDED
    yield b"1\r\nA" + ENDED
    yield b"1\r\nA\n" + ENDED
    yield b"1;a\nb\r\nA\r\n" + ENDED
    yield b"0\r\nX: y\n\n" + HIDDEN
    yield b"0\r\nContent-Length: 5\r\nHost : b\r\n\r\n" + HIDDEN


def _folded() -> Iterator[bytes]:
    yield from (b"X: y\r\n\tz\r\n" + CHUNKED, b"X\r\n" + CHUNKED, b": y\r\n" + CHUNKED, b"X(): y\r\n" + CHUNKED)
    yield from (b"X: \x01\r\n" + CHUNKED, b"X\xff: y\r\n" + CHUNKED, b"Host: b\r\n" + CHUNKED)


def _refused() -> Iterator[bytes]:
    """What RFC 9110 and 9112 have a server refuse."""
    yield from (LINE.replace(b"1.1", version) + b"Host: a\r\n\r\n" for version in (b"0.9", b"2", b"1.10", b"x", b"3.0"))
    yield from (
        LINE + b"Host: %b\r\n\r\n" % host for host in (b"a/b@c", b"a b", b"a:x", b"[::1", b"u@a", b"\xff", b"a?b")
    )
    yield from (LINE + b"\r\n", GET + b"Host: b\r\n\r\n", b"nonsense\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    yield from (POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % size for size in (100 << 20, 1 << 62))
    yield from (POST + b"Content-Encoding: %b\r\nContent-Length: 2\r\n\r\n{}" % name for name in (b"br", b"x", b"zstd"))
    yield from (
        b"%b /api/health/live HTTP/1.1\r\nHost: a\r\n\r\n" % name for name in (b"TRACE", b"CONNECT", b"get", b"G(T")
    )
    yield from (GET + b"X: " + b"y" * 20_000 + b"\r\n\r\n", GET + b"X: y\r\n" * 5000 + b"\r\n")
    yield from (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00" * 100 + b"\r\n\r\n")
    yield from (b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"/\x00", b"a:80", b"/" + b"a" * 20_000))


def _answered() -> Iterator[bytes]:
    """What may be taken or refused, and must not hang."""
    yield from (
        GET + b"Upgrade: %b\r\nConnection: upgrade\r\n\r\n" % name for name in (b"foo", b"websocket", b"TLS/1.0")
    )
    yield GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n"
    yield from (
        POST + b"Expect: 200-ok\r\nContent-Length: 2\r\n\r\n{}",
        LINE.replace(b"1.1", b"1.2") + b"Host: a\r\n\r\n",
    )
    yield from (
        b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"*", b"http://b/api/health", b"//b/c", b"/\xff")
    )
    yield from (
        GET + b"Range: bytes=0-,%b\r\n\r\n" % (b"0-1," * 500),
        GET + b"Accept: %b\r\n\r\n" % (b"a/b;q=0.1," * 700),
    )
    yield from (b"\r\n" * 100 + GET + b"\r\n", b"GET / HTTP/1.1", POST + b"Content-Length: 50\r\n\r\n{")


async def _try_bodies(target: Target) -> None:
    """Bodies of every wrong kind, and those that grow when they are decompressed."""
    at = target.new_address()
    for body, kind, _, _ in BODIES.values():
        answer = await target.request("POST", "/api/auth/login", at=at, data=body, headers={"Content-Type": kind})
        target.judge.must_answer(answer)
        target.judge.must_refuse(answer)
    zeros = b'{"username": "' + b"0" * BOMB + b'"}'
    for name, body in (("gzip", gzip.compress(zeros)), ("deflate", zlib.compress(zeros))):
        headers = {"Content-Type": "application/json", "Content-Encoding": name}
        answer = await target.request("POST", "/api/auth/login", at=at, data=body, headers=headers)
        target.judge.must_answer(answer)
        target.judge.must_refuse(answer)
