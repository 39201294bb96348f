"""How each fault looks on the wire. It does not know when a fault is due."""

import asyncio
import csv
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import cast

from aiohttp import web

from simulator.answers import Answer, json_response, refusal, to_response
from simulator.notices import NOTICES
from simulator.tables import to_csv

NOTICE = "notice:"
TOO_MANY = "http_429"
REFUSING = (TOO_MANY, "http_503")  # kinds that may name a time to come back
HUGE = 10 * 1024 * 1024
_PRICES = ("05. price", "4. close", "price", "close")
_HEROKU = (
    "<!DOCTYPE html>\n<html>\n  <head>\n    <title>Application Error</title>\n  </head>\n  <body>\n"
    '    <iframe src="//www.herokucdn.com/error-pages/application-error.html"></iframe>\n  </body>\n</html>\n'
)
_HTML = "<!DOCTYPE html>\n<html><head><title>Alpha Vantage</title></head><body><h1>Free stock APIs</h1></body></html>\n"
_GARBAGE = bytes((i * 167 + 13) % 256 for i in range(2048))


def _too_many(_: Answer) -> web.Response:
    """As Cloudflare, behind which the provider stands, turns a caller away; the provider itself was never seen to."""
    return web.Response(status=429, text="error code: 1015", content_type="text/plain")


def _page(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html")


def _json_bytes(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _body_of(answer: Answer) -> bytes:
    return cast(bytes, to_response(answer).body)


def _truncated(answer: Answer) -> web.Response:
    response, body = to_response(answer), _body_of(answer)
    response.body = body[: len(body) // 2]
    return response


def _huge(answer: Answer) -> web.Response:
    filler = {"filler": "x" * HUGE}
    return _json_bytes(json.dumps(filler if isinstance(answer.body, str) else {**answer.body, **filler}).encode())


def _with_price(answer: Answer, price: str) -> web.Response:
    if isinstance(answer.body, str):
        return to_response(replace(answer, body=_replaced_in_table(answer.body, price)))
    return json_response(_replaced(answer.body, price))


def _replaced_in_table(text: str, price: str) -> str:
    columns, *rows = csv.reader(text.splitlines())
    return to_csv(columns, ([price if n in _PRICES else v for n, v in zip(columns, row, strict=False)] for row in rows))


def _replaced(body: object, price: str) -> object:
    if isinstance(body, Mapping):
        return {key: price if key in _PRICES else _replaced(value, price) for key, value in body.items()}
    return [_replaced(item, price) for item in body] if isinstance(body, list) else body


BODIES: Mapping[str, Callable[[Answer], web.Response]] = {
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


async def pause(closing: asyncio.Event, seconds: float) -> None:
    """Wait, but not past the simulator's end."""
    if seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await closing.wait()
        except TimeoutError:
            return


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _hang(request: web.Request, _: Answer, __: float, closing: asyncio.Event) -> web.StreamResponse:
    # aiohttp tells a handler of a lost client only if the server was told to cancel handlers
    while not (_gone(request) or closing.is_set()):
        await pause(closing, 0.05)
    return _dropped(request)


async def _reset(request: web.Request, _: Answer, delay: float, closing: asyncio.Event) -> web.StreamResponse:
    await pause(closing, delay)
    return _dropped(request)


def _dropped(request: web.Request) -> web.StreamResponse:
    """Close with a TCP reset: no linger."""
    if request.transport is not None and not request.transport.is_closing():
        linger = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        request.transport.abort()
    return web.Response()


async def _cut_off(request: web.Request, answer: Answer, delay: float, closing: asyncio.Event) -> web.StreamResponse:
    """Promise the whole body, send half of it, and close."""
    await pause(closing, delay)
    response, body = await _promise(request, answer)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _drip(request: web.Request, answer: Answer, delay: float, closing: asyncio.Event) -> web.StreamResponse:
    """One byte every `delay` seconds, 0.05 unless told."""
    response, body = await _promise(request, answer)
    for at in range(len(body)):
        if _gone(request) or closing.is_set():
            return _dropped(request)
        await response.write(body[at : at + 1])
        await pause(closing, delay or 0.05)
    return response


async def _promise(request: web.Request, answer: Answer) -> tuple[web.StreamResponse, bytes]:
    whole, body = to_response(answer), _body_of(answer)
    response = web.StreamResponse(headers={"Content-Type": whole.headers["Content-Type"]})
    response.content_length = len(body)
    await response.prepare(request)
    return response, body if request.method != "HEAD" else b""


Wire = Callable[[web.Request, Answer, float, asyncio.Event], Awaitable[web.StreamResponse]]
WIRES: Mapping[str, Wire] = {"hang": _hang, "reset": _reset, "cut_off": _cut_off, "drip": _drip}
KINDS = (*(NOTICE + name for name in NOTICES), *BODIES, *WIRES)


def broken_body(kind: str, answer: Answer, *, key: str, function: str) -> web.Response:
    """The response of a fault that leaves the connection whole."""
    if kind.startswith(NOTICE):
        return to_response(refusal(kind.removeprefix(NOTICE), key=key, function=function))
    return BODIES[kind](answer)
