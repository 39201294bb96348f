"""The operators' API: the functions of common/operations, which the command line uses, too. Every route needs the scope `operator`."""

import re
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct

from api.http import requests
from api.http.answers import NO_STORE
from api.http.contract import documented
from api.http.keys import CALLER, QUEUE, REQUEST_ID, RESOURCES
from api.http.middlewares import scoped
from api.ops.questions import AuditQuery, CallsQuery, Hold, JobQuery, LineQuery, RefreshOrder, SymbolsQuery
from common.core.limits import parse_duration
from common.core.symbols import normalize_symbol
from common.errors import InvalidRequest, InvalidSymbol, NotFound, StoreUnavailable, UnknownSymbol
from common.operations.audit import AuditReport, report_audit
from common.operations.budget import BudgetReport, hold, release, report_budget
from common.operations.calls import CallsReport, LineReport, report_calls, report_line
from common.operations.refresh_jobs import JobReport, queue_all, queue_refresh, report_job
from common.operations.status import StatusReport, report_status
from common.operations.symbols import (
    SymbolChange,
    SymbolsReport,
    end_quarantine,
    pin,
    report_symbols,
    unpin,
)
from common.process.broker import wake_worker

OPERATOR = scoped("operator")
routes = web.RouteTableDef()


@routes.get("/api/ops/status")
@OPERATOR
@documented("How everything is", query=requests.NoQuery, answers={200: StatusReport})
async def status(request: web.Request) -> web.Response:
    """Stores, provider, beat, workers, and the ages of quotes against their bound. It answers even if a store is down."""
    requests.query(request, requests.NoQuery)
    return answer(await report_status(request.app[RESOURCES]))


@routes.get("/api/ops/budget")
@OPERATOR
@documented("Slots and who spent them", query=requests.NoQuery, answers={200: BudgetReport}, errors=(StoreUnavailable,))
async def show_budget(request: web.Request) -> web.Response:
    """Every limit, when the next call may go, and the calls of the last minute, hour and day."""
    requests.query(request, requests.NoQuery)
    return answer(await report_budget(request.app[RESOURCES]))


@routes.post("/api/ops/hold")
@OPERATOR
@documented("Make no call for a while", body=Hold, answers={200: BudgetReport}, errors=(StoreUnavailable,))
async def hold_calls(request: web.Request) -> web.Response:
    """Use it after emptying or restoring the database, which then lacks calls that the provider counts. A longer hold is kept."""
    duration = parse_duration((await requests.read(request, Hold)).duration, "for")
    return answer(await hold(request.app[RESOURCES], duration, **by(request)))


@routes.delete("/api/ops/hold")
@OPERATOR
@documented("Let calls go on", answers={200: BudgetReport}, errors=(StoreUnavailable,))
async def release_calls(request: web.Request) -> web.Response:
    """Ends every hold, also one that the provider's notice caused."""
    return answer(await release(request.app[RESOURCES], **by(request)))


@routes.get("/api/ops/symbols")
@OPERATOR
@documented("The wanted symbols", query=SymbolsQuery, answers={200: SymbolsReport}, errors=(StoreUnavailable,))
async def list_symbols(request: web.Request) -> web.Response:
    """Their weight, age, last attempt and failures, and the least age that the budget allows."""
    asked = requests.query(request, SymbolsQuery)
    resources = request.app[RESOURCES]
    report = await report_symbols(resources, only=asked.only, sort=asked.sort, most=asked.most, offset=asked.offset)
    return answer(report)


@routes.delete("/api/ops/symbols/{symbol}/quarantine")
@OPERATOR
@documented("End a quarantine", answers={200: SymbolChange}, errors=(InvalidSymbol, NotFound, StoreUnavailable))
async def release_symbol(request: web.Request) -> web.Response:
    """Forgets the symbol's failures; it is refreshed again like any other."""
    return answer(await end_quarantine(request.app[RESOURCES], request.match_info["symbol"], **by(request)))


@routes.put("/api/ops/symbols/{symbol}/pin")
@OPERATOR
@documented("Pin a symbol", answers={200: SymbolChange}, errors=(InvalidSymbol, UnknownSymbol, StoreUnavailable))
async def pin_symbol(request: web.Request) -> web.Response:
    """A pinned symbol is tracked even if nobody watches or reads it."""
    return answer(await pin(request.app[RESOURCES], request.match_info["symbol"], **by(request)))


