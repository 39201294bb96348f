"""Is this process well, and what it leans on. Asked often, so it asks little."""

import asyncio
from datetime import UTC, datetime
from typing import Literal

from aiohttp import web
from msgspec import Struct
from redis.exceptions import RedisError

from api.http import requests
from api.http.contract import Time, documented
from api.http.keys import RESOURCES
from api.http.middlewares import public
from api.quotes.memory import MEMORY
from common.core.quotes.outlook import Pause, pause
from common.errors import StoreUnavailable
from common.market_calendar import open_calendar
from common.process.resources import Resources
from common.store.budget import ledger
from common.store.connection.pool import acquire

Word = Literal["connected", "disconnected"]

routes = web.RouteTableDef()


class HealthAnswer(Struct, frozen=True):
    """`degraded`: one store is away. 503 only when neither answers and memory is empty. `reason`: why no quote is refreshed now, in the
    words of a quote's `reason`; null: they are."""

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
    """503 only when neither store answers and memory is empty: then there is nothing to serve."""
    resources = request.app[RESOURCES]
    database, redis = await asyncio.gather(_database(resources), _redis(resources))
    status = {2: "healthy", 1: "degraded", 0: "unhealthy"}[database + redis]
    body = {
        "status": status,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "database": _word(database),
        "redis": _word(redis),
        "environment": resources.settings.environment,
        "reason": _reason(request, database=database),
    }
    nothing = status == "unhealthy" and not request.app[MEMORY].symbols()
    return web.json_response(body, status=503 if nothing else 200, headers={"Cache-Control": "no-store"})


@routes.get("/api/health/live")
@public
@documented("Whether the process runs", query=requests.NoQuery, answers={200: LiveAnswer})
async def live(request: web.Request) -> web.Response:
    """The process runs and its loop turns; no store is asked."""
    requests.query(request, requests.NoQuery)
    return web.json_response({"status": "live"}, headers={"Cache-Control": "no-store"})


@routes.get("/api/health/ready")
@public
@documented("Whether requests can be served", query=requests.NoQuery, answers={200: ReadyAnswer, 503: ReadyAnswer})
async def ready(request: web.Request) -> web.Response:
    """It can serve: a store answers, or memory is not empty. One store away must not take every process out of service."""
    requests.query(request, requests.NoQuery)
    resources = request.app[RESOURCES]
    answers = await asyncio.gather(_database(resources), _redis(resources))
    can = any(answers) or bool(request.app[MEMORY].symbols())
    body = {"status": "ready" if can else "unready"}
    return web.json_response(body, status=200 if can else 503, headers={"Cache-Control": "no-store"})


def _reason(request: web.Request, *, database: bool) -> Pause | None:
    """By the outlook that this process keeps; no more than that is asked."""
    now = datetime.now(UTC)
    calendar = open_calendar(request.app[RESOURCES].settings.market_hours, now)
    return pause(request.app[MEMORY].outlook, calendar, now) if database else "store_down"


def _word(answers: bool) -> Word:
    return "connected" if answers else "disconnected"


async def _database(resources: Resources) -> bool:
    try:
        async with acquire(resources.db) as connection:
            await ledger.select_now(connection)
    except StoreUnavailable:
        return False
    return True


async def _redis(resources: Resources) -> bool:
    try:
        await resources.redis.ping()
    except (RedisError, OSError):
        return False
    return True
