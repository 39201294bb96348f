"""The simulator as an aiohttp application: its routes, and the way of one call through journal, limits, faults and answer."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from common.errors import InvalidRequest, InvalidSettings
from simulator import controls
from simulator.answers.answer import Answer
from simulator.answers.functions import answer, is_slow, over_limit
from simulator.calls import Call
from simulator.config import Config
from simulator.faults import Fault
from simulator.responses import json_response, to_response
from simulator.state import STATE, State, new_state
from simulator.wire_faults import CONNECTION_FAULTS, faulty_response, pause

MARK = "X-Quotewell-Simulator"
_ACCEPTABLE = ("*/*", "application/*", "application/json")
_NOT_ACCEPTABLE = Answer("not_acceptable", {"detail": "Could not satisfy the request Accept header."}, status=406)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(config: Config) -> web.Application:
    """A simulator with calls, limits and faults of its own."""
    app = web.Application(middlewares=[_errors_as_json])
    app[STATE] = new_state(config)
    app.router.add_get("/query", query, allow_head=True)
    app.add_routes(controls.routes)
    app.on_response_prepare.append(_mark)
    app.on_shutdown.append(_close)
    return app


async def query(request: web.Request) -> web.StreamResponse:
    """One call: recorded on arrival, judged, perhaps broken, answered.

    A HEAD counts as a GET does. The provider allows it (its `Allow` header says so), and its framework answers it by running the GET.
    Whether it counts one is not recorded, so the worse is assumed.
    """
    state = request.app[STATE]
    function, symbol = request.query.get("function", ""), request.query.get("symbol", "").upper()
    now = state.config.now()
    call, broken = state.calls.record(state.config.monotonic(), now, function=function, symbol=symbol)
    fault = None if broken else state.faults.draw(function, symbol)
    if broken:
        given = over_limit(request.query, broken)
    elif not _accepts_json(request):
        given = _NOT_ACCEPTABLE
    elif is_slow(request.query):
        # other calls arrive meanwhile and are judged by their own time
        given = await asyncio.to_thread(answer, state.provider, request.query, now)
    else:
        given = answer(state.provider, request.query, now)
    call.outcome = f"fault:{fault.kind}" if fault else given.outcome
    await pause(state.closing, state.random.uniform(*state.config.latency))
    return await _send(request, state, call, given, fault)


async def _send(
    request: web.Request, state: State, call: Call, given: Answer, fault: Fault | None
) -> web.StreamResponse:
    if fault and fault.kind in CONNECTION_FAULTS:
        response = await CONNECTION_FAULTS[fault.kind](request, given, fault.delay, state.closing)
    elif fault:
        await pause(state.closing, fault.delay)
        response = faulty_response(fault.kind, given, key=request.query.get("apikey", ""), function=call.function)
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
    """LISTING_STATUS too is refused to a caller who accepts CSV alone: the provider looks at JSON only."""
    accepted = request.headers.get("Accept", "*/*")
    return any(part.split(";")[0].strip() in _ACCEPTABLE for part in accepted.split(","))


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return json_response({"error": error.reason}, status=error.status)
    except (InvalidRequest, InvalidSettings) as error:
        return json_response({"error": str(error)}, status=400)


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    """Our own mark, and what lets a browser's page read the answer, as the provider does."""
    if request.path == "/query":
        response.headers[MARK] = "1"
        response.headers["Access-Control-Allow-Origin"] = "*"


async def _close(app: web.Application) -> None:
    app[STATE].closing.set()
