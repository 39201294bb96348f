"""The simulator's own endpoints, which Alpha Vantage does not have: `/_calls`, `/_fault` and `/_limits`.

What a handler raises for a wrong body becomes status 400 in `app`.
"""

import json
from dataclasses import asdict

from aiohttp import web

from common.core.limits import parse_limits
from common.errors import InvalidRequest
from simulator.faults import read_fault
from simulator.responses import json_response
from simulator.state import STATE

routes = web.RouteTableDef()


@routes.get("/_calls")
async def get_calls(request: web.Request) -> web.Response:
    """The journal; `?since=n` leaves out the first n calls."""
    since = request.query.get("since", "0")
    if not (since.isascii() and since.isdigit() and len(since) < 20):
        raise InvalidRequest(f"since: expected a whole number, not {since[:40]!r}")
    return json_response(request.app[STATE].calls.report(int(since)))


@routes.delete("/_calls")
async def delete_calls(request: web.Request) -> web.Response:
    """Forget all calls, counters and windows."""
    request.app[STATE].calls.clear()
    return web.Response(status=204)


@routes.get("/_fault")
async def get_fault(request: web.Request) -> web.Response:
    return _show_fault(request)


@routes.put("/_fault")
async def put_fault(request: web.Request) -> web.Response:
    """Set the fault; it replaces the one before."""
    request.app[STATE].faults.set(read_fault(await _body(request)))
    return _show_fault(request)


@routes.delete("/_fault")
async def delete_fault(request: web.Request) -> web.Response:
    request.app[STATE].faults.set(None)
    return web.Response(status=204)


@routes.get("/_limits")
async def get_limits(request: web.Request) -> web.Response:
    return _show_limits(request)


@routes.put("/_limits")
async def put_limits(request: web.Request) -> web.Response:
    """Judge by other limits from now on: `{"limits": "5/1min"}`."""
    body = await _body(request)
    text = body.get("limits") if isinstance(body, dict) else None
    if not isinstance(text, str):
        raise InvalidRequest('expected {"limits": "1/1s,5/1min"}')
    request.app[STATE].calls.set_limits(parse_limits(text, "limits"))
    return _show_limits(request)


async def _body(request: web.Request) -> object:
    try:
        return json.loads(await request.text())
    except ValueError:
        return None


def _show_fault(request: web.Request) -> web.Response:
    faults = request.app[STATE].faults
    return json_response({"fault": asdict(faults.fault) if faults.fault else None, "left": faults.left})


def _show_limits(request: web.Request) -> web.Response:
    return json_response({"limits": ",".join(map(str, request.app[STATE].calls.limits))})
