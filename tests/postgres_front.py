"""What may stand between a process and PostgreSQL: a port in front of its socket, with TLS or without, or something that refuses."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ASKS_FOR_TLS, ASKS_FOR_GSS = 80877103, 80877104
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """The port at which connections are served so."""
    served: set[asyncio.Task[None]] = set()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            served.add(task)
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    async with await asyncio.start_server(keep, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
    for task in served:
        task.cancel()
    await asyncio.gather(*served, return_exceptions=True)


def in_front_of(url: str, certificate: Path | None = None) -> Serve:
    """Hand everything on to the server behind a URL with a socket; with a certificate TLS ends here."""
    asked = parse_qs(urlsplit(url).query)
    socket = f"{asked['host'][0]}/.s.PGSQL.{asked['port'][0]}"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await _startup(reader, writer, certificate)
        inner, outer = await asyncio.open_unix_connection(socket)
        outer.write(head)
        await asyncio.gather(_copy(reader, outer), _copy(inner, writer))

    return serve


def refusing(sqlstate: str, message: str) -> Serve:
    """Refuse whoever comes, as PostgreSQL and poolers do."""
    fields = [b"SFATAL", b"VFATAL", b"C" + sqlstate.encode(), b"M" + message.encode()]
    body = b"".join(field + b"\0" for field in fields) + b"\0"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _startup(reader, writer, None)
        writer.write(b"E" + struct.pack("!i", len(body) + 4) + body)
        await writer.drain()

    return serve


def saying(raw: bytes) -> Serve:
    """Be something else, which says this to whatever comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(raw)
        await writer.drain()

    return serve


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, certificate: Path | None) -> bytes:
    """The first message that asks for neither TLS nor GSS; where TLS is to be had, nobody is let in without."""
    secure = False
    while True:
        length = await reader.readexactly(4)
        rest = await reader.readexactly(struct.unpack("!i", length)[0] - 4)
        asked = struct.unpack("!i", rest[:4])[0]
        if asked == ASKS_FOR_TLS and certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            writer.write(b"S")
            await writer.start_tls(context)
            secure = True
        elif asked in (ASKS_FOR_TLS, ASKS_FOR_GSS):
            writer.write(b"N")
        elif certificate and not secure:
            raise ConnectionError("no TLS")
        else:
            return length + rest


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(1 << 16):
            target.write(chunk)
            await target.drain()
    target.close()
