"""Health of this process and its stores. Probes call it often, so it does little."""

import asyncio
from datetime import UTC, datetime
from typing import Literal

from aiohttp import web
from msgspec import Struct
from redis.exceptions import RedisError

from api.http import requests
from api.http.answers import NO_STORE
from api.http.contract import documented
from api.http.keys import RESOURCES
from api.http.middlewares import public
from api.quotes.memory import MEMORY
from common.core.quotes.outlook import Pause, pause
from common.errors import StoreBusy, StoreUnavailable
from common.market_calendar import open_calendar
from common.operations.status import Word
from common.operations.types import Time
from common.process.resources import Resources
from common.store.budget import ledger
from common.store.connection.pool import acquire

routes = web.RouteTableDef()


class HealthAnswer(Struct, frozen=True):
    """`degraded`: one store is down. 503 only if neither answers and memory is empty. `reason`: why no quote is refreshed now, with the
    values of a quote's `reason`; null if quotes are refreshed."""

    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: Time
    database: Word
    redis: Word
    environment: Literal["development", "testing", "production"]
    reason: Pause | None


class LiveAnswer(Struct, frozen=True):
    """The process runs."""

    status: Literal["live"]


class ReadyAnswer(Struct, frozen=True):
    """Whether requests can be served."""

    status: Literal["ready", "unready"]


@routes.get("/api/health")
@public
@documented("How the service is, and its stores", answers={200: HealthAnswer, 503: HealthAnswer})
async def health(request: web.Request) -> web.Response:
    """503 only if neither store answers and memory is empty: then there is nothing to serve."""
    resources = request.app[RESOURCES]
    database, redis = await asyncio.gather(_database(resources), _redis(resources))
    status = _status(database=database, redis=redis)
    body = {
        "status": status,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "database": _word(database),
        "redis": _word(redis),
        "environment": resources.settings.environment,
        "reason": _reason(request, database=database),
    }
    nothing = status == "unhealthy" and not request.app[MEMORY].symbols()
    return web.json_response(body, status=503 if nothing else 200, headers=NO_STORE)


@routes.get("/api/health/live")
@public
@documented("Whether the process runs", query=requests.NoQuery, answers={200: LiveAnswer})
async def live(request: web.Request) -> web.Response:
    """The process runs and its event loop answers. It checks no store."""
    requests.query(request, requests.NoQuery)
    return web.json_response({"status": "live"}, headers=NO_STORE)


@routes.get("/api/health/ready")
@public
@documented("Whether requests can be served", query=requests.NoQuery, answers={200: ReadyAnswer, 503: ReadyAnswer})
async def ready(request: web.Request) -> web.Response:
    """Ready if a store answers or memory is not empty. One store that is down must not take every process out of service."""
    requests.query(request, requests.NoQuery)
    resources = request.app[RESOURCES]
    answers = await asyncio.gather(_database(resources), _redis(resources))
    can = any(answers) or bool(request.app[MEMORY].symbols())
    body = {"status": "ready" if can else "unready"}
    return web.json_response(body, status=200 if can else 503, headers=NO_STORE)


def _status(*, database: bool, redis: bool) -> str:
    if database and redis:
        return "healthy"
    return "degraded" if database or redis else "unhealthy"


def _reason(request: web.Request, *, database: bool) -> Pause | None:
    """From the outlook that this process keeps; it asks no store."""
    now = datetime.now(UTC)
    calendar = open_calendar(request.app[RESOURCES].settings.market_hours, now)
    return pause(request.app[MEMORY].outlook, calendar, now) if database else "store_down"


def _word(answers: bool) -> Word:
    return "connected" if answers else "disconnected"


async def _database(resources: Resources) -> bool:
    try:
        async with acquire(resources.db) as connection:
            await ledger.select_now(connection)
    except StoreBusy:
        return True  # it answered whoever had a connection before
    except StoreUnavailable:
        return False
    return True


async def _redis(resources: Resources) -> bool:
    try:
        await resources.redis.ping()
    except (RedisError, OSError):
        return False
    return True
