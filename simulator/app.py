"""The simulator as an aiohttp application: its routes, and the way of one call through journal, limits, faults and answer."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from simulator import controls
from simulator.answers import Answer, json_response, to_response
from simulator.breakage import WIRES, broken_body, pause
from simulator.calls import Call
from simulator.config import Config
from simulator.desk import DESK, Desk, open_desk
from simulator.faults import Fault
from simulator.notices import notice_of_rule
from simulator.query import answer, over_limit, takes_long

MARK = "X-Quotewell-Simulator"
_ACCEPTABLE = ("*/*", "application/*", "application/json")
_NOT_ACCEPTABLE = Answer("not_acceptable", {"detail": "Could not satisfy the request Accept header."}, 406)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(config: Config) -> web.Application:
    """A simulator of its own: calls, limits and faults are not shared with another."""
    app = web.Application(middlewares=[_errors_as_json])
    app[DESK] = open_desk(config)
    app.router.add_get("/query", query, allow_head=True)
    app.add_routes(controls.routes)
    app.on_response_prepare.append(_mark)
    app.on_shutdown.append(_close)
    return app


async def query(request: web.Request) -> web.StreamResponse:
    """One call: noted on arrival, judged, perhaps broken, answered.

    A HEAD counts as a GET does. The provider allows it (its `Allow` header says so), and its framework answers it by running the GET.
    Whether it counts one is not recorded, so the worse is assumed.
    """
    desk = request.app[DESK]
    function, symbol = request.query.get("function", ""), request.query.get("symbol", "").upper()
    now = desk.config.now()
    call, rule = desk.calls.arrive(desk.config.monotonic(), now, function=function, symbol=symbol)
    fault = desk.faults.strike(function, symbol) if rule is None else None
    if rule is not None:
        given = Answer(f"over_limit:{rule}", over_limit(request.query, notice_of_rule(rule)))
    elif not _accepts_json(request):
        given = _NOT_ACCEPTABLE
    elif takes_long(request.query):
        # other calls arrive meanwhile, and are judged by when they did
        given = await asyncio.to_thread(answer, desk.provider, request.query, now)
    else:
        given = answer(desk.provider, request.query, now)
    call.outcome = f"fault:{fault.kind}" if fault else given.outcome
    await pause(desk.closing, desk.chance.uniform(*desk.config.latency))
    return await _send(request, desk, call, given, fault)


async def _send(request: web.Request, desk: Desk, call: Call, given: Answer, fault: Fault | None) -> web.StreamResponse:
    if fault and fault.kind in WIRES:
        response = await WIRES[fault.kind](request, given, fault.delay, desk.closing)
    elif fault:
        await pause(desk.closing, fault.delay)
        key = request.query.get("apikey", "")
        response = broken_body(fault.kind, given, key=key, function=call.function)
        if fault.retry_after is not None:
            response.headers["Retry-After"] = fault.retry_after
    else:
        response = to_response(given)
    if request.transport is not None and not request.transport.is_closing():
        await response.prepare(request)
        await response.write_eof()
        call.answered = True
    return response


def _accepts_json(request: web.Request) -> bool:
    """LISTING_STATUS too is refused to a caller who asks for CSV: the provider looks at JSON only."""
    wanted = request.headers.get("Accept", "*/*")
    return any(part.split(";")[0].strip() in _ACCEPTABLE for part in wanted.split(","))


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return json_response({"error": error.reason}, status=error.status)


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    """Our own mark, and what lets a browser's page read the answer, as the provider does."""
    if request.path == "/query":
        response.headers[MARK] = "1"
        response.headers["Access-Control-Allow-Origin"] = "*"


async def _close(app: web.Application) -> None:
    app[DESK].closing.set()
