"""A client that hangs up within its body is nobody's fault: one line, status 499, no traceback, no alert."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from api.http import connections
from common.process.settings import Settings
from tests.api.wire import POST, Served, Streams, connected, serving
from tests.harness.polling import eventually

How = Callable[[Streams], None]
LOGIN = {"method": "POST", "route": "/api/auth/login"}
BODIES = {
    "no byte": b"Content-Length: 200\r\n\r\n",
    "half": b'Content-Length: 200\r\n\r\n{"username": "a',
    "half a chunk": b'Transfer-Encoding: chunked\r\n\r\n64\r\n{"username": "a',
    "no last chunk": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "half a gzip": b"Content-Encoding: gzip\r\nContent-Length: 200\r\n\r\n\x1f\x8b\x08\x00",
    "a body to wait for": b"Expect: 100-continue\r\nContent-Length: 200\r\n\r\n",
}


@pytest.fixture
async def api(ready: Settings, redis: Redis) -> AsyncIterator[Served]:
    async with serving(ready) as served:
        yield served


def close(streams: Streams) -> None:
    streams[1].close()


def reset(streams: Streams) -> None:
    connection: socket.socket = streams[1].get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    streams[1].close()


def close_half(streams: Streams) -> None:
    streams[1].write_eof()


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def gone() -> float:
    return value("quotewell_http_request_duration_seconds_count", **LOGIN, status="499")


async def hang_up(api: Served, raw: bytes, how: How) -> list[tuple[str, str, int | None]]:
    """Send, hang up once the body is waited for, and return what was logged until the connection's task ended."""
    with capture_logs() as logged:
        async with connected(api) as streams:
            streams[1].write(raw)

            async def busy() -> asyncio.Task[None] | None:
                found = [each for each in api.server.connections if each._request_count and each._waiter is None]
                return found[0]._task_handler if found else None

            task = await eventually(busy)
            how(streams)
            await asyncio.wait({task})
    return [(line["event"], line["log_level"], line.get("status")) for line in logged]


@pytest.mark.parametrize("how", [close, reset, close_half])
async def test_a_client_that_hangs_up_within_its_body_is_one_line_and_no_server_error(api: Served, how: How) -> None:
    before, errors = gone(), value("quotewell_http_server_errors_total")
    found = {name: await hang_up(api, POST + body, how) for name, body in BODIES.items()}

    assert {name: [("request", "info", 499)] for name in BODIES} == found
    assert len(BODIES) == gone() - before
    assert errors == value("quotewell_http_server_errors_total")


async def test_a_client_that_hangs_up_within_a_body_that_nobody_reads_leaves_no_traceback(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LINGER_TIMEOUT", 0.1)
    raw = b"POST /api/nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n{"
    found = [await hang_up(api, raw, how) for how in (close, reset, close_half)]

    assert [[("request", "info", 404)]] * 3 == found
