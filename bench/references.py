"""What bench-read and bench-versus compare with: a bare aiohttp handler that returns the same bytes, the endpoint written the usual ways.

Run as `python -m bench.references bare|fastapi|clone PORT`; REDIS_URL, BENCH_BODY, BENCH_TTL and PROVIDER come from the environment.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvloop
from aiohttp import web

BODY = os.environ.get("BENCH_BODY", "{}").encode()


def run_bare(port: int) -> None:
    """aiohttp on uvloop, one handler, nothing else."""

    async def stock(_: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="application/json")

    app = web.Application()
    app.router.add_get("/api/stock/{symbol}", stock)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


def run_fastapi(port: int) -> None:
    """FastAPI under uvicorn, one Redis GET a request and a model validated on the way out."""
    import fastapi
    import pydantic
    import redis.asyncio
    import uvicorn

    class Quote(pydantic.BaseModel):
        symbol: str
        price: float
        change: float | None
        change_percent: str | None
        volume: int | None
        timestamp: str
        fetched_at: str
        stale: bool
        source: str

    app = fastapi.FastAPI()
    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])

    @app.get("/api/stock/{symbol}")
    async def stock(symbol: str) -> Quote:
        body = await client.get(f"usual:{symbol.upper()}")
        if body is None:
            raise fastapi.HTTPException(404)
        return Quote.model_validate_json(body)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


def run_clone(port: int) -> None:
    """Cache-aside: what is not in Redis is fetched and kept for its lifetime; an answer without a price is handed on as 502."""
    import fastapi
    import redis.asyncio
    import uvicorn

    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])
    sessions: list[aiohttp.ClientSession] = []

    @asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(os.environ["PROVIDER"]) as session:
            sessions.append(session)
            yield

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/api/stock/{symbol}")
    async def stock(symbol: str) -> fastapi.Response:
        body = await client.get(f"clone:{symbol}")
        if body is None:
            asked = {"function": "GLOBAL_QUOTE", "symbol": symbol, "apikey": "bench"}
            async with sessions[0].get("/query", params=asked) as answer:
                body = await answer.read()
            if b"05. price" not in body:
                raise fastapi.HTTPException(502)
            await client.setex(f"clone:{symbol}", int(os.environ["BENCH_TTL"]), body)
        return fastapi.Response(body, media_type="application/json")

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    {"bare": run_bare, "fastapi": run_fastapi, "clone": run_clone}[sys.argv[1]](int(sys.argv[2]))
