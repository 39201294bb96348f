"""The simulator's own endpoints, which Alpha Vantage does not have: `/_calls`, `/_fault` and `/_limits`."""

import json
from dataclasses import asdict

from aiohttp import web

from simulator.answers import json_response
from simulator.config import WrongSetting, read_limits
from simulator.desk import DESK, Desk
from simulator.faults import WrongFault, fault_from

routes = web.RouteTableDef()


@routes.get("/_calls")
async def get_calls(request: web.Request) -> web.Response:
    """The journal; `?since=n` leaves out the first n calls."""
    since = request.query.get("since", "0")
    if not (since.isascii() and since.isdigit() and len(since) < 20):
        return _refused(f"since: expected a whole number, not {since[:40]!r}")
    return json_response(request.app[DESK].calls.report(int(since)))


@routes.delete("/_calls")
async def delete_calls(request: web.Request) -> web.Response:
    """Forget all calls, counters and windows."""
    request.app[DESK].calls.forget()
    return web.Response(status=204)


@routes.get("/_fault")
async def get_fault(request: web.Request) -> web.Response:
    return json_response(_fault_of(request.app[DESK]))


@routes.put("/_fault")
async def put_fault(request: web.Request) -> web.Response:
    """Set the fault of the moment; it replaces the one before."""
    desk = request.app[DESK]
    try:
        desk.faults.put(fault_from(await _body(request)))
    except WrongFault as error:
        return _refused(str(error))
    return json_response(_fault_of(desk))


@routes.delete("/_fault")
async def delete_fault(request: web.Request) -> web.Response:
    request.app[DESK].faults.clear()
    return web.Response(status=204)


@routes.get("/_limits")
async def get_limits(request: web.Request) -> web.Response:
    return json_response(_limits_of(request.app[DESK]))


@routes.put("/_limits")
async def put_limits(request: web.Request) -> web.Response:
    """Judge by other limits from now on: `{"limits": "5/1min"}`."""
    desk, body = request.app[DESK], await _body(request)
    text = body.get("limits") if isinstance(body, dict) else None
    if not isinstance(text, str):
        return _refused('expected {"limits": "1/1s,5/1min"}')
    try:
        desk.calls.use(read_limits(text, "limits"))
    except WrongSetting as error:
        return _refused(str(error))
    return json_response(_limits_of(desk))


async def _body(request: web.Request) -> object:
    try:
        return json.loads(await request.text())
    except ValueError:
        return None


def _fault_of(desk: Desk) -> dict[str, object]:
    fault = desk.faults.fault
    return {"fault": asdict(fault) if fault else None, "left": desk.faults.left}


def _limits_of(desk: Desk) -> dict[str, object]:
    return {"limits": ",".join(map(str, desk.calls.limits))}


def _refused(message: str) -> web.Response:
    return json_response({"error": message}, status=400)