@routes.delete("/api/ops/symbols/{symbol}/pin")
@OPERATOR
@documented(
    "Unpin a symbol",
    answers={200: SymbolChange},
    errors=(InvalidRequest, InvalidSymbol, NotFound, StoreUnavailable),
)
async def unpin_symbol(request: web.Request) -> web.Response:
    """From then on only watchers and readers keep it tracked. The overview's symbols stay pinned."""
    return answer(await unpin(request.app[RESOURCES], request.match_info["symbol"], **by(request)))


@routes.get("/api/ops/calls")
@OPERATOR
@documented("The journal", query=CallsQuery, answers={200: CallsReport}, errors=(InvalidSymbol, StoreUnavailable))
async def list_calls(request: web.Request) -> web.Response:
    """Every call to the provider, the newest first."""
    return answer(await report_calls(request.app[RESOURCES], **_given(requests.query(request, CallsQuery))))


@routes.get("/api/ops/line")
@OPERATOR
@documented("What waits for a call", query=LineQuery, answers={200: LineReport}, errors=(StoreUnavailable,))
async def list_line(request: web.Request) -> web.Response:
    """In the order in which it will be served."""
    return answer(await report_line(request.app[RESOURCES], most=requests.query(request, LineQuery).most))


@routes.get("/api/ops/audit")
@OPERATOR
@documented("What was done by whom", query=AuditQuery, answers={200: AuditReport}, errors=(StoreUnavailable,))
async def list_acts(request: web.Request) -> web.Response:
    """Logins, changes of accounts and operators' acts, the newest first."""
    return answer(await report_audit(request.app[RESOURCES], **_given(requests.query(request, AuditQuery))))


@routes.post("/api/ops/refresh")
@OPERATOR
@documented(
    "Refresh quotes now",
    body=RefreshOrder,
    answers={202: JobReport},
    errors=(InvalidSymbol, UnknownSymbol, StoreUnavailable),
)
async def start_refresh(request: web.Request) -> web.Response:
    """Queues them after users' requests and before the background's. `Location` is where its progress is."""
    asked = await requests.read(request, RefreshOrder)
    resources = request.app[RESOURCES]
    if asked.symbols is UNSET:
        report = await queue_all(resources, stale_only=asked.stale, forced=asked.force, **by(request))
    else:
        report = await queue_refresh(resources, asked.symbols, forced=asked.force, **by(request))
    await wake_worker(request.app[QUEUE], request_id=request[REQUEST_ID])
    return answer(report, status=202, Location=f"/api/ops/refresh/{report.id}")


@routes.get("/api/ops/refresh/{job}")
@OPERATOR
@documented(
    "How far a refresh is",
    query=JobQuery,
    answers={200: JobReport},
    errors=(InvalidSymbol, NotFound, StoreUnavailable),
)
async def follow_refresh(request: web.Request) -> web.Response:
    """Each symbol and how it ended, 500 at a time."""
    after = requests.query(request, JobQuery).after
    job = request.match_info["job"]
    if re.fullmatch("[0-9]{1,19}", job) is None:
        raise NotFound(f"there is no job {job[:20]!r}; expected the id that queueing a refresh answered")
    symbol = (
        None if after is UNSET else normalize_symbol(after, known=())
    )  # an item has the spelling in which it was queued
    return answer(await report_job(request.app[RESOURCES], int(job), after=symbol))


def by(request: web.Request) -> dict[str, Any]:
    """The actor and the request, for the audit."""
    return {"by": f"user:{request[CALLER].id}", "request_id": request[REQUEST_ID]}


def _given(asked: Struct) -> dict[str, Any]:
    """The parameters that were given."""
    return {name: value for name in asked.__struct_fields__ if (value := getattr(asked, name)) is not UNSET}


def answer(report: Struct, *, status: int = 200, **headers: str) -> web.Response:
    body = msgspec.json.encode(report)
    return web.Response(
        body=body, status=status, content_type="application/json", charset="utf-8", headers=NO_STORE | headers
    )
