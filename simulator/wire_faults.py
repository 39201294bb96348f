"""How each fault looks on the wire. It does not know when a fault is due."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import cast

from aiohttp import web

from simulator.answers.answer import Answer, Table, refusal
from simulator.answers.notices import NOTICES
from simulator.responses import json_response, to_response

NOTICE = "notice:"
TOO_MANY = "http_429"
RETRY_AFTER_KINDS = (TOO_MANY, "http_503")  # may name a time to come back
HUGE_BYTES = 10 * 1024 * 1024
_POLL_DELAY = 0.05  # seconds between two looks whether the client of a hung call has left
_DRIP_DELAY = 0.05  # seconds between two bytes, if the fault names no delay
_PRICES = ("05. price", "4. close", "price", "close")
_HEROKU = (
    "<!DOCTYPE html>\n<html>\n  <head>\n    <title>Application Error</title>\n  </head>\n  <body>\n"
    '    <iframe src="//www.herokucdn.com/error-pages/application-error.html"></iframe>\n  </body>\n</html>\n'
)
_HTML = "<!DOCTYPE html>\n<html><head><title>Alpha Vantage</title></head><body><h1>Free stock APIs</h1></body></html>\n"
_GARBAGE = bytes((i * 167 + 13) % 256 for i in range(2048))

# Faults of the response: the connection stays whole.


def faulty_response(kind: str, answer: Answer, *, key: str, function: str) -> web.Response:
    if kind.startswith(NOTICE):
        return to_response(refusal(kind.removeprefix(NOTICE), key=key, function=function))
    return RESPONSE_FAULTS[kind](answer)


def _too_many(_: Answer) -> web.Response:
    """As Cloudflare, in front of the provider, refuses a caller; the provider itself was never seen to."""
    return web.Response(status=429, text="error code: 1015", content_type="text/plain")


def _page(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html")


def _json_bytes(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _truncated(answer: Answer) -> web.Response:
    response = to_response(answer)
    body = cast(bytes, response.body)
    response.body = body[: len(body) // 2]
    return response


def _huge(answer: Answer) -> web.Response:
    body = {} if isinstance(answer.body, Table) else answer.body
    return _json_bytes(json.dumps({**body, "filler": "x" * HUGE_BYTES}).encode())


def _with_price(answer: Answer, price: str) -> web.Response:
    """Every price of the answer replaced; what else it says stays."""
    if isinstance(answer.body, Table):
        return to_response(replace(answer, body=_replaced_in_table(answer.body, price)))
    return json_response(_replaced(answer.body, price))


def _replaced_in_table(table: Table, price: str) -> Table:
    rows = ((price if n in _PRICES else v for n, v in zip(table.columns, row, strict=True)) for row in table.rows)
    return Table.of(table.name, table.columns, rows)


def _replaced(body: object, price: str) -> object:
    if isinstance(body, Mapping):
        return {key: price if key in _PRICES else _replaced(value, price) for key, value in body.items()}
    return [_replaced(item, price) for item in body] if isinstance(body, list) else body


RESPONSE_FAULTS: Mapping[str, Callable[[Answer], web.Response]] = {
    TOO_MANY: _too_many,
    "http_503": lambda _: _page(503, _HEROKU),
    "html_200": lambda _: _page(200, _HTML),
    "truncated": _truncated,
    "garbage": lambda _: _json_bytes(_GARBAGE),
    "huge": _huge,
    "empty_object": lambda _: json_response({}),
    "null_price": lambda answer: _with_price(answer, "None"),
    "zero_price": lambda answer: _with_price(answer, "0.0000"),
    "slow": to_response,
}

# Faults of the connection.


async def pause(closing: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than the simulator runs."""
    if seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await closing.wait()
        except TimeoutError:
            return


async def _hang(request: web.Request, _: Answer, __: float, closing: asyncio.Event) -> web.StreamResponse:
    # aiohttp tells a handler of a lost client only if the server was told to cancel handlers
    while not (_client_left(request) or closing.is_set()):
        await pause(closing, _POLL_DELAY)
    return _drop(request)


async def _reset(request: web.Request, _: Answer, delay: float, closing: asyncio.Event) -> web.StreamResponse:
    await pause(closing, delay)
    return _drop(request)


async def _cut_off(request: web.Request, answer: Answer, delay: float, closing: asyncio.Event) -> web.StreamResponse:
    """Promise the whole body, send half of it, and close."""
    await pause(closing, delay)
    response, body = await _promise(request, answer)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _drip(request: web.Request, answer: Answer, delay: float, closing: asyncio.Event) -> web.StreamResponse:
    """One byte every `delay` seconds."""
    response, body = await _promise(request, answer)
    for at in range(len(body)):
        if _client_left(request) or closing.is_set():
            return _drop(request)
        await response.write(body[at : at + 1])
        await pause(closing, delay or _DRIP_DELAY)
    return response


def _client_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _drop(request: web.Request) -> web.StreamResponse:
    """Close with a TCP reset: no linger."""
    if request.transport is not None and not request.transport.is_closing():
        linger = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        request.transport.abort()
    return web.Response()


async def _promise(request: web.Request, answer: Answer) -> tuple[web.StreamResponse, bytes]:
    """Send the headers of the whole answer; the body is the handler's to send."""
    whole = to_response(answer)
    body = cast(bytes, whole.body)
    response = web.StreamResponse(headers={"Content-Type": whole.headers["Content-Type"]})
    response.content_length = len(body)
    await response.prepare(request)
    return response, body if request.method != "HEAD" else b""


ConnectionFault = Callable[[web.Request, Answer, float, asyncio.Event], Awaitable[web.StreamResponse]]
CONNECTION_FAULTS: Mapping[str, ConnectionFault] = {"hang": _hang, "reset": _reset, "cut_off": _cut_off, "drip": _drip}
KINDS = (*(NOTICE + name for name in NOTICES), *RESPONSE_FAULTS, *CONNECTION_FAULTS)
