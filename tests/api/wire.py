"""Raw connections to an API process: bytes in, answers out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from aiohttp.web_server import Server

from api.app import create_app
from common.process.settings import Settings
from tests.api.conftest import Client

SOON = 15.0  # seconds within which a test wants to see a connection closed
GET = b"GET /api/health/live HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Served:
    """An API as production serves it: `TestServer` cancels a handler whose client hangs up."""

    port: int
    server: Server
    app: web.Application
    host: str = "127.0.0.1"


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Served]:
    app = create_app(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    assert runner.server is not None
    yield Served(runner.addresses[0][1], runner.server, app)
    await runner.cleanup()


@asynccontextmanager
async def connected(api: Client | Served) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(api.host, api.port)
    try:
        async with asyncio.timeout(SOON):
            yield reader, writer
    finally:
        writer.close()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Status, headers with lower-case names, and body of the next answer."""
    start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(start.split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0)))


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """All until the connection is closed; whoever still sends may find it reset."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
